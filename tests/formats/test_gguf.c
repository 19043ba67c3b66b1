#include "expected.h"
#include "files.h"

#define FOLDER AT_FIXTURES "/checkpoints/gguf"

static void reads_every_type(void **state)
{
    (void)state;
    static const char *const files[] = {"all_types", "flattened"};
    at_context *cx = at_context_new(NULL);
    for (size_t i = 0; i < AT_COUNT(files); i++) {
        char path[512], expected[512];
        snprintf(path, sizeof path, FOLDER "/%s.gguf", files[i]);
        snprintf(expected, sizeof expected, FOLDER "/%s.safetensors", files[i]);
        expect_same_weights(cx, at_weights_open(cx, path), at_weights_open(cx, expected));
    }
    at_context_free(cx);
}

static void keeps_blocks_mapped(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    at_weights *w = at_weights_open(cx, FOLDER "/all_types.gguf");
    const at_weight *q = at_weights_find(w, "q4_K");
    assert_non_null(q);
    assert_int_equal(q->dtype, AT_Q4_K);
    assert_int_equal(q->bytes, 2 * 144);
    assert_ptr_equal(at_weights_get(cx, w, "q4_K")->data, q->file->data + q->offset);
    w = at_weights_open(cx, FOLDER "/flattened.gguf");
    assert_int_equal(at_weights_find(w, "conv.weight")->dtype, AT_Q4_0);
    assert_int_equal(at_weights_find(w, "turned")->dtype, AT_Q8_0);
    at_context_free(cx);
}

static void reads_metadata(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"general.architecture", "flux"},
        {"n.u8", "200"},
        {"n.i8", "-3"},
        {"n.u16", "60000"},
        {"n.i16", "-30000"},
        {"n.u32", "4000000000"},
        {"n.i32", "-2000000000"},
        {"n.u64", "18446744073709551615"},
        {"n.f32", "0.100000001"},
        {"n.i64", "-9223372036854775808"},
        {"n.bool", "true"},
        {"n.f64", "0.10000000000000001"},
        {"n.string", "v\u00e5lue"},

        {"n.list", "[1,-2,3]"},
    };
    at_context *cx = at_context_new(NULL);
    at_weights *w = at_weights_open(cx, FOLDER "/all_types.gguf");
    for (size_t i = 0; i < AT_COUNT(pairs); i++) {
        const char *value = at_weights_metadata(w, pairs[i][0]);
        assert_non_null(value);
        assert_string_equal(value, pairs[i][1]);
    }
    assert_null(at_weights_metadata(w, "n.long_list"));
    assert_null(at_weights_metadata(w, "n.texts"));
    at_context_free(cx);
}

/* ---- made by hand: little-endian numbers behind each other */

typedef struct bytes {
    unsigned char data[512];
    size_t size;
} bytes;

static void number(bytes *b, uint64_t value, int size)
{
    for (int i = 0; i < size; i++)
        b->data[b->size++] = i < 8 ? (unsigned char)(value >> (8 * i)) : 0;
}

static void text(bytes *b, const char *value)
{
    number(b, strlen(value), 8);
    memcpy(b->data + b->size, value, strlen(value));
    b->size += strlen(value);
}

static bytes header(uint32_t version, uint64_t tensors, uint64_t pairs)
{
    bytes b = {"GGUF", 4};
    number(&b, version, 4);
    number(&b, tensors, 8);
    number(&b, pairs, 8);
    return b;
}

static void tensor(bytes *b, const char *name, int64_t size, uint32_t type, uint64_t offset)
{
    text(b, name);
    number(b, 1, 4);
    number(b, (uint64_t)size, 8);
    number(b, type, 4);
    number(b, offset, 8);
}

static bytes one_tensor(int64_t size, uint32_t type, uint64_t offset, size_t data)
{
    bytes b = header(3, 1, 0);
    tensor(&b, "t", size, type, offset);
    b.size = (b.size + 31) / 32 * 32 + data;
    return b;
}

static bytes two_tensors(const char *second, uint64_t offset)
{
    bytes b = header(3, 2, 0);
    tensor(&b, "t", 16, 0, 0);
    tensor(&b, second, 16, 0, offset);
    b.size = (b.size + 31) / 32 * 32 + 128;
    return b;
}

static bytes one_pair(const char *key, uint32_t type, uint64_t value, int size)
{
    bytes b = header(3, 0, 1);
    text(&b, key);
    number(&b, type, 4);
    number(&b, value, size);
    return b;
}

/* Lists within lists. */
static bytes nested(int depth)
{
    bytes b = one_pair("k", 9, 9, 4);
    for (int i = 0; i < depth; i++) {
        number(&b, 1, 8);
        number(&b, i == depth - 1 ? 0 : 9, 4);
    }
    number(&b, 0, 8);
    return b;
}

