/* The codecs against the gguf package and torch (tools/reference/dtypes.py), and the rules for
   integers. */
#include "base/base.h"
#include "parity.h"

static const at_dtype block_types[] = {AT_Q8_0, AT_Q4_0, AT_Q4_1, AT_Q5_0, AT_Q5_1,
                                       AT_Q2_K, AT_Q3_K, AT_Q4_K, AT_Q5_K, AT_Q6_K};
static const at_dtype small_floats[] = {AT_F16, AT_BF16, AT_F8_E4M3, AT_F8_E5M2};

static at_tensor *named(at_context *cx, at_weights *io, at_dtype dtype, const char *what)
{
    char name[64];
    snprintf(name, sizeof name, "%s.%s", at_dtype_name(dtype), what);
    return at_weights_get(cx, io, name);
}

static void test_blocks_as_ggml(void **state)
{
    (void)state;
    at_context *cx = f32_context();
    at_weights *io = at_weights_open(cx, AT_FIXTURES "/dtypes/blocks.safetensors");
    at_tensor *x = fixture(cx, io, "x");
    int written = 0;
    for (size_t i = 0; i < AT_COUNT(block_types); i++) {
        at_dtype dtype = block_types[i];
        at_tensor *blocks = named(cx, io, dtype, "blocks"), *values = named(cx, io, dtype, "f32");
        int64_t count = at_elements(values);
        assert_int_equal(blocks->shape[1], at_dtype_block_bytes(dtype));
        float *ours = malloc((size_t)count * sizeof *ours);
        assert_true(at_convert(dtype, blocks->data, AT_F32, ours, count));
        if (memcmp(ours, values->data, (size_t)count * sizeof *ours) != 0)
            fail_msg("%s is read differently", at_dtype_name(dtype));
        free(ours);
        at_tensor *bytes = named(cx, io, dtype, "of_x");
        if (!bytes) continue;
        uint8_t *made = malloc(at_bytes(bytes));
        assert_true(at_convert(AT_F32, x->data, dtype, made, at_elements(x)));
        if (memcmp(made, bytes->data, at_bytes(bytes)) != 0)
            fail_msg("%s is written differently", at_dtype_name(dtype));
        free(made);
        written++;
    }
    assert_int_equal(written, 5);
    assert_fine(cx);
    at_context_free(cx);
}

/* The error that is left after a way there and back, against the spread of each row of 256. The
   rows are normal, zero, constant, positive, negative, tiny, far from zero, large, normal. */
static void test_blocks_there_and_back(void **state)
{
    (void)state;
    static const struct {
        at_dtype dtype;
        double error; /* root of the mean square, of a normal row */
    } bounds[] = {
        {AT_Q8_0, 0.008}, {AT_Q4_0, 0.12}, {AT_Q4_1, 0.11},  {AT_Q5_0, 0.06},  {AT_Q5_1, 0.055},
        {AT_Q2_K, 0.32},  {AT_Q3_K, 0.16}, {AT_Q4_K, 0.095}, {AT_Q5_K, 0.045}, {AT_Q6_K, 0.022},
    };
    at_context *cx = f32_context();
    at_weights *io = at_weights_open(cx, AT_FIXTURES "/dtypes/blocks.safetensors");
    at_tensor *x = fixture(cx, io, "x");
    for (size_t i = 0; i < AT_COUNT(bounds); i++) {
        for (int row = 0; row < 9; row++) {
            const float *in = (const float *)x->data + 256 * row;
            float back[256];
            uint8_t blocks[512];
            assert_true(at_convert(AT_F32, in, bounds[i].dtype, blocks, 256));
            assert_true(at_convert(bounds[i].dtype, blocks, AT_F32, back, 256));
            double error = 0, square = 0;
            for (int k = 0; k < 256; k++) {
                error += ((double)back[k] - in[k]) * ((double)back[k] - in[k]);
                square += (double)in[k] * in[k];
            }
            /* f16 has hardly a scale for the tiny row */
            double allowed = row == 5 ? 1.001 : bounds[i].error;
            if (!(sqrt(error) <= allowed * sqrt(square)))
                fail_msg("%s, row %d: error %.4f of %.4f", at_dtype_name(bounds[i].dtype), row,
                         sqrt(error / square), allowed);
        }
    }
    at_context_free(cx);
}

