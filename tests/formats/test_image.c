#include "files.h"
#include "formats/image.h"
#include "formats/weights.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#define PICTURES AT_FIXTURES "/images/"
#define PARAMETERS                                                                             \
    "a red heart, \u00e9t\u00e9\nNegative prompt: blurry\nSteps: 4, Sampler: Euler, Seed: 7, " \
    "Size: 64x64"
#define SETTINGS "{\"prompt\":\"\u2764 \U0001f600\",\"note\":\"a \\\"b\\\"\\n\"}"

/* Every file in tests/fixtures/images against the pixels that PIL reads. */
static void reads_what_pil_reads(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    at_weights *expected = at_weights_open(cx, PICTURES "expected.safetensors");
    assert_int_equal(at_weights_count(expected), 28);
    for (int64_t i = 0; i < at_weights_count(expected); i++) {
        const at_weight *w = at_weights_at(expected, i);
        char path[512];
        snprintf(path, sizeof path, "%s%s", PICTURES, w->name);
        at_image *image = at_image_load(cx, path);
        assert_string_equal(at_error_text(cx), "");
        at_tensor *x = at_weights_get(cx, expected, w->name), *y = at_image_to_tensor(image);
        assert_int_equal(image->depth, w->dtype == AT_U16 ? 16 : 8);
        if (!at_same_shape(x, y)) fail_msg("%s: %s", w->name, at_shape_text(y));
        float most = w->dtype == AT_U16 ? 65535 : 255, values[13 * 9 * 4];
        /* libjpeg and libwebp may round otherwise from version to version. */
        float most_off = strstr(w->name, ".png") ? 0 : strstr(w->name, "cmyk") ? 2.01f : 1.01f;
        assert_true(at_read_f32(cx, x, values));
        for (int64_t k = 0; k < at_elements(x); k++) {
            float off = fabsf(values[k] - rintf(((float *)y->data)[k] * most));
            if (off > most_off) fail_msg("%s: sample %d is off by %g", w->name, (int)k, off);
        }
    }
    at_context_free(cx);
}

static void reads_texts(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    at_image *image = at_image_load(cx, PICTURES "texts.png");
    assert_string_equal(at_image_text(image, "parameters"), PARAMETERS);
    assert_string_equal(at_image_text(image, "atelier"), "{\"prompt\":\"\u2764 \U0001f600\"}");
    assert_int_equal(strlen(at_image_text(image, "Comment")), 600);
    assert_null(at_image_text(image, "none"));
    image = at_image_load(cx, PICTURES "comment.jpg");
    assert_string_equal(at_image_text(image, "parameters"), PARAMETERS " \U0001f600");
    assert_null(at_image_text(image, "atelier"));
    image = at_image_load(cx, PICTURES "orientation.webp");
    assert_string_equal(at_image_text(image, "parameters"), PARAMETERS);
    at_context_free(cx);
}

/* Smooth values, different in every corner. */
static at_image *make(at_context *cx, int channels, int depth)
{
    at_image *image = at_image_new(cx, 23, 17, channels, depth);
    for (int i = 0; i < 23 * 17; i++)
        for (int c = 0; c < channels; c++) {
            int x = i % 23, y = i / 23;
            double value = (c == 0   ? x / 22.0
                            : c == 1 ? (y + 1) / 17.0 /* alpha is never 0 */
                            : c == 2 ? (x + y) / 38.0
                                     : 1 - x * y / 400.0);
            if (depth == 8)
                ((uint8_t *)image->pixels)[i * channels + c] = (uint8_t)lrint(value * 255);
            else
                ((uint16_t *)image->pixels)[i * channels + c] = (uint16_t)lrint(value * 65535);
        }
    return image;
}

static void png_keeps_every_pixel(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    for (int channels = 1; channels <= 4; channels++)
        for (int depth = 8; depth <= 16; depth += 8) {
            at_image *image = make(cx, channels, depth);
            assert_true(at_image_save(image, in_folder("a.png")));
            at_image *back = at_image_load(cx, in_folder("a.png"));
            assert_int_equal(back->channels, channels);
            assert_int_equal(back->depth, depth);
            assert_memory_equal(back->pixels, image->pixels, at_image_row(image) * 17);
        }
    at_context_free(cx);
}

