#include "ops/ops.h"

static void layer_norm_backward(at_context *cx, at_node *node, at_tensor *grad)
{
    at_tensor *x = node->inputs[0], *weight = node->inputs[1], *bias = node->inputs[2];
    float eps = (float)node->saved.numbers[0];
    if (at_wants(node, 0)) {
        at_tensor *inner = weight ? at_mul(cx, grad, weight) : grad;
        at_accumulate(cx, x, at_norm_way_back(cx, x, inner, eps, true));
    }
    if (at_wants(node, 1))
        at_accumulate(cx, weight, at_mul(cx, grad, at_layer_norm(cx, x, NULL, NULL, eps)));
    at_accumulate(cx, bias, grad);
}

at_tensor *at_layer_norm(at_context *cx, at_tensor *x, at_tensor *weight, at_tensor *bias,
                         float eps)
{
    if (!at_inputs(cx, x)) return NULL;
    x = at_rows(cx, "layer_norm", x);
    weight = at_channels(cx, "layer_norm", weight, at_dim(x, -1));
    bias = at_channels(cx, "layer_norm", bias, at_dim(x, -1));
    if (!at_inputs(cx, x)) return NULL;
    at_tensor *out = at_empty(cx, AT_F32, x->dims, x->shape);
    at_run(cx, layer_norm, out, x, weight, bias, eps);
    out = at_record(cx, out, layer_norm_backward, x, weight, bias);
    if (out && out->node) out->node->saved.numbers[0] = eps;
    return out;
}
