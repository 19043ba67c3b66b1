/* Conversions: formats, types, single files to Diffusers folders and back. */
#include "expected.h"
#include "files.h"
#include "formats/safetensors.h"
#include "hub/convert.h"
#include <sys/stat.h>

#define SINGLE AT_FIXTURES "/checkpoints/single"

static const at_convert_options as_it_is = {.dtype = AT_DTYPES};

static void remove_tree(const char *path)
{
    char command[600];
    snprintf(command, sizeof command, "rm -rf '%s'", path);
    if (system(command) != 0) abort();
}

static void convert(at_context *cx, const char *in, const char *out,
                    const at_convert_options *options)
{
    if (!at_convert_weights(cx, in, out, options)) fail_msg("%s", at_error_text(cx));
}

/* Every tensor comes back under its own name, with its own bytes. */
static void goes_to_folders_and_back(void **state)
{
    (void)state;
    static const struct {
        const char *file;
        int lost; /* alphas_cumprod, EMA, logit_scale, sd2's projection: of no network */
    } cases[] = {{"sd1", 3},     {"sd2", 4},      {"xl", 4},
                 {"refiner", 4}, {"flux_all", 0}, {"hunyuan_all", 0}};
    at_context *cx = at_context_new(NULL);
    for (size_t i = 0; i < AT_COUNT(cases); i++) {
        char in[512];
        snprintf(in, sizeof in, SINGLE "/%s.safetensors", cases[i].file);
        convert(cx, in, in_folder("model"), &as_it_is);
        convert(cx, in_folder("model"), in_folder("back.safetensors"), &as_it_is);
        at_weights *was = at_weights_open(cx, in);
        at_weights *is = at_weights_open(cx, in_folder("back.safetensors"));
        assert_int_equal(at_weights_count(is), at_weights_count(was) - cases[i].lost);
        for (int64_t t = 0; t < at_weights_count(is); t++) {
            const at_weight *a = at_weights_at(is, t), *b = at_weights_find(was, a->name);
            if (!b) fail_msg("%s: %s is new", cases[i].file, a->name);
            assert_int_equal(a->dtype, b->dtype);
            assert_int_equal(a->dims, b->dims);
            assert_memory_equal(a->shape, b->shape, sizeof(int64_t) * (size_t)a->dims);
            at_tensor *x = at_weights_get(cx, is, a->name), *y = at_weights_get(cx, was, a->name);
            assert_memory_equal(x->data, y->data, at_bytes(x));
        }
        assert_non_null(at_weights_metadata(is, "atelier.model_index"));
        assert_non_null(at_weights_metadata(is, "atelier.scheduler"));
        at_weights_free(is);
        at_weights_free(was);
        remove_tree(in_folder("model"));
    }
    at_context_free(cx);
}

static void chooses_types(void **state)
{
    (void)state;
    static const at_convert_rule rules[] = {{"norm|embed", AT_F32}, {"^k", AT_BF16}};
    const at_convert_options options = {AT_Q8_0, rules, 2};
    static const char *const names[] = {"a.weight", "a.bias",      "norm.weight", "kept.weight",
                                        "narrow",   "conv.weight", "ids",         "token_embed"};
    static const at_dtype expected[] = {AT_Q8_0, AT_F16,  AT_F32, AT_BF16,
                                        AT_F16,  AT_Q8_0, AT_I64, AT_F32};
    at_context *cx = at_context_new(NULL);
    const int64_t shapes[][4] = {{3, 64}, {3},           {2, 32}, {2, 32},
                                 {2, 6},  {2, 32, 3, 3}, {1, 4},  {2, 32}};
    const int dims[] = {2, 1, 2, 2, 2, 4, 2, 2};
    at_tensor *tensors[8];
    for (int i = 0; i < 8; i++)
        tensors[i] = at_zeros(cx, i == 6 ? AT_I64 : AT_F16, dims[i], shapes[i]);
    at_safetensors_write(cx, in_folder("in.safetensors"), 8, names, tensors, NULL);
    convert(cx, in_folder("in.safetensors"), in_folder("out.gguf"), &options);
    convert(cx, in_folder("in.safetensors"), in_folder("again.gguf"), &options);
    at_weights *w = at_weights_open(cx, in_folder("out.gguf"));
    assert_int_equal(at_weights_count(w), 8);
    for (int i = 0; i < 8; i++) assert_int_equal(at_weights_find(w, names[i])->dtype, expected[i]);
    assert_true(at_has_shape(at_weights_get(cx, w, "conv.weight"), 4, shapes[5]));
    size_t a, b;
    unsigned char *one = get_file(in_folder("out.gguf"), &a);
    unsigned char *two = get_file(in_folder("again.gguf"), &b);
    assert_int_equal(a, b);
    assert_memory_equal(one, two, a);
    free(one);
    free(two);
    at_context_free(cx);
}

