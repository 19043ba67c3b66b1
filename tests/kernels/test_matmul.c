/* The product against sums in double over odd shapes, every weight dtype, strides and precision.
   Tolerances are of the largest sum of |x w| there is (what rounding acts on): f32 sums lose a few
   ulp; bf16 rounds both factors to 8 bits (2^-8 of each product at worst); int8 is off by half a
   step of the scale that 256 neighbours share in each factor. */
#include "kernels/random_values.h"

static double activated(at_activation a, double x)
{
    switch (a) {
    case AT_RELU:
        return x > 0 ? x : 0;
    case AT_SILU:
        return x / (1 + exp(-x));
    case AT_GELU:
        return 0.5 * x * (1 + erf(x * sqrt(0.5)));
    case AT_GELU_TANH:
        return 0.5 * x * (1 + tanh(sqrt(2 / 3.14159265358979323846) * (x + 0.044715 * x * x * x)));
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

/* The most that int8 can be off. */
static double int8_bound(int64_t k, const float *x, const float *w)
{
    double bound = 0;
    for (int64_t from = 0; from < k; from += 256) {
        double most[2] = {0}, sum[2] = {0};
        int64_t end = AT_MIN(k, from + 256);
        for (int64_t l = from; l < end; l++) {
            most[0] = fmax(most[0], fabs((double)x[l])), sum[0] += fabs((double)x[l]);
            most[1] = fmax(most[1], fabs((double)w[l])), sum[1] += fabs((double)w[l]);
        }
        bound += (most[0] * sum[1] + most[1] * sum[0]) / 254 +
                 (double)(end - from) * most[0] * most[1] / 254 / 254;
    }
    return bound;
}

typedef struct product_case {
    int64_t m, n, k, x_pad, y_pad;
    at_dtype dtype;
    bool bias;
    at_activation activation;
    float outlier; /* times column 3 of x */
    double bar;    /* 0: that of the precision */
    float level;   /* 0, or what all values are */
} product_case;

static void check(at_context *cx, at_precision precision, const product_case *p)
{
    int64_t xs = p->k + p->x_pad, ys = p->n + p->y_pad;
    size_t row_bytes = (size_t)(p->k / at_dtype_block(p->dtype)) * at_dtype_block_bytes(p->dtype);
    float *x = malloc(sizeof(float) * (size_t)(p->m * xs + 1));
    float *y = malloc(sizeof(float) * (size_t)(p->m * ys + 1));
    float *w = malloc(sizeof(float) * (size_t)(p->n * p->k + 1)), *bias = NULL;
    char *packed = malloc(row_bytes * (size_t)p->n + 1);
    for (int64_t i = 0; i < p->m * xs; i++)
        x[i] = random_value() * (i % xs == 3 && p->outlier != 0 ? p->outlier : 1);
    for (int64_t i = 0; i < p->n * p->k; i++) w[i] = random_value();
    for (int64_t i = 0; i < p->m * xs && p->level != 0; i++) x[i] = p->level;
    for (int64_t i = 0; i < p->n * p->k && p->level != 0; i++) w[i] = p->level;
    for (int64_t i = 0; i < p->m * ys; i++) y[i] = 777;
    assert_true(at_convert(AT_F32, w, p->dtype, packed, p->n * p->k));
    assert_true(at_convert(p->dtype, packed, AT_F32, w, p->n * p->k));
    if (p->bias) {
        bias = malloc(sizeof(float) * (size_t)p->n);
        for (int64_t i = 0; i < p->n; i++) bias[i] = random_value();
    }
    at_matmul_args args = {
        p->m, p->n,          p->k, x,  xs,       packed, p->dtype, (int64_t)row_bytes,
        bias, p->activation, y,    ys, precision};
    cx->kernels->matmul(cx, &args);
    assert_fine(cx);
    double bar = p->bar != 0 ? p->bar : precision == AT_PRECISION_F32 ? 2e-6 : 8e-3;
    for (int64_t i = 0; i < p->m; i++)
        for (int64_t j = 0; j < ys; j++) {
            if (j >= p->n) {
                assert_true(y[i * ys + j] == 777);
                continue;
            }
            double sum = bias ? (double)bias[j] : 0, size = 0.1 + fabs(sum);
            for (int64_t l = 0; l < p->k; l++) {
                sum += (double)x[i * xs + l] * (double)w[j * p->k + l];
                size += fabs((double)x[i * xs + l] * (double)w[j * p->k + l]);
            }
            double most = bar * size;
            if (precision == AT_PRECISION_INT8 && p->bar == 0)
                most = 1e-5 + int8_bound(p->k, x + i * xs, w + j * p->k);
            double expected = activated(p->activation, sum), got = (double)y[i * ys + j];
            if (!(fabs(got - expected) <= most * 1.2))
                fail_msg("%lldx%lldx%lld %s: y[%lld,%lld] is %g, not %g", (long long)p->m,
                         (long long)p->n, (long long)p->k, at_dtype_name(p->dtype), (long long)i,
                         (long long)j, got, expected);
        }
    free(x), free(y), free(w), free(packed), free(bias);
}

static void test_shapes(void **state)
{
    (void)state;
    static const int64_t m[] = {1, 2, 5, 12, 16, 17, 24, 31, 97, 193};
    static const int64_t n[] = {1, 3, 4, 16, 31, 32, 33, 65, 515};
    static const int64_t k[] = {0, 1, 2, 3, 15, 16, 31, 33, 64, 257, 513, 770};
    at_context *cx = at_context_new(&(at_context_options){.threads = 2});
    EACH_PRECISION(i)
    for (int a = 0; a < 10; a++)
        for (int b = 0; b < 9; b++)
            for (int c = a % 3; c < 12; c += 3)
                check(cx, precisions[i],
                      &(product_case){.m = m[a], .n = n[b], .k = k[c], .dtype = AT_F32});
    at_context_free(cx);
}

static void test_weight_dtypes(void **state)
{
    (void)state;
    at_context *cx = at_context_new(&(at_context_options){.threads = 2});
    EACH_PRECISION(i)
    for (int d = 0; d < AT_DTYPES; d++) {
        if (d >= AT_I8 && d <= AT_BOOL) continue;
        int64_t k = at_dtype_block(d) == 1 ? 301 : 768;
        check(cx, precisions[i], &(product_case){.m = 3, .n = 37, .k = k, .dtype = d});
        check(cx, precisions[i], &(product_case){.m = 50, .n = 37, .k = k, .dtype = d});
    }
    at_context_free(cx);
}

static void test_strides_bias_activation(void **state)
{
    (void)state;
    at_context *cx = at_context_new(&(at_context_options){.threads = 2});
    EACH_PRECISION(i)
    for (int a = 0; a < AT_ACTIVATIONS; a++)
        for (int64_t m = 7; m < 80; m += 60)
            check(cx, precisions[i],
                  &(product_case){m, 45, 70, .x_pad = 3, .y_pad = 5, .dtype = AT_F16,
                                  .bias = a != 2, .activation = (at_activation)a});
    at_context_free(cx);
}

static void test_outliers(void **state)
{
    (void)state;
    at_context *cx = at_context_new(&(at_context_options){.threads = 2});
    EACH_PRECISION(i)
    for (int64_t m = 7; m < 80; m += 60)
        check(cx, precisions[i],
              &(product_case){.m = m, .n = 45, .k = 700, .dtype = AT_F32, .outlier = 100});
    at_context_free(cx);
}

static const at_dtype blocks_of_integers[] = {AT_Q8_0, AT_Q4_0, AT_Q4_1, AT_Q5_0, AT_Q5_1,
                                              AT_Q2_K, AT_Q3_K, AT_Q4_K, AT_Q5_K, AT_Q6_K};

/* Few rows times blocks of integers: x has 16 bits, of the largest of 256 neighbours, and the
   weight is exact. */
static void test_integers(void **state)
{
    (void)state;
    static const int64_t groups[] = {1, 9, 41, 64, 79}, outliers[] = {0, 100};
    static const int64_t rows[] = {1, 2, 3, 4, 13};
    at_context *cx = at_context_new(&(at_context_options){.threads = 2});
    for (int i = 1; i < 3; i++)
        for (size_t d = 0; d < AT_COUNT(blocks_of_integers) && has_precision(precisions[i]); d++)
            for (size_t m = 0; m < AT_COUNT(rows); m++)
                for (int b = 0; b < 10; b++) {
                    at_dtype dtype = blocks_of_integers[d];
                    int64_t size = at_dtype_block(dtype);
                    check(cx, precisions[i],
                          &(product_case){.m = rows[m],
                                          .n = 4 * b + 1 + rows[m] % 4,
                                          .k = (groups[b / 2] * 32 + size - 1) / size * size,
                                          .dtype = dtype,
                                          .bias = b % 3 == 0,
                                          .outlier = (float)outliers[b % 2],
                                          .bar = b % 2 ? 1.5e-3 : 3e-5});
                }
    for (int i = 1; i < 3; i++) /* the largest integers in all places */
        for (size_t d = 0; d < AT_COUNT(blocks_of_integers) && has_precision(precisions[i]); d++)
            check(cx, precisions[i],
                  &(product_case){.m = 1,
                                  .n = 4,
                                  .k = 512,
                                  .dtype = blocks_of_integers[d],
                                  .bar = 3e-5,
                                  .level = -1});
    at_context_free(cx);
}

/* NaN and infinity in one row of x do no harm to another; in a weight, to no other column. */
static void test_special_integers(void **state)
{
    (void)state;
    enum { M = 3, N = 9, K = 512 };
    float x[M * K], w[N * K], y[M * N];
    uint8_t packed[N * K * 2];
    at_context *cx = at_context_new(NULL);
    for (int i = 0; i < M * K; i++) x[i] = random_value();
    for (int i = 0; i < N * K; i++) w[i] = random_value();
    x[300] = NAN, x[2 * K + 511] = -INFINITY;
    EACH_PRECISION(i)
    for (size_t d = 0; d < AT_COUNT(blocks_of_integers); d++) {
        at_dtype dtype = blocks_of_integers[d];
        int64_t row = K / at_dtype_block(dtype) * (int64_t)at_dtype_block_bytes(dtype);
        int factor = dtype == AT_Q2_K ? 80 : dtype == AT_Q3_K ? 108 : dtype == AT_Q6_K ? 208 : 0;
        at_convert(AT_F32, w, dtype, packed, N * K);
        packed[4 * row + factor] = 0, packed[4 * row + factor + 1] = 0x7e; /* the first of row 4 */
        at_matmul_args args = {M,   N,    K,           x, K, packed,       dtype,
                               row, NULL, AT_IDENTITY, y, N, precisions[i]};
        cx->kernels->matmul(cx, &args);
        assert_fine(cx);
        for (int j = 0; j < N; j++) {
            assert_true(isnan(y[j]));
            assert_int_equal(isnan(y[N + j]) != 0, j == 4);
            assert_false(isfinite(y[2 * N + j]));
        }
    }
    at_context_free(cx);
}

/* The same bits for any number of threads: few rows and many, weights in floats and in blocks. */
static void test_threads(void **state)
{
    (void)state;
    static const at_dtype dtypes[] = {AT_F32, AT_F16, AT_Q5_1};
    int64_t m = 301, n = 135, k = 768;
    float *x = malloc(sizeof(float) * (size_t)(m * k)),
          *w = malloc(sizeof(float) * (size_t)(n * k));
    float *y[4];
    for (int64_t i = 0; i < m * k; i++) x[i] = random_value();
    for (int64_t i = 0; i < n * k; i++) w[i] = random_value();
    char *packed = malloc(sizeof(float) * (size_t)(n * k));
    EACH_PRECISION(i)
    for (size_t d = 0; d < AT_COUNT(dtypes); d++) {
        static const int64_t rows[] = {1, 16, 301};
        at_convert(AT_F32, w, dtypes[d], packed, n * k);
        int64_t stride = k / at_dtype_block(dtypes[d]) * (int64_t)at_dtype_block_bytes(dtypes[d]);
        for (int r = 0; r < 3; r++) {
            static const int threads[] = {1, 2, 3, 8};
            for (int t = 0; t < 4; t++) {
                y[t] = malloc(sizeof(float) * (size_t)(m * n));
                at_context *cx = at_context_new(&(at_context_options){.threads = threads[t]});
                at_matmul_args args = {rows[r], n,    k,           x,    k, packed,       dtypes[d],
                                       stride,  NULL, AT_IDENTITY, y[t], n, precisions[i]};
                cx->kernels->matmul(cx, &args);
                assert_fine(cx);
                at_context_free(cx);
            }
            for (int t = 1; t < 4; t++)
                if (memcmp(y[0], y[t], sizeof(float) * (size_t)(rows[r] * n)))
                    fail_msg("%s, %s: %d threads give other bits", precision_names[i],
                             at_dtype_name(dtypes[d]), threads[t]);
            for (int t = 0; t < 4; t++) free(y[t]);
        }
    }
    free(x), free(w), free(packed);
}

/* NaN and infinity pass through, a denormal does no harm; a failing scratch is an error and nothing
 * else. */
static void test_special(void **state)
{
    (void)state;
    float x[33 * 20], w[33 * 40], y[20 * 40];
    for (int i = 0; i < 33 * 20; i++) x[i] = random_value();
    for (int i = 0; i < 33 * 40; i++) w[i] = random_value();
    x[33 * 3 + 7] = NAN;
    x[33 * 4 + 7] = INFINITY;
    x[33 * 2 + 7] = 1e-40f; /* counts as itself or as 0 */
    EACH_PRECISION(i)
    for (int m = 5; m <= 20; m += 15) {
        at_context *cx = at_context_new(NULL);
        at_matmul_args args = {m,    40,          33, x,  33,           w, AT_F32, 33 * 4,
                               NULL, AT_IDENTITY, y,  40, precisions[i]};
        cx->kernels->matmul(cx, &args);
        assert_fine(cx);
        for (int j = 0; j < 40; j++) {
            assert_true(isnan(y[3 * 40 + j]));
            assert_true(!isfinite(y[4 * 40 + j]));
            assert_true(isfinite(y[2 * 40 + j]));
        }
        cx->fail_allocation_in = 1;
        cx->kernels->matmul(cx, &args);
        assert_int_equal(at_error_status(cx), AT_ERROR_MEMORY);
        at_context_free(cx);
    }
}

int main(void)
{
    AT_SKIP_WITHOUT_TABLE();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_weight_dtypes),
        cmocka_unit_test(test_strides_bias_activation),
        cmocka_unit_test(test_outliers),
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_special_integers),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_special),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
