#include "base/map.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void keeps_many_keys(void **state)
{
    (void)state;
    enum { COUNT = 20000 };
    at_context *cx = at_context_new(NULL);
    at_map *map = at_map_new(cx);
    char key[32];
    int64_t value;
    for (int i = 0; i < COUNT; i++) {
        snprintf(key, sizeof key, "layers.%d.weight", i);
        assert_true(at_map_set(cx, map, key, strlen(key), i));
    }
    for (int i = 0; i < COUNT; i += 3) { /* replaced */
        snprintf(key, sizeof key, "layers.%d.weight", i);
        assert_true(at_map_set(cx, map, key, strlen(key), -i));
    }
    assert_int_equal(at_map_count(map), COUNT);
    for (int i = 0; i < COUNT; i++) {
        snprintf(key, sizeof key, "layers.%d.weight", i);
        assert_true(at_map_get(map, key, strlen(key), &value));
        assert_int_equal(value, i % 3 ? i : -i);
    }
    value = 77;
    assert_false(at_map_get(map, "layers.0.weigh", 14, &value));
    assert_int_equal(value, 77);
    at_map_free(map);
    at_context_free(cx);
}

static void keys_are_bytes(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    at_map *map = at_map_new(cx);
    char key[] = "a\0b";
    int64_t value;
    assert_true(at_map_set(cx, map, key, 3, 1));
    assert_true(at_map_set(cx, map, key, 1, 2));
    assert_true(at_map_set(cx, map, "", 0, 3));
    key[2] = 'c'; /* it was copied */
    assert_true(at_map_get(map, "a\0b", 3, &value));
    assert_int_equal(value, 1);
    assert_true(at_map_get(map, "a", 1, &value));
    assert_int_equal(value, 2);
    assert_true(at_map_get(map, "x", 0, &value));
    assert_int_equal(value, 3);
    assert_false(at_map_get(map, "a\0c", 3, &value));
    at_map_free(map);
    assert_false(at_map_get(NULL, "a", 1, &value));
    assert_int_equal(at_map_count(NULL), 0);
    at_map_free(NULL);
    at_context_free(cx);
}

/* A set that fails leaves the map as it was. */
static void survives_failed_allocations(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    for (int n = 1; n <= 2; n++) {
        cx->fail_allocation_in = n;
        assert_null(at_map_new(cx));
        assert_int_equal(at_error_status(cx), AT_ERROR_MEMORY);
        at_error_clear(cx);
    }
    at_map *map = at_map_new(cx);
    for (int i = 0; i < 200; i++) {
        int64_t value;
        char key = (char)i;
        size_t before = at_map_count(map);
        cx->fail_allocation_in = 1;
        assert_false(at_map_set(cx, map, &key, 1, i));
        assert_int_equal(at_map_count(map), before);
        assert_false(at_map_get(map, &key, 1, &value));
        at_error_clear(cx);
        assert_true(at_map_set(cx, map, &key, 1, i));
    }
    at_map_free(map);
    at_context_free(cx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_many_keys),
        cmocka_unit_test(keys_are_bytes),
        cmocka_unit_test(survives_failed_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
