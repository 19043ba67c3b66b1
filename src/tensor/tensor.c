#include "tensor/scope.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* True for a tensor that can exist: whole blocks, bytes without overflow. Else the error is kept.
 */
static bool check_shape(at_context *cx, at_dtype dtype, int dims, const int64_t *shape,
                        int64_t *elements, size_t *bytes)
{
    if ((unsigned)dtype >= AT_DTYPES || dims < 0 || dims > AT_MAX_DIMS)
        return at_fail_false(cx, AT_ERROR_SHAPE, "a tensor cannot have %d dimensions", dims);
    int64_t count = 1, block = at_dtype_block(dtype), size, span = 1; /* span: largest stride */
    bool fine = true;
    for (int i = 0; i < dims; i++)
        fine = fine && at_mul_size(count, shape[i], &count) &&
               at_mul_size(span, AT_MAX(shape[i], 1), &span);
    fine = fine && at_mul_size(count / block, (int64_t)at_dtype_block_bytes(dtype), &size) &&
           size <= (int64_t)1 << 48;
    if (!fine)
        return at_fail_false(cx, AT_ERROR_SHAPE, "a tensor's shape is negative or too large");
    bool kernel = dims == 4; /* its blocks may go over the ends of its rows */
    if (block > 1 && (dims == 0 || (kernel ? count : shape[dims - 1]) % block))
        return at_fail_false(cx, AT_ERROR_SHAPE, "%s needs rows of a multiple of %lld elements",
                             at_dtype_name(dtype), (long long)block);
    *elements = count;
    *bytes = (size_t)size;
    return true;
}

static void release_storage(at_context *cx, at_storage *storage)
{
    if (!storage || --storage->references > 0) return;
    at_scratch_free(cx, storage->block);
    at_mapping_release(storage->mapping);
    at_free(storage);
}

/* A new tensor in the current scope over `storage`, whose reference it takes over, also on failure.
 */
static at_tensor *new_tensor(at_context *cx, at_dtype dtype, int dims, const int64_t *shape,
                             at_storage *storage, void *data)
{
    at_tensor *x = at_ok(cx) && storage ? AT_NEW(cx, at_tensor) : NULL;
    if (x) {
        x->dtype = dtype;
        x->dims = dims;
        x->data = data;
        x->references = 1;
        int64_t step = 1;
        for (int i = dims - 1; i >= 0; step *= shape[i--]) {
            x->shape[i] = shape[i];
            x->stride[i] = step;
        }
        x->storage = storage;
        if (at_scopes_add(cx, x)) return x;
        at_free(x);
    }
    if (cx) release_storage(cx, storage);
    return NULL;
}

at_tensor *at_tensor_alias(at_context *cx, at_tensor *x)
{
    if (!at_ok(cx) || !x) return NULL;
    x->storage->references++;
    at_tensor *y = new_tensor(cx, x->dtype, x->dims, x->shape, x->storage, x->data);
    if (y) memcpy(y->stride, x->stride, sizeof y->stride);
    return y;
}

at_tensor *at_tensor_mapped(at_context *cx, at_dtype dtype, int dims, const int64_t *shape,
                            at_mapping *mapping, const void *data)
{
    int64_t elements;
    size_t bytes;
    if (!at_ok(cx) || !check_shape(cx, dtype, dims, shape, &elements, &bytes)) return NULL;
    at_storage *storage = AT_NEW(cx, at_storage);
    if (!storage) return NULL;
    *storage = (at_storage){1, NULL, at_mapping_keep(mapping)};
    return new_tensor(cx, dtype, dims, shape, storage, (void *)(uintptr_t)data);
}

at_tensor *at_tensor_keep(at_tensor *x)
{
    if (x) x->references++;
    return x;
}

void at_tensor_release(at_context *cx, at_tensor *x)
{
    if (!x || --x->references > 0) return;
    release_storage(cx, x->storage);
    at_free(x);
}

at_tensor *at_empty(at_context *cx, at_dtype dtype, int dims, const int64_t *shape)
{
    int64_t elements;
    size_t bytes;
    if (!at_ok(cx) || !check_shape(cx, dtype, dims, shape, &elements, &bytes)) return NULL;
    at_storage *storage = AT_NEW(cx, at_storage);
    void *block = storage ? at_scratch(cx, bytes) : NULL;
    if (!block) {
        at_free(storage);
        return NULL;
    }
    *storage = (at_storage){1, block, NULL};
    return new_tensor(cx, dtype, dims, shape, storage, block);
}

