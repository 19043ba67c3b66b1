/* Convolution on the register tiles of the packed product (gemm.h). */
#ifndef AT_CONV_H
#define AT_CONV_H

#include "kernels/cpu/gemm.h"

/* A way to compute some pixels of y at once from the pixels that they see, with fewer products:
   these pixels of x, and the taps, are turned to values at some points, products of which are added
   up over channels and then turned to y (Winograd 1980, Lavin and Gray 2016). All over adjacent
   f32. */
typedef struct at_winograd_form {
    int points, pixels, taps, outputs;
    /* point[p * stride + c] of count channels of the pixels of x */
    void (*x)(int64_t count, const float *const *pixel, float *point, int64_t stride);
    /* the same of a kernel's taps */
    void (*w)(int64_t count, const float *const *tap, float *point, int64_t stride);
    /* outputs (NULL: not wanted) of count columns from the points; bias may be NULL */
    void (*y)(int64_t count, const float *point, int64_t stride, const float *bias,
              float *const *pixel);
} at_winograd_form;

enum { AT_WINOGRAD_MOST = 16 }; /* points and pixels */

/* The inner loops that the instruction sets differ in. */
typedef struct at_conv_parts {
    at_winograd_form square; /* F(2x2, 3x3): 2x2 pixels of y from 4x4 of x, line by line */
    at_winograd_form line;   /* F(4, 4): 4 pixels of y in a line from 7 of x */

    /* y[c] = bias[c] (NULL: 0) + the sum over taps of pixel[t][c] * weight[t * count + c]; pixels
       that are NULL are zeros */
    void (*depthwise)(int64_t count, int64_t taps, const float *const *pixel, const float *weight,
                      const float *bias, float *y);
} at_conv_parts;

extern const at_conv_parts at_simd_conv_parts_avx2, at_simd_conv_parts_avx512,
    at_simd_conv_parts_neon;

/* Position i of dimension d of x, or what stands for it beyond the edges; -1: a zero. */
static inline int64_t at_conv_inside(const at_conv_args *a, int d, int64_t i)
{
    if (a->replicate[d]) i = AT_MIN(AT_MAX(i, 0), a->size[d] - 1);
    return i < a->size[d] ? AT_MAX(i, -1) : -1;
}

/* What tap k of dimension d sees from output position p. */
static inline int64_t at_conv_seen(const at_conv_args *a, int d, int64_t p, int64_t k)
{
    int64_t reach = k * a->dilation[d] - a->before[d];
    if (!a->transposed) return at_conv_inside(a, d, p * a->stride[d] + reach);
    return (p - reach) % a->stride[d] ? -1 : at_conv_inside(a, d, (p - reach) / a->stride[d]);
}

/* The pixel at (t, y, x) of picture b; NULL: zeros. */
static inline const float *at_conv_pixel(const at_conv_args *a, int64_t b, int64_t t, int64_t y,
                                         int64_t x)
{
    t = at_conv_inside(a, 0, t), y = at_conv_inside(a, 1, y), x = at_conv_inside(a, 2, x);
    if (t < 0 || y < 0 || x < 0) return NULL;
    return a->x + (((b * a->size[0] + t) * a->size[1] + y) * a->size[2] + x) * a->channels;
}

enum { AT_CONV_SLACK = 512 }; /* what whole blocks may have more than is asked for */

/* count values of the weight from value `first` on: where they lie, or unpacked into `room`, which
   has place for AT_CONV_SLACK more. */
static inline const float *at_conv_weight(const at_context *cx, const at_conv_args *a,
                                          int64_t first, int64_t count, float *room)
{
    int64_t block = at_dtype_block(a->dtype), skip = first % block;
    const char *from =
        (const char *)a->weight + first / block * (int64_t)at_dtype_block_bytes(a->dtype);
    if (a->dtype == AT_F32) return (const float *)(const void *)from;
    cx->kernels->to_f32(a->dtype, from, room, at_ceil_div(skip + count, block) * block);
    return room + skip;
}

/* weight [rows,channels,taps] of any dtype as [rows,taps,channels] of f32, in at_turned_bytes
   (there is room for one row behind it) */
void at_turn_weight(const at_context *cx, const at_conv_args *a, int64_t rows, int64_t channels,
                    int64_t taps, float *weight);

static inline size_t at_turned_bytes(int64_t rows, int64_t channels, int64_t taps)
{
    return (size_t)((rows + 1) * channels * taps + AT_CONV_SLACK) * sizeof(float);
}

void at_packed_conv(at_context *cx, const at_conv_args *args);

/* winograd.c: 3x3, or some taps in a line, with a stride of 1, one group; where it is less work
   than the taps. */
bool at_winograd_pays(const at_context *cx, const at_conv_args *args);
void at_winograd_conv(at_context *cx, const at_conv_args *args);

/* What its points are multiplied by: 8 bits of them would be less exact than bf16, and hardly
   faster. */
const at_gemm *at_winograd_gemm(const at_context *cx, at_precision precision);

/* conv_few.c: few channels out, a stride of 1, nothing along frames */
bool at_few_outputs_pay(const at_context *cx, const at_conv_args *args);
void at_few_outputs_conv(at_context *cx, const at_conv_args *args);

/* conv_direct.c: any convolution */
void at_direct_conv(at_context *cx, const at_conv_args *args);

#endif
