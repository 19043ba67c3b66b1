/* Convolution with few channels out (the last of a decoder: 3 colours). A register tile would be
   nearly empty for every tap. So all taps of all channels out are the columns of one product over
   the pixels of x, as they lie, and each position of y adds up what its taps see, in the order of
   the taps. Lines are done some at a time, so that the products stay in the third cache level. */
#include "kernels/cpu/conv.h"

enum { STRIP_BYTES = 4 << 20, LEAST_CHANNELS = 16 };

static int64_t taps_of(const at_conv_args *a)
{
    return (int64_t)a->kernel[1] * a->kernel[2];
}

bool at_few_outputs_pay(const at_context *cx, const at_conv_args *a)
{
    const at_gemm *g = at_gemm_of(cx, AT_PRECISION_BF16);
    int64_t taps = taps_of(a), half = at_ceil_div(g->columns, 2);
    bool fits = a->groups == 1 && !a->transposed && a->channels >= LEAST_CHANNELS;
    for (int d = 0; d < 3; d++) fits = fits && a->stride[d] == 1 && !a->replicate[d];
    int64_t columns = at_ceil_div(a->out_channels * taps, g->columns) * g->columns;
    return fits && a->kernel[0] == 1 && a->before[0] == 0 && a->out_size[0] == a->size[0] &&
           2 * columns <= taps * at_ceil_div(a->out_channels, half) * half;
}

/* A line of y from the products of all lines of x that it sees. */
static void add_line(const at_context *cx, const at_conv_args *a, int64_t line,
                     const float *products, float *y)
{
    int64_t out = a->out_channels, width = a->out_size[2], taps = taps_of(a);
    for (int64_t i = 0; i < width * out; i++) y[i] = a->bias ? a->bias[i % out] : 0;
    for (int64_t tap = 0; tap < taps; tap++) {
        int64_t at = line + tap / a->kernel[2] * a->dilation[1] - a->before[1];
        int64_t shift = tap % a->kernel[2] * a->dilation[2] - a->before[2];
        int64_t last = AT_MIN(width, a->size[2] - shift);
        if (at < 0 || at >= a->size[1]) continue;
        for (int64_t x = AT_MAX(0, -shift); x < last; x++) {
            const float *from = products + ((at * a->size[2] + x + shift) * out) * taps + tap;
            for (int64_t o = 0; o < out; o++) y[x * out + o] += from[o * taps];
        }
    }
    if (a->activation != AT_IDENTITY) cx->kernels->runs->activate(a->activation, width * out, y, y);
}

/* Lines [first, end) of y of a picture, whose x begins at `x`. */
static void run_strip(at_context *cx, const at_conv_args *a, const float *x, int64_t first,
                      int64_t end, const float *weight, float *products, float *y)
{
    int64_t reach = (int64_t)(a->kernel[1] - 1) * a->dilation[1], columns = a->out_channels;
    int64_t from = AT_MAX(0, first - a->before[1]), line = a->size[2] * columns * taps_of(a);
    int64_t to = AT_MIN(a->size[1], end - a->before[1] + reach);
    if (from < to)
        cx->kernels->matmul(
            cx, &(at_matmul_args){.m = (to - from) * a->size[2],
                                  .n = columns * taps_of(a),
                                  .k = a->channels,
                                  .x = x + from * a->size[2] * a->channels,
                                  .x_stride = a->channels,
                                  .weight = weight,
                                  .dtype = AT_F32,
                                  .weight_stride = a->channels * (int64_t)sizeof *weight,
                                  .y = products,
                                  .y_stride = columns * taps_of(a),
                                  .precision = AT_MIN(a->precision, AT_PRECISION_BF16)});
#pragma omp parallel for num_threads(cx->threads) schedule(static)
    for (int64_t i = first; i < end; i++)
        add_line(cx, a, i, products - from * line, y + i * a->out_size[2] * columns);
}

void at_few_outputs_conv(at_context *cx, const at_conv_args *a)
{
    int64_t line = a->size[2] * a->out_channels * taps_of(a), lines = a->out_size[1];
    int64_t reach = (int64_t)(a->kernel[1] - 1) * a->dilation[1];
    int64_t strip = AT_MIN(lines, AT_MAX(STRIP_BYTES / 4 / AT_MAX(line, 1), reach + 1));
    float *weight = at_scratch(cx, at_turned_bytes(a->out_channels, a->channels, taps_of(a)));
    float *products = at_scratch(cx, (size_t)((strip + reach) * line + 1) * sizeof *products);
    if (weight) at_turn_weight(cx, a, a->out_channels, a->channels, taps_of(a), weight);
    for (int64_t i = 0; weight && products && i < a->batch * a->size[0]; i++)
        for (int64_t first = 0; first < lines && !at_cancelled(cx); first += strip)
            run_strip(cx, a, a->x + i * a->size[1] * a->size[2] * a->channels, first,
                      AT_MIN(first + strip, lines), weight, products,
                      a->y + i * lines * a->out_size[2] * a->out_channels);
    at_scratch_free(cx, products);
    at_scratch_free(cx, weight);
}
