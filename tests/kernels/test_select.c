#include "kernels/kernels.h"
#include "table.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* cmocka needs the four first */
#include <cmocka.h>

static char forced[32];

static void restore(void)
{
    if (*forced)
        setenv("ATELIER_CPU", forced, 1);
    else
        unsetenv("ATELIER_CPU");
}

static void test_forced_table(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    assert_false(at_failed(cx));
    if (*forced) assert_string_equal(cx->kernels->name, forced);
    at_context_free(cx);
}

static void test_unknown_table(void **state)
{
    (void)state;
    setenv("ATELIER_CPU", "mmx", 1);
    at_context *cx = at_context_new(NULL);
    assert_int_equal(at_error_status(cx), AT_ERROR_UNSUPPORTED);
    assert_non_null(strstr(at_error_text(cx), "mmx"));
    at_context_free(cx);
    restore();
}

static void test_no_cuda(void **state)
{
    (void)state;
    at_context *cx = at_context_new(&(at_context_options){.device = AT_DEVICE_CUDA});
    assert_int_equal(at_error_status(cx), AT_ERROR_UNSUPPORTED);
    assert_non_null(strstr(at_error_text(cx), "no CUDA"));
    at_context_free(cx);
}

static void test_precision(void **state)
{
    (void)state;
    at_context *cx = at_context_new(&(at_context_options){.precision = AT_PRECISION_F32});
    assert_int_equal(at_precision_of(cx), AT_PRECISION_F32);
    at_context_free(cx);
    setenv("ATELIER_CPU", "generic", 1);
    cx = at_context_new(NULL);
    assert_int_equal(at_precision_of(cx), AT_PRECISION_F32);
    at_context_free(cx);
    restore();
}

int main(void)
{
    AT_SKIP_WITHOUT_TABLE();
    const char *name = getenv("ATELIER_CPU");
    snprintf(forced, sizeof forced, "%s", name ? name : "");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forced_table),
        cmocka_unit_test(test_unknown_table),
        cmocka_unit_test(test_no_cuda),
        cmocka_unit_test(test_precision),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
