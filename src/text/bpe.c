/* Byte-pair encoding (Sennrich 2016): a word starts as its characters; the pair whose merge was
   learned first is joined until none is left. A heap over the pairs keeps long words from being
   quadratic. */
#include "text/tokenizer_parts.h"
#include "text/unicode.h"
#include <string.h>

typedef struct merge { /* an entry of the table of pairs */
    uint64_t pair;     /* left id << 32 | right id; EMPTY: no entry */
    uint32_t rank;
    int32_t id; /* of the merged token */
} merge;

#define EMPTY UINT64_MAX /* ids are below 2^31 */

typedef struct bpe {
    at_model base; /* first: an at_model is one */
    char *unk_token, *prefix, *suffix;
    bool fuse_unk, byte_fallback, ignore_merges;
    merge *merges; /* open addressing, a power of two, at most 3/4 full */
    size_t capacity, count;
    uint32_t rank; /* of the next merge */
    at_text joined;
} bpe;

/* --- The table of pairs. --- */

static uint64_t pair_of(int32_t left, int32_t right)
{
    return (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
}

static merge *find(merge *merges, size_t capacity, uint64_t pair)
{
    for (size_t i = (size_t)(pair * 0x9e3779b97f4a7c15u >> 20);; i++) {
        merge *m = &merges[i & (capacity - 1)];
        if (m->pair == pair || m->pair == EMPTY) return m;
    }
}

static const merge *merge_of(const bpe *b, int32_t left, int32_t right)
{
    if (b->count == 0) return NULL;
    const merge *m = find(b->merges, b->capacity, pair_of(left, right));
    return m->pair == EMPTY ? NULL : m;
}

static bool grow(at_context *cx, bpe *b)
{
    size_t capacity = b->capacity ? b->capacity * 2 : 64;
    merge *merges = AT_NEW_ARRAY(cx, merge, capacity);
    if (!merges) return false;
    for (size_t i = 0; i < capacity; i++) merges[i].pair = EMPTY;
    for (size_t i = 0; i < b->capacity; i++)
        if (b->merges[i].pair != EMPTY) *find(merges, capacity, b->merges[i].pair) = b->merges[i];
    at_free(b->merges);
    b->merges = merges;
    b->capacity = capacity;
    return true;
}

bool at_bpe_merge(at_context *cx, at_model *model, const char *left, size_t left_size,
                  const char *right, size_t right_size, const char *what)
{
    bpe *b = (bpe *)model;
    const at_vocabulary *v = model->vocabulary;
    size_t skip = b->prefix ? strlen(b->prefix) : 0;
    int32_t left_id, right_id, id;
    if (!at_ok(cx) || (b->count * 4 >= b->capacity * 3 && !grow(cx, b))) return false;
    b->joined.size = 0;
    at_text_add(cx, &b->joined, left, left_size);
    at_text_add(cx, &b->joined, right + AT_MIN(skip, right_size),
                right_size - AT_MIN(skip, right_size));
    if (at_failed(cx)) return false;
    if (!at_vocabulary_id(v, left, left_size, &left_id) ||
        !at_vocabulary_id(v, right, right_size, &right_id) ||
        !at_vocabulary_id(v, b->joined.data, b->joined.size, &id) || right_size < skip)
        return at_fail_false(cx, AT_ERROR_FORMAT,
                             "%s: the merge \"%.40s\" is not in the vocabulary", what,
                             b->joined.data);
    merge *m = find(b->merges, b->capacity, pair_of(left_id, right_id));
    if (m->pair == EMPTY) b->count++;
    *m = (merge){pair_of(left_id, right_id), b->rank++, id};
    return true;
}

bool at_bpe_merge_cuts(at_context *cx, at_model *model, const char *token, size_t size,
                       const char *what)
{
    const at_vocabulary *v = model->vocabulary;
    int32_t id;
    for (size_t cut = 0; cut < size && at_ok(cx);) {
        cut += at_utf8_size((unsigned char)token[cut]);
        if (cut < size && at_vocabulary_id(v, token, cut, &id) &&
            at_vocabulary_id(v, token + cut, size - cut, &id))
            at_bpe_merge(cx, model, token, cut, token + cut, size - cut, what);
    }
    return at_ok(cx);
}

/* --- One word. --- */

typedef struct symbol {
    int32_t id;
    int32_t previous, next; /* -1: none */
    bool gone;
} symbol;

typedef struct candidate {
    uint32_t rank;
    int32_t at;
    int32_t id;
} candidate;

typedef struct word {
    symbol *symbols;
    int32_t count;
    candidate *heap; /* the lowest rank, then the leftmost, on top */
    size_t heap_count, heap_capacity;
} word;

static bool before(const candidate *a, const candidate *b)
{
    return a->rank != b->rank ? a->rank < b->rank : a->at < b->at;
}

static void push(at_context *cx, word *w, candidate c)
{
    if (w->heap_count == w->heap_capacity) {
        size_t capacity = w->heap_capacity * 2 + 16;
        candidate *heap = at_resize(cx, w->heap, capacity, sizeof *heap);
        if (!heap) return;
        w->heap = heap;
        w->heap_capacity = capacity;
    }
    size_t i = w->heap_count++;
    for (; i > 0 && before(&c, &w->heap[(i - 1) / 2]); i = (i - 1) / 2)
        w->heap[i] = w->heap[(i - 1) / 2];
    w->heap[i] = c;
}

static candidate pop(word *w)
{
    candidate top = w->heap[0], last = w->heap[--w->heap_count];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < w->heap_count; i = child) {
        if (child + 1 < w->heap_count && before(&w->heap[child + 1], &w->heap[child])) child++;
        if (!before(&w->heap[child], &last)) break;
        w->heap[i] = w->heap[child];
    }
    w->heap[i] = last;
    return top;
}

