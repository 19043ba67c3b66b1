/* Which tokens a folder adds, as PreTrainedTokenizerBase and TokenizersBackend of transformers 5
   collect them: tokenizer_config.json first; special_tokens_map.json and added_tokens.json only
   when it has no added_tokens_decoder. */
#include "text/folder.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const named_keys[AT_NAMED] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                                 "pad_token", "cls_token", "mask_token"};

static const cJSON *item_of(const cJSON *json, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, key);
    return item && !cJSON_IsNull(item) ? item : NULL;
}

bool at_folder_has(const at_folder *folder, const char *key)
{
    return item_of(folder->config, key) != NULL;
}

bool at_folder_flag(const at_folder *folder, const char *key, bool fallback)
{
    const cJSON *item = item_of(folder->config, key);
    return cJSON_IsBool(item) ? cJSON_IsTrue(item) : fallback;
}

static at_special from_text(const char *text)
{
    return (at_special){{.content = text, .size = text ? strlen(text) : 0, .special = true}, true};
}

static bool flag(const cJSON *json, const char *key, bool fallback)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, key);
    return cJSON_IsBool(item) ? cJSON_IsTrue(item) : fallback;
}

/* A string, or an object with the flags of AddedToken. */
static at_special from_json(const cJSON *json, bool special)
{
    const char *content = at_json_text(json);
    if (content) return from_text(content);
    content = at_json_text(cJSON_GetObjectItemCaseSensitive(json, "content"));
    if (!content) return (at_special){0};
    at_added_token t = {.content = content,
                        .size = strlen(content),
                        .single_word = flag(json, "single_word", false),
                        .lstrip = flag(json, "lstrip", false),
                        .rstrip = flag(json, "rstrip", false),
                        .special = flag(json, "special", special)};
    t.normalized = flag(json, "normalized", !t.special);
    return (at_special){t, false};
}

/* --- What has flags of its own: added_tokens_decoder, or the older files. --- */

static const cJSON *decoder_of(const at_folder *folder)
{
    const cJSON *decoder = cJSON_GetObjectItemCaseSensitive(folder->config, "added_tokens_decoder");
    return cJSON_IsObject(decoder) ? decoder : NULL;
}

static const cJSON *json_tokens(const at_folder *folder)
{
    return decoder_of(folder) ? NULL
                              : cJSON_GetObjectItemCaseSensitive(folder->tokenizer, "added_tokens");
}

/* The flags that the files give to a token. */
static bool find_added(const at_folder *folder, const char *content, at_special *out)
{
    const cJSON *lists[] = {decoder_of(folder), json_tokens(folder)}, *item;
    bool found = false;
    for (size_t i = 0; i < AT_COUNT(lists); i++) {
        cJSON_ArrayForEach(item, lists[i])
        {
            const char *other = at_json_text(cJSON_GetObjectItemCaseSensitive(item, "content"));
            if (!other || strcmp(other, content) != 0) continue;
            *out = from_json(item, false);
            found = true;
        }
    }
    return found;
}

/* padding in tokenizer.json names a pad token too. */
static const char *json_pad(const at_folder *folder)
{
    const cJSON *padding = cJSON_GetObjectItemCaseSensitive(folder->tokenizer, "padding");
    return at_json_text(cJSON_GetObjectItemCaseSensitive(padding, "pad_token"));
}

static at_special read_named(const at_folder *folder, at_named name)
{
    const cJSON *in_config = cJSON_GetObjectItemCaseSensitive(folder->config, named_keys[name]);
    const cJSON *in_map = decoder_of(folder) ? NULL : item_of(folder->map, named_keys[name]);
    at_special s = from_json(in_map ? in_map : in_config, in_map != NULL);
    const char *fallback = folder->class->tokens[name];
    if (name == AT_PAD && !fallback) fallback = json_pad(folder);
    if (!fallback) fallback = folder->spm_tokens[name];
    if (!s.token.content && !in_map && (!in_config || !cJSON_IsNull(in_config)))
        s = from_text(fallback);
    if (!s.token.content) return s;
    find_added(folder, s.token.content, &s);
    s.token.special = true;
    return s;
}

void at_folder_read_names(at_folder *folder)
{
    for (int n = 0; n < AT_NAMED; n++) folder->named[n] = read_named(folder, (at_named)n);
}

