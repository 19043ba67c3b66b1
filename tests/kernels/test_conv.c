/* Convolution against sums in double: kernels, strides, dilation, groups, edges, uneven padding,
   transposed, channels of no round number, weight dtypes. The tolerance is of the sum of |x w|;
   where squares are transformed (Winograd) and in int8, of the sum over channels of the largest |x|
   there is times the sum of |w|. */
#include "kernels/cpu/conv.h"
#include "kernels/random_values.h"

typedef struct sums {
    double *sum, *size; /* [positions,O]: x w, |x w| */
} sums;

static int64_t positions(const at_conv_args *a)
{
    return a->batch * a->out_size[0] * a->out_size[1] * a->out_size[2];
}

static int64_t taps_of(const at_conv_args *a)
{
    return (int64_t)a->kernel[0] * a->kernel[1] * a->kernel[2];
}

/* Adds what input pixel `in` gives to output position `out` through a tap. */
static void add_tap(const at_conv_args *a, const float *w, int64_t in, int64_t out, int64_t tap,
                    sums *s)
{
    int64_t channels = a->channels / a->groups, outs = a->out_channels / a->groups;
    for (int64_t o = 0; o < a->out_channels; o++)
        for (int64_t c = 0; c < channels; c++) {
            double product = (double)a->x[in * a->channels + o / outs * channels + c] *
                             (double)w[(o * channels + c) * taps_of(a) + tap];
            s->sum[out * a->out_channels + o] += product;
            s->size[out * a->out_channels + o] += fabs(product);
        }
}

/* Where tap k of a position is in the other picture: output's of an input when transposed. */
static bool partner(const at_conv_args *a, int d, int64_t p, int64_t k, int64_t *other)
{
    int64_t i = p * a->stride[d] + k * a->dilation[d] - a->before[d];
    int64_t end = a->transposed ? a->out_size[d] : a->size[d];
    if (a->replicate[d]) i = i < 0 ? 0 : i >= end ? end - 1 : i;
    *other = i;
    return i >= 0 && i < end;
}

static void reference(const at_conv_args *a, const float *w, sums *s)
{
    const int64_t *own = a->transposed ? a->size : a->out_size;
    const int64_t *far = a->transposed ? a->out_size : a->size;
    int64_t count = a->batch * own[0] * own[1] * own[2];
    for (int64_t p = 0; p < count; p++)
        for (int64_t tap = 0; tap < taps_of(a); tap++) {
            int64_t t, y, x, b = p / own[2] / own[1] / own[0];
            if (!partner(a, 0, p / own[2] / own[1] % own[0], tap / a->kernel[2] / a->kernel[1],
                         &t) ||
                !partner(a, 1, p / own[2] % own[1], tap / a->kernel[2] % a->kernel[1], &y) ||
                !partner(a, 2, p % own[2], tap % a->kernel[2], &x))
                continue;
            int64_t q = ((b * far[0] + t) * far[1] + y) * far[2] + x;
            add_tap(a, w, a->transposed ? p : q, a->transposed ? q : p, tap, s);
        }
}

/* The largest |x| there is of each channel. */
static double *largest_of(const at_conv_args *a)
{
    double *most = calloc((size_t)a->channels + 1, sizeof *most);
    int64_t pixels = a->batch * a->size[0] * a->size[1] * a->size[2];
    for (int64_t p = 0; p < pixels; p++)
        for (int64_t c = 0; c < a->channels; c++) { /* no fmax: gcc 12 for aarch64 breaks down */
            double value = fabs((double)a->x[p * a->channels + c]);
            if (value > most[c]) most[c] = value;
        }
    return most;
}

/* Sum over channels of the largest |x| there is times the sum of |w|, of output channel o. */
static double wide_size(const at_conv_args *a, const double *most, const float *w, int64_t o)
{
    double sum = 0;
    int64_t channels = a->channels / a->groups, group = o / (a->out_channels / a->groups);
    for (int64_t c = 0; c < channels; c++) {
        double weights = 0;
        for (int64_t t = 0; t < taps_of(a); t++)
            weights += fabs((double)w[(o * channels + c) * taps_of(a) + t]);
        sum += most[group * channels + c] * weights;
    }
    return sum;
}

