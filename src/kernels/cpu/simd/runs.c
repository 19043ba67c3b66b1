/* The inner loops with vectors; cpu/generic/runs.c says what they mean. */
#include "kernels/cpu/runs.h"
#include "kernels/cpu/simd/math.h"
#include "kernels/cpu/tables.h"
#include <math.h>

/* One loop for each activation, so that the switch is not in it. */
#define EACH_ACTIVATION(activation, LOOP) \
    switch (activation) {                 \
    case AT_RELU:                         \
        LOOP(AT_RELU);                    \
        break;                            \
    case AT_SILU:                         \
        LOOP(AT_SILU);                    \
        break;                            \
    case AT_GELU:                         \
        LOOP(AT_GELU);                    \
        break;                            \
    case AT_GELU_TANH:                    \
        LOOP(AT_GELU_TANH);               \
        break;                            \
    case AT_QUICK_GELU:                   \
        LOOP(AT_QUICK_GELU);              \
        break;                            \
    case AT_SIGMOID:                      \
        LOOP(AT_SIGMOID);                 \
        break;                            \
    case AT_TANH:                         \
        LOOP(AT_TANH);                    \
        break;                            \
    default:                              \
        LOOP(AT_IDENTITY);                \
    }

#define BINARY(operator) \
    FOR_VECTORS(n) v_put(y + i, v_get(a + i, left) operator v_get(b + i, left), left)

static void binary(at_binary kind, int64_t n, float *y, const float *a, const float *b)
{
    switch (kind) {
    case AT_BINARY_ADD:
        BINARY(+);
        break;
    case AT_BINARY_SUB:
        BINARY(-);
        break;
    case AT_BINARY_MUL:
        BINARY(*);
        break;
    case AT_BINARY_DIV:
        BINARY(/);
        break;
    }
}

static void affine(int64_t n, float *y, const float *x, float scale, float shift)
{
    FOR_VECTORS(n) v_put(y + i, v_fma(v_get(x + i, left), v_set(scale), v_set(shift)), left);
}

static void clamp(int64_t n, float *y, const float *x, float low, float high)
{
    FOR_VECTORS(n)
    v_put(y + i, v_min(v_set(high), v_max(v_set(low), v_get(x + i, left))), left);
}

static void activate(at_activation activation, int64_t n, float *y, const float *x)
{
#define LOOP(kind) FOR_VECTORS(n) v_put(y + i, v_activate(kind, v_get(x + i, left)), left)
    EACH_ACTIVATION(activation, LOOP)
#undef LOOP
}

static void activate_mul(at_activation activation, int64_t n, float *y, const float *x,
                         const float *u)
{
#define LOOP(kind) \
    FOR_VECTORS(n) v_put(y + i, v_activate(kind, v_get(x + i, left)) * v_get(u + i, left), left)
    EACH_ACTIVATION(activation, LOOP)
#undef LOOP
}

static void gated_add(int64_t n, float *y, const float *x, const float *gate, const float *u)
{
    FOR_VECTORS(n)
    v_put(y + i, v_fma(v_get(gate + i, left), v_get(u + i, left), v_get(x + i, left)), left);
}

static void hide(int64_t n, float *y, const bool *seen)
{
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        vf x = v_float(v_bytes((const uint8_t *)seen + i));
        v_store(y + i, v_select(v_less(v_set(0), x), v_load(y + i), v_set(-INFINITY)));
    }
    for (; i < n; i++)
        if (!seen[i]) y[i] = -INFINITY;
}

/* Some columns of all rows at a time: their sums stay in registers. */
static void add_rows(int64_t rows, int64_t n, float *y, const float *weights, const float *x,
                     int64_t stride)
{
    for (; n >= 4 * LANES; n -= 4 * LANES, x += 4 * LANES, y += 4 * LANES) {
        vf a = v_load(y), b = v_load(y + LANES), c = v_load(y + 2 * LANES),
           d = v_load(y + 3 * LANES);
        const float *row = x;
        for (int64_t r = 0; r < rows; r++, row += stride) {
            vf weight = v_set(weights[r]);
            a = v_fma(weight, v_load(row), a);
            b = v_fma(weight, v_load(row + LANES), b);
            c = v_fma(weight, v_load(row + 2 * LANES), c);
            d = v_fma(weight, v_load(row + 3 * LANES), d);
        }
        v_store(y, a);
        v_store(y + LANES, b);
        v_store(y + 2 * LANES, c);
        v_store(y + 3 * LANES, d);
    }
    FOR_VECTORS(n)
    {
        vf a = v_get(y + i, left);
        const float *row = x + i;
        for (int64_t r = 0; r < rows; r++, row += stride)
            a = v_fma(v_set(weights[r]), v_get(row, left), a);
        v_put(y + i, a, left);
    }
}

