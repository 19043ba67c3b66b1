#include "ops/ops.h"

static void concat_backward(at_context *cx, at_node *node, at_tensor *grad)
{
    int dim = (int)node->saved.integers[0];
    int64_t at = 0;
    for (int i = 0; i < AT_NODE_INPUTS && node->inputs[i]; i++) {
        int64_t size = node->inputs[i]->shape[dim];
        if (at_wants(node, i))
            at_accumulate(cx, node->inputs[i], at_slice(cx, grad, dim, at, size));
        at += size;
    }
}

/* The shape of the whole; false when a part does not fit to the first. */
static bool whole_shape(int dim, int count, at_tensor *const *parts, int64_t *shape)
{
    const at_tensor *first = parts[0];
    for (int d = 0; d < first->dims; d++) shape[d] = first->shape[d];
    for (int i = 1; i < count; i++) {
        if (parts[i]->dims != first->dims) return false;
        for (int d = 0; d < first->dims; d++)
            if (d != dim && parts[i]->shape[d] != first->shape[d]) return false;
        if (!at_add_size(shape[dim], parts[i]->shape[dim], &shape[dim])) return false;
    }
    return true;
}

/* A node has few inputs: while recording, many parts are joined by halves. */
static at_tensor *by_halves(at_context *cx, int dim, int count, at_tensor *const *parts)
{
    at_tensor *a = at_concat(cx, dim, count / 2, parts);
    at_tensor *b = at_concat(cx, dim, count - count / 2, parts + count / 2);
    return at_join(cx, dim, a, b);
}

/* Parts of different dtypes are all cast to f32. */
at_tensor *at_concat(at_context *cx, int dim, int count, at_tensor *const *parts)
{
    if (!at_ok(cx)) return NULL;
    if (count < 1) return at_fail(cx, AT_ERROR_ARGUMENT, "concat: no parts");
    if (!at_inputs_given(cx, count, parts)) return NULL;
    if (cx->tape && count > AT_NODE_INPUTS) return by_halves(cx, dim, count, parts);
    if (dim < 0) dim += parts[0]->dims;
    int64_t shape[AT_MAX_DIMS], at = 0;
    if (dim < 0 || dim >= parts[0]->dims || !whole_shape(dim, count, parts, shape))
        return at_fail(cx, AT_ERROR_SHAPE, "concat: %d parts like %s and %s along dimension %d",
                       count, at_shape_text(parts[0]), at_shape_text(parts[count - 1]), dim);
    bool same = true;
    for (int i = 1; i < count; i++) same = same && parts[i]->dtype == parts[0]->dtype;
    at_dtype dtype = same && at_dtype_block(parts[0]->dtype) == 1 ? parts[0]->dtype : AT_F32;
    at_tensor *out = at_empty(cx, dtype, parts[0]->dims, shape), *recorded[AT_NODE_INPUTS];
    for (int i = 0; out && i < count; i++) {
        at_tensor *part = dtype == AT_F32 ? at_f32(cx, "concat", parts[i]) : parts[i];
        at_tensor *place = part ? at_slice(cx, out, dim, at, part->shape[dim]) : NULL;
        if (!place) return NULL;
        at_run(cx, copy, place, part);
        at += part->shape[dim];
        if (count <= AT_NODE_INPUTS) recorded[i] = part;
    }
    if (!out || !cx->tape) return out;
    out = at_record_node(cx, out, concat_backward, count, recorded);
    if (out && out->node) out->node->saved.integers[0] = dim;
    return out;
}