/* Of int8 both factors are off by up to half a step of 1/127 of the largest there is. */
static double bar_of(at_precision precision, bool winograd)
{
    if (precision == AT_PRECISION_F32) return winograd ? 1e-6 : 2e-6;
    if (winograd) return 2e-3;
    return precision == AT_PRECISION_BF16 ? 8e-3 : 1.1 / 127;
}

static void compare(at_context *cx, const at_conv_args *a, const float *w, const sums *s)
{
    bool winograd = cx->kernels->conv_parts && at_winograd_pays(cx, a);
    bool wide = winograd || a->precision == AT_PRECISION_INT8;
    double bar = bar_of(a->precision, winograd), *most = largest_of(a);
    for (int64_t o = 0; o < a->out_channels; o++) {
        double around = wide ? wide_size(a, most, w, o) : 0;
        for (int64_t p = 0; p < positions(a); p++) {
            int64_t i = p * a->out_channels + o;
            double bias = a->bias ? (double)a->bias[o] : 0;
            double right = fmax(s->sum[i] + bias, 0), got = (double)a->y[i];
            double size = (wide ? around : s->size[i]) + 0.1;
            if (!(fabs(got - right) <= bar * size))
                fail_msg("%dx%dx%d of %lldx%lldx%lld, %lld to %lld channels, %d groups%s: "
                         "y[%lld,%lld] is %g, not %g",
                         a->kernel[0], a->kernel[1], a->kernel[2], (long long)a->size[0],
                         (long long)a->size[1], (long long)a->size[2], (long long)a->channels,
                         (long long)a->out_channels, a->groups, a->transposed ? ", transposed" : "",
                         (long long)p, (long long)o, got, right);
        }
    }
    free(most);
}

/* Sets out_size for the padding in front and `after`; false when the kernel does not fit. */
static bool settle(at_conv_args *a, const int after[3])
{
    bool fits = true;
    for (int d = 0; d < 3; d++) {
        int64_t reach = (int64_t)a->dilation[d] * (a->kernel[d] - 1) + 1;
        int64_t pads = a->before[d] + after[d];
        a->out_size[d] = a->transposed ? (a->size[d] - 1) * a->stride[d] + reach - pads
                                       : (a->size[d] + pads - reach) / a->stride[d] + 1;
        fits = fits && a->out_size[d] > 0 && (a->transposed || a->size[d] + pads >= reach);
    }
    return fits;
}

static void check(at_context *cx, at_precision precision, at_dtype dtype, at_conv_args a,
                  const int after[3])
{
    if (!settle(&a, after)) return;
    int64_t weights = a.out_channels * taps_of(&a) * (a.channels / a.groups);
    int64_t outs = positions(&a) * a.out_channels;
    float *x = random_values(a.batch * a.size[0] * a.size[1] * a.size[2] * a.channels);
    float *w = random_values(weights), *bias = random_values(a.out_channels);
    float *y = random_values(outs);
    void *packed = malloc((size_t)weights * sizeof(double) + 1);
    assert_true(at_convert(AT_F32, w, dtype, packed, weights));
    assert_true(at_convert(dtype, packed, AT_F32, w, weights));
    a.x = x, a.weight = packed, a.dtype = dtype, a.bias = bias, a.y = y, a.precision = precision;
    a.activation = AT_RELU;
    if (positions(&a) % 3 == 1) a.bias = NULL;
    cx->kernels->conv(cx, &a);
    assert_fine(cx);
    sums s = {calloc((size_t)outs + 1, sizeof(double)), calloc((size_t)outs + 1, sizeof(double))};
    reference(&a, w, &s);
    compare(cx, &a, w, &s);
    free(x), free(w), free(bias), free(y), free(packed), free(s.sum), free(s.size);
}

static const at_conv_args plain = {.batch = 1,
                                   .size = {1, 1, 1},
                                   .kernel = {1, 1, 1},
                                   .stride = {1, 1, 1},
                                   .dilation = {1, 1, 1},
                                   .groups = 1};
static const int no_pads[3] = {0};

