/* LoRAs of a whole pipeline: on, off and with another weight between the calls of one pipeline. */
#include "files.h"
#include "parity.h"
#include "pipelines/pipeline.h"

static at_tensor *latents_with(at_context *cx, at_pipeline *p, const at_lora_use *loras, int count)
{
    const at_generate_options options = {.prompt = "a red heart",
                                         .width = 32,
                                         .height = 48,
                                         .steps = 2,
                                         .seed = 7,
                                         .loras = loras,
                                         .lora_count = count,
                                         .save_latents = in_folder("latents.safetensors")};
    at_generation *made = at_generate_many(p, &options);
    if (!made) return NULL;
    assert_int_equal(made->used.lora_count, count);
    at_generation_free(made);
    at_weights *file = at_weights_open(cx, in_folder("latents.safetensors"));
    at_tensor *x = fixture(cx, file, "latents");
    at_weights_free(file);
    return x;
}

static void test_switching(void **state)
{
    (void)state;
    at_context *cx = f32_context();
    at_weights *expected = at_weights_open(cx, AT_FIXTURES "/lora/expected.safetensors");
    at_pipeline *p = at_pipeline_open(cx, AT_FIXTURES "/pipelines/flux_tiny_schnell");
    at_tensor *plain = latents_with(cx, p, NULL, 0);
    at_module *before = at_pipeline_module(p, "transformer", NULL);
    at_lora_use lora = {.path = AT_FIXTURES "/lora/pipeline.safetensors", .weight = 1.0};
    at_tensor *with = latents_with(cx, p, &lora, 1);
    assert_parity(cx, with, fixture(cx, expected, "pipeline"), 1e-3);
    lora.weight = 0.4;
    assert_parity(cx, latents_with(cx, p, &lora, 1), fixture(cx, expected, "pipeline@0.4"), 1e-3);
    assert_true(parity(cx, latents_with(cx, p, NULL, 0), plain) == 0);
    at_lora_use halves[] = {{lora.path, 0.4, false, 0}, {lora.path, 0.6, false, 0}};
    assert_parity(cx, latents_with(cx, p, halves, 2), with, 1e-3);
    assert_ptr_equal(before, at_pipeline_module(p, "transformer", NULL)); /* not loaded again */
    at_weights_free(expected);
    at_context_free(cx);
}

static void test_none_matches(void **state)
{
    (void)state;
    at_context *cx = f32_context();
    at_pipeline *p = at_pipeline_open(cx, AT_FIXTURES "/pipelines/flux_tiny_schnell");
    const at_lora_use lora = {.path = AT_FIXTURES "/lora/sd_peft.safetensors", .weight = 1.0};
    assert_null(latents_with(cx, p, &lora, 1));
    assert_non_null(strstr(at_error_text(cx), "no layer of this model"));
    at_context_free(cx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_switching),
                                       cmocka_unit_test(test_none_matches)};
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
