/* Unigram: the cut with the best sum of scores (Kudo 2018, Viterbi). Runs of unknown characters
   become one token. */
#include "text/tokenizer_parts.h"
#include "text/trie.h"
#include "text/unicode.h"
#include <math.h>
#include <string.h>

static const double UNKNOWN_PENALTY = 10.0; /* below the lowest score of the vocabulary */

typedef struct unigram {
    at_model base; /* first: an at_model is one */
    double *scores;
    size_t count, capacity;
    double lowest;
    at_trie *trie;
    int32_t unk_id; /* -1: none */
    bool byte_fallback;
} unigram;

typedef struct node { /* the best way to reach a position */
    double score;
    size_t from; /* SIZE_MAX: not reached */
    int32_t id;
} node;

static void reach(node *target, double score, size_t from, int32_t id)
{
    if (target->from != SIZE_MAX && !(score > target->score)) return;
    *target = (node){score, from, id};
}

/* All pieces that start at `start`; gives whether one of them is exactly one character. */
static bool extend(const unigram *u, node *nodes, const char *text, size_t size, size_t start,
                   size_t character)
{
    bool single = false;
    uint32_t at = 0;
    for (size_t i = start; i < size; i++) {
        at = at_trie_child(u->trie, at, (unsigned char)text[i]);
        if (at == 0) break;
        int32_t id = at_trie_value(u->trie, at);
        if (id < 0) continue;
        reach(&nodes[i + 1], nodes[start].score + u->scores[id], start, id);
        if (i + 1 - start == character) single = true;
    }
    return single;
}

static bool search(at_context *cx, const unigram *u, node *nodes, const char *text, size_t size)
{
    for (size_t i = 1; i <= size; i++) nodes[i].from = SIZE_MAX;
    for (size_t start = 0; start < size;) {
        size_t character = at_utf8_size((unsigned char)text[start]);
        if ((start & 0xffff) < 4 && !at_ok(cx)) return false;
        if (!extend(u, nodes, text, size, start, character)) {
            if (u->unk_id < 0)
                return at_fail_false(cx, AT_ERROR_UNSUPPORTED,
                                     "the text has a character that the tokenizer does not know");
            double score = nodes[start].score + (u->lowest - UNKNOWN_PENALTY);
            reach(&nodes[start + character], score, start, u->unk_id);
        }
        start += character;
    }
    return true;
}

/* A piece that may not be in the vocabulary: fused unknown characters. */
static void add_piece(at_context *cx, const unigram *u, const char *piece, size_t size, at_ids *out)
{
    int32_t id;
    size_t before = out->count;
    if (at_vocabulary_id(u->base.vocabulary, piece, size, &id)) {
        at_ids_add(cx, out, id);
        return;
    }
    for (size_t i = 0; u->byte_fallback && i < size; i++) {
        if (!at_vocabulary_byte(u->base.vocabulary, (unsigned char)piece[i], &id)) {
            out->count = before;
            break;
        }
        at_ids_add(cx, out, id);
    }
    if (out->count > before) return;
    if (u->unk_id >= 0)
        at_ids_add(cx, out, u->unk_id);
    else
        at_fail(cx, AT_ERROR_UNSUPPORTED, "the tokenizer has no unknown token");
}

static void tokenize(at_context *cx, const at_model *model, const char *text, size_t size,
                     at_ids *out)
{
    const unigram *u = (const unigram *)model;
    node *nodes = AT_NEW_ARRAY(cx, node, size + 1);
    if (nodes && search(cx, u, nodes, text, size)) {
        /* back from the end, turning each node's `from` into the way forward */
        size_t next = size;
        for (size_t at = size; at > 0;) {
            size_t from = nodes[at].from;
            nodes[at].from = next;
            next = at;
            at = from;
        }
        for (size_t start = 0, at = next; start < size && !at_failed(cx);) {
            size_t end = at;
            bool unknown = nodes[at].id == u->unk_id;
            while (unknown && end < size && nodes[nodes[end].from].id == u->unk_id)
                end = nodes[end].from;
            add_piece(cx, u, text + start, end - start, out);
            start = end;
            at = nodes[end].from;
        }
    }
    at_free(nodes);
}

