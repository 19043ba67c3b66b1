/* Which way a convolution is computed. */
#include "kernels/cpu/conv.h"
#include "kernels/cpu/tables.h"
#include <omp.h>

/* A product of its pixels as they lie. */
static bool is_pointwise(const at_conv_args *a)
{
    bool is = a->groups == 1 && a->channels % at_dtype_block(a->dtype) == 0;
    for (int d = 0; d < 3; d++)
        is = is && a->kernel[d] == 1 && a->stride[d] == 1 && a->before[d] == 0 &&
             a->size[d] == a->out_size[d];
    return is;
}

static void pointwise(at_context *cx, const at_conv_args *a)
{
    int64_t row_bytes =
        a->channels / at_dtype_block(a->dtype) * (int64_t)at_dtype_block_bytes(a->dtype);
    cx->kernels->matmul(cx, &(at_matmul_args){
                                .m = a->batch * a->size[0] * a->size[1] * a->size[2],
                                .n = a->out_channels,
                                .k = a->channels,
                                .x = a->x,
                                .x_stride = a->channels,
                                .weight = a->weight,
                                .dtype = a->dtype,
                                .weight_stride = row_bytes,
                                .bias = a->bias,
                                .activation = a->activation,
                                .y = a->y,
                                .y_stride = a->out_channels,
                                .precision = a->precision,
                            });
}

void at_turn_weight(const at_context *cx, const at_conv_args *a, int64_t rows, int64_t channels,
                    int64_t taps, float *weight)
{
    float *room = weight + rows * taps * channels;
    for (int64_t o = 0; o < rows; o++, weight += taps * channels) {
        const float *from = at_conv_weight(cx, a, o * channels * taps, channels * taps, room);
        for (int64_t i = 0; i < channels * taps; i++)
            weight[i % taps * channels + i / taps] = from[i];
    }
}

/* One position of all outputs; `pixel` has room for the taps. */
static void depthwise_position(const at_context *cx, const at_conv_args *a, int64_t position,
                               int64_t taps, const float *weight, const float **pixel)
{
    int64_t x = position % a->out_size[2], y = position / a->out_size[2] % a->out_size[1];
    int64_t t = position / a->out_size[2] / a->out_size[1], b = t / a->out_size[0];
    float *out = a->y + position * a->channels;
    for (int64_t k = 0; k < taps; k++) {
        int64_t kx = k % a->kernel[2], ky = k / a->kernel[2] % a->kernel[1];
        int64_t i = at_conv_seen(a, 0, t % a->out_size[0], k / a->kernel[2] / a->kernel[1]);
        pixel[k] = at_conv_pixel(a, b, i, at_conv_seen(a, 1, y, ky), at_conv_seen(a, 2, x, kx));
    }
    cx->kernels->conv_parts->depthwise(a->channels, taps, pixel, weight, a->bias, out);
    if (a->activation != AT_IDENTITY)
        cx->kernels->runs->activate(a->activation, a->channels, out, out);
}

/* Every channel for itself: bound by reading, so there is nothing to pack. */
static void depthwise(at_context *cx, const at_conv_args *a)
{
    int64_t taps = (int64_t)a->kernel[0] * a->kernel[1] * a->kernel[2];
    int64_t positions = a->batch * a->out_size[0] * a->out_size[1] * a->out_size[2];
    float *weight = at_scratch(cx, at_turned_bytes(1, a->channels, taps));
    const float **pixels = at_scratch(cx, (size_t)(cx->threads * taps) * sizeof *pixels);
    if (weight && pixels) {
        at_turn_weight(cx, a, 1, a->channels, taps, weight);
#pragma omp parallel for num_threads(cx->threads) schedule(static)
        for (int64_t i = 0; i < positions; i++)
            if (!at_cancelled(cx))
                depthwise_position(cx, a, i, taps, weight, pixels + omp_get_thread_num() * taps);
    }
    at_scratch_free(cx, pixels);
    at_scratch_free(cx, weight);
}

void at_packed_conv(at_context *cx, const at_conv_args *a)
{
    if (is_pointwise(a))
        pointwise(cx, a);
    else if (at_few_outputs_pay(cx, a))
        at_few_outputs_conv(cx, a);
    else if (at_winograd_pays(cx, a))
        at_winograd_conv(cx, a);
    else if (a->groups == a->channels && a->groups == a->out_channels && a->groups > 1)
        depthwise(cx, a);
    else if (a->groups > 1 && a->channels / a->groups < 4 && a->out_channels / a->groups < 4)
        at_generic_conv(cx, a); /* nothing to share between columns */
    else
        at_direct_conv(cx, a);
}