static void test_shapes(void **state)
{
    (void)state;
    static const int64_t channels[] = {1, 3, 4, 5, 16, 33, 96}, outs[] = {1, 2, 7, 32, 45};
    at_context *cx = at_context_new(&(at_context_options){.threads = 2});
    EACH_PRECISION(p)
    for (int kernel = 1; kernel <= 5; kernel += 2)
        for (size_t c = 0; c < AT_COUNT(channels); c++)
            for (size_t o = 0; o < AT_COUNT(outs); o++) {
                at_conv_args a = plain;
                a.batch = 2, a.size[1] = 7, a.size[2] = 6;
                a.kernel[1] = a.kernel[2] = kernel;
                a.before[1] = a.before[2] = kernel / 2;
                a.channels = channels[c], a.out_channels = outs[o];
                check(cx, precisions[p], AT_F32, a, a.before);
            }
    at_context_free(cx);
}

static int pick(int least, int most)
{
    return least + (int)((random_value() + 1) / 2 * (float)(most - least + 1)) % (most - least + 1);
}

/* Anything at all, of any number of dimensions, mostly small. */
static void test_random(void **state)
{
    (void)state;
    static const int64_t channels[] = {1, 2, 3, 7, 8, 20, 31, 64, 130};
    at_context *cx = at_context_new(&(at_context_options){.threads = 3});
    EACH_PRECISION(p)
    for (int i = 0; i < 400; i++) {
        at_conv_args a = plain;
        int after[3] = {0};
        a.batch = pick(1, 2), a.transposed = pick(0, 3) == 0;
        a.groups = pick(0, 2) ? 1 : pick(1, 5);
        a.channels = a.groups * channels[pick(0, a.groups > 1 ? 4 : 8)];
        a.out_channels = a.groups * channels[pick(0, a.groups > 1 ? 4 : 8)];
        for (int d = pick(0, 2); d < 3; d++) {
            a.size[d] = pick(1, d == 2 ? 40 : 9), a.kernel[d] = pick(1, 4);
            a.stride[d] = pick(1, 3), a.dilation[d] = pick(0, 2) ? 1 : pick(1, 30);
            a.before[d] = pick(0, 3), after[d] = pick(0, 3);
            a.replicate[d] = !a.transposed && pick(0, 2) == 0;
        }
        check(cx, precisions[p], i % 2 ? AT_F32 : AT_BF16, a, after);
    }
    at_context_free(cx);
}

/* 3x3 of stride 1: squares cut at the edges, frames, padding of any width. */
static void test_squares(void **state)
{
    (void)state;
    static const int64_t sides[][2] = {{8, 8}, {7, 9}, {1, 60}, {2, 47}, {13, 6}};
    at_context *cx = at_context_new(&(at_context_options){.threads = 2});
    EACH_PRECISION(p)
    for (size_t i = 0; i < AT_COUNT(sides); i++)
        for (int frames = 1; frames <= 3; frames += 2)
            for (int pad = 0; pad <= 2; pad++) {
                at_conv_args a = plain;
                a.batch = 2, a.channels = pad == 1 ? 70 : 66, a.out_channels = 150;
                a.size[0] = frames, a.size[1] = sides[i][0], a.size[2] = sides[i][1];
                a.kernel[0] = frames, a.kernel[1] = a.kernel[2] = 3;
                a.before[0] = frames - 1, a.before[1] = pad, a.before[2] = 1;
                a.replicate[0] = pad == 1, a.replicate[1] = a.replicate[2] = pad == 2;
                check(cx, precisions[p], AT_F16, a, (int[3]){0, 1, pad});
            }
    at_context_free(cx);
}

/* Taps in a line with a stride of 1: fours of them and less, dilation, edges of any kind, lines of
   several pictures, more channels than share a scale. */
static void test_lines(void **state)
{
    (void)state;
    static const int kernels[] = {3, 4, 7, 8, 11}, dilations[] = {1, 3, 5, 2, 4};
    at_context *cx = at_context_new(&(at_context_options){.threads = 2});
    EACH_PRECISION(p)
    for (size_t i = 0; i < AT_COUNT(kernels); i++)
        for (int kind = 0; kind < 3; kind++) {
            at_conv_args a = plain;
            int after[3] = {0};
            a.batch = kind == 1 ? 2 : 1, a.size[2] = 600 + 13 * kind, a.replicate[2] = kind == 1;
            a.kernel[2] = kernels[i], a.dilation[2] = dilations[i], a.size[1] = kind == 0 ? 2 : 1;
            a.channels = kind == 2 ? 300 : 42, a.out_channels = kind == 2 ? 7 : 45;
            a.before[2] = kind * kernels[i] / 2, after[2] = kernels[i] * dilations[i] / 2;
            const at_gemm *g = cx->kernels->conv_parts ? at_gemm_of(cx, precisions[p]) : NULL;
            assert_true(settle(&a, after));
            a.precision = precisions[p];
            if (g && g->bits >= 12) assert_true(at_winograd_pays(cx, &a));
            check(cx, precisions[p], kind ? AT_F32 : AT_F16, a, after);
        }
    at_context_free(cx);
}

