#include "base/json.h"
#include "files.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void expect_error(at_context *cx, at_status status, const char *message)
{
    if (!strstr(at_error_text(cx), message))
        fail_msg("got \"%s\", expected \"%s\"", at_error_text(cx), message);
    assert_int_equal(at_error_status(cx), status);
    at_error_clear(cx);
}

static void parses_one_value(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {{"", "x: not valid JSON (line 1)"},
                 {"{\n\"a\": 1,\n}", "x: not valid JSON (line 3)"},
                 {"{\"a\":1", "x: not valid JSON"},
                 {"[1] 2", "x: not valid JSON (something follows the value)"},
                 {"nul", "x: not valid JSON"},
                 {"\"\\ud800\"", "x: not valid JSON"}};
    at_context *cx = at_context_new(NULL);
    for (size_t i = 0; i < AT_COUNT(cases); i++) {
        assert_null(at_json_parse(cx, cases[i].text, strlen(cases[i].text), "x"));
        expect_error(cx, AT_ERROR_FORMAT, cases[i].message);
    }
    const char *text = "\xef\xbb\xbf {\"a\": [1, true, null, \"\\u00e9\"]} \r\n\t";
    cJSON *json = at_json_parse(cx, text, strlen(text), "x");
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(json, "a");
    assert_int_equal(cJSON_GetArraySize(list), 4);
    assert_string_equal(cJSON_GetArrayItem(list, 3)->valuestring, "\u00e9");
    cJSON_Delete(json);
    json = at_json_parse(cx, "[1]garbage", 3, "x"); /* the size counts, not a zero byte */
    assert_non_null(json);
    cJSON_Delete(json);
    at_context_free(cx);
}

/* A short file must not become gigabytes. */
static void refuses_too_many_values(void **state)
{
    (void)state;
    enum { SIZE = 18 << 20 };
    char *text = malloc(SIZE);
    for (int i = 0; i < SIZE; i++) text[i] = i % 2 ? '0' : ',';
    text[0] = '[';
    text[SIZE - 2] = ']';
    at_context *cx = at_context_new(NULL);
    assert_null(at_json_parse(cx, text, SIZE - 1, "x"));
    expect_error(cx, AT_ERROR_FORMAT, "x: more than 8388608 values");
    free(text);
    at_context_free(cx);
}

static at_config *config_of(at_context *cx, const char *text)
{
    return at_config_parse(cx, text, strlen(text), "c.json");
}

static void reads_options(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    at_config *c = config_of(cx, "{\"i\":3,\"minus\":-4,\"big\":9007199254740992,\"f\":1.5,\"t\":"
                                 "true,\"s\":\"x\",\"l\":[1,2,3],\"e\":[],\"n\":null}");
    assert_int_equal(at_config_int(cx, c, "i", 9), 3);
    assert_int_equal(at_config_int(cx, c, "minus", 9), -4);
    assert_int_equal(at_config_int(cx, c, "big", 9), 9007199254740992);
    assert_int_equal(at_config_int(cx, c, "none", 9), 9);
    assert_int_equal(at_config_int(cx, c, "n", 9), 9);
    assert_float_equal(at_config_number(cx, c, "f", 0), 1.5, 0);
    assert_float_equal(at_config_number(cx, c, "i", 0), 3, 0);
    assert_float_equal(at_config_number(cx, c, "n", 0.25), 0.25, 0);
    assert_true(at_config_bool(cx, c, "t", false));
    assert_true(at_config_bool(cx, c, "n", true));
    assert_string_equal(at_config_text(cx, c, "s", "y"), "x");
    assert_null(at_config_text(cx, c, "n", NULL));
    assert_int_equal(at_config_range(cx, c, "i", 1, 3, 3), 3);
    int64_t out[3] = {0};
    assert_int_equal(at_config_ints(cx, c, "l", out, 3, NULL, 0), 3);
    assert_int_equal(out[2], 3);
    assert_int_equal(at_config_ints(cx, c, "i", out, 3, NULL, 0), 1);
    assert_int_equal(out[0], 3);
    assert_int_equal(at_config_ints(cx, c, "e", out, 3, (int64_t[]){8}, 1), 0);
    assert_int_equal(at_config_ints(cx, c, "none", out, 3, (int64_t[]){8, 9}, 2), 2);
    assert_int_equal(out[1], 9);
    assert_true(at_config_has(c, "i"));
    assert_false(at_config_has(c, "n"));
    assert_null(at_config_item(c, "n"));
    assert_string_equal(at_config_what(c), "c.json");
    at_config_finish(cx, c);
    assert_string_equal(at_error_text(cx), "");
    at_config_free(c);
    at_context_free(cx);
}

