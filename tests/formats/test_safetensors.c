#include "files.h"
#include "formats/safetensors.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#define ALL_TYPES AT_FIXTURES "/formats/all_types.safetensors"

static void reads_every_type(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        at_dtype dtype;
    } types[] = {{"f64", AT_F64},   {"f32", AT_F32},         {"f16", AT_F16},
                 {"bf16", AT_BF16}, {"f8_e4m3", AT_F8_E4M3}, {"i64", AT_I64},
                 {"i32", AT_I32},   {"f8_e5m2", AT_F8_E5M2}, {"i16", AT_I16},
                 {"i8", AT_I8},     {"u64", AT_U64},         {"u32", AT_U32},
                 {"u16", AT_U16},   {"u8", AT_U8},           {"bool", AT_BOOL}};
    at_context *cx = at_context_new(NULL);
    at_weights *w = at_weights_open(cx, ALL_TYPES);
    assert_string_equal(at_error_text(cx), "");
    assert_int_equal(at_weights_count(w), 18);
    for (size_t i = 0; i < AT_COUNT(types); i++) {
        at_tensor *x = at_weights_get(cx, w, types[i].name);
        assert_non_null(x);
        assert_int_equal(x->dtype, types[i].dtype);
        assert_true(at_has_shape(x, 2, (int64_t[]){2, 3}));
        float out[6];
        assert_true(at_read_f32(cx, x, out));
        bool is_float = types[i].dtype <= AT_F64;
        float expected[6] = {0, 1, is_float ? 0.5f : 0, 2, 3, 96};
        for (int j = 0; j < 6; j++)
            assert_float_equal(out[j], types[i].dtype == AT_BOOL ? expected[j] >= 1 : expected[j],
                               0);
    }
    at_tensor *scalar = at_weights_get(cx, w, "scalar");
    assert_int_equal(scalar->dims, 0);
    assert_float_equal(*(float *)scalar->data, -1.5f, 0);
    assert_true(at_has_shape(at_weights_get(cx, w, "empty"), 2, (int64_t[]){0, 4}));
    assert_non_null(at_weights_find(w, "odd \"name\"\\\n\t\u00e9\U0001f600"));
    assert_string_equal(at_weights_metadata(w, "n\u00e9\"w\001"), "v\u00e5lue");
    assert_null(at_weights_metadata(w, "none"));
    assert_null(at_weights_get(cx, w, "none"));
    assert_null(at_weights_at(w, 18));
    assert_false(at_failed(cx));
    at_context_free(cx);
}

/* What was read, written in another order, is the reference's file to the byte. */
static void writes_the_same_bytes(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    at_weights *w = at_weights_open(cx, ALL_TYPES);
    const char *names[18];
    at_tensor *tensors[18];
    for (int i = 0; i < 18; i++) {
        names[i] = at_weights_at(w, (i * 5 + 3) % 18)->name;
        tensors[i] = at_weights_get(cx, w, names[i]);
    }
    const char *path = in_folder("copy.safetensors");
    const char *metadata[] = {"n\u00e9\"w\001", "v\u00e5lue", NULL};
    assert_true(at_safetensors_write(cx, path, 18, names, tensors, metadata));
    size_t size, expected_size;
    unsigned char *data = get_file(path, &size), *expected = get_file(ALL_TYPES, &expected_size);
    assert_int_equal(size, expected_size);
    assert_memory_equal(data, expected, size);
    free(data);
    free(expected);

    assert_true(at_safetensors_write(cx, path, 0, NULL, NULL, NULL));
    data = get_file(path, &size);
    assert_int_equal(size, 16);
    assert_memory_equal(data, "\10\0\0\0\0\0\0\0{}      ", 16);
    free(data);
    at_context_free(cx);
}

static void writes_whole_or_not_at_all(void **state)
{
    (void)state;
    empty_folder();
    at_context *cx = at_context_new(NULL);
    at_tensor *x = at_zeros(cx, AT_F32, 2, (int64_t[]){3, 4});
    at_tensor *block = at_new(cx, AT_Q8_0, 32), turned = *x;
    turned.shape[1] = 2; /* the first columns */
    const char *name = "x";
    assert_false(
        at_safetensors_write(cx, in_folder("a"), 1, &name, (at_tensor *[]){&turned}, NULL));
    assert_non_null(strstr(at_error_text(cx), "not contiguous"));
    at_error_clear(cx);
    assert_false(at_safetensors_write(cx, in_folder("a"), 1, &name, &block, NULL));
    assert_int_equal(at_error_status(cx), AT_ERROR_UNSUPPORTED);
    at_error_clear(cx);
    for (int n = 1; n < 12; n++) { /* every allocation on the way */
        cx->fail_allocation_in = n;
        bool fine = at_safetensors_write(cx, in_folder("a"), 1, &name, &x, NULL);
        assert_int_equal(count_files(), fine);
        if (!fine) assert_int_equal(at_error_status(cx), AT_ERROR_MEMORY);
        cx->fail_allocation_in = 0;
        at_error_clear(cx);
        empty_folder();
    }
    at_context_free(cx);
}