static void lossy_kinds_stay_close(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int channels, depth, back;
        double most; /* root of the mean squared error */
    } cases[] = {{"a.jpg", 1, 8, 1, 1.0},   {"a.JPEG", 3, 8, 3, 2.0}, {"a.jpg", 3, 16, 3, 2.0},
                 {"a.webp", 1, 8, 3, 3.0},  {"a.webp", 3, 8, 3, 4.0}, {"a.webp", 4, 8, 4, 4.0},
                 {"a.WebP", 4, 16, 4, 4.0}, {"a.webp", 2, 8, 4, 3.0}};
    at_context *cx = at_context_new(NULL);
    for (size_t i = 0; i < AT_COUNT(cases); i++) {
        at_image *image = make(cx, cases[i].channels, cases[i].depth);
        assert_true(at_image_save(image, in_folder(cases[i].name)));
        at_image *back = at_image_load(cx, in_folder(cases[i].name));
        assert_int_equal(back->channels, cases[i].back);
        at_image *plain = at_image_convert(image, cases[i].back, 8);
        const uint8_t *a = plain->pixels, *b = back->pixels;
        double sum = 0;
        int count = 23 * 17 * cases[i].back;
        for (int k = 0; k < count; k++) sum += (a[k] - b[k]) * (a[k] - b[k]);
        if (sqrt(sum / count) > cases[i].most)
            fail_msg("%s: off by %g", cases[i].name, sqrt(sum / count));
    }
    at_context_free(cx);
}

static void texts_and_bytes_come_back(void **state)
{
    (void)state;
    static const char *const names[] = {"a.png", "a.jpg", "a.webp"};
    static const struct {
        const char *parameters, *settings;
    } texts[] = {{PARAMETERS, SETTINGS},
                 {PARAMETERS " \U0001f600", NULL},
                 {NULL, SETTINGS},
                 {"x, atelier: \"y", "{}"},
                 {NULL, NULL}};
    at_context *cx = at_context_new(NULL);
    for (size_t n = 0; n < AT_COUNT(names); n++)
        for (size_t t = 0; t < AT_COUNT(texts); t++) {
            at_image *image = make(cx, 3, 8);
            assert_true(at_image_set_text(image, "atelier", "old"));
            assert_true(at_image_set_text(image, "parameters", texts[t].parameters));
            assert_true(at_image_set_text(image, "atelier", texts[t].settings));
            assert_true(at_image_save(image, in_folder(names[n])));
            size_t size, again_size;
            unsigned char *bytes = get_file(in_folder(names[n]), &size);
            at_image *back = at_image_load(cx, in_folder(names[n]));
            const char *parameters = at_image_text(back, "parameters");
            const char *settings = at_image_text(back, "atelier");
            assert_int_equal(!parameters, !texts[t].parameters);
            assert_int_equal(!settings, !texts[t].settings);
            if (parameters) assert_string_equal(parameters, texts[t].parameters);
            if (settings) assert_string_equal(settings, texts[t].settings);
            assert_true(at_image_save(image, in_folder(names[n])));
            unsigned char *again = get_file(in_folder(names[n]), &again_size);
            assert_int_equal(size, again_size);
            assert_memory_equal(bytes, again, size);
            free(bytes);
            free(again);
        }
    at_context_free(cx);
}

static void converts(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    at_image *rgba = at_image_new(cx, 2, 1, 4, 8);
    memcpy(rgba->pixels, (uint8_t[]){255, 0, 0, 7, 10, 200, 30, 255}, 8);
    /* PIL: Image.new("RGB", (1, 1), (255, 0, 0)).convert("L") is 76; (10, 200, 30): 124 */
    assert_memory_equal(at_image_convert(rgba, 1, 8)->pixels, ((uint8_t[]){76, 124}), 2);
    assert_memory_equal(at_image_convert(rgba, 2, 8)->pixels, ((uint8_t[]){76, 7, 124, 255}), 4);
    assert_memory_equal(at_image_convert(rgba, 3, 8)->pixels, ((uint8_t[]){255, 0, 0, 10, 200, 30}),
                        6);
    at_image *wide = at_image_convert(rgba, 4, 16);
    assert_memory_equal(wide->pixels,
                        ((uint16_t[]){65535, 0, 0, 7 * 257, 10 * 257, 200 * 257, 30 * 257, 65535}),
                        16);
    assert_memory_equal(at_image_convert(wide, 4, 8)->pixels, rgba->pixels, 8);
    at_image *gray = at_image_new(cx, 1, 1, 1, 8);
    *(uint8_t *)gray->pixels = 9;
    assert_memory_equal(at_image_convert(gray, 4, 8)->pixels, ((uint8_t[]){9, 9, 9, 255}), 4);
    at_context_free(cx);
}

