#include "ops/ops.h"

static void contiguous_backward(at_context *cx, at_node *node, at_tensor *grad)
{
    at_accumulate(cx, node->inputs[0], grad);
}

at_tensor *at_contiguous(at_context *cx, at_tensor *x)
{
    if (!at_inputs(cx, x)) return NULL;
    if (at_is_contiguous(x)) return x;
    at_tensor *out = at_empty_like(cx, x);
    at_run(cx, copy, out, x);
    return at_record(cx, out, contiguous_backward, x);
}