at_tensor *at_zeros(at_context *cx, at_dtype dtype, int dims, const int64_t *shape)
{
    at_tensor *x = at_empty(cx, dtype, dims, shape);
    if (x) memset(x->data, 0, at_bytes(x));
    return x;
}

at_tensor *at_full(at_context *cx, float value, int dims, const int64_t *shape)
{
    at_tensor *x = at_empty(cx, AT_F32, dims, shape);
    for (int64_t i = 0, n = at_elements(x); i < n; i++) ((float *)x->data)[i] = value;
    return x;
}

at_tensor *at_empty_like(at_context *cx, const at_tensor *x)
{
    return x ? at_empty(cx, x->dtype, x->dims, x->shape) : NULL;
}

at_tensor *at_from(at_context *cx, at_dtype dtype, int dims, const int64_t *shape, const void *data)
{
    at_tensor *x = at_empty(cx, dtype, dims, shape);
    if (x && data) memcpy(x->data, data, at_bytes(x));
    return x;
}

int64_t at_elements(const at_tensor *x)
{
    int64_t count = x != NULL;
    for (int i = 0; x && i < x->dims; i++) count *= x->shape[i];
    return count;
}

size_t at_bytes(const at_tensor *x)
{
    return x ? (size_t)(at_elements(x) / at_dtype_block(x->dtype)) * at_dtype_block_bytes(x->dtype)
             : 0;
}

bool at_is_contiguous(const at_tensor *x)
{
    int64_t step = 1;
    for (int i = x ? x->dims - 1 : -1; i >= 0; step *= x->shape[i--])
        if (x->shape[i] != 1 && x->stride[i] != step) return at_elements(x) == 0;
    return x != NULL;
}

bool at_same_shape(const at_tensor *a, const at_tensor *b)
{
    return a && b && at_has_shape(a, b->dims, b->shape);
}

bool at_is_finite(const at_tensor *x)
{
    const float *value = x->data;
    bool finite = true;
    for (int64_t i = 0; i < at_elements(x); i++) finite &= isfinite(value[i]);
    return finite;
}

bool at_has_shape(const at_tensor *x, int dims, const int64_t *shape)
{
    if (!x || x->dims != dims) return false;
    for (int i = 0; i < dims; i++)
        if (shape[i] >= 0 && x->shape[i] != shape[i]) return false;
    return true;
}

bool at_broadcasts(const at_tensor *from, const at_tensor *to)
{
    if (!from || !to || from->dims > to->dims) return false;
    for (int i = 1; i <= from->dims; i++) {
        int64_t n = from->shape[from->dims - i];
        if (n != 1 && n != to->shape[to->dims - i]) return false;
    }
    return true;
}

int64_t at_dim(const at_tensor *x, int dim)
{
    if (x && dim < 0) dim += x->dims;
    return x && dim >= 0 && dim < x->dims ? x->shape[dim] : 0;
}

const char *at_shape_text(const at_tensor *x)
{
    static _Thread_local char ring[8][160];
    static _Thread_local unsigned turn;
    char *out = ring[turn++ % 8];
    if (!x) return "(none)";
    int at = snprintf(out, sizeof ring[0], "[");
    for (int i = 0; i < x->dims; i++)
        at += snprintf(out + at, sizeof ring[0] - (size_t)at, "%s%lld", i ? "," : "",
                       (long long)x->shape[i]);
    snprintf(out + at, sizeof ring[0] - (size_t)at, "] %s", at_dtype_name(x->dtype));
    return out;
}

/* One row of the last dimension after the other, whatever the strides. */
static void read_rows(const at_tensor *x, int dim, const char *data, float **out)
{
    size_t size = at_dtype_block_bytes(x->dtype);
    int64_t n = x->dims ? x->shape[dim] : 1, step = x->dims ? x->stride[dim] : 1;
    if (dim < x->dims - 1) {
        for (int64_t i = 0; i < n; i++) read_rows(x, dim + 1, data + i * step * (int64_t)size, out);
    } else if (step == 1) {
        at_convert(x->dtype, data, AT_F32, *out, n);
        *out += n;
    } else {
        for (int64_t i = 0; i < n; i++)
            at_convert(x->dtype, data + i * step * (int64_t)size, AT_F32, (*out)++, 1);
    }
}

bool at_read_f32(at_context *cx, at_tensor *x, float *out)
{
    if (!at_ok(cx) || !x) return false;
    if (at_is_contiguous(x)) return at_convert(x->dtype, x->data, AT_F32, out, at_elements(x));
    read_rows(x, 0, x->data, &out);
    return true;
}
