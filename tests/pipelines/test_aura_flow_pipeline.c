/* AuraFlowPipeline against Diffusers': tiny random folders. */
#include "runs.h"

#define TINY AT_FIXTURES "/pipelines/aura_flow_tiny"

static void test_padded_right(void **state)
{
    (void)state;
    run_folder(TINY, "AuraFlowPipeline", 5);
}

static void test_padded_left(void **state)
{
    (void)state;
    run_folder(AT_FIXTURES "/pipelines/aura_flow_tiny_left", "AuraFlowPipeline", 2);
}

static void test_refusals(void **state)
{
    (void)state;
    const at_generate_options small = {
        .prompt = "a", .width = 32, .height = 32, .steps = 1, .max_sequence_length = 8};
    at_generate_options o = small;
    o.height = 40;
    refuse(TINY, &o, AT_ERROR_ARGUMENT, "multiples of 16");
    o = small;
    o.width = 112; /* 7 patches, where the model has positions for 6 */
    refuse(TINY, &o, AT_ERROR_ARGUMENT, "7 x 2 patches");
    o = small;
    o.resolution_binning = true;
    refuse(TINY, &o, AT_ERROR_UNSUPPORTED, "binning");
    o.resolution_binning = false;
    o.init = "x.png";
    refuse(TINY, &o, AT_ERROR_UNSUPPORTED, "from words only");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_padded_right),
        cmocka_unit_test(test_padded_left),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