/* Four sums at a time hide the latency of an addition. */
static float sum_of(int64_t n, const float *x)
{
    vf a = v_set(0), b = a, c = a, d = a;
    for (; n >= 4 * LANES; n -= 4 * LANES, x += 4 * LANES) {
        a += v_load(x);
        b += v_load(x + LANES);
        c += v_load(x + 2 * LANES);
        d += v_load(x + 3 * LANES);
    }
    FOR_VECTORS(n) a += v_get(x + i, left);
    return v_sum((a + b) + (c + d));
}

/* Sums of the values about `centre` and of their squares; left-over lanes count nothing. The next
   row, which lies behind this one, is asked for meanwhile. */
static inline float squares_about(int64_t n, const float *x, float centre, float *sum)
{
    const float *next = x + n;
    vf squares[4], sums[4], mean = v_set(centre);
    for (int k = 0; k < 4; k++) squares[k] = sums[k] = v_set(0);
    for (; n >= 4 * LANES; n -= 4 * LANES, x += 4 * LANES) {
        for (int i = 0; i < 4 * LANES; i += 16) __builtin_prefetch(next + i);
        next += 4 * LANES;
        for (int k = 0; k < 4; k++) {
            vf d = v_load(x + k * LANES) - mean;
            squares[k] = v_fma(d, d, squares[k]);
            sums[k] += d;
        }
    }
    FOR_VECTORS(n)
    {
        vf d = v_fill(v_get(x + i, left) - mean, left, v_set(0));
        squares[0] = v_fma(d, d, squares[0]);
        sums[0] += d;
    }
    *sum = v_sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
    return v_sum((squares[0] + squares[1]) + (squares[2] + squares[3]));
}

/* The second pass is about the rounded mean of the first and finds what the rounding lost. Here and
   in softmax memory would have nothing to do while a row is gone over again, so the row behind it,
   which most often is the next, is asked for. */
static void layer_norm(int64_t n, float *y, const float *x, const float *weight, float base,
                       const float *bias, float eps)
{
    float mean = sum_of(n, x) / (float)n, rest;
    float square = squares_about(n, x, mean, &rest) / (float)n;
    rest /= (float)n;
    vf scale = v_set(1.0f / sqrtf(fmaxf(square - rest * rest, 0) + eps));
    if (square != square) scale = v_set(square); /* fmaxf would lose a NaN */
    FOR_VECTORS(n)
    {
        vf value = ((v_get(x + i, left) - v_set(mean)) - v_set(rest)) * scale;
        if (weight) value = value * (v_get(weight + i, left) + v_set(base));
        if (bias) value = value + v_get(bias + i, left);
        v_put(y + i, value, left);
    }
}

static void rms_norm(int64_t n, float *y, const float *x, const float *weight, float eps)
{
    float sum;
    vf scale = v_set(1.0f / sqrtf(squares_about(n, x, 0, &sum) / (float)n + eps));
    FOR_VECTORS(n)
    {
        vf value = v_get(x + i, left) * scale;
        if (weight) value = value * v_get(weight + i, left);
        v_put(y + i, value, left);
    }
}

static void softmax(int64_t n, float *y, const float *x)
{
    vf most = v_set(-INFINITY), sum = v_set(0);
    FOR_VECTORS(n) most = v_max(v_fill(v_get(x + i, left), left, v_set(-INFINITY)), most);
    vf top = v_set(v_largest(most));
    FOR_VECTORS(n)
    {
        __builtin_prefetch(x + n + i);
        vf value = v_fill(v_exp_below(v_get(x + i, left) - top), left, v_set(0));
        sum += value;
        v_put(y + i, value, left);
    }
    vf scale = v_set(1.0f / v_sum(sum));
    FOR_VECTORS(n) v_put(y + i, v_get(y + i, left) * scale, left);
}

/* Pairs (a, b) side by side: (a, b) c + (b, a) (-s, s). */
static void turn_interleaved(int64_t n, float *y, const float *x, const float *table)
{
    float alternating[LANES];
    for (int i = 0; i < LANES; i++) alternating[i] = i % 2 ? 1.0f : -1.0f;
    vf sign = v_load(alternating);
    FOR_VECTORS(n)
    {
        vf pair = v_get(x + i, left), angle = v_get(table + i, left);
        vf turned = v_swap_pairs(pair) * (v_odd_twice(angle) * sign);
        v_put(y + i, v_fma(pair, v_even_twice(angle), turned), left);
    }
}