static void refuses_wrong_types(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    at_config *c = config_of(cx, "{\"s\":\"x\",\"f\":1.5,\"huge\":1e300,\"endless\":1e999,\"l\":"
                                 "[1,2.5],\"m\":[1,2,3],\"i\":7,\"t\":true}");
    int64_t out[2];
    assert_int_equal(at_config_int(cx, c, "s", 9), 9);
    expect_error(cx, AT_ERROR_FORMAT, "c.json: \"s\" must be a whole number");
    assert_int_equal(at_config_int(cx, c, "f", 9), 9);
    expect_error(cx, AT_ERROR_FORMAT, "\"f\" must be a whole number");
    at_config_int(cx, c, "huge", 9);
    expect_error(cx, AT_ERROR_FORMAT, "\"huge\" must be a whole number");
    at_config_number(cx, c, "endless", 9);
    expect_error(cx, AT_ERROR_FORMAT, "\"endless\" must be a number");
    at_config_number(cx, c, "t", 9);
    expect_error(cx, AT_ERROR_FORMAT, "\"t\" must be a number");
    at_config_bool(cx, c, "i", false);
    expect_error(cx, AT_ERROR_FORMAT, "\"i\" must be true or false");
    assert_string_equal(at_config_text(cx, c, "i", "y"), "y");
    expect_error(cx, AT_ERROR_FORMAT, "\"i\" must be a string");
    at_config_ints(cx, c, "l", out, 2, NULL, 0);
    expect_error(cx, AT_ERROR_FORMAT, "\"l\" must be a list of whole numbers");
    at_config_ints(cx, c, "m", out, 2, NULL, 0);
    expect_error(cx, AT_ERROR_FORMAT, "\"m\" has more than 2 entries");
    assert_int_equal(at_config_range(cx, c, "i", 1, 0, 6), 1);
    expect_error(cx, AT_ERROR_FORMAT, "\"i\" is 7, outside 0 to 6");
    at_config_range(cx, c, "i", 1, 8, 9);
    expect_error(cx, AT_ERROR_FORMAT, "\"i\" is 7, outside 8 to 9");
    at_config_expect_bool(cx, c, "t", false, false);
    expect_error(cx, AT_ERROR_UNSUPPORTED, "\"t\": true is not supported (only false)");
    at_config_expect_bool(cx, c, "none", false, true);
    expect_error(cx, AT_ERROR_UNSUPPORTED, "\"none\": false is not supported (only true)");
    at_config_expect_text(cx, c, "s", "z", "z");
    expect_error(cx, AT_ERROR_UNSUPPORTED, "\"s\": \"x\" is not supported (only \"z\")");
    at_config_expect_text(cx, c, "s", "z", "x");
    at_config_expect_text(cx, c, "none", "z", "z");
    assert_false(at_failed(cx));
    at_config_free(c);
    assert_null(config_of(cx, "[1]"));
    expect_error(cx, AT_ERROR_FORMAT, "c.json: not a JSON object");
    at_context_free(cx);
}

static void refuses_unknown_options(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    at_config *c = config_of(cx, "{\"_name\":1,\"off\":false,\"n\":null,\"e\":\"\",\"l\":[],\"o\":"
                                 "{},\"read\":1,\"ignored\":2,\"Read\":3}");
    at_config_int(cx, c, "read", 0);
    at_config_ignore(c, (const char *const[]){"ignored", "other", NULL});
    at_config_finish(cx, c);
    expect_error(cx, AT_ERROR_UNSUPPORTED, "c.json: the option \"Read\" is not known");
    at_config_has(c, "Read"); /* asking is not reading */
    at_config_finish(cx, c);
    expect_error(cx, AT_ERROR_UNSUPPORTED, "\"Read\"");
    at_config_item(c, "Read");
    at_config_finish(cx, c);
    assert_false(at_failed(cx));
    at_config_free(c);
    at_context_free(cx);
}

/* After a failure everything goes on with the fallbacks. */
static void takes_no_config(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    at_config *c = at_config_read(cx, in_folder("none.json"));
    assert_null(c);
    assert_int_equal(at_error_status(cx), AT_ERROR_FILE);
    assert_int_equal(at_config_int(cx, c, "i", 5), 5);
    assert_int_equal(at_config_range(cx, c, "i", 5, 0, 9), 5);
    assert_string_equal(at_config_text(cx, c, "i", "x"), "x");
    assert_null(at_config_item(c, "i"));
    assert_null(at_config_json(c));
    at_config_expect_bool(cx, c, "i", false, true);
    at_config_ignore(c, (const char *const[]){"a", NULL});
    at_config_finish(cx, c);
    at_config_free(c);
    assert_non_null(strstr(at_error_text(cx), "No such file"));
    at_context_free(cx);
}

static void survives_failed_allocations(void **state)
{
    (void)state;
    const char *path = put_text("c.json", "{\"a\":1}");
    at_context *cx = at_context_new(NULL);
    bool fine = false;
    for (int n = 1; !fine; n++) {
        cx->fail_allocation_in = n;
        at_config *c = at_config_read(cx, path);
        fine = !at_failed(cx);
        assert_int_equal(fine, c != NULL);
        if (!fine) expect_error(cx, AT_ERROR_MEMORY, "out of memory");
        at_config_free(c);
        assert_in_range(n, 1, 20);
    }
    at_context_free(cx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses_one_value),
        cmocka_unit_test(refuses_too_many_values),
        cmocka_unit_test(reads_options),
        cmocka_unit_test(refuses_wrong_types),
        cmocka_unit_test(refuses_unknown_options),
        cmocka_unit_test(takes_no_config),
        cmocka_unit_test(survives_failed_allocations),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
