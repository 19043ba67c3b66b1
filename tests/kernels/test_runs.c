/* The inner loops of the table at hand against their meaning in plain C, and their own functions
   against double precision. */
#include "base/base.h"
#include "kernels/cpu/runs.h"
#include "table.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MOST = 80, GUARD = 20 };
static const at_runs *runs;
static uint32_t random_state = 12345;

static uint32_t random_bits(void)
{
    random_state = random_state * 1664525u + 1013904223u;
    return random_state;
}

static float random_value(void)
{
    return (float)(int32_t)random_bits() * 0x1p-30f;
}

static double exact(at_activation activation, double x)
{
    switch (activation) {
    case AT_RELU:
        return x > 0 ? x : 0;
    case AT_SILU:
        return x / (1 + exp(-x));
    case AT_GELU:
        return 0.5 * x * erfc(-x * sqrt(0.5));
    case AT_GELU_TANH: /* (1 + tanh u) / 2 = 1 / (1 + exp(-2 u)) */
        return x / (1 + exp(-2 * sqrt(2 / 3.14159265358979324) * (x + 0.044715 * x * x * x)));
    case AT_QUICK_GELU:
        return x / (1 + exp(-1.702 * x));
    case AT_SIGMOID:
        return 1 / (1 + exp(-x));
    case AT_TANH:
        return tanh(x);
    default:
        return x;
    }
}

/* What is allowed at x: so many times half a unit in the last place of the result, and so much of
   |x| where the function is a share of x whose share is only good to that. */
static double allowed(at_activation activation, double x, double y)
{
    static const double relative[AT_ACTIVATIONS] = {[AT_SILU] = 4, [AT_SIGMOID] = 6, [AT_TANH] = 6};
    static const double share[AT_ACTIVATIONS] = {
        [AT_GELU] = 2.5e-7, [AT_GELU_TANH] = 3e-7, [AT_QUICK_GELU] = 3e-7};
    return relative[activation] * 0x1p-24 * fabs(y) + share[activation] * fabs(x) + 1e-36;
}

/* A million floats of every size. */
static void test_activations_over_the_whole_range(void **state)
{
    (void)state;
    for (int kind = 0; kind < AT_ACTIVATIONS; kind++) {
        double worst = 0;
        for (uint64_t bits = kind; bits < (uint64_t)1 << 32; bits += 4099 * 16) {
            float x[16], y[16];
            for (uint32_t i = 0; i < 16; i++) {
                uint32_t pattern = (uint32_t)bits + i * 4099;
                memcpy(&x[i], &pattern, sizeof x[i]);
            }
            runs->activate((at_activation)kind, 16, y, x);
            for (int i = 0; i < 16; i++) {
                if (!isfinite(x[i])) continue;
                double want = exact((at_activation)kind, x[i]);
                if (fabs(want) > 3.4e38 && isinf(y[i])) continue;
                double error = fabs(y[i] - want) / allowed((at_activation)kind, x[i], want);
                if (!(error <= 1))
                    fail_msg("activation %d of %g is %g, not %g (%.2f of what is allowed)", kind,
                             (double)x[i], (double)y[i], want, error);
                worst = fmax(worst, error);
            }
        }
        printf("activation %d: the worst is %.2f of what is allowed\n", kind, worst);
    }
}

static void test_activations_of_what_is_not_finite(void **state)
{
    (void)state;
    float x[3] = {INFINITY, -INFINITY, NAN}, y[3], meaning[3];
    for (int kind = 0; kind < AT_ACTIVATIONS; kind++) {
        runs->activate((at_activation)kind, 3, y, x);
        at_runs_generic.activate((at_activation)kind, 3, meaning, x);
        for (int i = 0; i < 3; i++)
            if (!(y[i] == meaning[i] || (isnan(y[i]) && isnan(meaning[i]))))
                fail_msg("activation %d of %g is %g", kind, (double)x[i], (double)y[i]);
        assert_true(isnan(y[2]));
    }
}

