#include "ops/products.h"

/* The distance of the rows when all leading dimensions can be walked as one. */
static bool one_distance(const at_tensor *x, int64_t *stride)
{
    int last = x->dims - 1;
    if (x->shape[last] > 1 && x->stride[last] != 1) return false;
    *stride = x->shape[last];
    bool first = true;
    int64_t next = 0;
    for (int i = last - 1; i >= 0; i--) {
        if (x->shape[i] == 1) continue;
        if (first)
            *stride = x->stride[i];
        else if (x->stride[i] != next)
            return false;
        first = false;
        next = x->stride[i] * x->shape[i];
    }
    return true;
}

at_tensor *at_matrix_rows(at_context *cx, const char *operation, at_tensor *x, int64_t *rows,
                          int64_t *stride)
{
    x = at_f32(cx, operation, x);
    if (!x) return NULL;
    if (!one_distance(x, stride)) {
        x = at_contiguous(cx, x);
        if (!x) return NULL;
        *stride = at_dim(x, -1);
    }
    *rows = 1;
    for (int i = 0; i < x->dims - 1; i++) *rows *= x->shape[i];
    return x;
}

at_tensor *at_weight(at_context *cx, const char *operation, at_tensor *weight)
{
    if (!at_is_float(weight->dtype))
        return at_fail(cx, AT_ERROR_DTYPE, "%s: weight %s is not a float tensor", operation,
                       at_shape_text(weight));
    int64_t adjacent = 1;
    for (int i = weight->dims - 1; i > 0; adjacent *= weight->shape[i--])
        if (weight->shape[i] > 1 && weight->stride[i] != adjacent) return at_contiguous(cx, weight);
    return weight;
}
