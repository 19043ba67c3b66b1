/* StableDiffusion3Pipeline against Diffusers': tiny random folders with three text encoders, with
   two, and with fewer, which the reference does not draw with. */
#include "runs.h"

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
        cmocka_unit_test(test_three_encoders), cmocka_unit_test(test_without_t5),
        cmocka_unit_test(test_pictures),       cmocka_unit_test(test_missing_encoders),
        cmocka_unit_test(test_refusals),       cmocka_unit_test(test_defaults),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
