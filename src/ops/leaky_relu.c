#include "ops/ops.h"

at_tensor *at_leaky_relu(at_context *cx, at_tensor *x, float slope)
{
    if (!at_inputs(cx, x)) return NULL;
    x = at_f32(cx, "leaky_relu", x);
    at_tensor *out = x ? at_empty(cx, AT_F32, x->dims, x->shape) : NULL;
    at_run(cx, leaky_relu, out, x, slope);
    return at_no_way_back(cx, "leaky_relu", out, x);
}
