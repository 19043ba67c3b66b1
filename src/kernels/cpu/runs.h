/* The inner loops behind the kernels that go over elements and rows. What walks over the tensors is
   written once (elementwise.c, rows.c, group_norm.c); an instruction set only brings these. All
   arrays are adjacent f32 and may be unaligned; y may be x. cpu/generic/runs.c is their meaning. */
#ifndef AT_RUNS_H
#define AT_RUNS_H

#include "kernels/kernels.h"

enum { AT_PANEL = 64 };

typedef struct at_runs {
    void (*binary)(at_binary kind, int64_t n, float *y, const float *a, const float *b);
    void (*affine)(int64_t n, float *y, const float *x, float scale, float shift);
    void (*clamp)(int64_t n, float *y, const float *x, float low, float high);
    void (*activate)(at_activation activation, int64_t n, float *y, const float *x);
    void (*activate_mul)(at_activation activation, int64_t n, float *y, const float *x,
                         const float *u);
    void (*gated_add)(int64_t n, float *y, const float *x, const float *gate, const float *u);

    /* y becomes -infinity where it is not seen */
    void (*hide)(int64_t n, float *y, const bool *seen);

    /* y += the sum of rows of x, `stride` apart, each times its weight */
    void (*add_rows)(int64_t rows, int64_t n, float *y, const float *weights, const float *x,
                     int64_t stride);

    /* One row: y = (x - mean) / sqrt(var + eps) * (weight + base) + bias. weight and bias may be
       NULL (1 and 0; base is 0 then). Statistics hold for means far from zero. */
    void (*layer_norm)(int64_t n, float *y, const float *x, const float *weight, float base,
                       const float *bias, float eps);
    void (*rms_norm)(int64_t n, float *y, const float *x, const float *weight, float eps);
    void (*softmax)(int64_t n, float *y, const float *x);

    /* One head: `pairs` pairs turned by (cos, sin) of the table. */
    void (*rotary)(at_rotary_pairs order, int64_t pairs, float *y, const float *x,
                   const float *table);

    /* [positions, channels]: adds each channel's sum and sum of squares */
    void (*channel_sums)(int64_t positions, int64_t channels, const float *x, double *sum,
                         double *square);
    /* y = activation((x - mean[c]) * scale[c] + shift[c]) */
    void (*channel_norm)(int64_t positions, int64_t channels, float *y, const float *x,
                         const float *mean, const float *scale, const float *shift,
                         at_activation activation);
    /* t = (x - mean[c]) * scale[c] + shift[c]; y = t + sin(alpha[c] t)^2 * inverse[c], where
       inverse is 1 / alpha */
    void (*channel_snake)(int64_t positions, int64_t channels, float *y, const float *x,
                          const float *mean, const float *scale, const float *shift,
                          const float *alpha, const float *inverse);
    void (*leaky)(int64_t n, float *y, const float *x, float slope); /* x < 0: x * slope */

    /* AT_PANEL sums: y[j] += the sum over i of x[i] * panel[i * AT_PANEL + j] */
    void (*panel_sums)(int64_t n, float *y, const float *x, const float *panel);
    /* torch.nn.LSTMCell: gates [4][n] (input, forget, cell, output) before their activations; cell
       and state [n] become the next */
    void (*lstm_cell)(int64_t n, const float *gates, float *cell, float *state);
} at_runs;

extern const at_runs at_runs_generic;

#endif
