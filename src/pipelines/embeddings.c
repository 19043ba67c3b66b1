#include "pipelines/embeddings.h"
#include "adapters/textual_inversion.h"
#include "models/text_encoders/clip_text.h"
#include "pipelines/latent_run.h"
#include "text/tokenizer.h"
#include <ctype.h>
#include <string.h>
#include <strings.h>

struct at_embeddings {
    at_textual_inversion **items; /* those in use, then others that were */
    bool *used;
    int count, opened;
};

void at_embeddings_free(at_embeddings *e)
{
    if (!e) return;
    for (int i = 0; i < e->opened; i++) at_textual_inversion_free(e->items[i]);
    at_free(e->items);
    at_free(e->used);
    at_free(e);
}

int at_embeddings_count(const at_embeddings *e)
{
    return e ? e->count : 0;
}

/* ---- the set */

/* The file at place i of the set: moved there where it is open already, else opened. */
static bool take(at_context *cx, at_embeddings *e, int i, const char *path)
{
    int found = i;
    while (found < e->opened && strcmp(e->items[found]->path, path) != 0) found++;
    if (found == e->opened) {
        at_textual_inversion **items =
            at_resize(cx, e->items, (size_t)e->opened + 1, sizeof *items);
        if (items) e->items = items;
        bool *used = items ? at_resize(cx, e->used, (size_t)e->opened + 1, sizeof *used) : NULL;
        if (!used) return false;
        e->used = used;
        at_textual_inversion *t = at_textual_inversion_open(cx, path);
        if (!t) return false;
        e->items[e->opened++] = t;
    }
    at_textual_inversion *chosen = e->items[found];
    e->items[found] = e->items[i];
    e->items[i] = chosen;
    e->used[i] = false;
    return true;
}

static bool check_names(at_context *cx, const at_embeddings *e, int i)
{
    const at_textual_inversion *t = e->items[i];
    for (int k = 0; k < i; k++) {
        if (strcasecmp(e->items[k]->name, t->name) == 0)
            return at_fail_false(cx, AT_ERROR_ARGUMENT,
                                 "%s and %s: both are called %s (give one of them another name)",
                                 e->items[k]->path, t->path, t->name);
        if (t->token && e->items[k]->token && strcasecmp(e->items[k]->token, t->token) == 0)
            at_log(cx, AT_LOG_WARNING, "%s and %s both say that they are %.100s: write %s or %s",
                   e->items[k]->path, t->path, t->token, e->items[k]->name, t->name);
    }
    return true;
}

/* What fits no encoder is told before the work begins. */
static bool check_vectors(at_pipeline *p)
{
    static const char *const tokenizers[] = {"tokenizer", "tokenizer_2"};
    bool fine = true;
    for (size_t i = 0; fine && i < AT_COUNT(tokenizers); i++) {
        const at_component *c = at_pipeline_component(p, tokenizers[i]);
        if (!c || !c->class_name) continue;
        at_scope s = at_scope_begin(p->cx);
        fine = at_embeddings_vectors(p, tokenizers[i]) != NULL;
        at_scope_end(p->cx, s, NULL);
    }
    return fine;
}

bool at_embeddings_use(at_pipeline *p, const char *const *paths, int count)
{
    at_context *cx = p->cx;
    if (!at_ok(cx)) return false;
    if (count && !p->class->latents->embeds)
        return at_fail_false(cx, AT_ERROR_UNSUPPORTED, "--embedding: %s takes none",
                             p->class->name);
    if (!p->embeddings && count) p->embeddings = AT_NEW(cx, at_embeddings);
    at_embeddings *e = p->embeddings;
    if (!e) return at_ok(cx);
    e->count = 0;
    bool fine = true;
    for (int i = 0; fine && i < count; i++) {
        fine = take(cx, e, i, paths[i]) && check_names(cx, e, i);
        e->count += fine;
    }
    return fine && (!count || check_vectors(p));
}

/* ---- names */