#define ONE(dtype, shape, offsets) \
    "{\"t\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}}"
#define TWO(first, second)                                           \
    "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":" first \
    "},\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":" second "}}"

static const struct hostile {
    const char *header;
    size_t data; /* bytes behind it */
    const char *message;
} hostile[] = {
    {"", 0, "its header must begin with {"},
    {" {}", 0, "its header must begin with {"},
    {"[]", 0, "its header must begin with {"},
    {"{", 0, "not valid JSON"},
    {"{}x", 0, "something follows"},
    {"{\"t\":}", 0, "not valid JSON"},
    {"{\"\xff\":1}", 0, "not UTF-8"},
    {"{}", 1, "1 bytes at the end belong to no tensor"},
    {"{\"t\":1}", 0, "\"t\" is not an object"},
    {"{\"t\":null}", 0, "\"t\" is not an object"},
    {"{\"t\":{}}", 0, "no dtype"},
    {"{\"t\":{\"dtype\":\"U8\"}}", 0, "no shape"},
    {"{\"t\":{\"dtype\":\"U8\",\"shape\":[1]}}", 1, "no data_offsets"},
    {"{\"t\":{\"dtype\":\"U8\",\"dtype\":\"U8\"}}", 0, "two values of dtype"},
    {"{\"t\":{\"dtype\":3}}", 0, "dtype must be a string"},
    {ONE("F4", "[2]", "[0,1]"), 1, "the type F4 is not supported"},
    {ONE("F8_E8M0", "[1]", "[0,1]"), 1, "the type F8_E8M0 is not supported"},
    {ONE("C64", "[1]", "[0,8]"), 8, "the type C64 is not supported"},
    {ONE("u8", "[1]", "[0,1]"), 1, "the type u8 is not supported"},
    {ONE("U8", "1", "[0,1]"), 1, "shape must be a list"},
    {ONE("U8", "[-1]", "[0,1]"), 1, "shape must be whole numbers"},
    {ONE("U8", "[0.5]", "[0,1]"), 1, "shape must be whole numbers"},
    {ONE("U8", "[1e300]", "[0,1]"), 1, "shape must be whole numbers"},
    {ONE("U8", "[\"1\"]", "[0,1]"), 1, "shape must be whole numbers"},
    {ONE("U8", "[1,1,1,1,1,1,1]", "[0,1]"), 1, "more than 6 dimensions"},
    {ONE("U8", "[4294967296,4294967296]", "[0,1]"), 1, "its shape overflows"},
    {ONE("F32", "[4611686018427387905]", "[0,4]"), 4, "shape must be whole numbers"},
    {ONE("U8", "[0,4503599627370496,4503599627370496]", "[0,0]"), 0, "its shape overflows"},
    {ONE("U8", "[1]", "[0]"), 1, "data_offsets must be two whole numbers"},
    {ONE("U8", "[1]", "[0,1,2]"), 1, "data_offsets must be two whole numbers"},
    {ONE("U8", "[1]", "[-1,0]"), 1, "data_offsets must be two whole numbers"},
    {ONE("U8", "[1]", "[1,0]"), 1, "its data ends (0) before it begins (1)"},
    {ONE("U8", "[1]", "[1,2]"), 2, "leaves a hole before it"},
    {ONE("F32", "[2]", "[0,4]"), 4, "its shape needs 8 bytes, its data has 4"},
    {ONE("U8", "[4]", "[0,4]"), 3, "ends behind the file's end"},
    {ONE("U8", "[4]", "[0,4]"), 5, "1 bytes at the end belong to no tensor"},
    {ONE("U8", "[9007199254740992]", "[0,9007199254740992]"), 4, "ends behind the file's end"},
    {TWO("[0,4]", "[2,6]"), 6, "overlaps another tensor's"},
    {TWO("[0,4]", "[0,4]"), 4, "overlaps another tensor's"},
    {TWO("[0,4]", "[5,9]"), 9, "leaves a hole before it"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
     "\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}",
     2, "two tensors are called \"a\""},
    {"{\"__metadata__\":[]}", 0, "__metadata__ must be strings"},
    {"{\"__metadata__\":{\"a\":1}}", 0, "__metadata__ must be strings"},
    {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, "\"__metadata__\": no dtype"},
};

