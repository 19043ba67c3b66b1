#include "ops/ops.h"

static void sum_backward(at_context *cx, at_node *node, at_tensor *grad)
{
    at_tensor *x = node->inputs[0];
    grad = at_affine(cx, grad, (float)node->saved.numbers[0], 0);
    at_accumulate(cx, x, at_expand(cx, grad, x->dims, x->shape));
}

/* In double, whatever the threads always in the same order. */
static at_tensor *scaled_sum(at_context *cx, const char *name, at_tensor *x, double scale)
{
    x = at_f32(cx, name, x);
    at_tensor *out = x ? at_empty(cx, AT_F32, 0, NULL) : NULL;
    at_run(cx, sum, out, x, scale);
    out = at_record(cx, out, sum_backward, x);
    if (out && out->node) out->node->saved.numbers[0] = scale;
    return out;
}

at_tensor *at_sum(at_context *cx, at_tensor *x)
{
    return at_inputs(cx, x) ? scaled_sum(cx, "sum", x, 1) : NULL;
}

at_tensor *at_mean(at_context *cx, at_tensor *x)
{
    return at_inputs(cx, x) ? scaled_sum(cx, "mean", x, 1 / (double)at_elements(x)) : NULL;
}