/* Nothing worse than wrong numbers. */
static void test_blocks_of_anything(void **state)
{
    (void)state;
    static const float odd[] = {INFINITY, -INFINITY, NAN, 3e38f, -3e38f, 1e-40f, 0, 65504, 1e20f};
    for (size_t i = 0; i < AT_COUNT(block_types); i++) {
        for (int round = 0; round < 200; round++) {
            float x[256], back[256];
            uint8_t blocks[512];
            for (int k = 0; k < 256; k++) x[k] = odd[(k * (round + 1) + round / 9) % 9];
            assert_true(at_convert(AT_F32, x, block_types[i], blocks, 256));
            assert_true(at_convert(block_types[i], blocks, AT_F32, back, 256));
        }
    }
}

static bool same_bits(const void *a, const void *b, at_dtype dtype, int64_t count, int64_t *where)
{
    size_t size = at_dtype_block_bytes(dtype);
    for (*where = 0; *where < count; ++*where) {
        const char *p = (const char *)a + size * (size_t)*where;
        const char *q = (const char *)b + size * (size_t)*where;
        float x, y;
        at_convert(dtype, p, AT_F32, &x, 1);
        at_convert(dtype, q, AT_F32, &y, 1);
        if (memcmp(p, q, size) != 0 && !(isnan(x) && isnan(y))) return false;
    }
    return true;
}

static void test_small_floats_as_torch(void **state)
{
    (void)state;
    at_context *cx = f32_context();
    at_weights *io = at_weights_open(cx, AT_FIXTURES "/dtypes/floats.safetensors");
    for (size_t i = 0; i < AT_COUNT(small_floats); i++) {
        at_dtype dtype = small_floats[i];
        int64_t where;
        at_tensor *codes = named(cx, io, dtype, "codes"), *values = named(cx, io, dtype, "values");
        at_tensor *ours = at_empty(cx, AT_F32, 1, codes->shape);
        at_convert(dtype, codes->data, AT_F32, ours->data, at_elements(codes));
        if (!same_bits(ours->data, values->data, AT_F32, at_elements(codes), &where))
            fail_msg("%s: code %d is read differently", at_dtype_name(dtype), (int)where);
        at_tensor *x = named(cx, io, dtype, "x"), *of_x = named(cx, io, dtype, "of_x");
        at_tensor *made = at_empty(cx, dtype, 1, x->shape);
        at_convert(AT_F32, x->data, dtype, made->data, at_elements(x));
        if (!same_bits(made->data, of_x->data, dtype, at_elements(x), &where))
            fail_msg("%s of %g is different", at_dtype_name(dtype),
                     (double)((const float *)x->data)[where]);
    }
    assert_fine(cx);
    at_context_free(cx);
}

