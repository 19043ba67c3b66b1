/* Comparing with the reference implementation: max |a - b| / std(b), the bar of DESIGN section 3.
 */
#ifndef AT_TEST_PARITY_H
#define AT_TEST_PARITY_H

#include "formats/weights.h"
#include <atelier/ops.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Whether the address sanitizer makes all slower. */
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED true
#elif defined(__has_feature)
#define SANITIZED __has_feature(address_sanitizer)
#else
#define SANITIZED false
#endif

static inline at_context *f32_context(void)
{
    at_context *cx =
        at_context_new(&(at_context_options){.precision = AT_PRECISION_F32, .threads = 2});
    if (at_failed(cx)) { /* ATELIER_CPU names a table that this processor does not have */
        printf("skipped: %s\n", at_error_text(cx));
        exit(77);
    }
    return cx;
}

static inline void assert_fine(at_context *cx)
{
    if (at_failed(cx)) fail_msg("%s", at_error_text(cx));
}

/* A tensor of a fixture; it must be there. */
static inline at_tensor *fixture(at_context *cx, const at_weights *io, const char *name)
{
    at_tensor *x = at_weights_get(cx, io, name);
    if (!x) fail_msg("the fixture has no %s (%s)", name, at_error_text(cx));
    return x;
}

/* NCHW of a fixture to channels-last. */
static inline at_tensor *fixture_nhwc(at_context *cx, const at_weights *io, const char *name)
{
    return at_contiguous(cx, at_transpose(cx, fixture(cx, io, name), 0, 2, 3, 1));
}

static inline double parity(at_context *cx, at_tensor *ours, at_tensor *theirs)
{
    assert_fine(cx);
    if (!at_same_shape(ours, theirs))
        fail_msg("shapes differ: %s, %s", at_shape_text(ours), at_shape_text(theirs));
    int64_t n = at_elements(theirs);
    float *a = malloc((size_t)n * sizeof *a), *b = malloc((size_t)n * sizeof *b);
    assert_true(at_read_f32(cx, ours, a) && at_read_f32(cx, theirs, b));
    double sum = 0, squares = 0, worst = 0;
    for (int64_t i = 0; i < n; i++) {
        double d = fabs((double)a[i] - (double)b[i]);
        worst = d > worst || isnan(d) ? d : worst;
        sum += b[i];
        squares += (double)b[i] * b[i];
    }
    free(a);
    free(b);
    double mean = sum / (double)n, deviation = sqrt(fmax(squares / (double)n - mean * mean, 1e-30));
    return isnan(worst) ? INFINITY : worst / deviation;
}

#define assert_parity(cx, ours, theirs, bar)                                             \
    do {                                                                                 \
        double parity_ = parity(cx, ours, theirs);                                       \
        if (!(parity_ <= (bar)))                                                         \
            fail_msg("%s: parity %.3g, the bar is %.3g", #ours, parity_, (double)(bar)); \
    } while (0)

#endif