/* Snake of 0 with values as alpha shows the square of the sine: the value itself is 1. */
static void test_squared_sine(void **state)
{
    (void)state;
    float x[16], y[16], one[16], zero[16];
    for (int i = 0; i < 16; i++) one[i] = 1, zero[i] = 0;
    for (double at = -1e5; at < 1e5; at += fabs(at) < 100 ? 0.37 : 61.803) {
        for (int i = 0; i < 16; i++) x[i] = (float)(at + 0.02 * i);
        runs->channel_snake(1, 16, y, one, zero, one, zero, x, one);
        for (int i = 0; i < 16; i++) {
            double sine = sin(x[i]), error = fabs(y[i] - 1 - sine * sine);
            if (!(error < 5e-7)) fail_msg("sin(%g)^2 is %g off", (double)x[i], error);
        }
    }
}

/* exp as the softmax of (0, x) shows it, from 0 down to where it would be denormal and may be 0. */
static void test_exponential(void **state)
{
    (void)state;
    for (float x = 0; x > -104; x -= 0.00137f) {
        float pair[2] = {0, x}, y[2];
        runs->softmax(2, y, pair);
        double want = exp(x), sum = 1 + want;
        assert_true(fabs(y[0] * sum - 1) < 3e-7);
        if (!(fabs(y[1] * sum - want) <= 4e-7 * want + (want < 0x1p-125 ? want : 0)))
            fail_msg("exp(%g) is %g", (double)x, y[1] * sum);
    }
    float none[3] = {-INFINITY, -INFINITY, -INFINITY}, y[3];
    runs->softmax(3, y, none);
    assert_true(isnan(y[0]) && isnan(y[1]) && isnan(y[2])); /* as torch */
    float one[3] = {-INFINITY, 5, -INFINITY};
    runs->softmax(3, y, one);
    assert_true(y[0] == 0 && y[1] == 1 && y[2] == 0);
    float lost[3] = {1, NAN, 2};
    runs->softmax(3, y, lost);
    assert_true(isnan(y[0]) && isnan(y[1]) && isnan(y[2]));
}

/* ---- every loop, every length: the same as the meaning, nothing written beyond */

typedef struct arrays {
    float a[3][MOST + GUARD];
    double sums[2][MOST];
    float y[MOST + GUARD];
} arrays;

typedef void (*loop)(const at_runs *r, int64_t n, arrays *v);

