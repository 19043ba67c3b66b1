#include "ops/ops.h"

bool at_inputs_given(at_context *cx, int count, at_tensor *const *inputs)
{
    for (int i = 0; i < count; i++)
        if (!inputs[i]) return false;
    return at_ok(cx);
}

bool at_is_float(at_dtype dtype)
{
    return dtype <= AT_F64 || dtype >= AT_Q8_0;
}

at_tensor *at_f32(at_context *cx, const char *operation, at_tensor *x)
{
    if (!x || x->dtype == AT_F32) return x;
    if (!at_is_float(x->dtype))
        return at_fail(cx, AT_ERROR_DTYPE, "%s: %s is not a float tensor", operation,
                       at_shape_text(x));
    return at_cast(cx, x, AT_F32);
}

at_tensor *at_dense(at_context *cx, const char *operation, at_tensor *x)
{
    x = at_f32(cx, operation, x);
    return x ? at_contiguous(cx, x) : NULL;
}

at_tensor *at_rows(at_context *cx, const char *operation, at_tensor *x)
{
    if (x && x->dims == 0)
        return at_fail(cx, AT_ERROR_SHAPE, "%s: %s has no rows", operation, at_shape_text(x));
    x = at_f32(cx, operation, x);
    return x && x->stride[x->dims - 1] != 1 ? at_contiguous(cx, x) : x;
}

at_tensor *at_channels(at_context *cx, const char *operation, at_tensor *parameter, int64_t count)
{
    if (!parameter) return NULL;
    if (!at_has_shape(parameter, 1, &count))
        return at_fail(cx, AT_ERROR_SHAPE, "%s: a parameter is %s, not [%lld]", operation,
                       at_shape_text(parameter), (long long)count);
    return at_dense(cx, operation, parameter);
}

bool at_broadcast_shape(at_context *cx, const char *operation, const at_tensor *a,
                        const at_tensor *b, int *dims, int64_t *shape)
{
    *dims = AT_MAX(a->dims, b->dims);
    for (int i = 1; i <= *dims; i++) {
        int64_t m = i <= a->dims ? a->shape[a->dims - i] : 1;
        int64_t n = i <= b->dims ? b->shape[b->dims - i] : 1;
        if (m != n && m != 1 && n != 1)
            return at_fail_false(cx, AT_ERROR_SHAPE, "%s: %s and %s do not broadcast", operation,
                                 at_shape_text(a), at_shape_text(b));
        shape[*dims - i] = m == 1 ? n : m;
    }
    return true;
}

at_tensor *at_check_no_way_back(at_context *cx, const char *operation, at_tensor *out, int count,
                                at_tensor *const *inputs)
{
    if (!at_needs_gradient(cx, count, inputs)) return out;
    return at_fail(cx, AT_ERROR_UNSUPPORTED, "%s: gradients cannot go back through it", operation);
}

at_tensor *at_norm_way_back(at_context *cx, at_tensor *x, at_tensor *grad, float eps, bool centred)
{
    x = at_contiguous(cx, x);
    grad = at_contiguous(cx, grad);
    at_tensor *out = x && grad ? at_empty_like(cx, grad) : NULL;
    at_run(cx, norm_backward, out, x, grad, eps, centred);
    return out;
}
