#include "ops/ops.h"

static void upsample_backward(at_context *cx, at_node *node, at_tensor *grad)
{
    at_tensor *x = node->inputs[0], *out = at_zeros(cx, AT_F32, x->dims, x->shape);
    at_run(cx, upsample_backward, out, grad);
    at_accumulate(cx, x, out);
}

at_tensor *at_upsample_nearest(at_context *cx, at_tensor *x, int64_t height, int64_t width)
{
    if (!at_inputs(cx, x)) return NULL;
    if (x->dims != 4 || height < 1 || width < 1 || x->shape[1] < 1 || x->shape[2] < 1)
        return at_fail(cx, AT_ERROR_SHAPE, "upsample_nearest: %s to %lld x %lld", at_shape_text(x),
                       (long long)height, (long long)width);
    x = at_dense(cx, "upsample_nearest", x);
    at_tensor *out = x ? at_new(cx, AT_F32, x->shape[0], height, width, x->shape[3]) : NULL;
    at_run(cx, upsample_nearest, out, x);
    return at_record(cx, out, upsample_backward, x);
}