static void destroy(at_model *model)
{
    unigram *u = (unigram *)model;
    at_free(u->scores);
    at_trie_free(u->trie);
    at_free(u);
}

at_model *at_unigram_new(at_context *cx)
{
    unigram *u = at_ok(cx) ? AT_NEW(cx, unigram) : NULL;
    if (!u) return NULL;
    u->base.tokenize = tokenize;
    u->base.destroy = destroy;
    u->lowest = INFINITY;
    u->base.vocabulary = at_vocabulary_new(cx);
    if (u->base.vocabulary) return &u->base;
    at_free(u);
    return NULL;
}

bool at_unigram_add(at_context *cx, at_model *model, const char *token, size_t size, double score)
{
    unigram *u = (unigram *)model;
    if (u->count == u->capacity) {
        size_t capacity = u->capacity * 2 + 64;
        double *scores = at_resize(cx, u->scores, capacity, sizeof *scores);
        if (!scores) return false;
        u->scores = scores;
        u->capacity = capacity;
    }
    if (u->count >= INT32_MAX) return at_fail_false(cx, AT_ERROR_FORMAT, "too many pieces");
    if (score < u->lowest) u->lowest = score;
    u->scores[u->count] = score;
    return at_vocabulary_add(cx, u->base.vocabulary, token, size, (int32_t)u->count++);
}

bool at_unigram_finish(at_context *cx, at_model *model, int64_t unk_id, bool byte_fallback,
                       const char *what)
{
    unigram *u = (unigram *)model;
    if (!at_ok(cx)) return false;
    if (unk_id >= (int64_t)u->count || u->count == 0)
        return at_fail_false(cx, AT_ERROR_FORMAT, "%s: the unknown token is not in the vocabulary",
                             what);
    at_vocabulary_finish(u->base.vocabulary);
    u->base.size = u->count;
    u->unk_id = (int32_t)unk_id;
    u->byte_fallback = byte_fallback;
    at_trie_key *keys = AT_NEW_ARRAY(cx, at_trie_key, u->count);
    for (size_t i = 0; keys && i < u->count; i++) {
        keys[i].value = (int32_t)i;
        keys[i].text = at_vocabulary_token(u->base.vocabulary, (int32_t)i, &keys[i].size);
    }
    if (keys) u->trie = at_trie_new(cx, keys, u->count);
    at_free(keys);
    return u->trie != NULL;
}

bool at_unigram_parse_vocab(at_context *cx, at_model *model, const cJSON *vocab, const char *what)
{
    const cJSON *item;
    if (!cJSON_IsArray(vocab))
        return at_fail_false(cx, AT_ERROR_FORMAT, "%s: \"vocab\" of Unigram must be a list", what);
    cJSON_ArrayForEach(item, vocab)
    {
        const char *token = at_json_text(cJSON_IsArray(item) ? item->child : NULL);
        const cJSON *score = token ? item->child->next : NULL;
        if (!cJSON_IsNumber(score) || score->next || !isfinite(score->valuedouble))
            return at_fail_false(cx, AT_ERROR_FORMAT, "%s: a piece is not [token, score]", what);
        if (!at_unigram_add(cx, model, token, strlen(token), score->valuedouble)) return false;
    }
    return true;
}

at_model *at_unigram_parse(at_context *cx, const cJSON *json, const char *what)
{
    const cJSON *vocab = cJSON_GetObjectItemCaseSensitive(json, "vocab");
    int64_t unk_id = at_field_count(cx, json, "unk_id", -1, INT32_MAX, what);
    bool byte_fallback = at_field_bool(cx, json, "byte_fallback", false, what);
    at_model *model = at_unigram_new(cx);
    if (model && at_unigram_parse_vocab(cx, model, vocab, what) &&
        at_unigram_finish(cx, model, unk_id, byte_fallback, what))
        return model;
    at_model_free(model);
    return NULL;
}