static void consider(at_context *cx, const bpe *b, word *w, int32_t left, int32_t right)
{
    if (left < 0 || right < 0) return;
    const merge *m = merge_of(b, w->symbols[left].id, w->symbols[right].id);
    if (m) push(cx, w, (candidate){m->rank, left, m->id});
}

static void add_symbol(word *w, int32_t id)
{
    int32_t at = w->count++;
    w->symbols[at] = (symbol){.id = id, .previous = at - 1, .next = -1};
    if (at > 0) w->symbols[at - 1].next = at;
}

static void merge_all(at_context *cx, const bpe *b, word *w)
{
    for (int32_t i = 0; i + 1 < w->count; i++) consider(cx, b, w, i, i + 1);
    while (w->heap_count > 0 && at_ok(cx)) {
        candidate top = pop(w);
        symbol *left = &w->symbols[top.at];
        if (left->gone || left->next < 0) continue;
        symbol *right = &w->symbols[left->next];
        const merge *m = merge_of(b, left->id, right->id);
        if (!m || m->id != top.id) continue; /* what was there has been merged meanwhile */
        left->id = top.id;
        left->next = right->next;
        right->gone = true;
        if (left->next >= 0) w->symbols[left->next].previous = top.at;
        consider(cx, b, w, left->previous, top.at);
        consider(cx, b, w, top.at, left->next);
    }
}

/* The ids of the bytes of a character; false when the vocabulary lacks one of them. */
static bool add_bytes(const bpe *b, word *w, const char *text, size_t size)
{
    int32_t id;
    for (size_t i = 0; i < size; i++)
        if (!at_vocabulary_byte(b->base.vocabulary, (unsigned char)text[i], &id)) return false;
    for (size_t i = 0; i < size; i++) {
        at_vocabulary_byte(b->base.vocabulary, (unsigned char)text[i], &id);
        add_symbol(w, id);
    }
    return true;
}

/* Characters to symbols, with the order of unknown ones as the reference has it: an unknown waits
   for the next known character, so bytes of a fallback come before it. */
static void add_characters(at_context *cx, const bpe *b, word *w, const char *text, size_t size)
{
    at_text name = {0};
    int32_t id, unk_id = -1;
    bool waiting = false;
    if (b->unk_token)
        at_vocabulary_id(b->base.vocabulary, b->unk_token, strlen(b->unk_token), &unk_id);
    for (size_t i = 0, n; i < size && !at_failed(cx); i += n) {
        n = at_utf8_size((unsigned char)text[i]);
        name.size = 0;
        if (i > 0 && b->prefix) at_text_add(cx, &name, b->prefix, strlen(b->prefix));
        at_text_add(cx, &name, text + i, n);
        if (i + n == size && b->suffix) at_text_add(cx, &name, b->suffix, strlen(b->suffix));
        if (at_failed(cx)) break;
        if (at_vocabulary_id(b->base.vocabulary, name.data, name.size, &id)) {
            if (waiting) add_symbol(w, unk_id);
            waiting = false;
            add_symbol(w, id);
            continue;
        }
        if (b->byte_fallback && add_bytes(b, w, name.data, name.size)) continue;
        if (!b->unk_token) continue;
        if (unk_id < 0)
            at_fail(cx, AT_ERROR_FORMAT, "the unknown token \"%.40s\" is not in the vocabulary",
                    b->unk_token);
        if (waiting && !b->fuse_unk) add_symbol(w, unk_id);
        waiting = true;
    }
    if (waiting) add_symbol(w, unk_id);
    at_text_free(&name);
}

static void tokenize(at_context *cx, const at_model *model, const char *text, size_t size,
                     at_ids *out)
{
    const bpe *b = (const bpe *)model;
    word w = {0};
    int32_t id;
    if (b->ignore_merges && at_vocabulary_id(model->vocabulary, text, size, &id)) {
        at_ids_add(cx, out, id);
        return;
    }
    /* at most one symbol a byte, and those of the prefix and suffix as bytes */
    size_t affixes = (b->prefix ? strlen(b->prefix) : 0) + (b->suffix ? strlen(b->suffix) : 0);
    int64_t most;
    if (!at_mul_size((int64_t)size, 1 + (b->byte_fallback ? (int64_t)affixes : 0), &most) ||
        most >= INT32_MAX) {
        at_fail(cx, AT_ERROR_UNSUPPORTED, "a text of %zu bytes is too long to encode", size);
        return;
    }
    w.symbols = AT_NEW_ARRAY(cx, symbol, most + 1);
    if (w.symbols) add_characters(cx, b, &w, text, size);
    if (w.symbols && !at_failed(cx)) merge_all(cx, b, &w);
    for (int32_t i = 0; i < w.count && !at_failed(cx); i++)
        if (!w.symbols[i].gone) at_ids_add(cx, out, w.symbols[i].id);
    at_free(w.symbols);
    at_free(w.heap);
}

