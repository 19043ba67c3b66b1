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

/* What is logged, one after the other. */
static char said[512];

static void keep(void *user, at_log_level level, const char *text)
{
    (void)user;
    size_t used = strlen(said);
    snprintf(said + used, sizeof said - used, "%d %s;", (int)level, text);
}

static at_precision precision_used(at_precision wanted)
{
    *said = 0;
    at_context *cx = at_context_new(&(at_context_options){.precision = wanted, .log = keep});
    at_precision used = at_precision_of(cx);
    bool there = used == AT_PRECISION_F32 || cx->kernels->gemm[used];
    at_context_free(cx);
    assert_true(there);
    return used;
}

/* The precision that is named is the one that is computed in, and it is said which. */
static void test_precision(void **state)
{
    (void)state;
    assert_int_equal(precision_used(AT_PRECISION_F32), AT_PRECISION_F32);
    assert_non_null(strstr(said, "precision f32;"));
    for (at_precision p = AT_PRECISION_BF16; p <= AT_PRECISION_INT8; p++) {
        at_precision used = precision_used(p);
        char warning[64];
        snprintf(warning, sizeof warning, "%d precision %s: this processor has no arithmetic",
                 (int)AT_LOG_WARNING, at_precision_name(p));
        assert_true((strstr(said, warning) != NULL) == (used != p));
    }
    if (strcmp(forced, "avx2") == 0)
        assert_int_equal(precision_used(AT_PRECISION_AUTO), AT_PRECISION_INT8);
    setenv("ATELIER_CPU", "generic", 1);
    assert_int_equal(precision_used(AT_PRECISION_AUTO), AT_PRECISION_F32);
    assert_null(strstr(said, "no arithmetic"));
    assert_int_equal(precision_used(AT_PRECISION_INT8), AT_PRECISION_F32);
    assert_non_null(strstr(said, "(generic: f32)"));
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