static void tensors_round_half_to_even(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    float values[] = {-1,         0,          1,    2,        -0.0f,     0.5f / 255,
                      1.5f / 255, 2.5f / 255, 0.5f, INFINITY, -INFINITY, 254.5f / 255};
    uint8_t expected[] = {0, 0, 255, 255, 0, 0, 2, 2, 128, 255, 0, 254};
    at_tensor *x = at_from(cx, AT_F32, 3, (int64_t[]){2, 2, 3}, values);
    at_image *image = at_image_from_tensor(cx, x);
    assert_int_equal(image->width, 2);
    assert_memory_equal(image->pixels, expected, sizeof expected);
    at_tensor *back = at_image_to_tensor(image);
    assert_float_equal(((float *)back->data)[8], 128 / 255.0f, 0);
    assert_null(at_image_from_tensor(cx, at_new(cx, AT_F32, 4, 4)));
    assert_int_equal(at_error_status(cx), AT_ERROR_SHAPE);
    at_error_clear(cx);
    assert_null(at_image_from_tensor(cx, at_full(cx, NAN, 3, (int64_t[]){1, 1, 3})));
    assert_int_equal(at_error_status(cx), AT_ERROR_FORMAT);
    at_context_free(cx);
}

static void expect_error(at_context *cx, at_status status, const char *message)
{
    assert_int_equal(at_error_status(cx), status);
    if (!strstr(at_error_text(cx), message))
        fail_msg("got \"%s\", expected \"%s\"", at_error_text(cx), message);
    at_error_clear(cx);
}

static void refuses_what_cannot_be(void **state)
{
    (void)state;
    empty_folder();
    at_context *cx = at_context_new(NULL);
    at_image *image = make(cx, 4, 8);
    assert_false(at_image_save(image, in_folder("a.gif")));
    expect_error(cx, AT_ERROR_UNSUPPORTED, "(use .png, .jpg, .jpeg or .webp)");
    assert_false(at_image_save(image, in_folder("a")));
    expect_error(cx, AT_ERROR_UNSUPPORTED, "(use .png, .jpg, .jpeg or .webp)");
    assert_false(at_image_save(image, in_folder("a.jpg")));
    expect_error(cx, AT_ERROR_UNSUPPORTED, "JPEG has no transparency");
    assert_false(at_image_save(image, in_folder("no/a.png")));
    expect_error(cx, AT_ERROR_FILE, "No such file");
    assert_false(at_image_save(at_image_new(cx, 16384, 1, 3, 8), in_folder("a.webp")));
    expect_error(cx, AT_ERROR_UNSUPPORTED, "at most 16383 x 16383");
    assert_false(at_image_save(at_image_new(cx, 1, 65501, 3, 8), in_folder("a.jpg")));
    expect_error(cx, AT_ERROR_UNSUPPORTED, "at most 65500 x 65500");
    assert_int_equal(count_files(), 0);
    assert_null(at_image_load(cx, put_text("a.png", "GIF89a")));
    expect_error(cx, AT_ERROR_FORMAT, "a.png: not a PNG, JPEG or WebP picture");
    assert_null(at_image_load(cx, PICTURES "animated.webp"));
    expect_error(cx, AT_ERROR_UNSUPPORTED, "animated WebP is not supported");
    assert_null(at_image_new(cx, 1 << 15, (1 << 13) + 1, 1, 8));
    expect_error(cx, AT_ERROR_ARGUMENT, "at most 2^28");
    assert_null(at_image_new(cx, 0, 1, 1, 8));
    expect_error(cx, AT_ERROR_ARGUMENT, "0 x 1 pixels");
    at_context_free(cx);
    cx = at_context_new(&(at_context_options){.memory_budget = 300});
    assert_null(at_image_load(cx, PICTURES "rgb.png"));
    expect_error(cx, AT_ERROR_MEMORY, "exceeds the memory budget");
    at_context_free(cx);
}

