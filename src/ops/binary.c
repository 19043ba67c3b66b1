#include "ops/ops.h"

/* Broadcasts by numpy's rules; at_accumulate sums the gradients back. */
static at_tensor *binary(at_context *cx, const char *name, at_binary kind,
                         at_backward_function backward, at_tensor *a, at_tensor *b)
{
    if (!at_inputs(cx, a, b)) return NULL;
    a = at_f32(cx, name, a);
    b = at_f32(cx, name, b);
    int dims;
    int64_t shape[AT_MAX_DIMS];
    if (!at_inputs(cx, a, b) || !at_broadcast_shape(cx, name, a, b, &dims, shape)) return NULL;
    at_tensor *out = at_empty(cx, AT_F32, dims, shape);
    if (out) cx->kernels->binary(cx, kind, out, a, b);
    return at_record(cx, out, backward, a, b);
}

static void add_backward(at_context *cx, at_node *node, at_tensor *grad)
{
    at_accumulate(cx, node->inputs[0], grad);
    at_accumulate(cx, node->inputs[1], grad);
}

static void sub_backward(at_context *cx, at_node *node, at_tensor *grad)
{
    at_accumulate(cx, node->inputs[0], grad);
    if (at_wants(node, 1)) at_accumulate(cx, node->inputs[1], at_affine(cx, grad, -1, 0));
}

static void mul_backward(at_context *cx, at_node *node, at_tensor *grad)
{
    at_tensor *a = node->inputs[0], *b = node->inputs[1];
    if (at_wants(node, 0)) at_accumulate(cx, a, at_mul(cx, grad, b));
    if (at_wants(node, 1)) at_accumulate(cx, b, at_mul(cx, grad, a));
}

/* d(a/b)/db = -(a/b)/b */
static void div_backward(at_context *cx, at_node *node, at_tensor *grad)
{
    at_tensor *a = node->inputs[0], *b = node->inputs[1], *by_b = at_div(cx, grad, b);
    at_accumulate(cx, a, by_b);
    if (at_wants(node, 1)) at_accumulate(cx, b, at_affine(cx, at_mul(cx, by_b, node->out), -1, 0));
}

at_tensor *at_add(at_context *cx, at_tensor *a, at_tensor *b)
{
    return binary(cx, "add", AT_BINARY_ADD, add_backward, a, b);
}

at_tensor *at_sub(at_context *cx, at_tensor *a, at_tensor *b)
{
    return binary(cx, "sub", AT_BINARY_SUB, sub_backward, a, b);
}

at_tensor *at_mul(at_context *cx, at_tensor *a, at_tensor *b)
{
    return binary(cx, "mul", AT_BINARY_MUL, mul_backward, a, b);
}

at_tensor *at_div(at_context *cx, at_tensor *a, at_tensor *b)
{
    return binary(cx, "div", AT_BINARY_DIV, div_backward, a, b);
}
