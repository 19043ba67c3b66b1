#include "ops/ops.h"

static void norm_modulate_backward(at_context *cx, at_node *node, at_tensor *grad)
{
    at_tensor *x = node->inputs[0], *shift = node->inputs[1], *scale = node->inputs[2];
    float eps = (float)node->saved.numbers[0];
    if (at_wants(node, 0)) {
        at_tensor *inner = at_mul(cx, grad, at_affine(cx, scale, 1, 1));
        at_accumulate(cx, x, at_norm_way_back(cx, x, inner, eps, true));
    }
    at_accumulate(cx, shift, grad);
    if (at_wants(node, 2))
        at_accumulate(cx, scale, at_mul(cx, grad, at_layer_norm(cx, x, NULL, NULL, eps)));
}

at_tensor *at_norm_modulate(at_context *cx, at_tensor *x, at_tensor *shift, at_tensor *scale,
                            float eps)
{
    if (!at_inputs(cx, x, shift, scale)) return NULL;
    if (!at_broadcasts(shift, x) || !at_broadcasts(scale, x) ||
        at_dim(shift, -1) != at_dim(x, -1) || at_dim(scale, -1) != at_dim(x, -1))
        return at_fail(cx, AT_ERROR_SHAPE, "norm_modulate: x %s, shift %s, scale %s",
                       at_shape_text(x), at_shape_text(shift), at_shape_text(scale));
    x = at_rows(cx, "norm_modulate", x);
    shift = at_rows(cx, "norm_modulate", shift);
    scale = at_rows(cx, "norm_modulate", scale);
    if (!at_inputs(cx, x, shift, scale)) return NULL;
    at_tensor *out = at_empty(cx, AT_F32, x->dims, x->shape);
    at_run(cx, norm_modulate, out, x, shift, scale, eps);
    out = at_record(cx, out, norm_modulate_backward, x, shift, scale);
    if (out && out->node) out->node->saved.numbers[0] = eps;
    return out;
}
