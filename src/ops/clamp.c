#include "ops/ops.h"

static void clamp_backward(at_context *cx, at_node *node, at_tensor *grad)
{
    at_tensor *x = at_contiguous(cx, node->inputs[0]), *out = at_empty_like(cx, grad);
    const double *limits = node->saved.numbers;
    if (at_inputs(cx, x, out))
        at_run(cx, clamp_backward, out, x, (float)limits[0], (float)limits[1], grad);
    at_accumulate(cx, node->inputs[0], out);
}

at_tensor *at_clamp(at_context *cx, at_tensor *x, float low, float high)
{
    if (!at_inputs(cx, x)) return NULL;
    x = at_f32(cx, "clamp", x);
    at_tensor *out = x ? at_empty(cx, AT_F32, x->dims, x->shape) : NULL;
    at_run(cx, clamp, out, x, low, high);
    out = at_record(cx, out, clamp_backward, x);
    if (out && out->node) {
        out->node->saved.numbers[0] = low;
        out->node->saved.numbers[1] = high;
    }
    return out;
}
