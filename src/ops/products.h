/* What the products share: their operands as rows. */
#ifndef AT_PRODUCTS_H
#define AT_PRODUCTS_H

#include "ops/ops.h"

/* x [...,K] as f32 whose last dimension is adjacent and whose rows lie at one distance (in
   elements): x itself where that is so, else a copy. */
at_tensor *at_matrix_rows(at_context *cx, const char *operation, at_tensor *x, int64_t *rows,
                          int64_t *stride);

/* A weight of any float or block type, its rows (the elements after the first dimension) adjacent.
 */
at_tensor *at_weight(at_context *cx, const char *operation, at_tensor *weight);

#endif
