#include "base/base.h"
#include "parity.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_peak)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