static void run_add(const at_runs *r, int64_t n, arrays *v)
{
    r->binary(AT_BINARY_ADD, n, v->y, v->a[0], v->a[1]);
}
static void run_sub(const at_runs *r, int64_t n, arrays *v)
{
    r->binary(AT_BINARY_SUB, n, v->y, v->a[0], v->a[1]);
}
static void run_mul(const at_runs *r, int64_t n, arrays *v)
{
    r->binary(AT_BINARY_MUL, n, v->y, v->a[0], v->a[1]);
}
static void run_div(const at_runs *r, int64_t n, arrays *v)
{
    r->binary(AT_BINARY_DIV, n, v->y, v->a[0], v->a[1]);
}
static void run_affine(const at_runs *r, int64_t n, arrays *v)
{
    r->affine(n, v->y, v->a[0], 1.5f, -0.25f);
}
static void run_clamp(const at_runs *r, int64_t n, arrays *v)
{
    r->clamp(n, v->y, v->a[0], -0.5f, 0.75f);
}
static void run_activate(const at_runs *r, int64_t n, arrays *v)
{
    r->activate(AT_SILU, n, v->y, v->a[0]);
}
static void run_activate_mul(const at_runs *r, int64_t n, arrays *v)
{
    r->activate_mul(AT_GELU_TANH, n, v->y, v->a[0], v->a[1]);
}
static void run_gated_add(const at_runs *r, int64_t n, arrays *v)
{
    r->gated_add(n, v->y, v->a[0], v->a[1], v->a[2]);
}
static void run_hide(const at_runs *r, int64_t n, arrays *v)
{
    bool seen[MOST] = {false};
    for (int64_t i = 0; i < n; i++) seen[i] = v->a[0][i] > 0;
    memcpy(v->y, v->a[1], (size_t)n * sizeof(float));
    r->hide(n, v->y, seen);
    for (int64_t i = 0; i < n; i++) v->y[i] = isinf(v->y[i]) ? 5 : v->y[i];
}
static void run_add_rows(const at_runs *r, int64_t n, arrays *v)
{
    r->add_rows(3, n / 3, v->y, v->a[1], v->a[0], n / 3);
}
static void run_layer_norm(const at_runs *r, int64_t n, arrays *v)
{
    r->layer_norm(n, v->y, v->a[0], v->a[1], 0, v->a[2], 1e-3f);
}
static void run_layer_norm_plain(const at_runs *r, int64_t n, arrays *v)
{
    r->layer_norm(n, v->y, v->a[0], NULL, 0, NULL, 1e-3f);
}
static void run_modulate(const at_runs *r, int64_t n, arrays *v)
{
    r->layer_norm(n, v->y, v->a[0], v->a[1], 1, v->a[2], 1e-3f);
}
static void run_rms_norm(const at_runs *r, int64_t n, arrays *v)
{
    r->rms_norm(n, v->y, v->a[0], v->a[1], 1e-3f);
}
static void run_softmax(const at_runs *r, int64_t n, arrays *v)
{
    r->softmax(n, v->y, v->a[0]);
}
static void run_interleaved(const at_runs *r, int64_t n, arrays *v)
{
    r->rotary(AT_ROTARY_INTERLEAVED, n / 2, v->y, v->a[0], v->a[1]);
}
static void run_halves(const at_runs *r, int64_t n, arrays *v)
{
    r->rotary(AT_ROTARY_HALVES, n / 2, v->y, v->a[0], v->a[1]);
}
static void run_channel_norm(const at_runs *r, int64_t n, arrays *v)
{
    r->channel_norm(1, n, v->y, v->a[0], v->a[1], v->a[2], v->a[1], AT_SILU);
}
static void run_channel_snake(const at_runs *r, int64_t n, arrays *v)
{
    float inverse[MOST];
    for (int64_t i = 0; i < n; i++) inverse[i] = 0.5f;
    r->channel_snake(1, n, v->y, v->a[0], v->a[1], v->a[2], v->a[1], v->a[0], inverse);
}
static void run_leaky(const at_runs *r, int64_t n, arrays *v)
{
    r->leaky(n, v->y, v->a[0], 0.25f);
}
static void run_panel_sums(const at_runs *r, int64_t n, arrays *v)
{
    static float panel[MOST * AT_PANEL];
    for (int64_t i = 0; i < n * AT_PANEL; i++) panel[i] = v->a[1][i % 79] * 0.1f;
    memset(v->y, 0, AT_PANEL * sizeof(float));
    r->panel_sums(n, v->y, v->a[0], panel);
}
static void run_lstm_cell(const at_runs *r, int64_t n, arrays *v)
{
    int64_t few = n < 4 ? 1 : n / 4;
    r->lstm_cell(few, v->a[0], v->a[1], v->y);
    for (int64_t i = 0; i < few; i++) v->y[i] += v->a[1][i];
}
static void run_channel_sums(const at_runs *r, int64_t n, arrays *v)
{
    int64_t channels = n < 9 ? 1 : n / 9, positions = n / channels;
    memset(v->sums, 0, sizeof v->sums);
    r->channel_sums(positions, channels, v->a[0], v->sums[0], v->sums[1]);
    for (int64_t c = 0; c < channels; c++) v->y[c] = (float)(v->sums[0][c] + v->sums[1][c]);
}

