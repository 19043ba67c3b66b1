/* Plain C: what each inner loop means. Sums are in double, so that this is also the accurate one.
 */
#include "kernels/cpu/runs.h"
#include "kernels/cpu/generic/activation.h"
#include <math.h>
#include <string.h>

static void binary(at_binary kind, int64_t n, float *y, const float *a, const float *b)
{
    for (int64_t i = 0; i < n; i++) {
        switch (kind) {
        case AT_BINARY_ADD:
            y[i] = a[i] + b[i];
            break;
        case AT_BINARY_SUB:
            y[i] = a[i] - b[i];
            break;
        case AT_BINARY_MUL:
            y[i] = a[i] * b[i];
            break;
        case AT_BINARY_DIV:
            y[i] = a[i] / b[i];
            break;
        }
    }
}

static void affine(int64_t n, float *y, const float *x, float scale, float shift)
{
    for (int64_t i = 0; i < n; i++) y[i] = x[i] * scale + shift;
}

static void clamp(int64_t n, float *y, const float *x, float low, float high)
{
    for (int64_t i = 0; i < n; i++) y[i] = x[i] < low ? low : x[i] > high ? high : x[i];
}

static void activate(at_activation activation, int64_t n, float *y, const float *x)
{
    for (int64_t i = 0; i < n; i++) y[i] = at_activation_value(activation, x[i]);
}

static void activate_mul(at_activation activation, int64_t n, float *y, const float *x,
                         const float *u)
{
    for (int64_t i = 0; i < n; i++) y[i] = at_activation_value(activation, x[i]) * u[i];
}

static void gated_add(int64_t n, float *y, const float *x, const float *gate, const float *u)
{
    for (int64_t i = 0; i < n; i++) y[i] = x[i] + gate[i] * u[i];
}

static void hide(int64_t n, float *y, const bool *seen)
{
    for (int64_t i = 0; i < n; i++)
        if (!seen[i]) y[i] = -INFINITY;
}

static void add_rows(int64_t rows, int64_t n, float *y, const float *weights, const float *x,
                     int64_t stride)
{
    for (int64_t r = 0; r < rows; r++, x += stride)
        for (int64_t i = 0; i < n; i++) y[i] += weights[r] * x[i];
}

static void layer_norm(int64_t n, float *y, const float *x, const float *weight, float base,
                       const float *bias, float eps)
{
    double mean = 0, square = 0;
    for (int64_t i = 0; i < n; i++) mean += x[i];
    mean /= (double)n;
    for (int64_t i = 0; i < n; i++) square += (x[i] - mean) * (x[i] - mean);
    double scale = 1 / sqrt(square / (double)n + eps);
    for (int64_t i = 0; i < n; i++) {
        float value = (float)((x[i] - mean) * scale);
        y[i] = value * (weight ? weight[i] + base : 1) + (bias ? bias[i] : 0);
    }
}

static void rms_norm(int64_t n, float *y, const float *x, const float *weight, float eps)
{
    double square = 0;
    for (int64_t i = 0; i < n; i++) square += (double)x[i] * x[i];
    double scale = 1 / sqrt(square / (double)n + eps);
    for (int64_t i = 0; i < n; i++) y[i] = (float)(x[i] * scale) * (weight ? weight[i] : 1);
}

/* A row of -inf gives NaN, as in torch. */
static void softmax(int64_t n, float *y, const float *x)
{
    float most = -INFINITY;
    double sum = 0;
    for (int64_t i = 0; i < n; i++) most = x[i] > most ? x[i] : most;
    for (int64_t i = 0; i < n; i++) sum += y[i] = expf(x[i] - most);
    float scale = (float)(1 / sum);
    for (int64_t i = 0; i < n; i++) y[i] *= scale;
}

static void rotary(at_rotary_pairs order, int64_t pairs, float *y, const float *x,
                   const float *table)
{
    for (int64_t i = 0; i < pairs; i++) {
        int64_t a = order == AT_ROTARY_INTERLEAVED ? 2 * i : i;
        int64_t b = order == AT_ROTARY_INTERLEAVED ? 2 * i + 1 : i + pairs;
        float cosine = table[2 * i], sine = table[2 * i + 1], first = x[a], second = x[b];
        y[a] = first * cosine - second * sine;
        y[b] = second * cosine + first * sine;
    }
}

static void channel_sums(int64_t positions, int64_t channels, const float *x, double *sum,
                         double *square)
{
    for (int64_t p = 0; p < positions; p++, x += channels) {
        for (int64_t c = 0; c < channels; c++) {
            sum[c] += x[c];
            square[c] += (double)x[c] * x[c];
        }
    }
}

static void channel_norm(int64_t positions, int64_t channels, float *y, const float *x,
                         const float *mean, const float *scale, const float *shift,
                         at_activation activation)
{
    for (int64_t p = 0; p < positions; p++, x += channels, y += channels)
        for (int64_t c = 0; c < channels; c++)
            y[c] = at_activation_value(activation, (x[c] - mean[c]) * scale[c] + shift[c]);
}

static void channel_snake(int64_t positions, int64_t channels, float *y, const float *x,
                          const float *mean, const float *scale, const float *shift,
                          const float *alpha, const float *inverse)
{
    for (int64_t p = 0; p < positions; p++, x += channels, y += channels)
        for (int64_t c = 0; c < channels; c++) {
            float value = (x[c] - mean[c]) * scale[c] + shift[c], wave = sinf(alpha[c] * value);
            y[c] = value + wave * wave * inverse[c];
        }
}

static void leaky(int64_t n, float *y, const float *x, float slope)
{
    for (int64_t i = 0; i < n; i++) y[i] = x[i] < 0 ? x[i] * slope : x[i];
}

static void panel_sums(int64_t n, float *y, const float *x, const float *panel)
{
    double sums[AT_PANEL];
    for (int j = 0; j < AT_PANEL; j++) sums[j] = y[j];
    for (int64_t i = 0; i < n; i++, panel += AT_PANEL)
        for (int j = 0; j < AT_PANEL; j++) sums[j] += (double)x[i] * panel[j];
    for (int j = 0; j < AT_PANEL; j++) y[j] = (float)sums[j];
}

static void lstm_cell(int64_t n, const float *gates, float *cell, float *state)
{
    for (int64_t i = 0; i < n; i++) {
        float in = at_activation_value(AT_SIGMOID, gates[i]);
        float forget = at_activation_value(AT_SIGMOID, gates[n + i]);
        float out = at_activation_value(AT_SIGMOID, gates[3 * n + i]);
        cell[i] = forget * cell[i] + in * tanhf(gates[2 * n + i]);
        state[i] = out * tanhf(cell[i]);
    }
}

const at_runs at_runs_generic = {
    .binary = binary,
    .affine = affine,
    .clamp = clamp,
    .activate = activate,
    .activate_mul = activate_mul,
    .gated_add = gated_add,
    .hide = hide,
    .add_rows = add_rows,
    .layer_norm = layer_norm,
    .rms_norm = rms_norm,
    .softmax = softmax,
    .rotary = rotary,
    .channel_sums = channel_sums,
    .channel_norm = channel_norm,
    .channel_snake = channel_snake,
    .leaky = leaky,
    .panel_sums = panel_sums,
    .lstm_cell = lstm_cell,
};
