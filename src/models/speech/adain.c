#include "models/speech/adain.h"
#include <math.h>

static void bind_adain(at_binder *b, const char *name, at_adain *m, int64_t channels, int64_t style)
{
    size_t before = at_bind_enter(b, name);
    at_bind_linear(b, "fc", &m->fc, style, 2 * channels, AT_BIAS);
    at_bind_optional(b, "norm.weight", &m->weight, AT_PARAMETER_VECTOR, 1, &channels);
    at_bind_optional(b, "norm.bias", &m->bias, AT_PARAMETER_VECTOR, 1, &channels);
    at_bind_leave(b, before);
}

/* (1 + scale) * norm(x) + shift, then what `options` say */
static at_tensor *adain(at_context *cx, const at_adain *m, at_tensor *x, at_tensor *style,
                        at_instance_norm_options options)
{
    int64_t C = at_dim(x, -1);
    at_tensor *h = at_project(cx, &m->fc, style);
    at_tensor *scale = at_view(cx, at_slice(cx, h, 1, 0, C), 1, 1, C);
    at_tensor *shift = at_view(cx, at_slice(cx, h, 1, C, C), 1, 1, C);
    if (m->bias) shift = at_add(cx, shift, at_mul(cx, at_affine(cx, scale, 1, 1), m->bias));
    if (m->weight) scale = at_affine(cx, at_mul(cx, at_affine(cx, scale, 1, 1), m->weight), 1, -1);
    return at_instance_norm(cx, x, shift, scale, &options);
}

/* ---- AdainResBlk1d */

at_tensor *at_run_adain_block(at_context *cx, const at_adain_block *m, at_tensor *x,
                              at_tensor *style)
{
    const at_instance_norm_options leaky = {.slope = 0.2f};
    at_scope s = at_scope_begin(cx);
    at_tensor *y = adain(cx, &m->norm1, x, style, leaky);
    if (m->upsamples) y = at_convolve_transpose_1d(cx, &m->pool, y);
    y = at_convolve_1d(cx, &m->conv1, y);
    at_scope_keep(cx, s, &y, NULL);
    y = adain(cx, &m->norm2, y, style, leaky);
    y = at_convolve_1d(cx, &m->conv2, y);

    at_tensor *beside = x; /* a position's channels alone: the same before doubling as after */
    if (m->has_conv1x1) beside = at_project(cx, &m->conv1x1, beside);
    if (m->upsamples) {
        int64_t N = at_dim(beside, 1), C = at_dim(beside, 2);
        beside = at_upsample_nearest(cx, at_view(cx, beside, 1, 1, N, C), 1, 2 * N);
        beside = at_view(cx, beside, 1, 2 * N, C);
    }
    y = at_affine(cx, at_add(cx, y, beside), (float)sqrt(0.5), 0);
    at_scope_end(cx, s, &y, NULL);
    return y;
}

void at_bind_adain_block(at_binder *b, at_adain_block *m, int64_t in, int64_t out, int64_t style,
                         bool upsamples)
{
    m->has_conv1x1 = in != out;
    m->upsamples = upsamples;
    at_bind_conv1d(b, "conv1", &m->conv1, in, out, 3, 1, 1);
    at_bind_conv1d(b, "conv2", &m->conv2, out, out, 3, 1, 1);
    bind_adain(b, "norm1", &m->norm1, in, style);
    bind_adain(b, "norm2", &m->norm2, out, style);
    if (m->has_conv1x1) at_bind_linear(b, "conv1x1", &m->conv1x1, in, out, AT_NO_BIAS);
    m->pool.options.output_padding = 1;
    if (upsamples) at_bind_depthwise_transpose1d(b, "pool", &m->pool, in, 3, 2, 1);
}

/* ---- AdaINResBlock1 */

at_tensor *at_run_snake_block(at_context *cx, const at_snake_block *m, at_tensor *x,
                              at_tensor *style)
{
    at_scope s = at_scope_begin(cx);
    for (int i = 0; i < 3; i++) {
        at_instance_norm_options snake = {.alpha = at_view(cx, m->alpha1[i], at_dim(x, 2))};
        at_tensor *y = adain(cx, &m->adain1[i], x, style, snake);
        y = at_convolve_1d(cx, &m->convs1[i], y);
        at_scope_keep(cx, s, &x, &y, NULL);
        snake.alpha = at_view(cx, m->alpha2[i], at_dim(x, 2));
        y = adain(cx, &m->adain2[i], y, style, snake);
        y = at_convolve_1d(cx, &m->convs2[i], y);
        x = at_add(cx, y, x);
        at_scope_keep(cx, s, &x, NULL);
    }
    at_scope_end(cx, s, &x, NULL);
    return x;
}

void at_bind_snake_block(at_binder *b, at_snake_block *m, int64_t channels, int size,
                         const int64_t dilation[3], int64_t style)
{
    static const char *const names[4][3] = {{"convs1.0", "convs1.1", "convs1.2"},
                                            {"convs2.0", "convs2.1", "convs2.2"},
                                            {"adain1.0", "adain1.1", "adain1.2"},
                                            {"adain2.0", "adain2.1", "adain2.2"}};
    static const char *const alphas[2][3] = {{"alpha1.0", "alpha1.1", "alpha1.2"},
                                             {"alpha2.0", "alpha2.1", "alpha2.2"}};
    const int64_t shape[3] = {1, channels, 1};
    for (int i = 0; i < 3; i++) {
        int apart = (int)dilation[i];
        at_bind_conv1d(b, names[0][i], &m->convs1[i], channels, channels, size, 1,
                       (size - 1) * apart / 2);
        m->convs1[i].options.dilation[1] = apart;
        at_bind_conv1d(b, names[1][i], &m->convs2[i], channels, channels, size, 1, (size - 1) / 2);
        bind_adain(b, names[2][i], &m->adain1[i], channels, style);
        bind_adain(b, names[3][i], &m->adain2[i], channels, style);
        at_bind_parameter(b, alphas[0][i], &m->alpha1[i], AT_PARAMETER_VECTOR, 3, shape);
        at_bind_parameter(b, alphas[1][i], &m->alpha2[i], AT_PARAMETER_VECTOR, 3, shape);
    }
}