/* --- Building. --- */

static void destroy(at_model *model)
{
    bpe *b = (bpe *)model;
    at_free(b->unk_token);
    at_free(b->prefix);
    at_free(b->suffix);
    at_free(b->merges);
    at_text_free(&b->joined);
    at_free(b);
}

/* An absent or empty affix is none. */
static char *copy_affix(at_context *cx, const char *text)
{
    return text && text[0] ? at_copy_text(cx, text) : NULL;
}

at_model *at_bpe_new(at_context *cx, at_vocabulary *vocabulary, const at_bpe_options *options)
{
    bpe *b = at_ok(cx) && vocabulary ? AT_NEW(cx, bpe) : NULL;
    if (!b) {
        at_vocabulary_free(vocabulary);
        return NULL;
    }
    b->base = (at_model){vocabulary, at_vocabulary_count(vocabulary), tokenize, destroy};
    if (options->unk_token) b->unk_token = at_copy_text(cx, options->unk_token);
    b->prefix = copy_affix(cx, options->continuing_subword_prefix);
    b->suffix = copy_affix(cx, options->end_of_word_suffix);
    b->fuse_unk = options->fuse_unk;
    b->byte_fallback = options->byte_fallback;
    b->ignore_merges = options->ignore_merges;
    if (!at_failed(cx)) return &b->base;
    at_model_free(&b->base);
    return NULL;
}

/* "left right", or ["left", "right"] */
static bool parse_merge(at_context *cx, at_model *model, const cJSON *item, const char *what)
{
    const char *left = at_json_text(item), *right = NULL;
    size_t left_size = 0;
    if (left) {
        const char *space = strchr(left, ' ');
        left_size = space ? (size_t)(space - left) : 0;
        right = space && !strchr(space + 1, ' ') ? space + 1 : NULL;
    } else if (cJSON_IsArray(item) && item->child && item->child->next &&
               !item->child->next->next) {
        left = at_json_text(item->child);
        right = at_json_text(item->child->next);
        left_size = left ? strlen(left) : 0;
    }
    if (!left || !right)
        return at_fail_false(cx, AT_ERROR_FORMAT, "%s: a merge is not a pair of tokens", what);
    return at_bpe_merge(cx, model, left, left_size, right, strlen(right), what);
}

bool at_bpe_parse_merges(at_context *cx, at_model *model, const cJSON *merges, const char *what)
{
    const cJSON *item;
    if (!cJSON_IsArray(merges))
        return at_fail_false(cx, AT_ERROR_FORMAT, "%s: \"merges\" must be a list", what);
    cJSON_ArrayForEach(item, merges)
    {
        const char *text = at_json_text(item);
        if (text && strncmp(text, "#version", 8) == 0) continue;
        if (!parse_merge(cx, model, item, what)) return false;
    }
    return true;
}

at_model *at_bpe_parse(at_context *cx, const cJSON *json, const char *what)
{
    const cJSON *dropout = cJSON_GetObjectItemCaseSensitive(json, "dropout");
    if (cJSON_IsNumber(dropout) && dropout->valuedouble != 0)
        return at_fail(cx, AT_ERROR_UNSUPPORTED, "%s: BPE with dropout is not supported", what);
    at_bpe_options options = {
        .unk_token = at_json_text(cJSON_GetObjectItemCaseSensitive(json, "unk_token")),
        .continuing_subword_prefix =
            at_json_text(cJSON_GetObjectItemCaseSensitive(json, "continuing_subword_prefix")),
        .end_of_word_suffix =
            at_json_text(cJSON_GetObjectItemCaseSensitive(json, "end_of_word_suffix")),
        .fuse_unk = at_field_bool(cx, json, "fuse_unk", false, what),
        .byte_fallback = at_field_bool(cx, json, "byte_fallback", false, what),
        .ignore_merges = at_field_bool(cx, json, "ignore_merges", false, what),
    };
    at_vocabulary *vocabulary =
        at_vocabulary_parse(cx, cJSON_GetObjectItemCaseSensitive(json, "vocab"), what);
    at_model *model = vocabulary ? at_bpe_new(cx, vocabulary, &options) : NULL;
    const cJSON *merges = cJSON_GetObjectItemCaseSensitive(json, "merges");
    if (model && at_bpe_parse_merges(cx, model, merges, what)) return model;
    at_model_free(model);
    return NULL;
}
