/* The tokenizers of models/tokenizers, whose vocabulary follows from the merges. */
#include "base/json.h"
#include "text/tokenizer.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void ids_are_the_reference_s(void **state)
{
    (void)state;
    static const char *const names[] = {"clip", "clip_2"};
    at_context *cx = at_context_new(NULL);
    cJSON *json = at_json_read(cx, AT_FIXTURES "/tokenizers/clip_merges.json");
    const cJSON *texts = cJSON_GetObjectItem(json, "texts");
    for (size_t n = 0; n < AT_COUNT(names); n++) {
        char path[512];
        snprintf(path, sizeof path, AT_SOURCE "/models/tokenizers/%s", names[n]);
        at_tokenizer *t = at_tokenizer_open(cx, path);
        assert_non_null(t);
        assert_int_equal(at_tokenizer_max_length(t), 77);
        const cJSON *rows = cJSON_GetObjectItem(json, names[n]), *text;
        int row = 0;
        cJSON_ArrayForEach(text, texts)
        {
            at_ids ids = {0};
            const at_encode_options options = {.max_length = 77, .pad = true};
            assert_true(at_tokenizer_encode(cx, t, text->valuestring, strlen(text->valuestring),
                                            &options, &ids));
            const cJSON *wanted = cJSON_GetArrayItem(rows, row++);
            assert_int_equal(ids.count, cJSON_GetArraySize(wanted));
            for (size_t i = 0; i < ids.count; i++)
                assert_int_equal(ids.ids[i], cJSON_GetArrayItem(wanted, (int)i)->valueint);
            at_ids_free(&ids);
        }
        assert_int_equal(row, 8);
        at_tokenizer_free(t);
    }
    cJSON_Delete(json);
    at_context_free(cx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(ids_are_the_reference_s)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
