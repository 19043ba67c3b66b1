#include "ops/ops.h"

static void cast_backward(at_context *cx, at_node *node, at_tensor *grad)
{
    at_accumulate(cx, node->inputs[0], grad);
}

/* To a block type, the last dimension must be whole blocks. */
at_tensor *at_cast(at_context *cx, at_tensor *x, at_dtype dtype)
{
    if (!at_inputs(cx, x)) return NULL;
    if (x->dtype == dtype) return x;
    x = at_contiguous(cx, x);
    at_tensor *out = x ? at_empty(cx, dtype, x->dims, x->shape) : NULL;
    at_run(cx, cast, out, x);
    if (!at_is_float(dtype)) return at_no_way_back(cx, "cast to integers", out, x);
    return at_record(cx, out, cast_backward, x);
}
