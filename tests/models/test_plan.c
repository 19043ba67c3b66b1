/* Planned bytes are those of the weights that a module then holds. */
#include "models/plan.h"
#include "parity.h"

static at_config *published(at_context *cx, const char *part)
{
    char path[512];
    snprintf(path, sizeof path, "%s/tests/configs/%s/config.json", AT_SOURCE, part);
    return at_config_read(cx, path);
}

static int64_t planned(const char *part, const char *class_name, at_dtype dtype)
{
    at_context *cx = f32_context();
    at_config *config = published(cx, part);
    at_module *module = at_module_make(cx, config, class_name, AT_DTYPES, 0);
    assert_fine(cx);
    int64_t bytes = at_module_planned_bytes(module, dtype);
    at_module_free(module);
    at_config_free(config);
    at_context_free(cx);
    return bytes;
}

static void test_bytes(void **state)
{
    static const char json[] = "{\"d_model\": 256, \"d_kv\": 32, \"num_heads\": 8, \"d_ff\": 96, "
                               "\"num_layers\": 2, \"vocab_size\": 10}";
    (void)state;
    at_context *cx = f32_context();
    at_config *config = at_config_parse(cx, json, strlen(json), "config.json");
    at_module *t5 = at_module_make(cx, config, "T5EncoderModel", AT_DTYPES, 0);
    assert_fine(cx);
    int64_t norms = 4 * 5 * 256; /* f32 */
    int64_t bias = 32 * 8;       /* rows of 8: no blocks */
    int64_t rows = 10 * 256 + 2 * (4 * 256 * 256 + 256 * 96);
    int64_t short_rows = 2 * 256 * 96; /* wo, rows of 96: no K blocks */
    assert_int_equal(at_module_planned_bytes(t5, AT_F32), norms + 4 * (bias + rows + short_rows));
    assert_int_equal(at_module_planned_bytes(t5, AT_F16), norms + 2 * (bias + rows + short_rows));
    assert_int_equal(at_module_planned_bytes(t5, AT_Q8_0),
                     norms + 2 * bias + (rows + short_rows) / 32 * 34);
    assert_int_equal(at_module_planned_bytes(t5, AT_Q4_K),
                     norms + 2 * bias + rows / 256 * 144 + short_rows / 32 * 22);
    at_module_free(t5);
    at_config_free(config);
    at_context_free(cx);
}

/* T5-XXL in q8_0 leaves room for Stable Diffusion 3.5 large in q8_0 on a machine of 24 GB. */
static void test_published(void **state)
{
    (void)state;
    int64_t t5 = planned("stable-diffusion-3.5-large/text_encoder_3", "T5EncoderModel", AT_Q8_0);
    int64_t sd35 = planned("stable-diffusion-3.5-large/transformer", NULL, AT_Q8_0);
    assert_true(t5 < 5100000000 && sd35 < 8700000000);
    assert_true(planned("stable-diffusion-3.5-large/transformer", NULL, AT_Q4_K) < sd35);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_published),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
