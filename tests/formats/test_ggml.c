/* whisper.cpp's files, written here byte by byte. */
#include "expected.h"
#include "files.h"

typedef struct bytes {
    unsigned char data[2048];
    size_t size;
} bytes;

static void put(bytes *b, uint32_t value, int count)
{
    for (int i = 0; i < count; i++) b->data[b->size++] = (unsigned char)(value >> (8 * i) & 255);
}

static void put_floats(bytes *b, int count)
{
    for (int i = 0; i < count; i++) {
        float value = (float)i + 0.5f;
        memcpy(b->data + b->size, &value, sizeof value);
        b->size += sizeof value;
    }
}

/* Sizes with the fastest first. */
static void put_tensor(bytes *b, const char *name, uint32_t type, uint32_t n0, uint32_t n1)
{
    put(b, n1 ? 2 : 1, 4), put(b, (uint32_t)strlen(name), 4), put(b, type, 4), put(b, n0, 4);
    if (n1) put(b, n1, 4);
    for (; *name; name++) put(b, (uint8_t)*name, 1);
}

static const uint32_t numbers[] = {51865, 1500, 384, 6, 4, 448, 384, 6, 4, 2};

static bytes make_file(uint32_t type)
{
    bytes b = {.size = 0};
    put(&b, 0x67676d6c, 4);
    for (size_t i = 0; i < AT_COUNT(numbers); i++) put(&b, numbers[i], 4);
    put(&b, type, 4);
    put(&b, 2, 4), put(&b, 3, 4), put_floats(&b, 6); /* filters */
    put(&b, 2, 4), put(&b, 1, 4), put(&b, 'a', 1);   /* tokens: "a", */
    put(&b, 2, 4), put(&b, 0xff, 1), put(&b, 0, 1);  /* and bytes that are no text */
    put_tensor(&b, "encoder.conv1.bias", 0, 1, 3), put_floats(&b, 3);
    put_tensor(&b, "matrix", 1, 3, 1);
    put(&b, 0x3c00, 2), put(&b, 0xc000, 2), put(&b, 0x3800, 2); /* 1, -2, 0.5 */
    put_tensor(&b, "blocks", 8, 32, 2);
    for (uint32_t row = 0; row < 2; row++) {
        put(&b, 0x3c00, 2);
        for (uint32_t i = 0; i < 32; i++) put(&b, i + row, 1);
    }
    return b;
}

static at_weights *open_bytes(at_context *cx, const bytes *b, size_t size)
{
    return at_weights_open(cx, put_file("ggml.bin", b->data, size));
}

static void reads_values(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    bytes b = make_file(2007);
    at_weights *w = open_bytes(cx, &b, b.size);
    if (!w) fail_msg("%s", at_error_text(cx));
    float values[64];
    assert_int_equal(at_weights_count(w), 5);
    at_tensor *bias = at_weights_get(cx, w, "encoder.conv1.bias");
    assert_true(at_has_shape(bias, 1, (int64_t[]){3}) && at_read_f32(cx, bias, values));
    assert_true(values[0] == 0.5f && values[2] == 2.5f);
    at_tensor *matrix = at_weights_get(cx, w, "matrix");
    assert_true(at_has_shape(matrix, 2, (int64_t[]){1, 3}) && at_read_f32(cx, matrix, values));
    assert_true(values[0] == 1 && values[1] == -2 && values[2] == 0.5f);
    assert_int_equal(at_weights_find(w, "blocks")->dtype, AT_Q8_0);
    at_tensor *blocks = at_weights_get(cx, w, "blocks");
    assert_true(at_has_shape(blocks, 2, (int64_t[]){2, 32}) && at_read_f32(cx, blocks, values));
    assert_true(values[31] == 31 && values[32] == 1);
    at_tensor *filters = at_weights_get(cx, w, "mel_filters");
    assert_true(at_has_shape(filters, 2, (int64_t[]){2, 3}));
    const at_weight *vocabulary = at_weights_find(w, "vocabulary");
    assert_int_equal(vocabulary->bytes, 4 + 1 + 4 + 2);
    assert_memory_equal(vocabulary->file->data + vocabulary->offset, "\1\0\0\0a\2\0\0\0\xff\0", 11);
    assert_string_equal(at_weights_metadata(w, "dims.n_text_ctx"), "448");
    at_context_free(cx);
}

/* Cut between tensors it is a file of fewer; anywhere else an error. */
static void refuses_parts(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    bytes b = make_file(1);
    int whole = 0;
    for (size_t cut = 4; cut < b.size; cut++) {
        if (open_bytes(cx, &b, cut)) {
            whole++;
            continue;
        }
        assert_int_equal(at_error_status(cx), AT_ERROR_FORMAT);
        assert_non_null(strstr(at_error_text(cx), "cut short"));
        at_error_clear(cx);
    }
    assert_int_equal(whole, 3);
    at_context_free(cx);
}

static void refuses(void **state)
{
    static const struct {
        size_t at; /* of a number that is changed */
        uint32_t value;
        const char *message;
    } wrong[] = {{44, 1007, "version 1"},
                 {44, 7, "version 0"},
                 {4, 0x7fffffff, "out of range"},
                 {48, 0x40000000, "cut short"},
                 {84, 5000, "a token of 5000 bytes"},
                 {95, 9, "9 dimensions"},
                 {103, 99, "type number 99"}};
    (void)state;
    at_context *cx = at_context_new(NULL);
    for (size_t i = 0; i < AT_COUNT(wrong); i++) {
        bytes b = make_file(1);
        size_t size = b.size;
        b.size = wrong[i].at;
        put(&b, wrong[i].value, 4);
        assert_null(open_bytes(cx, &b, size));
        if (!strstr(at_error_text(cx), wrong[i].message))
            fail_msg("%s, expected %s", at_error_text(cx), wrong[i].message);
        at_error_clear(cx);
    }
    at_context_free(cx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(reads_values),
                                       cmocka_unit_test(refuses_parts), cmocka_unit_test(refuses)};
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
