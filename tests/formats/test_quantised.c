/* Weights of several tensors: bitsandbytes' four bits, ComfyUI's scaled f8. */
#include "expected.h"
#include "files.h"
#include "formats/safetensors.h"

#define FOLDER AT_FIXTURES "/checkpoints/quantised"

static void gives_the_reference_s_values(void **state)
{
    (void)state;
    static const char *const names[] = {"four_bits", "scaled_f8"};
    at_context *cx = at_context_new(NULL);
    for (size_t i = 0; i < AT_COUNT(names); i++) {
        char path[512], values[512];
        snprintf(path, sizeof path, FOLDER "/%s.safetensors", names[i]);
        snprintf(values, sizeof values, FOLDER "/%s_values.safetensors", names[i]);
        expect_same_weights(cx, at_weights_open(cx, path), at_weights_open(cx, values));
    }
    at_context_free(cx);
}

static void keeps_them_small(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    at_weights *w = at_weights_open(cx, FOLDER "/four_bits.safetensors");
    assert_int_equal(at_weights_find(w, "nested.weight")->dtype, AT_NF4);
    assert_int_equal(at_weights_find(w, "wide.weight")->dtype, AT_NF4);
    assert_int_equal(at_weights_find(w, "odd.weight")->dtype, AT_F32);
    w = at_weights_open(cx, FOLDER "/scaled_f8.safetensors");
    assert_int_equal(at_weights_find(w, "old.weight")->dtype, AT_F8_S);
    assert_int_equal(at_weights_find(w, "plain.weight")->dtype, AT_F8_E5M2);
    assert_int_equal(at_bytes(at_weights_get(cx, w, "old.weight")), 3 * 2 * 68);
    at_context_free(cx);
}

/* Rows 1 and 2 of a view are those of the whole. */
static void cuts_rows(void **state)
{
    (void)state;
    static const char *const cases[][2] = {{"four_bits", "nested.weight"},
                                           {"four_bits", "odd.weight"},
                                           {"scaled_f8", "rows.weight"},
                                           {"scaled_f8", "narrow.weight"}};
    at_context *cx = at_context_new(NULL);
    for (size_t i = 0; i < AT_COUNT(cases); i++) {
        char path[512];
        float whole[6 * 192], part[2 * 192];
        snprintf(path, sizeof path, FOLDER "/%s.safetensors", cases[i][0]);
        at_weights *w = at_weights_open(cx, path), *set = at_weights_derive(cx, w);
        const at_weight *from = at_weights_find(w, cases[i][1]);
        assert_true(at_weights_add(cx, set, "x", from, &(at_weight_view){.begin = 1, .count = 2}));
        at_tensor *x = at_weights_get(cx, w, cases[i][1]), *y = at_weights_get(cx, set, "x");
        assert_true(at_read_f32(cx, x, whole) && at_read_f32(cx, y, part));
        int64_t row = at_dim(x, 1);
        assert_int_equal(at_dim(y, 0), 2);
        assert_memory_equal(part, whole + row, (size_t)(2 * row) * sizeof *part);
    }
    at_context_free(cx);
}

static void refuse(at_context *cx, const char *name, at_tensor *x, const char *other, at_tensor *y,
                   const char *message)
{
    const char *path = in_folder("bad.safetensors");
    assert_true(at_safetensors_write(cx, path, 2, (const char *[]){name, other},
                                     (at_tensor *[]){x, y}, NULL));
    assert_null(at_weights_open(cx, path));
    if (!strstr(at_error_text(cx), message)) fail_msg("%s", at_error_text(cx));
    at_error_clear(cx);
}

static at_tensor *text(at_context *cx, const char *json)
{
    return at_from(cx, AT_U8, 1, (int64_t[]){(int64_t)strlen(json)}, json);
}

static void refuses_what_does_not_fit(void **state)
{
    (void)state;
    static const char blob[] = "a.weight.quant_state.bitsandbytes__nf4";
    static const char *const bad[][2] = {
        {"{", "JSON"},
        {"{\"blocksize\":64}", "no shape"},
        {"{\"shape\":[1e30,4],\"blocksize\":64}", "its shape"},
        {"{\"shape\":[2,65],\"blocksize\":64}", "its shape"},
        {"{\"shape\":[2,64],\"blocksize\":0}", "blocksize"},
        {"{\"shape\":[2,64],\"blocksize\":64}", "its map or scales"},
    };
    at_context *cx = at_context_new(NULL);
    at_tensor *packed = at_zeros(cx, AT_U8, 2, (int64_t[]){64, 1});
    for (size_t i = 0; i < AT_COUNT(bad); i++)
        refuse(cx, "a.weight", packed, blob, text(cx, bad[i][0]), bad[i][1]);
    refuse(cx, "a.weight", packed, "a.weight_scale", at_zeros(cx, AT_F32, 1, (int64_t[]){3}),
           "is not one scale");
    at_context_free(cx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_the_reference_s_values),
        cmocka_unit_test(keeps_them_small),
        cmocka_unit_test(cuts_rows),
        cmocka_unit_test(refuses_what_does_not_fit),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
