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

/* activation(x W^T + bias) with what else `args` says, into y [...,N]; its operands as they were
   taken. NULL y: made here. */
static at_tensor *run(at_context *cx, at_tensor **x, at_tensor **weight, at_tensor **bias,
                      at_tensor *y, at_matmul_args *args)
{
    if (!at_inputs(cx, *x, *weight)) return NULL;
    if ((*x)->dims < 1 || (*weight)->dims != 2 || at_dim(*x, -1) != (*weight)->shape[1])
        return at_fail(cx, AT_ERROR_SHAPE, "linear: x %s does not fit weight %s", at_shape_text(*x),
                       at_shape_text(*weight));
    *x = at_matrix_rows(cx, "linear", *x, &args->m, &args->x_stride);
    *weight = at_weight(cx, "linear", *weight);
    *bias = at_channels(cx, "linear", *bias, *weight ? (*weight)->shape[0] : 0);
    if (!*x || !*weight || !at_ok(cx)) return NULL;

    const at_tensor *w = *weight;
    int64_t shape[AT_MAX_DIMS];
    for (int i = 0; i < (*x)->dims; i++) shape[i] = (*x)->shape[i];
    shape[(*x)->dims - 1] = w->shape[0];
    if (!y) y = at_empty(cx, AT_F32, (*x)->dims, shape);
    if (!y || at_elements(y) == 0) return y;
    args->n = args->y_stride = w->shape[0];
    args->k = w->shape[1];
    args->x = (*x)->data;
    args->weight = w->data;
    args->dtype = w->dtype;
    args->weight_stride =
        w->stride[0] / at_dtype_block(w->dtype) * (int64_t)at_dtype_block_bytes(w->dtype);
    args->bias = *bias ? (*bias)->data : NULL;
    args->y = y->data;
    args->precision = at_precision_of(cx);
    cx->kernels->matmul(cx, args);
    return at_ok(cx) ? y : NULL;
}

at_tensor *at_linear(at_context *cx, at_tensor *x, at_tensor *weight, at_tensor *bias,
                     at_activation activation)
{
    at_matmul_args args = {.activation = activation};
    at_tensor *y = run(cx, &x, &weight, &bias, NULL, &args);
    if (!y || at_elements(y) == 0) return y;
    y = at_record(cx, y, linear_backward, x, weight, bias);
    if (y && y->node) y->node->saved.integers[0] = activation;
    return y;
}

/* Whether x [...,K] and the weight make a tensor of this shape. */
static bool makes(const at_tensor *x, const at_tensor *weight, const at_tensor *y)
{
    if (weight->dims != 2 || x->dims != y->dims || at_dim(y, -1) != weight->shape[0]) return false;
    for (int i = 0; i < x->dims - 1; i++)
        if (x->shape[i] != y->shape[i]) return false;
    return true;
}

at_tensor *at_linear_add(at_context *cx, at_tensor *x, at_tensor *weight, at_tensor *bias,
                         at_tensor *residual, at_tensor *gate)
{
    if (!at_inputs(cx, x, weight, residual)) return NULL;
    bool own = gate && gate->dims == residual->dims && gate->dtype == AT_F32 &&
               gate->stride[gate->dims - 1] == 1 && at_dim(gate, -1) == at_dim(residual, -1) &&
               at_elements(gate) == gate->shape[0] * at_dim(gate, -1) &&
               at_broadcasts(gate, residual);
    if (cx->tape || !makes(x, weight, residual) || (gate && !own)) {
        at_tensor *y = at_linear(cx, x, weight, bias, AT_IDENTITY);
        return gate ? at_gated_add(cx, residual, gate, y) : at_add(cx, residual, y);
    }
    at_matmul_args args = {.activation = AT_IDENTITY};
    int64_t rows;
    residual = at_matrix_rows(cx, "linear_add", residual, &rows, &args.with.stride);
    if (!residual) return NULL;
    args.with.other = residual->data;
    if (gate) {
        bool one = gate->shape[0] == 1;
        args.with.gate = gate->data;
        args.with.gate_rows = AT_MAX(one ? rows : rows / gate->shape[0], 1);
        args.with.gate_stride = one ? 0 : gate->stride[0];
    }
    return run(cx, &x, &weight, &bias, NULL, &args);
}

at_tensor *at_linear_mul(at_context *cx, at_tensor *x, at_tensor *weight, at_tensor *bias,
                         at_tensor *other, at_activation activation)
{
    if (!at_inputs(cx, x, weight, other)) return NULL;
    if (cx->tape || !makes(x, weight, other))
        return at_activate_mul(cx, other, activation, at_linear(cx, x, weight, bias, AT_IDENTITY));
    at_matmul_args args = {.activation = AT_IDENTITY,
                           .with = {.times = true, .activation = activation}};
    int64_t rows;
    other = at_matrix_rows(cx, "linear_mul", other, &rows, &args.with.stride);
    if (!other) return NULL;
    args.with.other = other->data;
    return run(cx, &x, &weight, &bias, NULL, &args);
}

at_tensor *at_linear_pair(at_context *cx, at_tensor *const *x, at_tensor *const *weight,
                          at_tensor *const *bias)
{
    if (!at_inputs(cx, x[0], x[1], weight[0], weight[1])) return NULL;
    bool one = !cx->tape && x[0]->dims == 3 && x[1]->dims == 3 && x[0]->shape[0] == 1 &&
               x[1]->shape[0] == 1 && at_dim(weight[0], 0) == at_dim(weight[1], 0);
    if (!one) {
        at_tensor *first = at_linear(cx, x[0], weight[0], bias[0], AT_IDENTITY);
        return at_join(cx, 1, first, at_linear(cx, x[1], weight[1], bias[1], AT_IDENTITY));
    }
    at_tensor *y = at_new(cx, AT_F32, 1, x[0]->shape[1] + x[1]->shape[1], weight[0]->shape[0]);
    for (int i = 0, at = 0; y && i < 2; at += (int)x[i++]->shape[1]) {
        at_matmul_args args = {.activation = AT_IDENTITY};
        at_tensor *in = x[i], *w = weight[i], *b = bias[i];
        if (!run(cx, &in, &w, &b, at_slice(cx, y, 1, at, x[i]->shape[1]), &args)) return NULL;
    }
    return y;
}
