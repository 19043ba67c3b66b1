/* Convolution against sums in double: kernels, strides, dilation, groups, uneven padding, channels
   of no round number, weight dtypes. The tolerance is of the sum of |x w|. */
#include "kernels/random_values.h"

static void check(at_context *cx, at_precision precision, at_dtype dtype, at_conv2d_args a)
{
    int64_t channels = a.channels / a.groups, taps = a.kernel[0] * a.kernel[1];
    int reach[2];
    for (int i = 0; i < 2; i++) reach[i] = a.dilation[i] * (a.kernel[i] - 1) + 1;
    a.out_height = (a.height + a.padding[0] + a.padding[1] - reach[0]) / a.stride[0] + 1;
    a.out_width = (a.width + a.padding[2] + a.padding[3] - reach[1]) / a.stride[1] + 1;
    int64_t positions = a.batch * a.out_height * a.out_width,
            weights = a.out_channels * taps * channels;
    float *x = random_values(a.batch * a.height * a.width * a.channels),
          *w = random_values(weights);
    float *bias = random_values(a.out_channels), *y = random_values(positions * a.out_channels);
    void *packed = malloc((size_t)weights * sizeof(double));
    assert_true(at_convert(AT_F32, w, dtype, packed, weights));
    assert_true(at_convert(dtype, packed, AT_F32, w, weights));
    a.x = x, a.weight = packed, a.dtype = dtype, a.bias = bias, a.y = y, a.precision = precision;
    a.activation = AT_RELU;
    cx->kernels->conv2d(cx, &a);
    assert_fine(cx);
    /* int8: test_matmul.c has the exact bound; here the rows are short */
    static const double bars[] = {
        [AT_PRECISION_F32] = 2e-6, [AT_PRECISION_BF16] = 8e-3, [AT_PRECISION_INT8] = 4e-2};
    double bar = bars[precision];
    for (int64_t p = 0; p < positions; p++)
        for (int64_t o = 0; o < a.out_channels; o++) {
            int64_t b = p / a.out_width / a.out_height, group = o / (a.out_channels / a.groups);
            double sum = (double)bias[o], size = 0.1;
            for (int64_t t = 0; t < taps; t++) {
                int64_t row = p / a.out_width % a.out_height * a.stride[0] - a.padding[0] +
                              t / a.kernel[1] * a.dilation[0];
                int64_t column =
                    p % a.out_width * a.stride[1] - a.padding[2] + t % a.kernel[1] * a.dilation[1];
                if (row < 0 || row >= a.height || column < 0 || column >= a.width) continue;
                const float *from =
                    x + ((b * a.height + row) * a.width + column) * a.channels + group * channels;
                for (int64_t c = 0; c < channels; c++) {
                    double product = (double)from[c] * (double)w[(o * taps + t) * channels + c];
                    sum += product;
                    size += fabs(product);
                }
            }
            double right = fmax(sum, 0), got = (double)y[p * a.out_channels + o];
            if (!(fabs(got - right) <= bar * size))
                fail_msg("%dx%d, %lld to %lld channels: y[%lld,%lld] is %g, not %g", a.kernel[0],
                         a.kernel[1], (long long)a.channels, (long long)a.out_channels,
                         (long long)p, (long long)o, got, right);
        }
    free(x), free(w), free(bias), free(y), free(packed);
}

static const at_conv2d_args plain = {
    .batch = 1, .kernel = {3, 3}, .stride = {1, 1}, .dilation = {1, 1}, .groups = 1};

static void test_shapes(void **state)
{
    (void)state;
    static const int64_t channels[] = {1, 3, 4, 5, 16, 33, 96}, outs[] = {1, 2, 7, 32, 45};
    at_context *cx = at_context_new(&(at_context_options){.threads = 2});
    EACH_PRECISION(p)
    for (int kernel = 1; kernel <= 5; kernel += 2)
        for (size_t c = 0; c < AT_COUNT(channels); c++)
            for (size_t o = 0; o < AT_COUNT(outs); o++) {
                at_conv2d_args a = plain;
                a.batch = 2, a.height = 7, a.width = 6;
                a.kernel[0] = a.kernel[1] = kernel;
                for (int i = 0; i < 4; i++) a.padding[i] = kernel / 2;
                a.channels = channels[c], a.out_channels = outs[o];
                check(cx, precisions[p], AT_F32, a);
            }
    at_context_free(cx);
}

static void test_settings(void **state)
{
    (void)state;
    at_context *cx = at_context_new(&(at_context_options){.threads = 2});
    static const int pads[][4] = {{0}, {1, 1, 1, 1}, {0, 1, 0, 1}, {3, 0, 0, 2}, {9, 9, 9, 9}};
    EACH_PRECISION(p)
    for (int stride = 1; stride <= 3; stride++)
        for (int dilation = 1; dilation <= 2; dilation++)
            for (size_t i = 0; i < AT_COUNT(pads); i++)
                for (int groups = 1; groups <= 12; groups *= 2 + (groups == 2)) {
                    at_conv2d_args a = plain;
                    a.height = 11, a.width = 9, a.channels = 12, a.out_channels = 24;
                    a.kernel[1] = 1 + (int)i % 3, a.groups = groups;
                    a.stride[0] = stride, a.stride[1] = 4 - stride;
                    a.dilation[0] = dilation, a.dilation[1] = 3 - dilation;
                    memcpy(a.padding, pads[i], sizeof a.padding);
                    check(cx, precisions[p], AT_F16, a);
                }
    at_context_free(cx);
}

static void test_weight_dtypes(void **state)
{
    (void)state;
    at_context *cx = at_context_new(&(at_context_options){.threads = 2});
    EACH_PRECISION(p)
    for (int d = 0; d < AT_DTYPES; d++) {
        if (d >= AT_I8 && d <= AT_BOOL) continue;
        at_conv2d_args a = plain;
        a.height = 5, a.width = 6, a.channels = at_dtype_block(d) == 1 ? 35 : 256;
        a.out_channels = 10;
        check(cx, precisions[p], (at_dtype)d, a);
    }
    at_context_free(cx);
}

int main(void)
{
    AT_SKIP_WITHOUT_TABLE();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_settings),
        cmocka_unit_test(test_weight_dtypes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
