#include "expected.h"
#include "files.h"
#include <math.h>

#define FOLDER AT_FIXTURES "/networks/"
#define FLOAT16 FOLDER "whisper_tiny_float16/model.bin"
#define INT8 FOLDER "whisper_tiny_int8/model.bin"

/* The greatest difference to another file's tensor, whose rows begin at `row`. */
static double distance(at_context *cx, const at_weights *got, const char *name,
                       const at_weights *expected, const char *expected_name, int64_t row)
{
    at_tensor *a = at_weights_get(cx, got, name), *b = at_weights_get(cx, expected, expected_name);
    if (!a || !b) fail_msg("%s: %s", name, at_failed(cx) ? at_error_text(cx) : "not there");
    int64_t count = at_elements(b), first = row * count / at_dim(b, 0);
    float *x = calloc((size_t)at_elements(a), sizeof *x), *y = calloc((size_t)count, sizeof *y);
    assert_true(at_read_f32(cx, a, x) && at_read_f32(cx, b, y));
    double most = 0;
    for (int64_t i = 0; i < count; i++) {
        double d = (double)x[first + i] - (double)y[i];
        most = d > most ? d : -d > most ? -d : most;
    }
    free(x);
    free(y);
    return most;
}

static void reads_values(void **state)
{
    static const struct {
        const char *theirs, *ours;
        int64_t row;
    } names[] = {
        {"encoder/conv1/weight", "model.encoder.conv1.weight", 0},
        {"decoder/embeddings/weight", "model.decoder.embed_tokens.weight", 0},
        {"decoder/layer_2/self_attention/linear_0/weight",
         "model.decoder.layers.2.self_attn.v_proj.weight", 48},
        {"decoder/layer_1/attention/linear_1/weight",
         "model.decoder.layers.1.encoder_attn.k_proj.weight", 0},
        {"encoder/layer_1/ffn/layer_norm/beta", "model.encoder.layers.1.final_layer_norm.bias", 0},
    };
    (void)state;
    at_context *cx = at_context_new(NULL);
    at_weights *half = at_weights_open(cx, FLOAT16), *whole = at_weights_open(cx, INT8);
    at_weights *source = at_weights_open(cx, FOLDER "whisper_tiny/model.safetensors");
    for (size_t i = 0; i < AT_COUNT(names); i++) {
        const char *theirs = names[i].theirs, *ours = names[i].ours;
        double f16 = distance(cx, half, theirs, source, ours, names[i].row);
        double i8 = distance(cx, whole, theirs, source, ours, names[i].row);
        if (f16 > 2e-3 || i8 > 2e-2) fail_msg("%s: %g, %g", theirs, f16, i8);
    }
    assert_int_equal(at_weights_find(half, "decoder/embeddings/weight")->dtype, AT_F16);
    assert_int_equal(at_weights_find(whole, "decoder/num_heads")->dtype, AT_I16);
    assert_null(at_weights_find(whole, "decoder/embeddings/weight_scale"));
    assert_string_equal(at_weights_metadata(half, "ctranslate2.spec"), "WhisperSpec");
    at_context_free(cx);
}

/* Appends little-endian numbers of so many bytes. */
static void put(uint8_t **at, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++) *(*at)++ = (uint8_t)(value >> 8 * i);
}

static void put_name(uint8_t **at, const char *text)
{
    size_t n = strlen(text) + 1;
    put(at, n, 2);
    memcpy(*at, text, n);
    *at += n;
}

/* Whole blocks of bytes stay bytes: q8_0, whose scales are f16. */
static void keeps_bytes(void **state)
{
    (void)state;
    enum { ROWS = 3, WIDTH = 64 };
    static const float scales[ROWS] = {127 / 0.5f, 1000, 8};
    uint8_t bytes[512], *at = bytes;
    put(&at, 6, 4);
    put_name(&at, "WhisperSpec");
    put(&at, 3, 4);
    put(&at, 2, 4);
    put_name(&at, "w/weight");
    put(&at, 2, 1), put(&at, ROWS, 4), put(&at, WIDTH, 4), put(&at, 1, 1);
    put(&at, ROWS * WIDTH, 4);
    for (int i = 0; i < ROWS * WIDTH; i++) put(&at, (uint64_t)(i * 37 % 255 - 127), 1);
    put_name(&at, "w/weight_scale");
    put(&at, 1, 1), put(&at, ROWS, 4), put(&at, 0, 1), put(&at, sizeof scales, 4);
    memcpy(at, scales, sizeof scales);
    at += sizeof scales;
    put(&at, 0, 4);
    assert_true(at <= bytes + sizeof bytes);
    at_context *cx = at_context_new(NULL);
    at_weights *set = at_weights_open(cx, put_file("bytes.bin", bytes, (size_t)(at - bytes)));
    at_tensor *w = at_weights_get(cx, set, "w/weight");
    float got[ROWS * WIDTH];
    if (!w || !at_read_f32(cx, w, got)) fail_msg("%s", at_error_text(cx));
    assert_int_equal(w->dtype, AT_Q8_0);
    for (int i = 0; i < ROWS * WIDTH; i++) {
        double exact = (i * 37 % 255 - 127) / (double)scales[i / WIDTH];
        assert_true(fabs(got[i] - exact) <= 5e-4 * fabs(exact));
    }
    at_context_free(cx);
}

/* Whatever is left of it: an error that says so. */
static void refuses_parts(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    size_t size;
    char *data = at_file_read(cx, INT8, 1 << 20, &size);
    assert_non_null(data);
    for (size_t cut = 32; cut < size; cut += cut < 2000 ? 1 : 997) {
        const char *path = put_file("cut.bin", data, cut);
        assert_null(at_weights_open(cx, path));
        assert_int_equal(at_error_status(cx), AT_ERROR_FORMAT);
        assert_non_null(strstr(at_error_text(cx), "cut short"));
        at_error_clear(cx);
    }
    data[0] = 5;
    assert_null(at_weights_open(cx, put_file("old.bin", data, size)));
    assert_int_equal(at_error_status(cx), AT_ERROR_UNSUPPORTED);
    assert_non_null(strstr(at_error_text(cx), "version 5"));
    at_free(data);
    at_context_free(cx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(reads_values),
                                       cmocka_unit_test(keeps_bytes),
                                       cmocka_unit_test(refuses_parts)};
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