static void keeps_values(void **state)
{
    (void)state;
    static const char *const files[] = {"gguf/all_types.gguf", "torch/new.pt",
                                        "quantised/scaled_f8.safetensors",
                                        "quantised/four_bits.safetensors"};
    static const char *const values[] = {
        "gguf/all_types.safetensors", "torch/every_kind.safetensors",
        "quantised/scaled_f8_values.safetensors", "quantised/four_bits_values.safetensors"};
    at_context *cx = at_context_new(NULL);
    for (size_t i = 0; i < AT_COUNT(files); i++) {
        char in[512], expected[512];
        snprintf(in, sizeof in, AT_FIXTURES "/checkpoints/%s", files[i]);
        snprintf(expected, sizeof expected, AT_FIXTURES "/checkpoints/%s", values[i]);
        convert(cx, in, in_folder("f32.safetensors"), &(at_convert_options){.dtype = AT_F32});
        expect_same_weights(cx, at_weights_open(cx, in_folder("f32.safetensors")),
                            at_weights_open(cx, expected));
    }
    at_context_free(cx);
}

static void refuse(at_context *cx, const char *in, const char *out, at_dtype dtype,
                   const char *message)
{
    assert_false(at_convert_weights(cx, in, out, &(at_convert_options){.dtype = dtype}));
    if (!strstr(at_error_text(cx), message))
        fail_msg("got \"%s\", expected \"%s\"", at_error_text(cx), message);
    at_error_clear(cx);
}

static void refuses_other_families(void **state)
{
    (void)state;
    static const char index[] =
        "{\"_class_name\":\"OtherPipeline\",\"vae\":[\"diffusers\",\"AutoencoderKL\"]}";
    at_context *cx = at_context_new(NULL);
    assert_int_equal(mkdir(in_folder("other"), 0777), 0);
    assert_true(at_file_write(cx, in_folder("other/model_index.json"), index, sizeof index - 1));
    assert_int_equal(symlink(AT_FIXTURES "/pipelines/flux_tiny_dev/vae", in_folder("other/vae")),
                     0);
    refuse(cx, in_folder("other"), in_folder("x.safetensors"), AT_DTYPES, "no single-file layout");
    unlink(in_folder("other/vae"));
    unlink(in_folder("other/model_index.json"));
    rmdir(in_folder("other"));
    at_context_free(cx);
}

static void refuses_and_leaves_nothing(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    empty_folder();
    const char *out = in_folder("x.safetensors");
    refuse(cx, AT_FIXTURES "/checkpoints/gguf/all_types.gguf", out, AT_Q4_0,
           "has no type for q4_0");
    refuse(cx, SINGLE "/ae.safetensors", in_folder("x"), AT_DTYPES, "not a whole model");
    refuse(cx, AT_FIXTURES "/pipelines/flux_tiny_dev", in_folder("x"), AT_DTYPES,
           "a folder becomes a file");
    refuse(cx, AT_FIXTURES "/pipelines/lcm_tiny", out, AT_DTYPES, "no network is here");
    refuse(cx, in_folder("none.safetensors"), out, AT_DTYPES, "No such file");
    assert_int_equal(count_files(), 0);
    at_context_free(cx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goes_to_folders_and_back),
        cmocka_unit_test(chooses_types),
        cmocka_unit_test(keeps_values),
        cmocka_unit_test(refuses_and_leaves_nothing),
        cmocka_unit_test(refuses_other_families),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
