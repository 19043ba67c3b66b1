#include "ops/ops.h"

at_tensor *at_timestep_embedding(at_context *cx, at_tensor *t, int64_t dim,
                                 const at_timestep_options *options)
{
    if (!at_inputs(cx, t)) return NULL;
    at_timestep_options o = options ? *options : (at_timestep_options){0};
    if (o.scale == 0) o.scale = 1;
    if (o.max_period == 0) o.max_period = 10000;
    if (t->dims != 1 || dim < 2)
        return at_fail(cx, AT_ERROR_SHAPE, "timestep_embedding: t %s into %lld values",
                       at_shape_text(t), (long long)dim);
    at_tensor *dense = at_dense(cx, "timestep_embedding", t);
    if (!dense) return NULL;
    at_tensor *out = at_new(cx, AT_F32, t->shape[0], dim);
    at_run(cx, timestep_embedding, out, dense, &o);
    return at_no_way_back(cx, "timestep_embedding", out, t);
}
