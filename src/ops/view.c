/* Views: other shapes and strides over the same bytes. */
#include "tensor/tape.h"
#include <atelier/ops.h>
#include <string.h>

/* Strides for x's elements in a new shape without moving them (as torch computes them): runs of
   dimensions that lie together are cut anew. False when bytes would have to move. */
static bool view_strides(const at_tensor *x, int dims, const int64_t *shape, int64_t *stride)
{
    int k = dims - 1;
    int64_t run = 1, made = 1, base = x->dims ? x->stride[x->dims - 1] : 1;
    if (at_is_contiguous(x)) {
        for (; k >= 0; made *= shape[k--]) stride[k] = made;
        return true;
    }
    for (int i = x->dims - 1; i >= 0; i--) {
        run *= x->shape[i];
        if (i > 0 && (x->shape[i - 1] == 1 || x->stride[i - 1] == run * base)) continue;
        for (; k >= 0 && (made < run || shape[k] == 1); made *= shape[k--]) stride[k] = made * base;
        if (made != run) return false;
        run = made = 1;
        if (i > 0) base = x->stride[i - 1];
    }
    return k < 0;
}

static void reshape_backward(at_context *cx, at_node *node, at_tensor *grad)
{
    at_tensor *x = node->inputs[0];
    at_accumulate(cx, x, at_reshape(cx, grad, x->dims, x->shape));
}

at_tensor *at_reshape(at_context *cx, at_tensor *x, int dims, const int64_t *shape)
{
    if (!at_ok(cx) || !x) return NULL;
    int64_t wanted[AT_MAX_DIMS] = {0}, known = 1, stride[AT_MAX_DIMS] = {0};
    int open = -1;
    bool fine = dims >= 0 && dims <= AT_MAX_DIMS;
    for (int i = 0; fine && i < dims; i++) {
        wanted[i] = shape[i];
        if (shape[i] == -1 && open < 0)
            open = i;
        else
            fine = at_mul_size(known, shape[i], &known);
    }
    if (fine && open >= 0) {
        fine = known > 0 && at_elements(x) % known == 0;
        wanted[open] = fine ? at_elements(x) / known : 0;
    } else {
        fine = fine && known == at_elements(x);
    }
    if (!fine)
        return at_fail(cx, AT_ERROR_SHAPE, "reshape: %s does not fit the new shape",
                       at_shape_text(x));
    at_tensor *y = x;
    if (!view_strides(x, dims, wanted, stride)) {
        y = at_contiguous(cx, x);
        if (!y) return NULL;
        view_strides(y, dims, wanted, stride);
    }
    at_tensor *from = y;
    y = at_tensor_alias(cx, from);
    if (!y) return NULL;
    y->dims = dims;
    memcpy(y->shape, wanted, sizeof wanted);
    memcpy(y->stride, stride, sizeof stride);
    return at_record(cx, y, reshape_backward, from);
}

static void permute_backward(at_context *cx, at_node *node, at_tensor *grad)
{
    int back[AT_MAX_DIMS];
    for (int i = 0; i < grad->dims; i++) back[node->saved.integers[i]] = i;
    at_accumulate(cx, node->inputs[0], at_permute(cx, grad, back));
}

at_tensor *at_permute(at_context *cx, at_tensor *x, const int *order)
{
    if (!at_ok(cx) || !x) return NULL;
    unsigned seen = 0;
    for (int i = 0; i < x->dims; i++) {
        bool fine = order[i] >= 0 && order[i] < x->dims && !(seen & 1u << order[i]);
        if (!fine)
            return at_fail(cx, AT_ERROR_SHAPE, "permute: not an order of %s", at_shape_text(x));
        seen |= 1u << order[i];
    }
    if (at_dtype_block(x->dtype) > 1)
        return at_fail(cx, AT_ERROR_DTYPE, "permute: %s has blocks", at_shape_text(x));
    at_tensor *y = at_tensor_alias(cx, x);
    for (int i = 0; y && i < x->dims; i++) {
        y->shape[i] = x->shape[order[i]];
        y->stride[i] = x->stride[order[i]];
    }
    y = at_record(cx, y, permute_backward, x);
    for (int i = 0; y && y->node && i < x->dims; i++) y->node->saved.integers[i] = order[i];
    return y;
}

static void slice_backward(at_context *cx, at_node *node, at_tensor *grad)
{
    at_tensor *x = node->inputs[0];
    int dim = (int)node->saved.integers[0];
    int64_t start = node->saved.integers[1], after = x->shape[dim] - start - grad->shape[dim];
    at_accumulate(cx, x, at_pad(cx, grad, dim, start, after, 0.0f));
}

at_tensor *at_slice(at_context *cx, at_tensor *x, int dim, int64_t start, int64_t count)
{
    if (!at_ok(cx) || !x) return NULL;
    int d = dim < 0 ? dim + x->dims : dim;
    if (d < 0 || d >= x->dims || start < 0 || count < 0 || start > x->shape[d] - count)
        return at_fail(cx, AT_ERROR_SHAPE, "slice: %lld to %lld of dimension %d is outside %s",
                       (long long)start, (long long)(start + count), dim, at_shape_text(x));
    int64_t block = at_dtype_block(x->dtype);
    if (block > 1 && (d > 0 || x->dims == 1))
        return at_fail(cx, AT_ERROR_DTYPE, "slice: %s has blocks", at_shape_text(x));
    at_tensor *y = at_tensor_alias(cx, x);
    if (!y) return NULL;
    y->shape[d] = count;
    y->data =
        (char *)x->data + start * x->stride[d] / block * (int64_t)at_dtype_block_bytes(x->dtype);
    y = at_record(cx, y, slice_backward, x);
    if (y && y->node) {
        y->node->saved.integers[0] = d;
        y->node->saved.integers[1] = start;
    }
    return y;
}

static void expand_backward(at_context *cx, at_node *node, at_tensor *grad)
{
    at_accumulate(cx, node->inputs[0], grad);
}

at_tensor *at_expand(at_context *cx, at_tensor *x, int dims, const int64_t *shape)
{
    if (!at_ok(cx) || !x) return NULL;
    bool fine = dims >= x->dims && dims <= AT_MAX_DIMS;
    for (int i = 1; fine && i <= x->dims; i++)
        fine = x->shape[x->dims - i] == 1 || x->shape[x->dims - i] == shape[dims - i];
    if (!fine)
        return at_fail(cx, AT_ERROR_SHAPE, "expand: %s does not broadcast to the new shape",
                       at_shape_text(x));
    at_tensor *y = at_tensor_alias(cx, x);
    if (!y) return NULL;
    y->dims = dims;
    for (int i = 0; i < dims; i++) {
        int old = i - (dims - x->dims);
        y->shape[i] = shape[i];
        y->stride[i] = old < 0 || x->shape[old] == 1 ? 0 : x->stride[old];
    }
    return at_record(cx, y, expand_backward, x);
}