#define CONVERTS(from_dtype, from_type, value, to_dtype, to_type, expected)                  \
    do {                                                                                     \
        from_type in_ = (value);                                                             \
        to_type out_ = 0;                                                                    \
        assert_true(at_convert(from_dtype, &in_, to_dtype, &out_, 1));                       \
        if (out_ != (expected)) fail_msg(#value " as " #to_dtype " is %.17g", (double)out_); \
    } while (0)

static void test_integers(void **state)
{
    (void)state;
    CONVERTS(AT_F32, float, -1.7f, AT_I8, int8_t, -1);
    CONVERTS(AT_F32, float, 300, AT_I8, int8_t, 127);
    CONVERTS(AT_F32, float, -300, AT_U8, uint8_t, 0);
    CONVERTS(AT_F32, float, 3e9f, AT_I32, int32_t, INT32_MAX);
    CONVERTS(AT_F32, float, 3e9f, AT_U32, uint32_t, 3000000000u);
    CONVERTS(AT_F32, float, -INFINITY, AT_I64, int64_t, INT64_MIN);
    CONVERTS(AT_F64, double, 9.3e18, AT_I64, int64_t, INT64_MAX);
    CONVERTS(AT_F64, double, 1.8e19, AT_U64, uint64_t, 18000000000000000000u);
    CONVERTS(AT_F32, float, INFINITY, AT_U64, uint64_t, UINT64_MAX);
    CONVERTS(AT_F32, float, NAN, AT_I16, int16_t, 0);
    CONVERTS(AT_F32, float, 0.25f, AT_BOOL, uint8_t, 1);
    CONVERTS(AT_F32, float, NAN, AT_BOOL, uint8_t, 1);
    CONVERTS(AT_I64, int64_t, 0x1234567812345678, AT_I32, int32_t, 0x12345678);
    CONVERTS(AT_I32, int32_t, -2, AT_I64, int64_t, -2);
    CONVERTS(AT_I32, int32_t, -1, AT_U8, uint8_t, 255);
    CONVERTS(AT_U64, uint64_t, UINT64_MAX, AT_F64, double, 0x1p64);
    CONVERTS(AT_I64, int64_t, ((int64_t)1 << 53) + 1, AT_I64, int64_t, ((int64_t)1 << 53) + 1);
    CONVERTS(AT_I64, int64_t, 16777217, AT_F32, float, 16777216);
    /* halfway through f64 it would round twice */
    CONVERTS(AT_I64, int64_t, ((int64_t)1 << 60) + ((int64_t)1 << 36) + 1, AT_F32, float,
             0x1.000002p60f);
    CONVERTS(AT_F64, double, 1e300, AT_F32, float, INFINITY);
    CONVERTS(AT_BOOL, uint8_t, 7, AT_F32, float, 1);
    CONVERTS(AT_F16, uint16_t, 0xc000, AT_I32, int32_t, -2);
    CONVERTS(AT_BOOL, uint8_t, 1, AT_F16, uint16_t, 0x3c00);
}

static void test_counts(void **state)
{
    (void)state;
    static float x[1000];
    static uint8_t bytes[4000];
    for (int i = 0; i < 1000; i++) x[i] = (float)i - 500;
    assert_false(at_convert(AT_F32, x, AT_Q4_K, bytes, 255));
    assert_false(at_convert(AT_Q8_0, bytes, AT_F32, x, 33));
    assert_false(at_convert(AT_DTYPES, bytes, AT_F32, x, 1));
    assert_false(at_convert(AT_F32, x, AT_F16, bytes, -1));
    assert_true(at_convert(AT_F32, x, AT_F16, bytes, 0));
    /* longer than what is converted at a time, at an odd address, through every middle type */
    double wide[1000];
    int16_t narrow[1000];
    assert_true(at_convert(AT_F32, x, AT_BF16, bytes + 1, 999));
    assert_true(at_convert(AT_BF16, bytes + 1, AT_F64, wide, 999));
    assert_true(at_convert(AT_F64, wide, AT_I16, narrow, 999));
    for (int i = 0; i < 999; i++) {
        int exact = i - 500; /* bf16 has eight bits */
        assert_true(abs(narrow[i] - exact) <= (abs(exact) > 256 ? 1 : 0));
    }
}

static void test_names(void **state)
{
    (void)state;
    for (int i = 0; i < AT_DTYPES; i++) {
        at_dtype dtype = AT_DTYPES;
        assert_true(at_dtype_of(at_dtype_name((at_dtype)i), &dtype));
        assert_int_equal(dtype, i);
        assert_true(at_dtype_block_bytes(dtype) > 0 && at_dtype_block(dtype) > 0);
    }
    at_dtype dtype;
    assert_false(at_dtype_of("q4_k_m", &dtype));
    assert_false(at_dtype_of(NULL, &dtype));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks_as_ggml),
        cmocka_unit_test(test_blocks_there_and_back),
        cmocka_unit_test(test_blocks_of_anything),
        cmocka_unit_test(test_small_floats_as_torch),
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
