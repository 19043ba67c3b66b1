#include "ops/ops.h"

/* d x = activation'(x) * (grad * y), d y = grad * activation(x) */
static void activate_mul_backward(at_context *cx, at_node *node, at_tensor *grad)
{
    at_tensor *x = node->inputs[0], *y = node->inputs[1];
    at_activation activation = (at_activation)node->saved.integers[0];
    if (at_wants(node, 0)) {
        at_tensor *inner = at_mul(cx, grad, y), *dense = at_contiguous(cx, x);
        at_tensor *out = at_empty_like(cx, grad);
        if (at_inputs(cx, inner, dense, out))
            at_run(cx, activate_backward, out, dense, activation, inner);
        at_accumulate(cx, x, out);
    }
    if (at_wants(node, 1)) at_accumulate(cx, y, at_activate_mul(cx, x, activation, grad));
}

at_tensor *at_activate_mul(at_context *cx, at_tensor *x, at_activation activation, at_tensor *y)
{
    if (!at_inputs(cx, x, y)) return NULL;
    if ((unsigned)activation >= AT_ACTIVATIONS)
        return at_fail(cx, AT_ERROR_ARGUMENT, "activate_mul: no activation %d", (int)activation);
    if (!at_same_shape(x, y))
        return at_fail(cx, AT_ERROR_SHAPE, "activate_mul: x %s, y %s", at_shape_text(x),
                       at_shape_text(y));
    x = at_f32(cx, "activate_mul", x);
    y = at_f32(cx, "activate_mul", y);
    if (!at_inputs(cx, x, y)) return NULL;
    at_tensor *out = at_empty(cx, AT_F32, x->dims, x->shape);
    at_run(cx, activate_mul, out, x, activation, y);
    out = at_record(cx, out, activate_mul_backward, x, y);
    if (out && out->node) out->node->saved.integers[0] = activation;
    return out;
}
