#include "ops/ops.h"

#include <string.h>

bool at_activation_of(const char *name, at_activation *out)
{
    static const struct {
        const char *name;
        at_activation activation;
    } names[] = {
        {"identity", AT_IDENTITY},
        {"linear", AT_IDENTITY},
        {"relu", AT_RELU},
        {"silu", AT_SILU},
        {"swish", AT_SILU},
        {"gelu", AT_GELU},
        {"gelu_python", AT_GELU},
        {"gelu_new", AT_GELU_TANH},
        {"gelu_fast", AT_GELU_TANH},
        {"gelu_tanh", AT_GELU_TANH},
        {"gelu_pytorch_tanh", AT_GELU_TANH},
        {"gelu-approximate", AT_GELU_TANH},
        {"quick_gelu", AT_QUICK_GELU},
        {"sigmoid", AT_SIGMOID},
        {"tanh", AT_TANH},
    };
    for (size_t i = 0; name && i < AT_COUNT(names); i++) {
        if (strcmp(name, names[i].name) != 0) continue;
        *out = names[i].activation;
        return true;
    }
    return false;
}

static void activate_backward(at_context *cx, at_node *node, at_tensor *grad)
{
    at_tensor *x = at_contiguous(cx, node->inputs[0]), *out = at_empty_like(cx, grad);
    if (at_inputs(cx, x, out))
        at_run(cx, activate_backward, out, x, (at_activation)node->saved.integers[0], grad);
    at_accumulate(cx, node->inputs[0], out);
}

at_tensor *at_activate(at_context *cx, at_tensor *x, at_activation activation)
{
    if (!at_inputs(cx, x)) return NULL;
    if ((unsigned)activation >= AT_ACTIVATIONS)
        return at_fail(cx, AT_ERROR_ARGUMENT, "activate: no activation %d", (int)activation);
    x = at_f32(cx, "activate", x);
    if (activation == AT_IDENTITY) return x;
    at_tensor *out = x ? at_empty(cx, AT_F32, x->dims, x->shape) : NULL;
    at_run(cx, activate, out, x, activation);
    out = at_record(cx, out, activate_backward, x);
    if (out && out->node) out->node->saved.integers[0] = activation;
    return out;
}