static void expect_refused(at_context *cx, const void *data, size_t size, const char *message)
{
    const char *path = put_file("hostile.safetensors", data, size);
    assert_null(at_weights_open(cx, path));
    if (!strstr(at_error_text(cx), message))
        fail_msg("got \"%s\", expected \"%s\"", at_error_text(cx), message);
    assert_memory_equal(at_error_text(cx), path, strlen(path));
    assert_null(strchr(at_error_text(cx), '\n'));
    at_error_clear(cx);
}

static void refuses_hostile_files(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    for (size_t i = 0; i < AT_COUNT(hostile); i++) {
        unsigned char file[512] = {0};
        size_t length = strlen(hostile[i].header);
        file[0] = (unsigned char)length;
        file[1] = (unsigned char)(length >> 8);
        memcpy(file + 8, hostile[i].header, length);
        expect_refused(cx, file, 8 + length + hostile[i].data, hostile[i].message);
    }
    expect_refused(cx, "", 0, "too short");
    expect_refused(cx, "\2\0\0\0\0\0\0", 7, "too short");
    expect_refused(cx, "\3\0\0\0\0\0\0\0{}", 10, "ends behind the file's end");
    expect_refused(cx, "\0\0\0\0\0\0\0\200{}", 10, "a header of 9223372036854775808 bytes");
    expect_refused(cx, "\1\341\365\5\0\0\0\0{}", 10, "a header of 100000001 bytes; at most");
    expect_refused(cx, "PK\3\4\0\0\0\0\0\0\0\0", 12, "a damaged zip archive");
    at_context_free(cx);
}

/* Deep nesting must not run the stack over. */
static void refuses_deep_nesting(void **state)
{
    (void)state;
    enum { DEPTH = 1 << 20 };
    at_context *cx = at_context_new(NULL);
    unsigned char *file = calloc(1, DEPTH + 13);
    memcpy(file, "\5\0\20\0\0\0\0\0{\"t\":", 13);
    memset(file + 13, '[', DEPTH);
    expect_refused(cx, file, DEPTH + 13, "not valid JSON");
    free(file);
    at_context_free(cx);
}

/* Odd header lengths are allowed: then f32 data lies at odd addresses and is copied. */
static void reads_misaligned_data(void **state)
{
    (void)state;
    const char *header = "{\"b\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
                         "\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[1,9]}}";
    unsigned char file[256] = {(unsigned char)strlen(header)};
    memcpy(file + 8, header, strlen(header));
    float values[] = {1.25f, -3};
    memcpy(file + 8 + strlen(header) + 1, values, sizeof values);
    at_context *cx = at_context_new(NULL);
    const char *path = put_file("odd.safetensors", file, 8 + strlen(header) + 9);
    at_weights *w = at_weights_open(cx, path);
    at_tensor *x = at_weights_get(cx, w, "x");
    assert_non_null(x);
    assert_int_equal((uintptr_t)x->data % 4, 0);
    assert_memory_equal(x->data, values, sizeof values);
    assert_int_equal(at_weights_find(w, "x")->offset, 8 + strlen(header) + 1);
    at_context_free(cx);
}

static void survives_failed_allocations(void **state)
{
    (void)state;
    int n = 1;
    for (bool fine = false; !fine; n++) {
        at_context *cx = at_context_new(NULL);
        cx->fail_allocation_in = n;
        at_weights *w = at_weights_open(cx, ALL_TYPES);
        at_tensor *x = at_weights_get(cx, w, "f64");
        fine = !at_failed(cx);
        assert_int_equal(fine, w != NULL && x != NULL);
        if (!fine) assert_int_equal(at_error_status(cx), AT_ERROR_MEMORY);
        at_context_free(cx);
    }
    assert_in_range(n, 40, 200);
}

/* Tensors outlive the set that they came from. */
static void keeps_mapped_files(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    at_weights *w = at_weights_open(cx, ALL_TYPES);
    at_tensor *x = at_weights_get(cx, w, "i64");
    at_weights_free(w);
    assert_int_equal(((int64_t *)x->data)[5], 96);
    at_context_free(cx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_type),
        cmocka_unit_test(writes_the_same_bytes),
        cmocka_unit_test(writes_whole_or_not_at_all),
        cmocka_unit_test(refuses_hostile_files),
        cmocka_unit_test(refuses_deep_nesting),
        cmocka_unit_test(reads_misaligned_data),
        cmocka_unit_test(survives_failed_allocations),
        cmocka_unit_test(keeps_mapped_files),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