static void test_every_length(void **state)
{
    static const loop loops[] = {
        run_add,
        run_sub,
        run_mul,
        run_div,
        run_affine,
        run_clamp,
        run_activate,
        run_activate_mul,
        run_gated_add,
        run_hide,
        run_add_rows,
        run_layer_norm,
        run_layer_norm_plain,
        run_modulate,
        run_rms_norm,
        run_softmax,
        run_interleaved,
        run_halves,
        run_channel_norm,
        run_channel_snake,
        run_leaky,
        run_panel_sums,
        run_lstm_cell,
        run_channel_sums,
    };
    (void)state;
    for (size_t l = 0; l < AT_COUNT(loops); l++) {
        for (int64_t n = 1; n <= MOST; n++) {
            arrays ours, meaning;
            for (int k = 0; k < 3; k++)
                for (int i = 0; i < MOST + GUARD; i++) ours.a[k][i] = random_value();
            for (int i = 0; i < MOST + GUARD; i++) ours.y[i] = 77;
            meaning = ours;
            loops[l](runs, n, &ours);
            loops[l](&at_runs_generic, n, &meaning);
            for (int i = 0; i < MOST + GUARD; i++) {
                double want = meaning.y[i], error = fabs(ours.y[i] - want);
                if (!(error <= 3e-6 * fmax(fabs(want), 1)))
                    fail_msg("loop %d, n = %d: value %d is %g, not %g", (int)l, (int)n, i,
                             (double)ours.y[i], want);
            }
        }
    }
}

/* y may be x. */
static void test_in_place(void **state)
{
    (void)state;
    float x[50], y[50];
    for (int i = 0; i < 50; i++) x[i] = random_value();
    runs->layer_norm(50, y, x, NULL, 0, NULL, 1e-5f);
    runs->softmax(50, y, y);
    runs->layer_norm(50, x, x, NULL, 0, NULL, 1e-5f);
    runs->softmax(50, x, x);
    assert_memory_equal(x, y, sizeof x);
}

/* Statistics of values far from zero. */
static void test_far_means(void **state)
{
    enum { N = 3072 };
    (void)state;
    static float x[N], y[N];
    for (int offset = 0; offset <= 10000; offset = offset * 10 + 10) {
        double mean = 0, square = 0;
        for (int i = 0; i < N; i++) mean += x[i] = (float)offset + random_value();
        mean /= N;
        for (int i = 0; i < N; i++) square += (x[i] - mean) * (x[i] - mean);
        double scale = 1 / sqrt(square / N + 1e-6);
        runs->layer_norm(N, y, x, NULL, 0, NULL, 1e-6f);
        for (int i = 0; i < N; i++) {
            double want = (x[i] - mean) * scale;
            if (!(fabs(y[i] - want) < 3e-6))
                fail_msg("mean %d: %g, not %g", offset, (double)y[i], want);
        }
    }
}

/* Unpacking is bit for bit the codec's, wherever the bytes lie. */
static void test_to_f32(void **state)
{
    at_context *cx = *state;
    static uint8_t bytes[1 + 8 * 256 * 5];
    static float ours[256 * 5], meaning[256 * 5];
    for (int dtype = 0; dtype < AT_DTYPES; dtype++) {
        int block = at_dtype_block((at_dtype)dtype);
        for (int round = 0; round < 40; round++) {
            int64_t count = block > 1 ? block * (1 + round % 5) : 1 + round * 7;
            if (dtype == AT_BOOL) continue;
            for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(random_bits() >> 24);
            const void *from = bytes + round % 2;
            cx->kernels->to_f32((at_dtype)dtype, from, ours, count);
            assert_true(at_convert((at_dtype)dtype, from, AT_F32, meaning, count));
            for (int64_t i = 0; i < count; i++)
                if (memcmp(&ours[i], &meaning[i], 4) != 0 && !(isnan(ours[i]) && isnan(meaning[i])))
                    fail_msg("%s: value %d is %g, not %g", at_dtype_name((at_dtype)dtype), (int)i,
                             (double)ours[i], (double)meaning[i]);
        }
    }
}

static int start(void **state)
{
    at_context *cx = at_context_new(NULL);
    if (!cx || at_failed(cx)) return -1;
    runs = cx->kernels->runs;
    *state = cx;
    return 0;
}

static int stop(void **state)
{
    at_context_free(*state);
    return 0;
}

int main(void)
{
    AT_SKIP_WITHOUT_TABLE();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_activations_over_the_whole_range),
        cmocka_unit_test(test_activations_of_what_is_not_finite),
        cmocka_unit_test(test_exponential),
        cmocka_unit_test(test_squared_sine),
        cmocka_unit_test(test_every_length),
        cmocka_unit_test(test_in_place),
        cmocka_unit_test(test_far_means),
        cmocka_unit_test(test_to_f32),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
