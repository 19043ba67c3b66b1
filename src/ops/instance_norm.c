#include "ops/ops.h"

/* [B or 1,...,C] with nothing between */
static bool fits(const at_tensor *x, const at_tensor *by)
{
    return by->dims >= 1 && at_dim(by, -1) == at_dim(x, -1) &&
           (at_elements(by) == at_dim(x, -1) ||
            (by->dims == x->dims && by->shape[0] == x->shape[0] &&
             at_elements(by) == by->shape[0] * at_dim(x, -1)));
}

at_tensor *at_instance_norm(at_context *cx, at_tensor *x, at_tensor *shift, at_tensor *scale,
                            const at_instance_norm_options *options)
{
    static const at_instance_norm_options plain = {0};
    const at_instance_norm_options *o = options ? options : &plain;
    if (!at_inputs(cx, x, shift, scale)) return NULL;
    if (x->dims < 2 || !fits(x, shift) || !fits(x, scale))
        return at_fail(cx, AT_ERROR_SHAPE, "instance_norm: x %s, shift %s, scale %s",
                       at_shape_text(x), at_shape_text(shift), at_shape_text(scale));
    x = at_dense(cx, "instance_norm", x);
    shift = at_dense(cx, "instance_norm", shift);
    scale = at_dense(cx, "instance_norm", scale);
    at_tensor *alpha = at_channels(cx, "instance_norm", o->alpha, at_dim(x, -1));
    if (!at_inputs(cx, x, shift, scale)) return NULL;
    at_tensor *out = at_empty(cx, AT_F32, x->dims, x->shape);
    at_run(cx, instance_norm, out, x, shift, scale, alpha, o->slope == 0 ? 1 : o->slope,
           o->eps == 0 ? 1e-5f : o->eps);
    return at_no_way_back(cx, "instance_norm", out, x, shift, scale, alpha);
}
