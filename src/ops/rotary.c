#include "ops/ops.h"

/* Back is the turn the other way: by -sin. */
static void rotary_backward(at_context *cx, at_node *node, at_tensor *grad)
{
    at_tensor *x = node->inputs[0], *table = node->inputs[1];
    if (at_wants(node, 1)) {
        at_fail(cx, AT_ERROR_UNSUPPORTED, "rotary: gradients cannot go back into its table");
        return;
    }
    at_tensor *other = at_from(cx, AT_F32, 1, (int64_t[]){2}, (float[]){1, -1});
    at_rotary_pairs pairs = (at_rotary_pairs)node->saved.integers[0];
    at_accumulate(cx, x, at_rotary(cx, grad, at_mul(cx, table, other), pairs));
}

at_tensor *at_rotary(at_context *cx, at_tensor *x, at_tensor *table, at_rotary_pairs pairs)
{
    if (!at_inputs(cx, x, table)) return NULL;
    bool fits = x->dims == 4 && (table->dims == 3 || table->dims == 4) && at_dim(table, -1) == 2 &&
                at_dim(table, -2) * 2 <= at_dim(x, 3) && at_dim(table, -3) == at_dim(x, 1) &&
                (table->dims == 3 || table->shape[0] == 1 || table->shape[0] == x->shape[0]);
    if (!fits)
        return at_fail(cx, AT_ERROR_SHAPE, "rotary: x %s, table %s", at_shape_text(x),
                       at_shape_text(table));
    x = at_rows(cx, "rotary", x);
    table = at_dense(cx, "rotary", table);
    if (!at_inputs(cx, x, table)) return NULL;
    at_tensor *out = at_empty(cx, AT_F32, x->dims, x->shape);
    at_run(cx, rotary, out, x, table, pairs);
    out = at_record(cx, out, rotary_backward, x, table);
    if (out && out->node) out->node->saved.integers[0] = pairs;
    return out;
}
