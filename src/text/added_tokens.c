/* Added tokens: found in the text before the normalizer, or in its output, the longest one at the
   leftmost place; everything else of the pipeline passes them by. */
#include "text/tokenizer_parts.h"
#include "text/trie.h"
#include "text/unicode.h"
#include <string.h>

typedef struct token {
    at_added_token as;
    char *content;   /* what as.content points to */
    at_text pattern; /* what is looked for: the content, normalized if the token says so */
    int32_t id;
    bool replaced; /* a later token took its id */
} token;

struct at_added_tokens {
    token *tokens;
    size_t count, capacity;
    at_map *by_content; /* to the place in tokens */
    at_map *by_id;
    int32_t next_id;
    bool split_special;
    at_trie *raw, *normalized; /* values: places in tokens */
};

at_added_tokens *at_added_tokens_new(at_context *cx)
{
    at_added_tokens *a = at_ok(cx) ? AT_NEW(cx, at_added_tokens) : NULL;
    if (!a) return NULL;
    a->by_content = at_map_new(cx);
    a->by_id = at_map_new(cx);
    if (a->by_content && a->by_id) return a;
    at_added_tokens_free(a);
    return NULL;
}

void at_added_tokens_free(at_added_tokens *a)
{
    if (!a) return;
    for (size_t i = 0; i < a->count; i++) {
        at_free(a->tokens[i].content);
        at_text_free(&a->tokens[i].pattern);
    }
    at_free(a->tokens);
    at_map_free(a->by_content);
    at_map_free(a->by_id);
    at_trie_free(a->raw);
    at_trie_free(a->normalized);
    at_free(a);
}

static token *find(const at_added_tokens *a, const char *content, size_t size)
{
    int64_t at;
    return a && at_map_get(a->by_content, content, size, &at) ? &a->tokens[at] : NULL;
}

static token *find_id(const at_added_tokens *a, int32_t id)
{
    int64_t at;
    return a && at_map_get(a->by_id, (const char *)&id, sizeof id, &at) ? &a->tokens[at] : NULL;
}

void at_added_tokens_begin(at_added_tokens *a, const at_model *model)
{
    int64_t next = (int64_t)model->size;
    for (size_t i = 0; i < a->count; i++)
        if (a->tokens[i].id >= next) next = (int64_t)a->tokens[i].id + 1;
    a->next_id = (int32_t)AT_MIN(next, INT32_MAX);
}

static token *new_token(at_context *cx, at_added_tokens *a, const char *content, size_t size)
{
    if (a->count == a->capacity) {
        size_t capacity = a->capacity * 2 + 16;
        token *tokens = at_resize(cx, a->tokens, capacity, sizeof *tokens);
        if (!tokens) return NULL;
        a->tokens = tokens;
        a->capacity = capacity;
    }
    char *copy = at_alloc(cx, size + 1, 1);
    if (!copy) return NULL;
    memcpy(copy, content, size);
    if (!at_map_set(cx, a->by_content, content, size, (int64_t)a->count)) {
        at_free(copy);
        return NULL;
    }
    token *t = &a->tokens[a->count++];
    *t = (token){.content = copy, .id = -1};
    return t;
}

bool at_added_tokens_add(at_context *cx, at_added_tokens *a, const at_added_token *given,
                         const at_model *model, const at_normalizer *normalizer)
{
    if (!at_ok(cx)) return false;
    if (given->size == 0) return true;
    token *t = find(a, given->content, given->size);
    bool special = given->special || (t && t->as.special); /* once special, always special */
    if (!t) t = new_token(cx, a, given->content, given->size);
    if (!t) return false;
    if (t->id < 0 && !at_vocabulary_id(model->vocabulary, given->content, given->size, &t->id)) {
        if (a->next_id == INT32_MAX)
            return at_fail_false(cx, AT_ERROR_FORMAT, "no id is left for an added token");
        t->id = a->next_id++;
    }
    t->as = *given;
    t->as.content = t->content;
    t->as.special = special;
    t->replaced = false;
    token *other = find_id(a, t->id);
    if (other && other != t) other->replaced = true;
    t->pattern.size = 0;
    at_text_add(cx, &t->pattern, given->content, given->size);
    bool at_start = true;
    if (given->normalized) at_normalizer_apply(cx, normalizer, &t->pattern, &at_start);
    return !at_failed(cx) &&
           at_map_set(cx, a->by_id, (const char *)&t->id, sizeof t->id, t - a->tokens);
}

bool at_added_tokens_parse(at_context *cx, at_added_tokens *a, const cJSON *json,
                           const at_model *model, const at_normalizer *normalizer, const char *what)
{
    const cJSON *item;
    if (!at_ok(cx)) return false;
    if (!json || cJSON_IsNull(json)) return true;
    if (!cJSON_IsArray(json))
        return at_fail_false(cx, AT_ERROR_FORMAT, "%s: \"added_tokens\" must be a list", what);
    at_added_tokens_begin(a, model);
    cJSON_ArrayForEach(item, json)
    {
        const char *content = at_field_text(cx, item, "content", what);
        if (!content) return false;
        at_added_token t = {
            .content = content,
            .size = strlen(content),
            .single_word = at_field_bool(cx, item, "single_word", false, what),
            .lstrip = at_field_bool(cx, item, "lstrip", false, what),
            .rstrip = at_field_bool(cx, item, "rstrip", false, what),
            .special = at_field_bool(cx, item, "special", false, what),
        };
        t.normalized = at_field_bool(cx, item, "normalized", !t.special, what);
        if (!at_added_tokens_add(cx, a, &t, model, normalizer)) return false;
    }
    return true;
}

