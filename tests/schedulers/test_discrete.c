/* The schedulers over a table of trained steps against Diffusers'. */
#include "cases.h"

static void test_cases(void **state)
{
    (void)state;
    check_cases(NULL, "discrete.json", 250);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cases)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
