/* HunyuanDiTPipeline against Diffusers': tiny random folders of version 1.1's and 1.2's kind. */
#include "runs.h"

#define V1_1 AT_FIXTURES "/pipelines/hunyuan_tiny_1_1"
#define V1_2 AT_FIXTURES "/pipelines/hunyuan_tiny_1_2"

static void test_1_1(void **state)
{
    (void)state;
    run_folder(V1_1, "HunyuanDiTPipeline", 3);
}

static void test_1_2(void **state)
{
    (void)state;
    run_folder(V1_2, "HunyuanDiTPipeline", 4);
}

static void test_refusals(void **state)
{
    (void)state;
    const at_generate_options small = {.prompt = "a", .width = 32, .height = 32, .steps = 1};
    at_generate_options o = small;
    o.width = 15;
    refuse(V1_2, &o, AT_ERROR_ARGUMENT, "16 pixels");
    o = small;
    o.max_sequence_length = 128;
    refuse(V1_2, &o, AT_ERROR_ARGUMENT, "256 tokens");
    o = small;
    o.steps = 1001;
    refuse(V1_2, &o, AT_ERROR_ARGUMENT, "steps");
}

/* What the reference takes for options that are left out; sizes round down to 16 pixels. */
static void test_defaults(void **state)
{
    (void)state;
    at_context *cx = f32_context();
    at_pipeline *p = at_pipeline_open(cx, V1_2);
    at_generation *made = at_generate_many(p, &(at_generate_options){.height = 33, .steps = 1});
    assert_fine(cx);
    assert_int_equal(made->used.width, 64); /* sample_size 8 */
    assert_int_equal(made->used.height, 32);
    assert_true(made->used.guidance == 5.0);
    assert_string_equal(made->used.sampler, "ddpm");
    at_context_free(cx);
}

/* map_to_standard_shapes, without drawing at sizes like that: the latents of the file do not fit,
   and say what was asked for. */
static void test_binning(void **state)
{
    (void)state;
    static const struct {
        int width, height;
        const char *latents;
    } cases[] = {
        {1024, 1024, "[1,4,128,128]"}, {2048, 2048, "[1,4,160,160]"}, {640, 480, "[1,4,96,128]"},
        {1200, 900, "[1,4,108,144]"},  {900, 1300, "[1,4,160,120]"},  {1920, 1080, "[1,4,96,160]"},
        {512, 1024, "[1,4,160,96]"},   {1152, 864, "[1,4,108,144]"},  {1151, 1151, "[1,4,128,128]"},
    };
    (void)state;
    for (size_t i = 0; i < AT_COUNT(cases); i++) {
        const at_generate_options o = {.width = cases[i].width,
                                       .height = cases[i].height,
                                       .steps = 1,
                                       .guidance = 1.0,
                                       .has_guidance = true,
                                       .resolution_binning = true,
                                       .latents = in_folder("small.safetensors")};
        at_context *cx = f32_context();
        at_tensor *small = at_zeros(cx, AT_F32, 4, (int64_t[]){1, 4, 2, 2});
        at_safetensors_write(cx, o.latents, 1, (const char *[]){"latents"}, &small, NULL);
        at_context_free(cx);
        refuse(V1_2, &o, AT_ERROR_ARGUMENT, cases[i].latents);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_1_1),      cmocka_unit_test(test_1_2),
        cmocka_unit_test(test_refusals), cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_binning),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
