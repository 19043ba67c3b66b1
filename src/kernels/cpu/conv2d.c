/* Convolution as a product whose rows of x are gathered while they are packed (implicit GEMM):
   row r of x is what the kernel sees at output position r, [kh,kw,C/groups] as the weight has it.
   Nothing of that size is ever in memory. */
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/tables.h"
#include <string.h>

typedef struct gather {
    const at_conv2d_args *args;
    int64_t channels, first_channel; /* of the group at hand */
} gather;

/* The part [from, from + count) of the channels that tap (i, j) sees at an output position, into
   out; zeros outside of the picture. */
static void gather_tap(const gather *s, int64_t b, int64_t row, int64_t column, int64_t tap,
                       int64_t from, int64_t count, float *out)
{
    const at_conv2d_args *a = s->args;
    int64_t y = row * a->stride[0] - a->padding[0] + tap / a->kernel[1] * a->dilation[0];
    int64_t x = column * a->stride[1] - a->padding[2] + tap % a->kernel[1] * a->dilation[1];
    if (y < 0 || y >= a->height || x < 0 || x >= a->width)
        memset(out, 0, (size_t)count * sizeof *out);
    else
        memcpy(out,
               a->x + ((b * a->height + y) * a->width + x) * a->channels + s->first_channel + from,
               (size_t)count * sizeof *out);
}

static const float *gather_row(const at_product *p, int64_t row, int64_t first, int64_t count,
                               float *room)
{
    const gather *s = p->source;
    int64_t column = row % s->args->out_width, b = row / s->args->out_width;
    int64_t line = b % s->args->out_height;
    b /= s->args->out_height;
    for (int64_t done = 0; done < count;) {
        int64_t tap = (first + done) / s->channels, from = (first + done) % s->channels;
        int64_t now = AT_MIN(s->channels - from, count - done);
        gather_tap(s, b, line, column, tap, from, now, room + done);
        done += now;
    }
    return room;
}

static bool is_pointwise(const at_conv2d_args *a)
{
    return a->kernel[0] == 1 && a->kernel[1] == 1 && a->stride[0] == 1 && a->stride[1] == 1 &&
           a->groups == 1 && !a->padding[0] && !a->padding[1] && !a->padding[2] && !a->padding[3];
}

static void pointwise(at_context *cx, const at_conv2d_args *a)
{
    int64_t row_bytes = a->channels / at_dtype_block(a->dtype) * at_dtype_block_bytes(a->dtype);
    at_packed_matmul(cx, &(at_matmul_args){
                             .m = a->batch * a->height * a->width,
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

void at_packed_conv2d(at_context *cx, const at_conv2d_args *a)
{
    if (is_pointwise(a)) {
        pointwise(cx, a);
        return;
    }
    gather source = {.args = a, .channels = a->channels / a->groups};
    int64_t k = a->kernel[0] * a->kernel[1] * source.channels, n = a->out_channels / a->groups;
    if (n < 4 && source.channels < 4) { /* depthwise: nothing to share between columns */
        at_generic_conv2d(cx, a);
        return;
    }
    at_product p = {
        .gemm = at_gemm_of(cx, a->precision),
        .m = a->batch * a->out_height * a->out_width,
        .n = n,
        .k = k,
        .row = gather_row,
        .source = &source,
        .dtype = a->dtype,
        .weight_stride = k / at_dtype_block(a->dtype) * (int64_t)at_dtype_block_bytes(a->dtype),
        .activation = a->activation,
        .y_stride = a->out_channels,
    };
    for (int g = 0; g < a->groups; g++) {
        source.first_channel = g * source.channels;
        p.weight = (const char *)a->weight + g * n * p.weight_stride;
        p.bias = a->bias ? a->bias + g * n : NULL;
        p.y = a->y + g * n;
        at_product_run(cx, &p);
    }
}
