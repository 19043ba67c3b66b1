#include "ops/ops.h"

static void gated_add_backward(at_context *cx, at_node *node, at_tensor *grad)
{
    at_tensor *x = node->inputs[0], *gate = node->inputs[1], *y = node->inputs[2];
    at_accumulate(cx, x, grad);
    if (at_wants(node, 1)) at_accumulate(cx, gate, at_mul(cx, grad, y));
    if (at_wants(node, 2)) at_accumulate(cx, y, at_mul(cx, grad, gate));
}

at_tensor *at_gated_add(at_context *cx, at_tensor *x, at_tensor *gate, at_tensor *y)
{
    if (!at_inputs(cx, x, gate, y)) return NULL;
    if (!at_same_shape(x, y) || !at_broadcasts(gate, x))
        return at_fail(cx, AT_ERROR_SHAPE, "gated_add: x %s, gate %s, y %s", at_shape_text(x),
                       at_shape_text(gate), at_shape_text(y));
    x = at_f32(cx, "gated_add", x);
    gate = at_f32(cx, "gated_add", gate);
    y = at_f32(cx, "gated_add", y);
    if (!at_inputs(cx, x, gate, y)) return NULL;
    at_tensor *out = at_empty(cx, AT_F32, x->dims, x->shape);
    at_run(cx, gated_add, out, x, gate, y);
    return at_record(cx, out, gated_add_backward, x, gate, y);
}
