/* WordPiece: the longest token first, from the left; a word that cannot be covered is unknown.
   WordLevel: the word is a token or unknown. */
#include "text/tokenizer_parts.h"
#include "text/unicode.h"
#include <string.h>

typedef struct words {
    at_model base; /* first: an at_model is one */
    char *unk_token;
    char *prefix;          /* of pieces inside a word; NULL: WordLevel */
    size_t max_characters; /* longer words are unknown */
} words;

static void add_unknown(at_context *cx, const words *w, at_ids *out)
{
    int32_t id;
    if (at_vocabulary_id(w->base.vocabulary, w->unk_token, strlen(w->unk_token), &id))
        at_ids_add(cx, out, id);
    else
        at_fail(cx, AT_ERROR_UNSUPPORTED, "the unknown token \"%.40s\" is not in the vocabulary",
                w->unk_token);
}

/* The longest piece at start; gives its end, or start when there is none. name is scratch. */
static size_t longest(at_context *cx, const words *w, const char *text, size_t size, size_t start,
                      at_text *name, int32_t *id)
{
    name->size = 0;
    if (start > 0) at_text_add(cx, name, w->prefix, strlen(w->prefix));
    size_t prefix = name->size;
    at_text_add(cx, name, text + start, size - start);
    for (size_t end = size; end > start && !at_failed(cx);) {
        if (at_vocabulary_id(w->base.vocabulary, name->data, prefix + end - start, id)) return end;
        end -= at_utf8_last(text, end);
    }
    return start;
}

static void tokenize_pieces(at_context *cx, const at_model *model, const char *text, size_t size,
                            at_ids *out)
{
    const words *w = (const words *)model;
    size_t before = out->count, start = 0;
    at_text name = {0};
    bool known = at_utf8_count(text, size) <= w->max_characters;
    while (known && start < size && !at_failed(cx)) {
        int32_t id;
        size_t end = longest(cx, w, text, size, start, &name, &id);
        known = end > start;
        if (known) at_ids_add(cx, out, id);
        start = end;
    }
    at_text_free(&name);
    if (known) return;
    out->count = before;
    add_unknown(cx, w, out);
}

static void tokenize_level(at_context *cx, const at_model *model, const char *text, size_t size,
                           at_ids *out)
{
    int32_t id;
    if (at_vocabulary_id(model->vocabulary, text, size, &id))
        at_ids_add(cx, out, id);
    else
        add_unknown(cx, (const words *)model, out);
}

static void destroy(at_model *model)
{
    words *w = (words *)model;
    at_free(w->unk_token);
    at_free(w->prefix);
    at_free(w);
}

static at_model *words_new(at_context *cx, at_vocabulary *vocabulary, const char *unk_token,
                           const char *prefix, size_t max_characters)
{
    words *w = at_ok(cx) && vocabulary && unk_token ? AT_NEW(cx, words) : NULL;
    if (!w) {
        at_vocabulary_free(vocabulary);
        return NULL;
    }
    w->base = (at_model){vocabulary, at_vocabulary_count(vocabulary),
                         prefix ? tokenize_pieces : tokenize_level, destroy};
    w->unk_token = at_copy_text(cx, unk_token);
    w->prefix = prefix ? at_copy_text(cx, prefix) : NULL;
    w->max_characters = max_characters;
    if (!at_failed(cx)) return &w->base;
    at_model_free(&w->base);
    return NULL;
}

at_model *at_wordpiece_new(at_context *cx, at_vocabulary *vocabulary, const char *unk_token,
                           const char *prefix, size_t max_characters)
{
    return words_new(cx, vocabulary, unk_token, prefix, max_characters);
}

at_model *at_wordlevel_new(at_context *cx, at_vocabulary *vocabulary, const char *unk_token)
{
    return words_new(cx, vocabulary, unk_token, NULL, 0);
}

at_model *at_wordpiece_parse(at_context *cx, const cJSON *json, const char *what)
{
    const char *unk_token = at_field_text(cx, json, "unk_token", what);
    const char *prefix = at_field_text(cx, json, "continuing_subword_prefix", what);
    int64_t most = at_field_count(cx, json, "max_input_chars_per_word", 100, INT32_MAX, what);
    at_vocabulary *vocabulary =
        at_vocabulary_parse(cx, cJSON_GetObjectItemCaseSensitive(json, "vocab"), what);
    return at_wordpiece_new(cx, vocabulary, unk_token, prefix, (size_t)most);
}

at_model *at_wordlevel_parse(at_context *cx, const cJSON *json, const char *what)
{
    const char *unk_token = at_field_text(cx, json, "unk_token", what);
    at_vocabulary *vocabulary =
        at_vocabulary_parse(cx, cJSON_GetObjectItemCaseSensitive(json, "vocab"), what);
    return at_wordlevel_new(cx, vocabulary, unk_token);
}