int32_t at_folder_named_id(const at_folder *folder, const at_tokenizer *t, at_named name)
{
    at_special s = folder->named[name];
    int32_t id = at_tokenizer_id(t, s.token.content);
    if (id >= 0 || !s.token.content) return id;
    return at_tokenizer_id(t, folder->named[AT_UNK].token.content);
}

/* --- Adding. --- */

typedef struct adding {
    at_context *cx;
    const at_folder *folder;
    at_tokenizer *tokenizer;
    at_map *numbered; /* contents that the files number: nothing else changes their flags */
    at_map *seen;     /* the other ones, with their flags */
    bool again;       /* all of them once more, as plain special tokens */
} adding;

static bool is_named(const at_folder *folder, const char *content)
{
    for (int n = 0; n < AT_NAMED; n++) {
        const char *name = folder->named[n].token.content;
        if (name && strcmp(name, content) == 0) return true;
    }
    return false;
}

static void add_always(adding *a, at_special s)
{
    if (!s.token.content || at_failed(a->cx)) return;
    at_added_tokens_add(a->cx, a->tokenizer->added, &s.token, a->tokenizer->model,
                        a->tokenizer->normalizer);
}

/* Whether the very same has been added; it counts as added from now on. */
static bool is_repeated(adding *a, const at_special *s)
{
    at_text key = {0};
    int64_t there;
    const at_added_token *t = &s->token;
    char flags[] = {s->plain, t->single_word, t->lstrip, t->rstrip, t->normalized, t->special};
    at_text_add(a->cx, &key, flags, sizeof flags);
    at_text_add(a->cx, &key, t->content, t->size);
    bool repeated = at_failed(a->cx) || at_map_get(a->seen, key.data, key.size, &there);
    if (!repeated) at_map_set(a->cx, a->seen, key.data, key.size, 1);
    at_text_free(&key);
    return repeated;
}

static void add(adding *a, at_special s)
{
    int64_t there;
    if (!s.token.content) return;
    if (a->again) {
        s.token = (at_added_token){s.token.content, s.token.size, .special = true};
        add_always(a, s);
    } else if (!at_map_get(a->numbered, s.token.content, s.token.size, &there) &&
               !is_repeated(a, &s)) {
        add_always(a, s);
    }
}

static void add_number(adding *a, at_special s)
{
    if (!s.token.content) return;
    at_map_set(a->cx, a->numbered, s.token.content, s.token.size, 1);
    add_always(a, s);
}

typedef struct numbered {
    double id;
    const cJSON *item;
    size_t place;
} numbered;

static int by_id(const void *x, const void *y)
{
    const numbered *a = x, *b = y;
    if (a->id != b->id) return a->id < b->id ? -1 : 1;
    return a->place < b->place ? -1 : a->place > b->place;
}

/* {"0": {...}} or, older, {"token": 0}; tokenizer.json's own list. In the order of the ids. */
static void add_numbered(adding *a)
{
    const at_folder *f = a->folder;
    const cJSON *decoder = decoder_of(f), *old = decoder ? NULL : f->added;
    const cJSON *own = json_tokens(f), *item;
    size_t count = 0;
    size_t most = (size_t)cJSON_GetArraySize(decoder) + (size_t)cJSON_GetArraySize(old) +
                  (size_t)cJSON_GetArraySize(own);
    numbered *all = AT_NEW_ARRAY(a->cx, numbered, most);
    if (!all) return;
    cJSON_ArrayForEach(item, decoder) all[count++] = (numbered){atof(item->string), item, 0};
    cJSON_ArrayForEach(item, old) all[count++] = (numbered){item->valuedouble, item, 1};
    cJSON_ArrayForEach(item, own)
    {
        const cJSON *id = cJSON_GetObjectItemCaseSensitive(item, "id");
        all[count++] = (numbered){cJSON_IsNumber(id) ? id->valuedouble : 0, item, 2};
    }
    for (size_t i = 0; i < count; i++)
        if (!isfinite(all[i].id)) all[i].id = 0;
    qsort(all, count, sizeof *all, by_id);
    for (size_t i = 0; i < count; i++) {
        at_special s = from_json(all[i].item, false);
        if (all[i].place == 1) {
            s = from_text(all[i].item->string);
            s.token.special = is_named(f, s.token.content);
            s.token.normalized = !s.token.special;
        }
        if (s.token.content && !s.token.special) s.token.special = is_named(f, s.token.content);
        add_number(a, s);
    }
    at_free(all);
}

