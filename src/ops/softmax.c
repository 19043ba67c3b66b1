#include "ops/ops.h"

static void softmax_backward(at_context *cx, at_node *node, at_tensor *grad)
{
    at_tensor *out = at_empty_like(cx, grad);
    at_run(cx, softmax_backward, out, node->out, grad);
    at_accumulate(cx, node->inputs[0], out);
}

at_tensor *at_softmax(at_context *cx, at_tensor *x)
{
    if (!at_inputs(cx, x)) return NULL;
    x = at_rows(cx, "softmax", x);
    at_tensor *out = x ? at_empty(cx, AT_F32, x->dims, x->shape) : NULL;
    at_run(cx, softmax, out, x);
    return at_record(cx, out, softmax_backward, x);
}
