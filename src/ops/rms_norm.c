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

at_tensor *at_rms_norm_pair(at_context *cx, at_tensor *x, int64_t N, at_tensor *first,
                            at_tensor *rest, float eps)
{
    if (!at_inputs(cx, x)) return NULL;
    int64_t M = at_dim(x, 1) - N;
    at_tensor *weights[] = {first, rest};
    at_tensor *parts[] = {at_slice(cx, x, 1, 0, N), at_slice(cx, x, 1, N, M)};
    if (cx->tape || at_dim(x, 0) != 1 || x->dtype != AT_F32)
        return at_join(cx, 1, at_rms_norm(cx, parts[0], first, eps),
                       at_rms_norm(cx, parts[1], rest, eps));
    at_tensor *out = at_empty(cx, AT_F32, x->dims, x->shape);
    for (int i = 0; i < 2; i++) {
        at_tensor *place = at_slice(cx, out, 1, i ? N : 0, i ? M : N);
        at_tensor *weight = at_channels(cx, "rms_norm", weights[i], at_dim(x, -1));
        at_tensor *part = at_rows(cx, "rms_norm", parts[i]);
        if (!at_inputs(cx, place, part)) return NULL;
        at_run(cx, rms_norm, place, part, weight, eps);
    }
    return at_ok(cx) ? out : NULL;
}
