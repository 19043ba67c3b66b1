#include "nn/nn.h"

void at_bind_conv2d_bare(at_binder *b, const char *name, at_nn_conv2d *m, int64_t in, int64_t out,
                         int size, int stride, int padding)
{
    size_t before = at_bind_enter(b, name);
    m->options.stride[0] = m->options.stride[1] = stride;
    for (int side = 0; side < 4; side++) m->options.padding[side] = padding;
    at_bind_weight(b, &m->weight, AT_PARAMETER_KERNEL, 4, (int64_t[]){out, in, size, size},
                   &m->updates);
    at_bind_leave(b, before);
}

void at_bind_conv2d(at_binder *b, const char *name, at_nn_conv2d *m, int64_t in, int64_t out,
                    int size, int stride, int padding)
{
    at_bind_conv2d_bare(b, name, m, in, out, size, stride, padding);
    size_t before = at_bind_enter(b, name);
    at_bind_parameter(b, "bias", &m->bias, AT_PARAMETER_VECTOR, 1, (int64_t[]){out});
    at_bind_leave(b, before);
}

at_tensor *at_convolve(at_context *cx, const at_nn_conv2d *m, at_tensor *x)
{
    if (!m->updates) return at_conv2d(cx, x, m->weight, m->bias, &m->options);
    at_conv_options plain = m->options;
    plain.activation = AT_IDENTITY;
    at_tensor *y = at_conv2d(cx, x, m->weight, m->bias, &plain);
    y = at_update_conv2d(cx, m->updates, x, y, &plain);
    return m->options.activation == AT_IDENTITY ? y : at_activate(cx, y, m->options.activation);
}

void at_bind_conv1d(at_binder *b, const char *name, at_nn_conv2d *m, int64_t in, int64_t out,
                    int size, int stride, int padding)
{
    size_t before = at_bind_enter(b, name);
    m->options.stride[1] = stride;
    m->options.padding[2] = m->options.padding[3] = padding;
    at_bind_parameter(b, "weight", &m->weight, AT_PARAMETER_KERNEL, 3, (int64_t[]){out, in, size});
    at_bind_parameter(b, "bias", &m->bias, AT_PARAMETER_VECTOR, 1, (int64_t[]){out});
    at_bind_leave(b, before);
}

at_tensor *at_convolve_1d(at_context *cx, const at_nn_conv2d *m, at_tensor *x)
{
    x = at_view(cx, x, at_dim(x, 0), 1, at_dim(x, 1), at_dim(x, 2));
    at_tensor *y = at_convolve(cx, m, x);
    return at_view(cx, y, at_dim(y, 0), at_dim(y, 2), at_dim(y, 3));
}

static void bind_transpose(at_binder *b, const char *name, at_nn_conv_transpose1d *m, int64_t out,
                           const int64_t shape[3], int stride, int padding)
{
    size_t before = at_bind_enter(b, name);
    m->options.stride = stride;
    m->options.padding = padding;
    at_bind_parameter(b, "weight", &m->weight,
                      m->options.groups > 1 ? AT_PARAMETER_KERNEL : AT_PARAMETER_TRANSPOSED_KERNEL,
                      3, shape);
    at_bind_parameter(b, "bias", &m->bias, AT_PARAMETER_VECTOR, 1, (int64_t[]){out});
    at_bind_leave(b, before);
}

void at_bind_conv_transpose1d(at_binder *b, const char *name, at_nn_conv_transpose1d *m, int64_t in,
                              int64_t out, int size, int stride, int padding)
{
    bind_transpose(b, name, m, out, (int64_t[]){in, out, size}, stride, padding);
}

void at_bind_depthwise_transpose1d(at_binder *b, const char *name, at_nn_conv_transpose1d *m,
                                   int64_t channels, int size, int stride, int padding)
{
    m->options.groups = (int)channels;
    bind_transpose(b, name, m, channels, (int64_t[]){channels, 1, size}, stride, padding);
}

at_tensor *at_convolve_transpose_1d(at_context *cx, const at_nn_conv_transpose1d *m, at_tensor *x)
{
    return at_conv_transpose1d(cx, x, m->weight, m->bias, &m->options);
}