const char *at_embeddings_name(const at_embeddings *e, int i)
{
    return e->items[i]->name;
}

/* Whether the tokenizer has it as a whole word. */
static bool is_word_of(const at_tokenizer *t, const char *name)
{
    char word[200];
    size_t n = strlen(name);
    if (n + 5 > sizeof word) return false;
    for (size_t i = 0; i < n; i++) word[i] = (char)tolower((unsigned char)name[i]);
    memcpy(word + n, "</w>", 5);
    if (at_tokenizer_id(t, word) >= 0) return true;
    word[n] = 0;
    return at_tokenizer_id(t, word) >= 0;
}

const char *at_embeddings_token(const at_embeddings *e, int i, const at_tokenizer *tokenizer)
{
    const char *token = e->items[i]->token;
    if (!token || is_word_of(tokenizer, token)) return NULL;
    for (int k = 0; k < e->count; k++) {
        const at_textual_inversion *other = e->items[k];
        if (k != i && (strcasecmp(other->name, token) == 0 ||
                       (other->token && strcasecmp(other->token, token) == 0)))
            return NULL;
    }
    return token;
}

static bool is_letter(char c)
{
    return isalnum((unsigned char)c) || (unsigned char)c >= 0x80;
}

static size_t fits(const char *name, const char *text, char before, bool whole)
{
    size_t n = name ? strlen(name) : 0;
    if (!n || strncasecmp(text, name, n) != 0) return 0;
    bool inside =
        (is_letter(before) && is_letter(name[0])) || (is_letter(name[n - 1]) && is_letter(text[n]));
    return inside && whole ? 0 : n;
}

int at_embeddings_at(const at_embeddings *e, const at_tokenizer *tokenizer, const char *text,
                     char before, bool whole, size_t *size)
{
    int found = -1;
    *size = 0;
    for (int i = 0; i < at_embeddings_count(e); i++) {
        size_t n = fits(at_embeddings_name(e, i), text, before, true);
        size_t m = fits(at_embeddings_token(e, i, tokenizer), text, before, whole);
        if (AT_MAX(n, m) <= *size) continue;
        *size = AT_MAX(n, m);
        found = i;
    }
    return found;
}

int at_embeddings_find(const at_embeddings *e, const char *name, size_t size)
{
    for (int i = 0; i < at_embeddings_count(e); i++)
        if (strlen(e->items[i]->name) == size && memcmp(e->items[i]->name, name, size) == 0)
            return i;
    return -1;
}

/* ---- vectors */

at_embedding_place at_embeddings_place(const at_embeddings *e, int i)
{
    at_embedding_place place = {.count = e->items[i]->vectors};
    for (int k = 0; k < i; k++) place.first += e->items[k]->vectors;
    return place;
}

at_tensor *at_embeddings_vectors(at_pipeline *p, const char *tokenizer)
{
    at_context *cx = p->cx;
    at_embeddings *e = p->embeddings;
    int encoder = strcmp(tokenizer, "tokenizer_2") == 0;
    const char *const names[] = {"text_encoder", "text_encoder_2"};
    const at_component *other = at_pipeline_component(p, names[!encoder]);
    bool only = !other || !other->class_name;
    at_module *clip = at_pipeline_module(p, names[encoder], NULL);
    at_tensor **parts = AT_NEW_ARRAY(cx, at_tensor *, e->count);
    if (!clip || !parts) {
        at_free(parts);
        return NULL;
    }
    at_scope s = at_scope_begin(cx);
    for (int i = 0; i < e->count; i++)
        parts[i] =
            at_textual_inversion_vectors(e->items[i], encoder, only, at_clip_text_width(clip));
    at_tensor *x = at_ok(cx) ? at_concat(cx, 0, e->count, parts) : NULL;
    at_free(parts);
    at_scope_end(cx, s, &x, NULL);
    return x;
}

void at_embeddings_mark(at_embeddings *e, int i)
{
    e->used[i] = true;
}

bool at_embeddings_used(const at_embeddings *e, int i)
{
    return e->used[i];
}