static void turn_halves(int64_t pairs, float *y, const float *x, const float *table)
{
    FOR_VECTORS(pairs)
    {
        vf low = v_get(table + 2 * i, 2 * left), high = v_set(0), cosine, sine;
        if (2 * left > LANES) high = v_get(table + 2 * i + LANES, 2 * left - LANES);
        v_split_pairs(low, high, &cosine, &sine);
        vf a = v_get(x + i, left), b = v_get(x + pairs + i, left);
        v_put(y + i, v_fma(a, cosine, (v_set(0) - b) * sine), left);
        v_put(y + pairs + i, v_fma(b, cosine, a * sine), left);
    }
}

static void rotary(at_rotary_pairs order, int64_t pairs, float *y, const float *x,
                   const float *table)
{
    if (order == AT_ROTARY_INTERLEAVED)
        turn_interleaved(2 * pairs, y, x, table);
    else
        turn_halves(pairs, y, x, table);
}

/* Plain loops: compilers turn them into vectors of doubles. Four positions at once, so that the
   sums are touched a quarter as often. */
static void channel_sums(int64_t positions, int64_t channels, const float *restrict x,
                         double *restrict sum, double *restrict square)
{
    int64_t p = 0;
    for (; p + 4 <= positions; p += 4, x += 4 * channels) {
        for (int64_t c = 0; c < channels; c++) {
            double a = x[c], b = x[c + channels], d = x[c + 2 * channels], e = x[c + 3 * channels];
            sum[c] += (a + b) + (d + e);
            square[c] += (a * a + b * b) + (d * d + e * e);
        }
    }
    for (; p < positions; p++, x += channels) {
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
#define LOOP(kind)                                                                              \
    for (int64_t p = 0; p < positions; p++, x += channels, y += channels) FOR_VECTORS(channels) \
        {                                                                                       \
            vf value = v_get(x + i, left) - v_get(mean + i, left);                              \
            value = v_fma(value, v_get(scale + i, left), v_get(shift + i, left));               \
            v_put(y + i, v_activate(kind, value), left);                                        \
        }
    EACH_ACTIVATION(activation, LOOP)
#undef LOOP
}

static void channel_snake(int64_t positions, int64_t channels, float *y, const float *x,
                          const float *mean, const float *scale, const float *shift,
                          const float *alpha, const float *inverse)
{
    for (int64_t p = 0; p < positions; p++, x += channels, y += channels) FOR_VECTORS(channels)
        {
            vf value = v_get(x + i, left) - v_get(mean + i, left);
            value = v_fma(value, v_get(scale + i, left), v_get(shift + i, left));
            vf wave = v_sin_squared(v_get(alpha + i, left) * value);
            v_put(y + i, v_fma(wave, v_get(inverse + i, left), value), left);
        }
}

static void leaky(int64_t n, float *y, const float *x, float slope)
{
    FOR_VECTORS(n)
    {
        vf value = v_get(x + i, left);
        vf below = value * v_set(slope);
        v_put(y + i, v_select(v_less(value, v_set(0.0f)), below, value), left);
    }
}

static void panel_sums(int64_t n, float *y, const float *x, const float *panel)
{
    enum { VECTORS = AT_PANEL / LANES };
    vf sums[VECTORS];
    for (int j = 0; j < VECTORS; j++) sums[j] = v_load(y + j * LANES);
    for (int64_t i = 0; i < n; i++, panel += AT_PANEL) {
        vf value = v_set(x[i]);
#pragma GCC unroll 16
        for (int j = 0; j < VECTORS; j++)
            sums[j] = v_fma(value, v_load(panel + j * LANES), sums[j]);
    }
    for (int j = 0; j < VECTORS; j++) v_store(y + j * LANES, sums[j]);
}

static void lstm_cell(int64_t n, const float *gates, float *cell, float *state)
{
    FOR_VECTORS(n)
    {
        vf in = v_sigmoid(v_get(gates + i, left)), out = v_sigmoid(v_get(gates + 3 * n + i, left));
        vf next = v_sigmoid(v_get(gates + n + i, left)) * v_get(cell + i, left);
        next = v_fma(in, v_tanh(v_get(gates + 2 * n + i, left)), next);
        v_put(cell + i, next, left);
        v_put(state + i, out * v_tanh(next), left);
    }
}

static const at_runs runs = {
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

void AT_SIMD_NAME(at_simd_elementwise)(at_kernels *table)
{
    table->runs = &runs;
    table->to_f32 = AT_SIMD_NAME(at_simd_to_f32);
}