/* Few channels out: more lines than are done at once, uneven padding, dilation, one dimension. */
static void test_few_outputs(void **state)
{
    (void)state;
    at_context *cx = at_context_new(&(at_context_options){.threads = 2});
    EACH_PRECISION(p)
    for (int kind = 0; kind < 3; kind++) {
        at_conv_args a = plain;
        a.channels = 16 + kind, a.out_channels = 3 - kind;
        a.size[1] = kind < 2 ? 18 : 1, a.size[2] = kind ? 31 : 3000;
        a.kernel[1] = kind < 2 ? 3 : 1, a.kernel[2] = kind < 2 ? 3 : 7;
        a.dilation[1] = 1 + kind, a.before[1] = kind < 2 ? 2 : 0, a.before[2] = 1;
        if (cx->kernels->conv_parts) assert_true(settle(&a, a.before));
        if (cx->kernels->conv_parts && at_gemm_of(cx, AT_PRECISION_BF16)->columns >= 16)
            assert_true(at_few_outputs_pay(cx, &a)); /* narrower tiles have less to gain */
        check(cx, precisions[p], AT_F32, a, a.before);
    }
    at_context_free(cx);
}

/* A pixel and a channel far larger than the others: the bound that winograd.c states. */
static void test_outliers(void **state)
{
    (void)state;
    at_context *cx = at_context_new(&(at_context_options){.threads = 2});
    enum { SIDE = 16, C = 66, O = 67 };
    at_conv_args a = plain;
    a.size[1] = a.size[2] = a.out_size[1] = a.out_size[2] = SIDE, a.out_size[0] = 1;
    a.kernel[1] = a.kernel[2] = 3, a.before[1] = a.before[2] = 1;
    a.channels = C, a.out_channels = O, a.dtype = AT_F32;
    float *x = random_values(SIDE * SIDE * C), *w = random_values(O * 9 * C);
    float *y = random_values(SIDE * SIDE * O);
    for (int i = 0; i < SIDE * SIDE; i++) x[i * C + 7] *= 100;
    for (int c = 0; c < C; c++) x[(5 * SIDE + 6) * C + c] *= 1000;
    a.x = x, a.weight = w, a.y = y;
    EACH_PRECISION(p)
    {
        a.precision = precisions[p];
        cx->kernels->conv(cx, &a);
        assert_fine(cx);
        sums s = {calloc(SIDE * SIDE * O, sizeof(double)), calloc(SIDE * SIDE * O, sizeof(double))};
        reference(&a, w, &s);
        double step = precisions[p] == AT_PRECISION_F32 ? 1e-6 : 1.0 / 256;
        double *largest = largest_of(&a);
        for (int o = 0; o < O; o++) {
            double most = 16 * step * wide_size(&a, largest, w, o);
            for (int i = 0; i < SIDE * SIDE; i++)
                if (!(fabs((double)y[i * O + o] - s.sum[i * O + o]) <= most))
                    fail_msg("%s: y[%d,%d] is %g, not %g", precision_names[p], i, o,
                             (double)y[i * O + o], s.sum[i * O + o]);
        }
        free(s.sum), free(s.size), free(largest);
    }
    free(x), free(w), free(y);
    at_context_free(cx);
}

static void test_weight_dtypes(void **state)
{
    (void)state;
    at_context *cx = at_context_new(&(at_context_options){.threads = 2});
    EACH_PRECISION(p)
    for (int d = 0; d < AT_DTYPES; d++)
        for (int stride = 1; stride <= 2; stride++) {
            if (d >= AT_I8 && d <= AT_BOOL) continue;
            at_conv_args a = plain;
            a.size[1] = 8, a.size[2] = 9, a.channels = 35, a.out_channels = 17;
            a.kernel[1] = a.kernel[2] = 3, a.stride[1] = a.stride[2] = stride;
            if (at_dtype_block(d) > 1) { /* rows are no whole blocks; squares pay */
                a.size[1] = 14, a.size[2] = 13, a.channels = 264, a.out_channels = 32;
            }
            check(cx, precisions[p], (at_dtype)d, a, no_pads);
        }
    at_context_free(cx);
}

