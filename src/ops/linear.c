#include "ops/products.h"

/* dx = dz W, dW = dz^T x, db = the sum of dz, with dz = dy activation'(z) and z computed again. */
static void linear_backward(at_context *cx, at_node *node, at_tensor *grad)
{
    at_tensor *x = node->inputs[0], *weight = node->inputs[1], *bias = node->inputs[2];
    at_activation activation = (at_activation)node->saved.integers[0];
    int64_t k = at_dim(x, -1), n = at_dim(weight, 0);
    at_tensor *dz = grad;
    if (activation != AT_IDENTITY) {
        at_tensor *z = at_linear(cx, x, weight, bias, AT_IDENTITY);
        dz = at_empty_like(cx, z);
        if (!at_inputs(cx, z, dz)) return;
        at_run(cx, activate_backward, dz, z, activation, grad);
    }
    at_tensor *rows = at_view(cx, dz, -1, n);
    if (x->node)
        at_accumulate(
            cx, x,
            at_reshape(cx, at_matmul(cx, rows, at_cast(cx, weight, AT_F32)), x->dims, x->shape));
    if (weight->node)
        at_accumulate(cx, weight,
                      at_matmul(cx, at_transpose(cx, rows, 1, 0), at_view(cx, x, -1, k)));
    if (bias) at_accumulate(cx, bias, rows);
}

at_tensor *at_linear(at_context *cx, at_tensor *x, at_tensor *weight, at_tensor *bias,
                     at_activation activation)
{
    if (!at_inputs(cx, x, weight)) return NULL;
    if (x->dims < 1 || weight->dims != 2 || at_dim(x, -1) != weight->shape[1])
        return at_fail(cx, AT_ERROR_SHAPE, "linear: x %s does not fit weight %s", at_shape_text(x),
                       at_shape_text(weight));
    int64_t rows, x_stride;
    x = at_matrix_rows(cx, "linear", x, &rows, &x_stride);
    weight = at_weight(cx, "linear", weight);
    bias = at_channels(cx, "linear", bias, weight ? weight->shape[0] : 0);
    if (!x || !weight || !at_ok(cx)) return NULL;

    int64_t shape[AT_MAX_DIMS];
    for (int i = 0; i < x->dims; i++) shape[i] = x->shape[i];
    shape[x->dims - 1] = weight->shape[0];
    at_tensor *y = at_empty(cx, AT_F32, x->dims, shape);
    if (!y || at_elements(y) == 0) return y;
    at_matmul_args args = {
        .m = rows,
        .n = weight->shape[0],
        .k = weight->shape[1],
        .x = x->data,
        .x_stride = x_stride,
        .weight = weight->data,
        .dtype = weight->dtype,
        .weight_stride = weight->stride[0] / at_dtype_block(weight->dtype) *
                         (int64_t)at_dtype_block_bytes(weight->dtype),
        .bias = bias ? bias->data : NULL,
        .activation = activation,
        .y = y->data,
        .y_stride = weight->shape[0],
        .precision = at_precision_of(cx),
    };
    cx->kernels->matmul(cx, &args);
    if (!at_ok(cx)) return NULL;
    y = at_record(cx, y, linear_backward, x, weight, bias);
    if (y && y->node) y->node->saved.integers[0] = activation;
    return y;
}
