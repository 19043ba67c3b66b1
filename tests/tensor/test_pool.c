#include "base/base.h"
#include "parity.h"
#include "tensor/pool.h"
#include <unistd.h>

/* The peak is the most that was held at once, since the context was made or the peak was reset. */
static void test_peak(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    at_scope s = at_scope_begin(cx);
    at_new(cx, AT_F32, 1000);
    at_new(cx, AT_F32, 3000);
    at_scope_end(cx, s, NULL);
    assert_int_equal(at_memory_used(cx), 0);
    assert_in_range(at_memory_peak(cx), 16000, 18000);
    at_memory_peak_reset(cx);
    assert_int_equal(at_memory_peak(cx), 0);
    at_new(cx, AT_F32, 1000);
    assert_in_range(at_memory_peak(cx), 4000, 4500);
    at_context_free(cx);
}

static double resident(void)
{
    long pages = 0, other;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f || fscanf(f, "%ld %ld", &other, &pages) != 2) pages = 0;
    if (f) fclose(f);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

/* Blocks of ever other sizes do not pile up in the cache: it keeps near what was in use at most. */
static void test_cache(void **state)
{
    (void)state;
    if (SANITIZED) return; /* whose own cache holds on to what is freed */
    enum { BYTES = 16 << 20, TIMES = 12 };
    at_context *cx = at_context_new(NULL);
    double before = resident();
    assert_true(before > 0);
    for (int i = 0; i < TIMES; i++) {
        at_scope s = at_scope_begin(cx);
        at_tensor *x = at_new(cx, AT_U8, BYTES << i % 2);
        assert_non_null(x);
        memset(x->data, i, (size_t)at_elements(x));
        at_scope_end(cx, s, NULL);
        s = at_scope_begin(cx);
        x = at_new(cx, AT_U8, (int64_t)BYTES * (i + 3));
        assert_non_null(x);
        memset(x->data, i, (size_t)at_elements(x));
        at_scope_end(cx, s, NULL);
    }
    double peak = (double)at_memory_peak(cx); /* 14 times 16 MiB; all sizes: 100 times */
    assert_true(resident() - before < peak + 112e6);
    at_pool_rest(cx);
    assert_true(resident() - before < 16e6);
    at_context_free(cx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_peak), cmocka_unit_test(test_cache)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
