/* The caching pool behind tensors. Blocks that go back are kept and used again, as many as keep
   used and cached bytes within the budget and near the most that was ever in use; the cache goes
   back to the system before an allocation is refused. */
#ifndef AT_POOL_H
#define AT_POOL_H

#include "base/file.h"
#include <atelier/tensor.h>

/* Who owns the bytes of tensors: a pool block, or a mapped file. */
typedef struct at_storage {
    int references;
    void *block;         /* NULL: not the pool's */
    at_mapping *mapping; /* NULL, or kept while the storage lives */
} at_storage;

struct at_pool *at_pool_new(size_t budget);
void at_pool_free(at_context *cx); /* with all tensors */
size_t at_pool_budget(const at_context *cx);
/* Gives cached blocks back to the system, where there is much of them: at the end of a stage, as
   the next will want other sizes. */
void at_pool_rest(at_context *cx);

/* Memory from the pool, 64-byte aligned, not cleared: NULL and AT_ERROR_MEMORY past the budget or
   the system's limit. Kernels take their scratch here. Not for use inside a parallel region. */
void *at_scratch(at_context *cx, size_t size);
void at_scratch_free(at_context *cx, void *scratch); /* NULL is fine */

/* A new tensor that shares x's bytes: same dtype, shape and strides. */
at_tensor *at_tensor_alias(at_context *cx, at_tensor *x);
/* Elements inside a mapped file: data points into mapping, which is kept alive. */
at_tensor *at_tensor_mapped(at_context *cx, at_dtype dtype, int dims, const int64_t *shape,
                            at_mapping *mapping, const void *data);

/* Holds a tensor beyond its scope (a module's parameters, the tape's nodes), and lets it go. NULL
 * is fine. */
at_tensor *at_tensor_keep(at_tensor *x);
void at_tensor_release(at_context *cx, at_tensor *x);

#endif
