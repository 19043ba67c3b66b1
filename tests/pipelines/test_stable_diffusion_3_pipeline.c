/* StableDiffusion3Pipeline against Diffusers': tiny random folders with three text encoders, with
   two, and with fewer, which the reference does not draw with. */
#include "runs.h"
#include "text/tokenizer.h"

#define TINY AT_FIXTURES "/pipelines/sd3_tiny"

static void test_three_encoders(void **state)
{
    (void)state;
    run_folder(TINY, "StableDiffusion3Pipeline", 6);
}

static void test_without_t5(void **state)
{
    (void)state;
    run_folder(AT_FIXTURES "/pipelines/sd3_tiny_no_t5", "StableDiffusion3Pipeline", 2);
}

static void test_pictures(void **state)
{
    (void)state;
    run_folder(AT_FIXTURES "/pipelines/sd3_tiny_pictures", "StableDiffusion3Pipeline", 4);
}

/* Fewer encoders draw another picture, none the same whatever the prompt. */
static void test_missing_encoders(void **state)
{
    (void)state;
    at_context *cx = f32_context();
    at_pipeline *p = at_pipeline_open(cx, TINY);
    at_generate_options o = {
        .prompt = "a fox", .width = 32, .height = 32, .steps = 2, .max_sequence_length = 8};
    at_image *before = at_generate(p, &o);
    assert_fine(cx);
    static const char *const encoders[] = {"text_encoder_2", "text_encoder_3", "text_encoder"};
    for (int i = 0; i < 3; i++) {
        at_component *c = at_pipeline_component(p, encoders[i]);
        free(c->class_name);
        c->class_name = NULL;
        at_image *after = at_generate(p, &o);
        assert_fine(cx);
        assert_true(psnr(after, before->pixels) < 40.0);
        before = after;
    }
    o.prompt = "a hen";
    assert_true(psnr(at_generate(p, &o), before->pixels) >= 60.0);
    at_context_free(cx);
}

#define SINGLE AT_FIXTURES "/checkpoints/single/"

static double scaling_of(const at_pipeline *p, const char *key)
{
    return number(at_config_json(at_pipeline_component(p, "vae")->config), key);
}

/* A transformer alone, with T5 and the autoencoder from files that do not say what they are for. */
static void test_parts_from_lone_files(void **state)
{
    (void)state;
    at_context *cx = f32_context();
    at_pipeline *p =
        at_pipeline_open_files(cx, &(at_model_files){.model = SINGLE "sd3_bare.safetensors",
                                                     .vae = SINGLE "ae.safetensors",
                                                     .text_encoder_3 = SINGLE "t5xxl.safetensors"});
    assert_fine(cx);
    assert_string_equal(at_pipeline_component(p, "text_encoder_3")->class_name, "T5EncoderModel");
    assert_float_equal(scaling_of(p, "scaling_factor"), 1.5305, 0);
    assert_float_equal(scaling_of(p, "shift_factor"), 0.0609, 0);
    at_pipeline_free(p);
    p = at_pipeline_open_files(cx, &(at_model_files){.model = AT_FIXTURES "/pipelines/xl_tiny",
                                                     .vae = SINGLE "ae.safetensors"});
    assert_fine(cx); /* as the folder's own */
    assert_float_equal(scaling_of(p, "scaling_factor"), 0.13025, 0);
    at_context_free(cx);
}

/* llama.cpp's file of T5 has sentencepiece's pieces as lists. */
static void test_tokenizer_in_gguf(void **state)
{
    static const char text[] = "A red  heart, \xc3\x9c"
                               "ber \xef\xac\x81nal 12\xc2\xbd \xf0\x9f\xa6\x8a";
    (void)state;
    at_context *cx = f32_context();
    at_pipeline *p = at_pipeline_open_files(
        cx, &(at_model_files){.model = SINGLE "sd3_bare.safetensors",
                              .text_encoder_3 = AT_FIXTURES "/checkpoints/gguf/t5.gguf"});
    assert_fine(cx);
    at_tokenizer *theirs = at_tokenizer_open(cx, AT_FIXTURES "/tokenizers/folders/t5_old");
    at_ids expected = {0}, ids = {0};
    at_tokenizer_encode(cx, theirs, text, sizeof text - 1, NULL, &expected);
    at_tokenizer_encode(cx, at_pipeline_tokenizer(p, "tokenizer_3"), text, sizeof text - 1, NULL,
                        &ids);
    assert_fine(cx);
    assert_true(expected.count > 10);
    assert_int_equal(ids.count, expected.count);
    assert_memory_equal(ids.ids, expected.ids, ids.count * sizeof *ids.ids);
    at_ids_free(&expected);
    at_ids_free(&ids);
    at_tokenizer_free(theirs);
    at_context_free(cx);
}

static void test_refusals(void **state)
{
    (void)state;
    const at_generate_options small = {.prompt = "a", .width = 32, .height = 32, .steps = 1};
    at_generate_options o = small;
    o.height = 40;
    refuse(TINY, &o, AT_ERROR_ARGUMENT, "multiples of 16");
    o = small;
    o.max_sequence_length = 513;
    refuse(TINY, &o, AT_ERROR_ARGUMENT, "512");
    o = small;
    o.resolution_binning = true;
    refuse(TINY, &o, AT_ERROR_UNSUPPORTED, "binning");
    o = small;
    o.width = 112; /* 7 patches, where the model has positions for 6 */
    refuse(TINY, &o, AT_ERROR_ARGUMENT, "7 x 2 patches");
    o = small;
    o.skip_guidance_layers = "1;2";
    refuse(TINY, &o, AT_ERROR_ARGUMENT, "1;2");
    o = small;
    o.clip_skip = -1;
    refuse(TINY, &o, AT_ERROR_ARGUMENT, "clip_skip");
}

/* What the reference takes for options that are left out. */
static void test_defaults(void **state)
{
    (void)state;
    at_context *cx = f32_context();
    at_pipeline *p = at_pipeline_open(cx, TINY);
    at_generation *made = at_generate_many(p, &(at_generate_options){.steps = 1, .prompt = "a"});
    assert_fine(cx);
    assert_int_equal(made->used.width, 48); /* sample_size 6 */
    assert_int_equal(made->used.max_sequence_length, 256);
    assert_true(made->used.guidance == 7.0);
    at_context_free(cx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_three_encoders),
        cmocka_unit_test(test_without_t5),
        cmocka_unit_test(test_pictures),
        cmocka_unit_test(test_missing_encoders),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_parts_from_lone_files),
        cmocka_unit_test(test_tokenizer_in_gguf),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
