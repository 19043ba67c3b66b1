/* The normalization table of a sentencepiece model: a double-array trie (darts) from byte strings
   to their replacements. Layout: u32 size of the trie in bytes, the trie's u32 units, then the
   replacements, each ended by a zero byte; all little endian. */
#ifndef AT_CHARSMAP_H
#define AT_CHARSMAP_H

#include "base/text.h"

typedef struct at_charsmap at_charsmap;

at_charsmap *at_charsmap_new(at_context *cx, const void *data, size_t size, const char *what);
at_charsmap *at_charsmap_from_base64(at_context *cx, const char *text, const char *what);
void at_charsmap_free(at_charsmap *map);

/* Appends the normalized form of valid UTF-8 to out, grapheme by grapheme as the reference does
   (spm_precompiled: of the prefixes that the table has, the shortest one replaces the grapheme). */
void at_charsmap_normalize(at_context *cx, const at_charsmap *map, const char *text, size_t size,
                           at_text *out);

#endif
