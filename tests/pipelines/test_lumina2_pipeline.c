/* Lumina2Pipeline against Diffusers': tiny random folders under both of its names. */
#include "runs.h"

#define TINY AT_FIXTURES "/pipelines/lumina2_tiny"

static void test_shifted(void **state)
{
    (void)state;
    run_folder(TINY, "Lumina2Text2ImgPipeline", 4);
}

static void test_dynamic(void **state)
{
    (void)state;
    run_folder(AT_FIXTURES "/pipelines/lumina2_tiny_dynamic", "Lumina2Pipeline", 2);
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
    o.width = 272; /* 17 patches, where the model has positions for 16 */
    refuse(TINY, &o, AT_ERROR_ARGUMENT, "17 x 2 patches");
}

/* What the reference takes for options that are left out. */
static void test_defaults(void **state)
{
    (void)state;
    at_context *cx = f32_context();
    at_pipeline *p = at_pipeline_open(cx, TINY);
    at_generation *made = at_generate_many(p, &(at_generate_options){.steps = 1, .prompt = "a"});
    assert_fine(cx);
    assert_int_equal(made->used.width, 64); /* sample_size 8 */
    assert_int_equal(made->used.max_sequence_length, 256);
    assert_true(made->used.guidance == 4.0);
    assert_true(made->used.cfg_trunc_ratio == 1.0);
    assert_non_null(strstr(made->used.system_prompt, "superior degree"));
    at_context_free(cx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shifted),
        cmocka_unit_test(test_dynamic),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_defaults),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
