/* Character classes of the reference's own, older tables: sorted ranges, ends included. */
#ifndef AT_UNICODE_CLASSES_H
#define AT_UNICODE_CLASSES_H

#include "base/base.h"

typedef struct at_range {
    int32_t first, last;
} at_range;

extern const at_range at_punctuation_ranges[]; /* Punctuation, BertPreTokenizer */
extern const size_t at_punctuation_count;
extern const at_range at_nonspacing_ranges[]; /* BertNormalizer, strip_accents */
extern const size_t at_nonspacing_count;
extern const at_range at_combining_ranges[]; /* StripAccents */
extern const size_t at_combining_count;
extern const at_range at_cleaned_ranges[]; /* BertNormalizer, clean_text: what it takes away */
extern const size_t at_cleaned_count;

#endif
