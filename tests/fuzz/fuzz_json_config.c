#include "base/json.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    at_context *cx = at_context_new(NULL);
    at_config *config = at_config_parse(cx, (const char *)data, size, "fuzz");
    if (!config != at_failed(cx)) abort();
    int64_t ints[4];
    at_config_int(cx, config, "int", 1);
    at_config_range(cx, config, "range", 2, -3, 300);
    at_config_number(cx, config, "number", 0.5);
    at_config_bool(cx, config, "bool", true);
    at_config_text(cx, config, "text", "fallback");
    int count = at_config_ints(cx, config, "ints", ints, 4, (const int64_t[]){7, 8}, 2);
    if (count < 0 || count > 4) abort();
    at_config_expect_bool(cx, config, "only_true", true, true);
    at_config_expect_text(cx, config, "only_text", "this", "this");
    at_config_ignore(config, (const char *const[]){"ignored", NULL});
    at_config_finish(cx, config);
    at_config_free(config);
    fuzz_end(cx);
    return 0;
}
