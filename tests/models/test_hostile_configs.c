/* Every option of every network's configuration, replaced by what it should not be: an error that
   says why or a network that only counts, and nothing worse (run it with the sanitizers). */
#include "base/json.h"
#include "models/module.h"
#include "parity.h"

static const char *const values[] = {
    "null",
    "true",
    "false",
    "-1",
    "0",
    "1",
    "3",
    "1048576",
    "1e300",
    "1e999",
    "-1e999",
    "0.5",
    "1e-320",
    "2147483648",
    "9.3e18",
    "\"\"",
    "\"x\"",
    "[]",
    "[1]",
    "[0,0,0]",
    "[-2,4,4]",
    "[1e15,2,2]",
    "[[[[]]]]",
    "{}",
    "{\"a\": {}}",
    "[null]",
    "[1,1,1,1,1,1,1,1,1,1,1,1]",
    "[\"DownEncoderBlock2D\"]",
};

static void try_one(const cJSON *config, const char *key, const char *value)
{
    at_context *cx = f32_context();
    cJSON *copy = cJSON_Duplicate(config, true), *item = cJSON_Parse(value);
    cJSON_ReplaceItemInObjectCaseSensitive(copy, key, item ? item : cJSON_CreateNull());
    char *text = cJSON_PrintUnformatted(copy);
    at_config *hostile = at_config_parse(cx, text, strlen(text), "config");
    at_module *module = at_module_make(cx, hostile, NULL, AT_DTYPES, 0);
    if (!module == at_ok(cx)) fail_msg("%s: %s: %s", key, value, at_error_text(cx));
    if (module) assert_true(at_module_parameters(module) >= 0);
    at_module_free(module);
    at_config_free(hostile);
    cJSON_free(text);
    cJSON_Delete(copy);
    at_context_free(cx);
}

static void test_values(void **state)
{
    static const char *const names[] = {"flux_dev",      "clip_gelu_old_keys", "clip_projection",
                                        "t5_gated",      "vae_flux",           "unet_xl",
                                        "unet_pruned",   "hunyuan_1_1_bf16",   "lumina2_uneven",
                                        "bert_gelu",     "gemma2_listed_bf16", "mt5_gated_bf16",
                                        "sd3_dual_norm", "auraflow_both",      "umt5_gated"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/networks/%s/config.json", AT_FIXTURES, names[i]);
        at_context *cx = f32_context();
        cJSON *config = at_json_read(cx, path);
        assert_fine(cx);
        for (const cJSON *item = config->child; item; item = item->next)
            for (size_t v = 0; v < sizeof values / sizeof *values; v++)
                try_one(config, item->string, values[v]);
        cJSON_Delete(config);
        at_context_free(cx);
    }
}

static void test_documents(void **state)
{
    static const char *const texts[] = {"",
                                        "null",
                                        "[]",
                                        "{",
                                        "{}",
                                        "{\"_class_name\": 3}",
                                        "{\"_class_name\": \"Nothing\"}",
                                        "{\"architectures\": 1}",
                                        "{\"architectures\": [[]]}",
                                        "\xff\xfe{}",
                                        "{}{}"};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        at_context *cx = f32_context();
        at_config *config = at_config_parse(cx, texts[i], strlen(texts[i]), "config");
        assert_null(at_module_make(cx, config, NULL, AT_DTYPES, 0));
        if (at_ok(cx)) fail_msg("%s: no error", texts[i]);
        at_config_free(config);
        at_context_free(cx);
    }
    enum { DEPTH = 100000 };
    char *deep = malloc(DEPTH + 1);
    memset(deep, '[', DEPTH);
    deep[DEPTH] = 0;
    at_context *cx = f32_context();
    assert_null(at_json_parse(cx, deep, DEPTH, "deep"));
    assert_int_equal(at_error_status(cx), AT_ERROR_FORMAT);
    at_context_free(cx);
    free(deep);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_values),
                                       cmocka_unit_test(test_documents)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
