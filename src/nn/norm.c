#include "nn/nn.h"

static void bind_norm(at_binder *b, const char *name, at_nn_norm *m, int64_t channels, int groups,
                      double eps, int bias)
{
    size_t before = at_bind_enter(b, name);
    m->eps = (float)eps;
    m->groups = groups;
    at_bind_parameter(b, "weight", &m->weight, AT_PARAMETER_VECTOR, 1, (int64_t[]){channels});
    if (bias == AT_BIAS)
        at_bind_parameter(b, "bias", &m->bias, AT_PARAMETER_VECTOR, 1, (int64_t[]){channels});
    at_bind_leave(b, before);
}

void at_bind_layer_norm(at_binder *b, const char *name, at_nn_norm *m, int64_t channels, double eps)
{
    bind_norm(b, name, m, channels, 0, eps, AT_BIAS);
}

void at_bind_rms_norm(at_binder *b, const char *name, at_nn_norm *m, int64_t channels, double eps)
{
    bind_norm(b, name, m, channels, 0, eps, AT_NO_BIAS);
}

void at_bind_group_norm(at_binder *b, const char *name, at_nn_norm *m, int64_t channels, int groups,
                        double eps)
{
    bind_norm(b, name, m, channels, groups, eps, AT_BIAS);
}

at_tensor *at_layer_normalize(at_context *cx, const at_nn_norm *m, at_tensor *x)
{
    return at_layer_norm(cx, x, m->weight, m->bias, m->eps);
}

at_tensor *at_rms_normalize(at_context *cx, const at_nn_norm *m, at_tensor *x)
{
    return at_rms_norm(cx, x, m->weight, m->eps);
}

at_tensor *at_rms_normalize_pair(at_context *cx, const at_nn_norm *a, const at_nn_norm *b,
                                 at_tensor *x, int64_t N)
{
    return at_rms_norm_pair(cx, x, N, a->weight, b->weight, a->eps);
}

at_tensor *at_group_normalize(at_context *cx, const at_nn_norm *m, at_tensor *x,
                              at_activation activation)
{
    return at_group_norm(cx, x, m->groups, m->weight, m->bias, m->eps, activation);
}

void at_modulation_pieces(at_context *cx, const at_nn_linear *m, at_tensor *temb, int count,
                          at_tensor **pieces)
{
    at_tensor *all = at_project(cx, m, at_activate(cx, temb, AT_SILU)); /* [B, count * width] */
    int64_t width = at_dim(all, 1) / count;
    all = at_view(cx, all, at_dim(all, 0), 1, at_dim(all, 1));
    for (int i = 0; i < count; i++) pieces[i] = at_slice(cx, all, 2, i * width, width);
}

at_modulation at_modulate(at_context *cx, const at_nn_linear *m, at_tensor *temb)
{
    at_tensor *p[6];
    at_modulation_pieces(cx, m, temb, 6, p);
    return (at_modulation){{p[0], p[3]}, {p[1], p[4]}, {p[2], p[5]}};
}
