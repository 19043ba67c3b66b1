#include "base/base.h"
#include "base/text.h"
#include "base/threads.h"
#include "tensor/pool.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define ADDRESS_SANITIZER /* whose own memory is beyond any limit */
#endif
#endif

static void keeps_the_first_error(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    assert_true(at_ok(cx));
    assert_string_equal(at_error_text(cx), "");
    assert_null(at_fail(cx, AT_ERROR_FILE, "%s: %d", "first", 1));
    assert_false(at_fail_false(cx, AT_ERROR_SHAPE, "second"));
    assert_false(at_ok(cx));
    assert_true(at_failed(cx));
    assert_int_equal(at_error_status(cx), AT_ERROR_FILE);
    assert_string_equal(at_error_text(cx), "first: 1");
    at_error_clear(cx);
    assert_true(at_ok(cx));
    assert_int_equal(at_error_status(cx), AT_OK);
    at_fail(cx, AT_ERROR_SHAPE, "a\nb\033[31m\177");
    assert_string_equal(at_error_text(cx), "a?b?[31m?");
    at_error_clear(cx);
    char longest[5000];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    at_fail(cx, AT_ERROR_SHAPE, "%s", longest);
    assert_in_range(strlen(at_error_text(cx)), 500, 4999);
    at_context_free(cx);
}

static void takes_no_context(void **state)
{
    (void)state;
    assert_false(at_ok(NULL));
    assert_true(at_failed(NULL));
    assert_int_equal(at_error_status(NULL), AT_ERROR_MEMORY);
    assert_string_equal(at_error_text(NULL), "out of memory");
    assert_null(at_fail(NULL, AT_ERROR_FILE, "x"));
    at_error_clear(NULL);
    at_cancel(NULL);
    at_log(NULL, AT_LOG_ERROR, "x");
    at_progress(NULL, "x", 0, 0);
    at_context_free(NULL);
}

/* A system with no room for so many stacks: they are counted, nothing breaks. */
static void takes_the_threads_it_gets(void **state)
{
    (void)state;
    assert_int_equal(at_possible_threads(1), 1);
    assert_int_equal(at_possible_threads(5), 5);
#if !defined(__SANITIZE_ADDRESS__) && !defined(ADDRESS_SANITIZER)
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
    assert_int_equal(setrlimit(RLIMIT_AS, &(struct rlimit){1 << 28, before.rlim_max}), 0);
    void *much = malloc(1 << 29); /* an emulator may not keep to limits */
    if (!much) assert_in_range(at_possible_threads(1024), 1, 1023);
    free(much);
    assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
#endif
}

static void cancels(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    at_cancel(cx);
    assert_false(at_failed(cx)); /* not until somebody asks whether work may go on */
    assert_false(at_ok(cx));
    assert_int_equal(at_error_status(cx), AT_ERROR_CANCELLED);
    assert_string_equal(at_error_text(cx), "cancelled");
    at_error_clear(cx);
    assert_true(at_ok(cx));
    at_fail(cx, AT_ERROR_FILE, "first");
    at_cancel(cx);
    assert_false(at_ok(cx));
    assert_string_equal(at_error_text(cx), "first");
    at_context_free(cx);
}

static char order[8];

static void note(void *object)
{
    strncat(order, object, sizeof order - strlen(order) - 1);
}

static void owns_objects(void **state)
{
    (void)state;
    char a[] = "a", b[] = "b", c[] = "c", d[] = "d";
    at_context *cx = at_context_new(NULL);
    order[0] = 0;
    assert_true(at_own(cx, a, note));
    assert_true(at_own(cx, b, note));
    assert_true(at_own(cx, c, note));
    assert_false(at_own(cx, NULL, note));
    at_disown(cx, b);
    at_disown(cx, d); /* never owned */
    cx->fail_allocation_in = 1;
    assert_false(at_own(cx, d, note)); /* gone at once */
    assert_string_equal(order, "d");
    at_context_free(cx);
    assert_string_equal(order, "dca"); /* the last made first */
}

static char heard[256];

static void hear(void *user, at_log_level level, const char *text)
{
    snprintf(heard, sizeof heard, "%s %d %s", (const char *)user, level, text);
}

static void see(void *user, const char *stage, int done, int total)
{
    snprintf(heard, sizeof heard, "%s %s %d/%d", (const char *)user, stage, done, total);
}

