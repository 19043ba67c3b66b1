/* The caching pool behind tensors, and the scopes on it. Blocks that go back are kept by size class
   and used again; the budget counts used and cached bytes, and the cache is given back to the
   system before an allocation is refused. */
#ifndef AT_POOL_H
#define AT_POOL_H

#include "base/file.h"
#include <atelier/tensor.h>

/* Who owns the bytes of tensors: a pool block, or a mapped file. */
typedef struct at_storage {
    int references;
    size_t size;         /* of a pool block */
    void *block;         /* NULL: not the pool's */
    at_mapping *mapping; /* kept while the storage lives */
} at_storage;

struct at_pool *at_pool_new(size_t budget);
void at_pool_free(at_context *cx);
size_t at_pool_budget(const at_context *cx);
void at_pool_trim(at_context *cx); /* gives cached blocks back to the system */

/* 64-byte aligned, not cleared. NULL and AT_ERROR_MEMORY past the budget or the system's limit. */
void *at_pool_take(at_context *cx, size_t size, size_t *given);
void at_pool_give(at_context *cx, void *block, size_t given);

/* A new tensor object in the current scope over `storage` (whose reference it takes over, also on
 * failure). */
at_tensor *at_tensor_new(at_context *cx, at_dtype dtype, int dims, const int64_t *shape,
                         at_storage *storage, void *data);
/* A new tensor that shares x's bytes: same dtype, shape, strides. */
at_tensor *at_tensor_alias(at_context *cx, at_tensor *x);
/* Elements inside a mapped file: data points into mapping, which is kept alive. */
at_tensor *at_tensor_mapped(at_context *cx, at_dtype dtype, int dims, const int64_t *shape,
                            at_mapping *mapping, const void *data);

/* Holds a tensor beyond its scope (modules' parameters, tape nodes), and lets it go. */
at_tensor *at_tensor_keep(at_tensor *x);
void at_tensor_release(at_context *cx, at_tensor *x);

/* Scratch for the length of one kernel: from the pool, counted, one at a time in any order. */
void *at_scratch(at_context *cx, size_t size);
void at_scratch_free(at_context *cx, void *scratch);

/* Checks dims, shape and dtype for a tensor that can exist: elements and bytes without overflow (at
 * most 2^48), whole blocks. */
bool at_check_shape(at_context *cx, at_dtype dtype, int dims, const int64_t *shape,
                    int64_t *elements, size_t *bytes);

#endif