static bytes flattened(uint64_t size)
{
    bytes b = header(3, 1, 1);
    text(&b, "comfy.gguf.orig_shape.t");
    number(&b, 9, 4);
    number(&b, 5, 4);
    number(&b, 1, 8);
    number(&b, size, 4);
    tensor(&b, "t", 32, 8, 0);
    b.size = (b.size + 31) / 32 * 32 + 34;
    return b;
}

static void refuses_hostile_files(void **state)
{
    (void)state;
    bytes twice = header(3, 0, 2);
    for (int i = 0; i < 2; i++) {
        text(&twice, "k");
        number(&twice, 7, 4);
        number(&twice, 1, 1);
    }
    const struct {
        bytes file;
        const char *message;
    } cases[] = {
        {header(1, 0, 0), "GGUF of version 1 (2 and 3 are read)"},
        {header(0x03000000, 0, 0), "GGUF of version 3, big-endian"},
        {header(3, 1, 0), "ends too early"},
        {header(3, UINT64_MAX, 0), "ends too early"},
        {header(3, 0, UINT64_MAX), "ends too early"},
        {{"GGUF\3\0\0\0", 8}, "ends too early"},
        {twice, "two values of \"k\""},
        {one_pair("k\xff", 7, 1, 1), "a metadata key is not UTF-8"},
        {one_pair("k", 13, 0, 8), "\"k\" is of the unknown type 13"},
        {one_pair("k", 8, 1 << 20, 8), "ends too early"},
        {one_pair("k", 9, 77, 16), "metadata of the unknown type 77"},
        {one_pair("k", 9, UINT64_MAX, 12), "unknown type"},
        {one_pair("general.alignment", 4, 3, 4), "must be a power of two"},
        {one_pair("general.alignment", 4, 0, 4), "must be a power of two"},
        {nested(6), "nested too deeply"},
        {one_tensor(4, 16, 0, 64), "\"t\": the type IQ2_XXS is not supported"},
        {one_tensor(4, 4, 0, 64), "the type number 4 is not known"},
        {one_tensor(4, 1000, 0, 64), "the type number 1000 is not known"},
        {one_tensor(16, 0, 4, 128), "its data is not aligned"},
        {one_tensor(16, 0, 0, 60), "ends behind the file's end"},
        {one_tensor(16, 0, 1 << 30, 64), "ends too early"},
        {one_tensor(-1, 0, 0, 64), "its shape overflows"},
        {one_tensor(INT64_MAX, 0, 0, 64), "its shape overflows"},
        {one_tensor(33, 8, 0, 64), "rows of 33 are not whole blocks of q8_0"},
        {two_tensors("t", 64), "two tensors are called \"t\""},
        {two_tensors("u", 32), "overlaps another tensor's"},
        {flattened(31), "its original shape does not fit"},
    };
    at_context *cx = at_context_new(NULL);
    for (size_t i = 0; i < AT_COUNT(cases); i++) {
        const char *path = put_file("hostile.gguf", cases[i].file.data, cases[i].file.size);
        assert_null(at_weights_open(cx, path));
        if (!strstr(at_error_text(cx), cases[i].message))
            fail_msg("%zu: got \"%s\", expected \"%s\"", i, at_error_text(cx), cases[i].message);
        assert_memory_equal(at_error_text(cx), path, strlen(path));
        at_error_clear(cx);
    }
    bytes fine[] = {header(2, 0, 0), one_tensor(16, 0, 0, 64), two_tensors("u", 64), flattened(32),
                    nested(3)};
    for (size_t i = 0; i < AT_COUNT(fine); i++) {
        assert_non_null(at_weights_open(cx, put_file("fine.gguf", fine[i].data, fine[i].size)));
        assert_string_equal(at_error_text(cx), "");
    }
    at_context_free(cx);
}

static void survives_failed_allocations(void **state)
{
    (void)state;
    int n = 1;
    for (bool fine = false; !fine; n++) {
        at_context *cx = at_context_new(NULL);
        cx->fail_allocation_in = n;
        at_weights *w = at_weights_open(cx, FOLDER "/flattened.gguf");
        at_tensor *x = at_weights_get(cx, w, "conv.weight");
        fine = !at_failed(cx);
        assert_int_equal(fine, w != NULL && x != NULL);
        if (!fine) assert_int_equal(at_error_status(cx), AT_ERROR_MEMORY);
        at_context_free(cx);
    }
    assert_in_range(n, 20, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_type),
        cmocka_unit_test(keeps_blocks_mapped),
        cmocka_unit_test(reads_metadata),
        cmocka_unit_test(refuses_hostile_files),
        cmocka_unit_test(survives_failed_allocations),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