static void calls_back(void **state)
{
    (void)state;
    char user[] = "me";
    at_context *cx = at_context_new(
        &(at_context_options){.log = hear, .progress = see, .user = user, .threads = 3});
    assert_int_equal(cx->threads, 3);
    at_log(cx, AT_LOG_INFO, "%d of %d", 1, 2);
    assert_string_equal(heard, "me 2 1 of 2");
    at_progress(cx, "denoise", 3, 4);
    assert_string_equal(heard, "me denoise 3/4");
    at_context_free(cx);
}

static void allocates(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    int *numbers = AT_NEW_ARRAY(cx, int, 3);
    assert_int_equal(numbers[0] | numbers[2], 0);
    numbers[2] = 7;
    numbers = at_resize(cx, numbers, 1000, sizeof *numbers);
    assert_int_equal(numbers[2], 7);
    assert_null(at_resize(cx, numbers, SIZE_MAX / 2, 4)); /* overflows: the old stays */
    assert_int_equal(at_error_status(cx), AT_ERROR_MEMORY);
    assert_int_equal(numbers[2], 7);
    at_free(numbers);
    at_error_clear(cx);
    void *nothing = at_alloc(cx, 0, 8);
    assert_non_null(nothing);
    at_free(nothing);
    assert_null(at_alloc(cx, SIZE_MAX / 2, 4));
    assert_int_equal(at_error_status(cx), AT_ERROR_MEMORY);
    at_error_clear(cx);
    cx->fail_allocation_in = 2;
    char *text = at_format(cx, "%s-%03d", "x", 7);
    assert_string_equal(text, "x-007");
    assert_null(at_copy_text(cx, text));
    assert_int_equal(at_error_status(cx), AT_ERROR_MEMORY);
    at_free(text);
    at_context_free(cx);
}

static void checks_sizes(void **state)
{
    (void)state;
    int64_t out = 0;
    assert_true(at_mul_size(3037000499, 3037000499, &out));
    assert_int_equal(out, 9223372030926249001);
    assert_false(at_mul_size(3037000500, 3037000500, &out));
    assert_false(at_mul_size(-1, 0, &out));
    assert_false(at_mul_size(1, -1, &out));
    assert_true(at_mul_size(0, INT64_MAX, &out));
    assert_int_equal(out, 0);
    assert_true(at_add_size(INT64_MAX - 1, 1, &out));
    assert_int_equal(out, INT64_MAX);
    assert_false(at_add_size(INT64_MAX, 1, &out));
    assert_false(at_add_size(-1, 2, &out));
}

static void builds_text(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    at_text text = {0};
    at_text_add(cx, &text, "", 0);
    assert_string_equal(text.data, "");
    for (int i = 0; i < 1000; i++) at_text_print(cx, &text, "%d,", i % 10);
    assert_int_equal(text.size, 2000);
    assert_memory_equal(text.data + 1990, "5,6,7,8,9,", 11);
    at_text_free(&text);
    assert_null(text.data);
    at_text_add_quoted(cx, &text, "a\"b\\c/\b\t\n\v\f\r\001\177\u00e9");
    assert_string_equal(text.data, "\"a\\\"b\\\\c/\\b\\t\\n\\u000b\\f\\r\\u0001\177\u00e9\"");
    size_t size = text.size;
    cx->fail_allocation_in = 1;
    at_text_add(cx, &text, "............................................................", 60);
    assert_int_equal(at_error_status(cx), AT_ERROR_MEMORY);
    assert_int_equal(text.size, size);
    assert_int_equal(strlen(text.data), size);
    at_text_free(&text);
    at_context_free(cx);
}

/* Told no budget, a context takes what the machine has: more ends in an error, not in its end. */
static void keeps_to_the_machine(void **state)
{
    (void)state;
    size_t machine = at_available_memory();
    if (!machine) skip();
    at_context *cx = at_context_new(NULL);
    assert_in_range(at_pool_budget(cx), machine / 2, machine * 2); /* others come and go */
    assert_null(at_scratch(cx, machine * 2 + 1));
    assert_int_equal(at_error_status(cx), AT_ERROR_MEMORY);
    assert_non_null(strstr(at_error_text(cx), "budget"));
    at_context_free(cx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_the_first_error),
        cmocka_unit_test(takes_no_context),
        cmocka_unit_test(takes_the_threads_it_gets),
        cmocka_unit_test(cancels),
        cmocka_unit_test(owns_objects),
        cmocka_unit_test(calls_back),
        cmocka_unit_test(allocates),
        cmocka_unit_test(checks_sizes),
        cmocka_unit_test(builds_text),
        cmocka_unit_test(keeps_to_the_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