/* Other keys that end in _token, and extra_special_tokens with names, which go before. */
static void add_model_specific(adding *a)
{
    const cJSON *extra =
        cJSON_GetObjectItemCaseSensitive(a->folder->config, "extra_special_tokens");
    const cJSON *item;
    cJSON_ArrayForEach(item, a->folder->config)
    {
        size_t size = strlen(item->string);
        bool named = size < 6 || strcmp(item->string + size - 6, "_token") != 0;
        for (int n = 0; n < AT_NAMED; n++) named |= strcmp(item->string, named_keys[n]) == 0;
        if (!named && !cJSON_GetObjectItemCaseSensitive(extra, item->string))
            add(a, from_json(item, true));
    }
    if (!cJSON_IsObject(extra)) return;
    cJSON_ArrayForEach(item, extra) add(a, from_json(item, true));
}

static bool truthy(const cJSON *item)
{
    return item && item->child;
}

static void add_list(adding *a, const cJSON *list)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, list) add(a, from_json(item, true));
}

/* Control pieces and those that the user defined. */
static void add_spm_pieces(adding *a)
{
    const at_sentencepiece *spm = &a->folder->spm;
    for (size_t i = 0; i < spm->count; i++) {
        const at_spm_piece *p = &spm->pieces[i];
        bool control = p->type == AT_PIECE_CONTROL;
        if (!control && p->type != AT_PIECE_USER_DEFINED) continue;
        at_added_token t = {.content = p->text, .size = p->size, .special = control};
        add(a, (at_special){t, false});
    }
}

static void add_extra_ids(adding *a)
{
    for (int64_t i = 0; i < a->folder->extra_ids && !at_failed(a->cx); i++) {
        char name[40];
        snprintf(name, sizeof name, "<extra_id_%lld>", (long long)i);
        add(a, from_text(name));
    }
}

static bool has_extra_id(const cJSON *list)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, list)
    {
        const char *text = at_json_text(item);
        if (text && strstr(text, "<extra_id_")) return true;
    }
    return false;
}

/* extra_special_tokens, which used to be called additional_special_tokens. Where the configuration
   has neither, the special pieces of a sentencepiece file and T5's extra ids take its place. */
static void add_extra(adding *a)
{
    const at_folder *f = a->folder;
    const cJSON *extra = cJSON_GetObjectItemCaseSensitive(f->config, "extra_special_tokens");
    const cJSON *old = cJSON_GetObjectItemCaseSensitive(f->config, "additional_special_tokens");
    const cJSON *map = decoder_of(f) ? NULL : f->map;
    const cJSON *from_map = cJSON_GetObjectItemCaseSensitive(map, "additional_special_tokens");
    bool is_list = extra && !cJSON_IsObject(extra);
    if (old && !truthy(extra)) extra = old, is_list = true;
    if (is_list) {
        add_list(a, extra);
        add_list(a, cJSON_GetObjectItemCaseSensitive(map, "extra_special_tokens"));
        return;
    }
    if (f->spm.count)
        add_spm_pieces(a);
    else
        add_list(a, from_map ? from_map : old);
    if (f->spm.count || !has_extra_id(from_map ? from_map : old)) add_extra_ids(a);
}

static void add_special(adding *a)
{
    for (int n = 0; n < AT_NAMED; n++) add(a, a->folder->named[n]);
    add_model_specific(a);
    add_extra(a);
}

bool at_folder_add_tokens(at_context *cx, const at_folder *folder, at_tokenizer *t)
{
    adding a = {cx, folder, t, at_map_new(cx), at_map_new(cx), false};
    if (a.numbered && a.seen) {
        at_added_tokens_begin(t->added, t->model);
        at_added_tokens_contents(cx, t->added, a.numbered);
        add_numbered(&a);
        add_special(&a);
        a.again = true;
        if (strcmp(folder->class->name, "Qwen2Tokenizer") == 0) add_special(&a);
    }
    at_map_free(a.numbered);
    at_map_free(a.seen);
    return !at_failed(cx);
}
