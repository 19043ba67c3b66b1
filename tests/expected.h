/* For tests of files of weights: each tensor has the values that a safetensors file beside it says.
 */
#ifndef TESTS_EXPECTED_H
#define TESTS_EXPECTED_H

#include "base/base.h"
#include "formats/weights.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static inline void expect_same_tensor(at_context *cx, const at_weights *got, const char *name,
                                      const at_weights *expected, const char *expected_name)
{
    at_scope s = at_scope_begin(cx);
    at_tensor *a = at_weights_get(cx, got, name), *b = at_weights_get(cx, expected, expected_name);
    if (!a || !b) fail_msg("%s: %s", name, at_failed(cx) ? at_error_text(cx) : "not there");
    if (!at_same_shape(a, b))
        fail_msg("%s: %s, expected %s", name, at_shape_text(a), at_shape_text(b));
    size_t count = (size_t)at_elements(a);
    float *x = malloc((count + 1) * sizeof *x), *y = malloc((count + 1) * sizeof *y);
    assert_true(at_read_f32(cx, a, x) && at_read_f32(cx, b, y));
    for (size_t i = 0; i < count; i++)
        if (memcmp(&x[i], &y[i], sizeof *x) != 0)
            fail_msg("%s[%zu]: %.9g, expected %.9g", name, i, (double)x[i], (double)y[i]);
    free(x);
    free(y);
    at_scope_end(cx, s, NULL);
}

/* The same names, shapes and values, whatever the types. */
static inline void expect_same_weights(at_context *cx, const at_weights *got,
                                       const at_weights *expected)
{
    assert_string_equal(at_error_text(cx), "");
    for (int64_t i = 0; i < at_weights_count(expected); i++) {
        const char *name = at_weights_at(expected, i)->name;
        expect_same_tensor(cx, got, name, expected, name);
    }
    assert_int_equal(at_weights_count(got), at_weights_count(expected));
}

#endif
