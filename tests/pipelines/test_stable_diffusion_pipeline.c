/* Stable Diffusion 1, 2 and XL against Diffusers': tiny random folders, from words, from pictures
   and inside masks. */
#include "runs.h"

#define TINY AT_FIXTURES "/pipelines/sd_tiny"
#define TINY_XL AT_FIXTURES "/pipelines/xl_tiny"

static void test_first(void **state)
{
    (void)state;
    run_folder(TINY, "StableDiffusionPipeline", 28);
}

/* Nine channels, v-prediction */
static void test_inpainting_model(void **state)
{
    (void)state;
    run_folder(TINY "_inpaint", "StableDiffusionInpaintPipeline", 3);
}

static void test_distilled(void **state)
{
    (void)state;
    run_folder(TINY "_distilled", "StableDiffusionPipeline", 2);
}

static void test_xl(void **state)
{
    (void)state;
    run_folder(TINY_XL, "StableDiffusionXLPipeline", 7);
}

static void test_refiner(void **state)
{
    (void)state;
    run_folder(TINY_XL "_refiner", "StableDiffusionXLImg2ImgPipeline", 2);
}

/* latents_mean and latents_std; AutoencoderTiny */
static void test_other_autoencoders(void **state)
{
    (void)state;
    run_cases(TINY_XL, TINY_XL "_vaes", "StableDiffusionXLPipeline", 8);
}

static void test_consistency(void **state)
{
    (void)state;
    run_folder(AT_FIXTURES "/pipelines/lcm_tiny", "LatentConsistencyModelPipeline", 6);
}

static void test_hires(void **state)
{
    (void)state;
    run_cases(TINY, TINY "_hires", "StableDiffusionPipeline", 8);
}

static void test_refined(void **state)
{
    (void)state;
    run_cases(TINY_XL, TINY_XL "_refined", "StableDiffusionXLPipeline", 2);
}

static void test_refusals(void **state)
{
    (void)state;
    const at_generate_options small = {.prompt = "a", .width = 32, .height = 32, .steps = 1};
    at_generate_options o = small;
    o.height = 36;
    refuse(TINY, &o, AT_ERROR_ARGUMENT, "multiples of 8");
    o = small;
    o.mask = TINY "/mask.png";
    refuse(TINY, &o, AT_ERROR_ARGUMENT, "--init");
    o.init = TINY "/init.png";
    o.strength = 1.5;
    refuse(TINY, &o, AT_ERROR_ARGUMENT, "strength");
    o.strength = 0.5; /* of one step */
    refuse(TINY, &o, AT_ERROR_ARGUMENT, "no step is left");
    o.mask = TINY "/none.png";
    o.strength = 1.0;
    refuse(TINY, &o, AT_ERROR_FILE, "none.png");
    o = small;
    o.denoising_end = 0.5;
    refuse(TINY, &o, AT_ERROR_UNSUPPORTED, "denoising_end");
    refuse(TINY "_inpaint", &small, AT_ERROR_ARGUMENT, "--mask");
    o = small;
    o.denoising_start = 0.5;
    refuse(TINY_XL, &o, AT_ERROR_ARGUMENT, "latents");
    o.denoising_end = 0.5;
    refuse(TINY_XL, &o, AT_ERROR_ARGUMENT, "0.5 to 0.5");
    o = small;
    o.resolution_binning = true;
    refuse(TINY_XL, &o, AT_ERROR_UNSUPPORTED, "binning");
    o = small;
    o.hires_scale = 2;
    o.hires_upscaler = "R-ESRGAN 4x+";
    refuse(TINY, &o, AT_ERROR_UNSUPPORTED, "ESRGAN");
    o.hires_upscaler = NULL;
    o.hires_scale = 0.5;
    refuse(TINY, &o, AT_ERROR_ARGUMENT, "smaller");
    o.hires_scale = 2;
    o.init = TINY "/init.png";
    o.strength = 1.0;
    refuse(TINY, &o, AT_ERROR_UNSUPPORTED, "--hires");
}

/* What the reference takes for options that are left out. */
static void test_defaults(void **state)
{
    (void)state;
    at_context *cx = f32_context();
    at_pipeline *p = at_pipeline_open(cx, TINY), *xl = at_pipeline_open(cx, TINY_XL);
    at_generate_options o = {.prompt = "a", .steps = 4};
    at_generation *made = at_generate_many(p, &o);
    assert_fine(cx);
    assert_int_equal(made->used.width, 48); /* sample_size 6 */
    assert_true(made->used.guidance == 7.5);
    o.init = TINY "/init.png";
    made = at_generate_many(p, &o);
    assert_fine(cx);
    assert_int_equal(made->used.width, 40); /* of 44 x 50 */
    assert_int_equal(made->used.height, 48);
    assert_true(made->used.strength == 0.8);
    made = at_generate_many(xl, &o);
    assert_fine(cx);
    assert_true(made->used.guidance == 5.0 && made->used.strength == 0.3);
    o.mask = TINY "/mask.png";
    made = at_generate_many(xl, &o);
    assert_fine(cx);
    assert_int_equal(made->used.width, 48);
    assert_true(made->used.guidance == 7.5 && made->used.strength == 0.9999);
    at_context_free(cx);
}

/* A second call reads nothing again. */
static void test_second_call(void **state)
{
    (void)state;
    at_context *cx = f32_context();
    at_pipeline *p = at_pipeline_open(cx, TINY_XL);
    const at_generate_options o = {.prompt = "a", .width = 32, .height = 32, .steps = 1};
    at_generate_many(p, &o);
    at_generation *made = at_generate_many(p, &o);
    assert_fine(cx);
    assert_true(made->timings.load == 0.0);
    at_context_free(cx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first),
        cmocka_unit_test(test_inpainting_model),
        cmocka_unit_test(test_distilled),
        cmocka_unit_test(test_xl),
        cmocka_unit_test(test_refiner),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_other_autoencoders),
        cmocka_unit_test(test_consistency),
        cmocka_unit_test(test_hires),
        cmocka_unit_test(test_refined),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_second_call),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
