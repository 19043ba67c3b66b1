#include "ops/ops.h"

static void rms_norm_backward(at_context *cx, at_node *node, at_tensor *grad)
{
    at_tensor *x = node->inputs[0], *weight = node->inputs[1];
    float eps = (float)node->saved.numbers[0];
    if (at_wants(node, 0)) {
        at_tensor *inner = weight ? at_mul(cx, grad, weight) : grad;
        at_accumulate(cx, x, at_norm_way_back(cx, x, inner, eps, false));
    }
    if (at_wants(node, 1))
        at_accumulate(cx, weight, at_mul(cx, grad, at_rms_norm(cx, x, NULL, eps)));
}

at_tensor *at_rms_norm(at_context *cx, at_tensor *x, at_tensor *weight, float eps)
{
    if (!at_inputs(cx, x)) return NULL;
    x = at_rows(cx, "rms_norm", x);
    weight = at_channels(cx, "rms_norm", weight, at_dim(x, -1));
    if (!at_inputs(cx, x)) return NULL;
    at_tensor *out = at_empty(cx, AT_F32, x->dims, x->shape);
    at_run(cx, rms_norm, out, x, weight, eps);
    out = at_record(cx, out, rms_norm_backward, x, weight);
    if (out && out->node) out->node->saved.numbers[0] = eps;
    return out;
}
