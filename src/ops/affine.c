#include "ops/ops.h"

static void affine_backward(at_context *cx, at_node *node, at_tensor *grad)
{
    at_accumulate(cx, node->inputs[0], at_affine(cx, grad, (float)node->saved.numbers[0], 0));
}

at_tensor *at_affine(at_context *cx, at_tensor *x, float scale, float shift)
{
    if (!at_inputs(cx, x)) return NULL;
    x = at_f32(cx, "affine", x);
    at_tensor *out = x ? at_empty(cx, AT_F32, x->dims, x->shape) : NULL;
    at_run(cx, affine, out, x, scale, shift);
    out = at_record(cx, out, affine_backward, x);
    if (out && out->node) out->node->saved.numbers[0] = scale;
    return out;
}
