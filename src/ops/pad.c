#include "ops/ops.h"

static void pad_backward(at_context *cx, at_node *node, at_tensor *grad)
{
    int dim = (int)node->saved.integers[0];
    int64_t before = node->saved.integers[1], size = node->inputs[0]->shape[dim];
    at_accumulate(cx, node->inputs[0], at_slice(cx, grad, dim, before, size));
}

at_tensor *at_pad(at_context *cx, at_tensor *x, int dim, int64_t before, int64_t after, float value)
{
    if (!at_inputs(cx, x)) return NULL;
    if (dim < 0) dim += x->dims;
    int64_t shape[AT_MAX_DIMS];
    for (int i = 0; i < x->dims; i++) shape[i] = x->shape[i];
    if (dim < 0 || dim >= x->dims || !at_add_size(shape[dim], before, &shape[dim]) ||
        !at_add_size(shape[dim], after, &shape[dim]))
        return at_fail(cx, AT_ERROR_SHAPE, "pad: %s by %lld and %lld along dimension %d",
                       at_shape_text(x), (long long)before, (long long)after, dim);
    if (at_dtype_block(x->dtype) > 1) x = at_f32(cx, "pad", x);
    at_tensor *out = x ? at_empty(cx, x->dtype, x->dims, shape) : NULL;
    at_tensor *middle = out ? at_slice(cx, out, dim, before, x->shape[dim]) : NULL;
    at_run(cx, fill, out, value);
    at_run(cx, copy, middle, x);
    out = at_record(cx, out, pad_backward, x);
    if (out && out->node) {
        out->node->saved.integers[0] = dim;
        out->node->saved.integers[1] = before;
    }
    return out;
}
