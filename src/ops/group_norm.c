#include "ops/ops.h"

/* [B,...,C] -> [B,groups,positions * C/groups], where a group is one row. */
static at_tensor *groups_to_rows(at_context *cx, at_tensor *x, int64_t groups)
{
    if (!at_inputs(cx, x) || !at_elements(x)) return NULL;
    int64_t batch = x->shape[0], width = at_dim(x, -1) / groups;
    int64_t positions = at_elements(x) / batch / at_dim(x, -1);
    x = at_transpose(cx, at_view(cx, x, batch, positions, groups, width), 0, 2, 1, 3);
    return at_view(cx, at_contiguous(cx, x), batch, groups, positions * width);
}

static at_tensor *rows_to_groups(at_context *cx, at_tensor *rows, const at_tensor *like)
{
    if (!at_inputs(cx, rows)) return NULL;
    int64_t groups = rows->shape[1], width = at_dim(like, -1) / groups;
    rows = at_view(cx, rows, rows->shape[0], groups, rows->shape[2] / width, width);
    rows = at_contiguous(cx, at_transpose(cx, rows, 0, 2, 1, 3));
    return at_reshape(cx, rows, like->dims, like->shape);
}

static void group_norm_backward(at_context *cx, at_node *node, at_tensor *grad)
{
    at_tensor *x = node->inputs[0], *weight = node->inputs[1], *bias = node->inputs[2];
    int groups = (int)node->saved.numbers[0];
    float eps = (float)node->saved.numbers[1];
    at_activation activation = (at_activation)node->saved.numbers[2];
    if (activation != AT_IDENTITY) {
        at_tensor *before = at_group_norm(cx, x, groups, weight, bias, eps, AT_IDENTITY);
        at_tensor *inner = at_empty_like(cx, grad);
        if (at_inputs(cx, before, inner))
            at_run(cx, activate_backward, inner, before, activation, grad);
        grad = inner;
    }
    if (at_wants(node, 0)) {
        at_tensor *inner = groups_to_rows(cx, weight ? at_mul(cx, grad, weight) : grad, groups);
        at_tensor *rows = groups_to_rows(cx, x, groups);
        at_accumulate(cx, x, rows_to_groups(cx, at_norm_way_back(cx, rows, inner, eps, true), x));
    }
    if (at_wants(node, 1)) {
        at_tensor *plain = at_group_norm(cx, x, groups, NULL, NULL, eps, AT_IDENTITY);
        at_accumulate(cx, weight, at_mul(cx, grad, plain));
    }
    at_accumulate(cx, bias, grad);
}

at_tensor *at_group_norm(at_context *cx, at_tensor *x, int groups, at_tensor *weight,
                         at_tensor *bias, float eps, at_activation activation)
{
    if (!at_inputs(cx, x)) return NULL;
    if (x->dims < 2 || groups < 1 || at_dim(x, -1) % groups)
        return at_fail(cx, AT_ERROR_SHAPE, "group_norm: x %s in %d groups", at_shape_text(x),
                       groups);
    if ((unsigned)activation >= AT_ACTIVATIONS)
        return at_fail(cx, AT_ERROR_ARGUMENT, "group_norm: no activation %d", (int)activation);
    x = at_dense(cx, "group_norm", x);
    weight = at_channels(cx, "group_norm", weight, at_dim(x, -1));
    bias = at_channels(cx, "group_norm", bias, at_dim(x, -1));
    if (!at_inputs(cx, x)) return NULL;
    at_tensor *out = at_empty(cx, AT_F32, x->dims, x->shape);
    at_run(cx, group_norm, out, x, groups, weight, bias, eps, activation);
    out = at_record(cx, out, group_norm_backward, x, weight, bias);
    if (out && out->node) {
        out->node->saved.numbers[0] = groups;
        out->node->saved.numbers[1] = eps;
        out->node->saved.numbers[2] = activation;
    }
    return out;
}