/* The same bits for any number of threads. */
static void test_threads(void **state)
{
    (void)state;
    static const int threads[] = {1, 2, 3, 8};
    float *x = random_values(30 * 31 * 96), *w = random_values(70 * 9 * 96), *y[4];
    EACH_PRECISION(p)
    for (int kind = 0; kind < 5; kind++) {
        static const int64_t outs[] = {70, 70, 70, 96, 3};
        at_conv_args a = plain;
        a.size[1] = 30, a.size[2] = 31, a.channels = 96, a.out_channels = outs[kind];
        a.kernel[1] = a.kernel[2] = 3, a.before[1] = a.before[2] = 1, a.dtype = AT_F32;
        a.stride[1] = a.stride[2] = 1 + (kind == 1 || kind == 2);
        a.transposed = kind == 2, a.groups = kind == 3 ? 96 : 1;
        a.x = x, a.weight = w, a.precision = precisions[p];
        assert_true(settle(&a, a.before));
        size_t size = sizeof(float) * (size_t)(positions(&a) * a.out_channels);
        for (int t = 0; t < 4; t++) {
            at_context *cx = at_context_new(&(at_context_options){.threads = threads[t]});
            a.y = y[t] = malloc(size);
            cx->kernels->conv(cx, &a);
            assert_fine(cx);
            at_context_free(cx);
        }
        for (int t = 1; t < 4; t++)
            if (memcmp(y[0], y[t], size))
                fail_msg("%s, kind %d: %d threads give other bits", precision_names[p], kind,
                         threads[t]);
        for (int t = 0; t < 4; t++) free(y[t]);
    }
    free(x), free(w);
}

/* NaN and infinity are seen; a failing scratch and a cancelled run are errors and nothing else. */
static void test_special(void **state)
{
    (void)state;
    enum { SIDE = 16, C = 70 };
    float *x = random_values(SIDE * SIDE * C), *w = random_values(C * 9 * C);
    float *y = random_values(SIDE * SIDE * C);
    x[C * (5 * SIDE + 5) + 3] = NAN;
    x[C * (2 * SIDE + 2) + 3] = INFINITY;
    EACH_PRECISION(p)
    for (int stride = 1; stride <= 2; stride++) {
        at_conv_args a = plain;
        a.size[1] = a.size[2] = SIDE, a.kernel[1] = a.kernel[2] = 3, a.before[1] = a.before[2] = 1;
        a.stride[1] = a.stride[2] = stride, a.channels = a.out_channels = C, a.dtype = AT_F32;
        a.x = x, a.weight = w, a.y = y, a.precision = precisions[p];
        assert_true(settle(&a, a.before));
        int64_t in_row = a.out_size[2];
        for (int failing = 0; failing < 4; failing++) {
            at_context *cx = at_context_new(NULL);
            cx->fail_allocation_in = failing < 3 ? failing : 0;
            if (failing == 3) at_cancel(cx);
            cx->kernels->conv(cx, &a);
            if (failing == 0) {
                assert_fine(cx);
                for (int64_t o = 0; o < C; o++) {
                    assert_true(isnan(y[(5 / stride * in_row + 5 / stride) * C + o]));
                    assert_true(!isfinite(y[(2 / stride * in_row + 2 / stride) * C + o]));
                    assert_true(isfinite(y[(8 / stride * in_row + 1) * C + o]));
                }
            } else if (failing == 3) {
                assert_false(at_ok(cx));
            } else if (cx->kernels->conv_parts || failing == 1) {
                assert_int_equal(at_error_status(cx), AT_ERROR_MEMORY);
            }
            at_context_free(cx);
        }
    }
    free(x), free(w), free(y);
}

int main(void)
{
    AT_SKIP_WITHOUT_TABLE();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),  cmocka_unit_test(test_random),
        cmocka_unit_test(test_squares), cmocka_unit_test(test_outliers),
        cmocka_unit_test(test_lines),   cmocka_unit_test(test_few_outputs),
        cmocka_unit_test(test_threads), cmocka_unit_test(test_weight_dtypes),
        cmocka_unit_test(test_special),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
