/* A trie over byte strings, built once from all keys: the children of a node lie side by side,
   sorted by their byte. */
#ifndef AT_TRIE_H
#define AT_TRIE_H

#include "base/base.h"

typedef struct at_trie at_trie;

typedef struct at_trie_key {
    const char *text;
    size_t size;
    int32_t value; /* not negative; of equal keys the one with the largest value counts */
} at_trie_key;

/* Sorts keys. */
at_trie *at_trie_new(at_context *cx, at_trie_key *keys, size_t count);
void at_trie_free(at_trie *trie);

/* The child of a node (0 is the root); 0: there is none. */
uint32_t at_trie_child(const at_trie *trie, uint32_t node, unsigned char byte);
int32_t at_trie_value(const at_trie *trie, uint32_t node); /* -1: no key ends here */

#endif
