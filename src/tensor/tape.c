#include "tensor/tape.h"
#include "tensor/scope.h"
#include <string.h>

struct at_tape {
    at_node **nodes; /* oldest first */
    int64_t count, capacity;
};

bool at_tape_begin(at_context *cx)
{
    if (!at_ok(cx)) return false;
    if (cx->tape)
        return at_fail_false(cx, AT_ERROR_ARGUMENT, "tape: already recording (end it first)");
    cx->tape = AT_NEW(cx, struct at_tape);
    return cx->tape != NULL;
}

void at_tape_free(at_context *cx)
{
    struct at_tape *tape = cx->tape;
    cx->tape = NULL;
    for (int64_t i = tape->count - 1; i >= 0; i--) {
        at_node *node = tape->nodes[i];
        node->out->node = NULL;
        for (int k = 0; k < AT_NODE_INPUTS; k++) at_tensor_release(cx, node->inputs[k]);
        at_tensor_release(cx, node->gradient);
        at_tensor_release(cx, node->out);
        at_free(node);
    }
    at_free(tape->nodes);
    at_free(tape);
}

void at_tape_end(at_context *cx)
{
    if (cx && cx->tape) at_tape_free(cx);
}

static at_node *add_node(at_context *cx, at_tensor *out)
{
    struct at_tape *tape = cx->tape;
    if (tape->count == tape->capacity) {
        int64_t capacity = AT_MAX(64, tape->capacity * 2);
        at_node **nodes = at_resize(cx, tape->nodes, (size_t)capacity, sizeof *nodes);
        if (!nodes) return NULL;
        tape->nodes = nodes;
        tape->capacity = capacity;
    }
    at_node *node = AT_NEW(cx, at_node);
    if (!node) return NULL;
    tape->nodes[tape->count++] = node;
    node->out = at_tensor_keep(out);
    out->node = node;
    return node;
}

void at_tape_watch(at_context *cx, at_tensor *parameter)
{
    if (!at_ok(cx) || !cx->tape || !parameter || parameter->node) return;
    at_node *node = add_node(cx, parameter);
    if (node) node->watched = true;
}

bool at_needs_gradient(at_context *cx, int count, at_tensor *const *inputs)
{
    if (!cx || !cx->tape) return false;
    for (int i = 0; i < count; i++)
        if (inputs[i] && inputs[i]->node) return true;
    return false;
}

at_tensor *at_record_node(at_context *cx, at_tensor *out, at_backward_function backward, int count,
                          at_tensor *const *inputs)
{
    if (!at_ok(cx) || !out || !at_needs_gradient(cx, count, inputs)) return out;
    at_node *node = add_node(cx, out);
    if (!node) return NULL;
    node->backward = backward;
    for (int i = 0; i < count; i++) node->inputs[i] = at_tensor_keep(inputs[i]);
    return out;
}

/* out[position without the broadcast dimensions] += in[position]; out is contiguous with in's
   number of dimensions, its size 1 where it was broadcast. */
static void add_into(float *out, const int64_t *out_stride, const at_tensor *in, int dim,
                     const float *data)
{
    int64_t n = in->dims ? in->shape[dim] : 1, step = in->dims ? in->stride[dim] : 0;
    int64_t out_step = in->dims ? out_stride[dim] : 0;
    if (dim < in->dims - 1) {
        for (int64_t i = 0; i < n; i++)
            add_into(out + i * out_step, out_stride, in, dim + 1, data + i * step);
        return;
    }
    for (int64_t i = 0; i < n; i++) out[i * out_step] += data[i * step];
}

void at_accumulate(at_context *cx, at_tensor *input, at_tensor *gradient)
{
    if (!at_ok(cx) || !input || !gradient || !input->node) return;
    if (gradient->dtype != AT_F32 || !at_broadcasts(input, gradient)) {
        at_fail(cx, AT_ERROR_SHAPE, "gradient %s does not fit its input %s",
                at_shape_text(gradient), at_shape_text(input));
        return;
    }
    at_node *node = input->node;
    if (!node->gradient)
        node->gradient = at_tensor_keep(at_zeros(cx, AT_F32, input->dims, input->shape));
    if (!node->gradient) return;
    int64_t stride[AT_MAX_DIMS] = {0};
    for (int i = gradient->dims - 1, k = input->dims - 1; k >= 0; i--, k--)
        stride[i] = input->shape[k] == 1 ? 0 : node->gradient->stride[k];
    add_into(node->gradient->data, stride, gradient, 0, gradient->data);
}

bool at_backward(at_context *cx, at_tensor *loss)
{
    if (!at_ok(cx) || !loss) return false;
    struct at_tape *tape = cx->tape;
    if (!tape) return at_fail_false(cx, AT_ERROR_ARGUMENT, "backward: no tape is recording");
    if (at_elements(loss) != 1 || !loss->node)
        return at_fail_false(cx, AT_ERROR_ARGUMENT,
                             "backward: the loss %s must be one element that depends on a "
                             "watched tensor",
                             at_shape_text(loss));
    cx->tape = NULL; /* the way back is not recorded itself */
    at_scope whole = at_scope_begin(cx);
    at_accumulate(cx, loss, at_full(cx, 1.0f, loss->dims, loss->shape));
    for (int64_t i = tape->count - 1; i >= 0 && at_ok(cx); i--) {
        at_node *node = tape->nodes[i];
        if (!node->gradient || node->watched) continue;
        at_scope step = at_scope_begin(cx);
        node->backward(cx, node, node->gradient);
        at_scope_end(cx, step, NULL);
        at_tensor_release(cx, node->gradient);
        node->gradient = NULL;
    }
    at_scope_end(cx, whole, NULL);
    cx->tape = tape;
    return at_ok(cx);
}

at_tensor *at_gradient(at_context *cx, const at_tensor *parameter)
{
    if (!at_ok(cx) || !cx->tape || !parameter || !parameter->node) return NULL;
    return parameter->node->gradient;
}
