#include "text/trie.h"
#include <stdlib.h>
#include <string.h>

typedef struct node {
    uint32_t first; /* child */
    int32_t value;
    uint16_t children;
    unsigned char byte;
} node;

struct at_trie {
    node *nodes;
    size_t count;
};

static int by_text(const void *a, const void *b)
{
    const at_trie_key *x = a, *y = b;
    size_t size = AT_MIN(x->size, y->size);
    int order = size ? memcmp(x->text, y->text, size) : 0;
    if (order) return order;
    if (x->size != y->size) return x->size < y->size ? -1 : 1;
    return x->value < y->value ? -1 : x->value > y->value;
}

/* Nodes as the distinct prefixes of sorted keys; 0 when there are too many. */
static size_t count_nodes(const at_trie_key *keys, size_t count)
{
    size_t nodes = 1;
    for (size_t i = 0; i < count; i++) {
        size_t shared = 0;
        if (i > 0)
            while (shared < keys[i].size && shared < keys[i - 1].size &&
                   keys[i].text[shared] == keys[i - 1].text[shared])
                shared++;
        nodes += keys[i].size - shared;
    }
    return nodes <= INT32_MAX ? nodes : 0;
}

typedef struct range { /* of the keys that pass through a node */
    size_t low, high, depth;
} range;

/* Adds the children of node at: its range is cut by the byte at its depth. */
static void expand(at_trie *trie, range *ranges, size_t at, const at_trie_key *keys)
{
    range r = ranges[at];
    while (r.low < r.high && keys[r.low].size == r.depth)
        trie->nodes[at].value = keys[r.low++].value;
    trie->nodes[at].first = (uint32_t)trie->count;
    while (r.low < r.high) {
        unsigned char byte = (unsigned char)keys[r.low].text[r.depth];
        size_t end = r.low;
        while (end < r.high && (unsigned char)keys[end].text[r.depth] == byte) end++;
        ranges[trie->count] = (range){r.low, end, r.depth + 1};
        trie->nodes[trie->count++] = (node){.value = -1, .byte = byte};
        trie->nodes[at].children++;
        r.low = end;
    }
}

at_trie *at_trie_new(at_context *cx, at_trie_key *keys, size_t count)
{
    if (!at_ok(cx)) return NULL;
    qsort(keys, count, sizeof *keys, by_text);
    size_t nodes = count_nodes(keys, count);
    if (nodes == 0) return at_fail(cx, AT_ERROR_UNSUPPORTED, "a vocabulary is too large");
    at_trie *trie = AT_NEW(cx, at_trie);
    range *ranges = AT_NEW_ARRAY(cx, range, nodes);
    if (trie) trie->nodes = AT_NEW_ARRAY(cx, node, nodes);
    if (!trie || !ranges || !trie->nodes) {
        at_free(ranges);
        at_trie_free(trie);
        return NULL;
    }
    ranges[0] = (range){0, count, 0};
    trie->nodes[0] = (node){.value = -1};
    trie->count = 1;
    for (size_t at = 0; at < trie->count; at++) expand(trie, ranges, at, keys);
    at_free(ranges);
    return trie;
}

void at_trie_free(at_trie *trie)
{
    if (!trie) return;
    at_free(trie->nodes);
    at_free(trie);
}

uint32_t at_trie_child(const at_trie *trie, uint32_t at, unsigned char byte)
{
    const node *parent = &trie->nodes[at];
    uint32_t low = parent->first, high = low + parent->children;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (trie->nodes[middle].byte < byte)
            low = middle + 1;
        else
            high = middle;
    }
    return low < parent->first + parent->children && trie->nodes[low].byte == byte ? low : 0;
}

int32_t at_trie_value(const at_trie *trie, uint32_t at)
{
    return trie->nodes[at].value;
}