/* A picture of 2^31 - 1 pixels a side, and a text of 2^31 - 1 bytes, in 60 bytes. */
static void refuses_bombs(void **state)
{
    (void)state;
    static const unsigned char picture[] =
        "\211PNG\r\n\032\n\0\0\0\rIHDR\177\377\377\377\177\377\377\377\10\6\0\0\0\024\311\013\146"
        "\0\0\0\0IDAT\065\257\006\036"
        "\0\0\0\0IEND\256B\140\202";
    static const unsigned char text[] =
        "\211PNG\r\n\032\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\10\0\0\0\0\072\176\233\125"
        "\177\377\377\377tEXta\0b\0\0\0\0";
    at_context *cx = at_context_new(NULL);
    assert_null(at_image_decode(cx, picture, sizeof picture - 1, "bomb"));
    expect_error(cx, AT_ERROR_ARGUMENT, "bomb: a picture of 2147483647 x 2147483647 pixels");
    assert_null(at_image_decode(cx, text, sizeof text - 1, "bomb"));
    expect_error(cx, AT_ERROR_FORMAT, "bomb: the file is cut short");
    at_context_free(cx);
}

/* Each file cut at every place: one line that names the file, or (a PNG without its end) nothing.
 */
static void refuses_truncated_files(void **state)
{
    (void)state;
    static const char *const names[] = {"rgba.png",        "texts.png", "rgb.jpg",
                                        "progressive.jpg", "rgb.webp",  "rgba.webp"};
    for (size_t i = 0; i < AT_COUNT(names); i++) {
        char path[512];
        snprintf(path, sizeof path, "%s%s", PICTURES, names[i]);
        size_t size;
        unsigned char *data = get_file(path, &size);
        for (size_t n = 0; n < size; n++) {
            at_context *cx = at_context_new(NULL);
            unsigned char *part = malloc(n ? n : 1); /* so that reading past it is seen */
            memcpy(part, data, n);
            if (at_image_decode(cx, part, n, "cut"))
                fail_msg("%s at %zu of %zu", names[i], n, size);
            assert_int_equal(at_error_status(cx), AT_ERROR_FORMAT);
            assert_memory_equal(at_error_text(cx), "cut: ", 5);
            free(part);
            at_context_free(cx);
        }
        free(data);
    }
}

static void survives_failed_allocations(void **state)
{
    (void)state;
    static const char *const names[] = {"a.png", "a.jpg", "a.webp"};
    for (size_t i = 0; i < AT_COUNT(names); i++)
        for (int n = 1, fine = false; !fine; n++) {
            at_context *cx = at_context_new(NULL);
            at_image *image = make(cx, 3, 8);
            cx->fail_allocation_in = n;
            at_image_set_text(image, "parameters", PARAMETERS);
            at_image_set_text(image, "atelier", SETTINGS);
            unlink(in_folder(names[i]));
            bool saved = at_image_save(image, in_folder(names[i]));
            assert_int_equal(access(in_folder(names[i]), F_OK) == 0, saved);
            at_image *back = at_image_load(cx, in_folder(names[i]));
            at_tensor *x = at_image_to_tensor(back);
            fine = at_image_from_tensor(cx, x) != NULL;
            assert_int_equal(fine, !at_failed(cx));
            if (!fine) assert_int_equal(at_error_status(cx), AT_ERROR_MEMORY);
            assert_in_range(n, 1, 500);
            at_context_free(cx);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_pil_reads),
        cmocka_unit_test(reads_texts),
        cmocka_unit_test(png_keeps_every_pixel),
        cmocka_unit_test(lossy_kinds_stay_close),
        cmocka_unit_test(texts_and_bytes_come_back),
        cmocka_unit_test(converts),
        cmocka_unit_test(tensors_round_half_to_even),
        cmocka_unit_test(refuses_what_cannot_be),
        cmocka_unit_test(refuses_bombs),
        cmocka_unit_test(refuses_truncated_files),
        cmocka_unit_test(survives_failed_allocations),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