static at_trie *build(at_context *cx, const at_added_tokens *a, bool normalized)
{
    size_t count = 0;
    at_trie_key *keys = AT_NEW_ARRAY(cx, at_trie_key, a->count);
    for (size_t i = 0; keys && i < a->count; i++) {
        const token *t = &a->tokens[i];
        if (t->as.normalized != normalized || t->replaced || t->pattern.size == 0) continue;
        if (t->as.special && a->split_special) continue;
        keys[count++] = (at_trie_key){t->pattern.data, t->pattern.size, (int32_t)i};
    }
    at_trie *trie = keys && count ? at_trie_new(cx, keys, count) : NULL;
    at_free(keys);
    return trie;
}

bool at_added_tokens_finish(at_context *cx, at_added_tokens *a, bool split_special)
{
    if (!at_ok(cx)) return false;
    a->split_special = split_special;
    a->raw = build(cx, a, false);
    a->normalized = build(cx, a, true);
    return !at_failed(cx);
}

/* --- Extraction. --- */

/* The longest token at text; gives its place, or -1. */
static int32_t longest_at(const at_added_tokens *a, const at_trie *trie, int32_t passed_over,
                          const char *text, size_t size, size_t *length)
{
    int32_t found = -1;
    uint32_t at = 0;
    for (size_t i = 0; i < size; i++) {
        at = at_trie_child(trie, at, (unsigned char)text[i]);
        if (at == 0) break;
        int32_t value = at_trie_value(trie, at);
        if (value < 0 || a->tokens[value].id == passed_over) continue;
        found = value;
        *length = i + 1;
    }
    return found;
}

static bool is_word_apart(const char *text, size_t size, size_t start, size_t end)
{
    size_t n;
    if (start > 0 && at_is_word(at_utf8_next(text + start - at_utf8_last(text, start), &n)))
        return false;
    return end == size || !at_is_word(at_utf8_next(text + end, &n));
}

static size_t skip_spaces(const char *text, size_t size, size_t at)
{
    for (size_t n; at < size && at_is_space(at_utf8_next(text + at, &n));) at += n;
    return at;
}

/* Where the spaces before `at` start, not before `least`. */
static size_t skip_spaces_back(const char *text, size_t at, size_t least)
{
    while (at > least) {
        size_t n, last = at_utf8_last(text, at);
        if (!at_is_space(at_utf8_next(text + at - last, &n))) break;
        at -= last;
    }
    return at;
}

void at_added_tokens_extract(at_context *cx, const at_added_tokens *a, bool normalized,
                             int32_t passed_over, const char *text, size_t size, bool at_start,
                             at_pieces *out)
{
    const at_trie *trie = normalized ? a->normalized : a->raw;
    size_t done = 0; /* what is before has been given out */
    for (size_t i = 0, length; trie && i < size && !at_failed(cx);) {
        int32_t found = longest_at(a, trie, passed_over, text + i, size - i, &length);
        if (found < 0) {
            i++;
            continue;
        }
        const token *t = &a->tokens[found];
        size_t start = i, end = i + length;
        i = end;
        if (t->as.single_word && !is_word_apart(text, size, start, end)) continue;
        if (t->as.lstrip) start = AT_MAX(skip_spaces_back(text, start, done), done);
        if (t->as.rstrip) end = skip_spaces(text, size, end);
        if (done < start)
            at_pieces_add(cx, out, text + done, start - done, -1, at_start && done == 0);
        at_pieces_add(cx, out, text, 0, t->id, at_start && start == 0);
        done = end;
    }
    if (done < size) at_pieces_add(cx, out, text + done, size - done, -1, at_start && done == 0);
}

/* --- Looking up. --- */

bool at_added_tokens_id(const at_added_tokens *a, const char *content, size_t size, int32_t *id)
{
    const token *t = find(a, content, size);
    if (!t) return false;
    *id = t->id;
    return true;
}

const char *at_added_tokens_token(const at_added_tokens *a, int32_t id, size_t *size)
{
    const token *t = find_id(a, id);
    if (!t) return NULL;
    *size = t->pattern.size;
    return t->pattern.data;
}

bool at_added_tokens_is_special(const at_added_tokens *a, const char *content, size_t size)
{
    const token *t = find(a, content, size);
    return t && t->as.special;
}

void at_added_tokens_contents(at_context *cx, const at_added_tokens *a, at_map *contents)
{
    for (size_t i = 0; i < a->count; i++)
        at_map_set(cx, contents, a->tokens[i].content, a->tokens[i].as.size, 1);
}

size_t at_added_tokens_beyond(const at_added_tokens *a, const at_model *model)
{
    size_t count = 0;
    int32_t id;
    for (size_t i = 0; i < a->count; i++)
        count +=
            !at_vocabulary_id(model->vocabulary, a->tokens[i].content, a->tokens[i].as.size, &id);
    return count;
}
