/* Every normalizer, pre-tokenizer, model and decoder against the tokenizers library. */
#include "fixtures.h"
#include "text/unicode.h"

static at_tokenizer *with_stage(at_context *cx, const cJSON *base, const char *key,
                                const cJSON *stage)
{
    cJSON *json = cJSON_Duplicate(base, true);
    cJSON_ReplaceItemInObjectCaseSensitive(json, key, cJSON_Duplicate(stage, true));
    char *text = cJSON_PrintUnformatted(json);
    at_tokenizer *t = at_tokenizer_parse(cx, text, strlen(text), "stage");
    if (!t) {
        char *shown = cJSON_PrintUnformatted(stage);
        fprintf(stderr, "%s: %s\n", shown, at_error_text(cx));
        free(shown);
    }
    free(text);
    cJSON_Delete(json);
    return t;
}

static void normalizers_and_pre_tokenizers(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    cJSON *json = read_fixture(cx, "stages.json");
    const cJSON *base = cJSON_GetObjectItem(json, "tokenizer"), *item, *s;
    int bad = 0, count = 0;
    cJSON_ArrayForEach(item, cJSON_GetObjectItem(json, "cases"))
    {
        at_tokenizer *t = with_stage(cx, base, item->child->string, item->child);
        const cJSON *wanted = cJSON_GetObjectItem(item, "ids")->child;
        char *shown = cJSON_PrintUnformatted(item->child);
        at_ids got = {0};
        int row = 0;
        cJSON_ArrayForEach(s, cJSON_GetObjectItem(json, "texts"))
        {
            bytes text = from_hex(s);
            if (!at_tokenizer_encode(cx, t, text.data, text.size, NULL, &got)) bad++;
            if (at_failed(cx)) fprintf(stderr, "%s: %s\n", shown, at_error_text(cx));
            at_error_clear(cx);
            bad += differs(shown, row++, &got, wanted);
            wanted = wanted->next;
            free(text.data);
        }
        count++;
        at_ids_free(&got);
        at_tokenizer_free(t);
        free(shown);
    }
    cJSON_Delete(json);
    at_context_free(cx);
    assert_int_equal(bad, 0);
    assert_true(count > 80);
}

static void models_and_added_tokens(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    cJSON *json = read_fixture(cx, "models.json"), *item, *s;
    int bad = 0, count = 0;
    cJSON_ArrayForEach(item, cJSON_GetObjectItem(json, "cases"))
    {
        char *text = cJSON_PrintUnformatted(cJSON_GetObjectItem(item, "tokenizer")), name[32];
        at_tokenizer *t = at_tokenizer_parse(cx, text, strlen(text), "model");
        const cJSON *wanted = cJSON_GetObjectItem(item, "ids")->child;
        at_ids got = {0};
        int row = 0;
        if (!t) fail_msg("%s: %s", text, at_error_text(cx));
        snprintf(name, sizeof name, "model %d", count++);
        cJSON_ArrayForEach(s, cJSON_GetObjectItem(json, "texts"))
        {
            bytes b = from_hex(s);
            if (!at_tokenizer_encode(cx, t, b.data, b.size, NULL, &got)) bad++;
            bad += differs(name, row++, &got, wanted);
            wanted = wanted->next;
            free(b.data);
        }
        at_ids_free(&got);
        at_tokenizer_free(t);
        free(text);
    }
    cJSON_Delete(json);
    at_context_free(cx);
    assert_int_equal(bad, 0);
    assert_true(count > 30);
}

static void decoders(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    cJSON *json = read_fixture(cx, "stages.json");
    const cJSON *base = cJSON_GetObjectItem(json, "level"), *item, *row, *id;
    int bad = 0;
    cJSON_ArrayForEach(item, cJSON_GetObjectItem(json, "decoders"))
    {
        at_tokenizer *t = with_stage(cx, base, "decoder", item->child);
        const cJSON *wanted = cJSON_GetObjectItem(item, "text")->child;
        char *shown = cJSON_PrintUnformatted(item->child);
        int number = 0;
        cJSON_ArrayForEach(row, cJSON_GetObjectItem(item, "ids"))
        {
            int32_t ids[32];
            size_t count = 0, size = 0;
            cJSON_ArrayForEach(id, row) ids[count++] = id->valueint;
            char *got = at_tokenizer_decode(cx, t, ids, count, false, &size);
            bad += text_differs(shown, number++, got, size, wanted);
            at_free(got);
            wanted = wanted->next;
        }
        at_tokenizer_free(t);
        free(shown);
    }
    cJSON_Delete(json);
    at_context_free(cx);
    assert_int_equal(bad, 0);
}

static void invalid_bytes_become_replacement_characters(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    cJSON *json = read_fixture(cx, "invalid.json"), *pair;
    int bad = 0, row = 0;
    cJSON_ArrayForEach(pair, json)
    {
        bytes text = from_hex(pair->child);
        at_text out = {0};
        at_utf8_repair(cx, text.data, text.size, &out);
        bad += text_differs("invalid", row++, out.data, out.size, pair->child->next);
        assert_false(at_utf8_valid(text.data, text.size));
        at_text_free(&out);
        free(text.data);
    }
    cJSON_Delete(json);
    at_context_free(cx);
    assert_int_equal(bad, 0);
    assert_true(row > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(normalizers_and_pre_tokenizers),
        cmocka_unit_test(models_and_added_tokens),
        cmocka_unit_test(decoders),
        cmocka_unit_test(invalid_bytes_become_replacement_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
