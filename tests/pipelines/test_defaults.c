/* A model's own defaults: they fill what the call leaves out, and nothing else. */
#include "base/base.h"
#include "pipelines/defaults.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include "files.h"
#include "table.h"
#include <cmocka.h>

static const char text[] = "{\"width\": 128, \"height\": 96, \"num_inference_steps\": 8, "
                           "\"guidance_scale\": 0.0, \"max_sequence_length\": 32}";

static void test_fills_what_is_left_out(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    put_text("generation_config.json", text);
    at_generate_options o = {.width = 64};
    at_generate_defaults(cx, folder, &o);
    assert_false(at_failed(cx));
    assert_int_equal(o.width, 64);
    assert_int_equal(o.height, 96);
    assert_int_equal(o.steps, 8);
    assert_int_equal(o.max_sequence_length, 32);
    assert_true(o.has_guidance && o.guidance == 0.0);
    assert_true(o.true_guidance == 0.0);

    at_generate_options given = {.has_guidance = true, .guidance = 2.5};
    at_generate_defaults(cx, folder, &given);
    assert_true(given.has_guidance && given.guidance == 2.5);
    at_context_free(cx);
}

static void test_without_a_file(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    at_generate_options o = {0};
    empty_folder();
    at_generate_defaults(cx, folder, &o);
    assert_false(at_failed(cx));
    assert_int_equal(o.width, 0);
    assert_false(o.has_guidance);
    at_context_free(cx);
}

static void test_refuses(void **state)
{
    (void)state;
    static const char *const wrong[] = {"{\"width\": 1e9}", "{\"width\": \"big\"}", "[]", "{",
                                        "{\"strength\": 0.5}"};
    for (size_t i = 0; i < AT_COUNT(wrong); i++) {
        at_context *cx = at_context_new(NULL);
        at_generate_options o = {0};
        put_text("generation_config.json", wrong[i]);
        at_generate_defaults(cx, folder, &o);
        assert_true(at_failed(cx));
        at_context_free(cx);
    }
}

int main(void)
{
    AT_SKIP_WITHOUT_TABLE();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fills_what_is_left_out),
        cmocka_unit_test(test_without_a_file),
        cmocka_unit_test(test_refuses),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
