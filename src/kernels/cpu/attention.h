/* What the two ways of attention share: packed (attention.c), and for few queries, as they lie
   (attention_few.c). */
#ifndef AT_KERNELS_ATTENTION_H
#define AT_KERNELS_ATTENTION_H

#include "kernels/kernels.h"

enum { AT_ATTENTION_FEW = 4 /* queries that see the same keys */ };

/* With up to AT_ATTENTION_FEW queries for each (batch, group), at least one key, in f32 whatever
   the precision. */
void at_attention_few_queries(at_context *cx, const at_attention_args *a);

/* Adds the mask of one query to its scores of keys [first, first + count). */
void at_attention_mask(const at_context *cx, const at_attention_args *a, int64_t b, int64_t h,
                       int64_t query, int64_t first, int64_t count, float *scores);

#endif
