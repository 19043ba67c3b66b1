/* The same uniform values in (-1, 1) on every run. */
#ifndef TESTS_RANDOM_VALUES_H
#define TESTS_RANDOM_VALUES_H

#include "kernels/kernels.h"
#include "parity.h"
#include "table.h"

static uint64_t state_of_random = 88172645463325252ull;

static inline float random_value(void)
{
    state_of_random ^= state_of_random << 13;
    state_of_random ^= state_of_random >> 7;
    state_of_random ^= state_of_random << 17;
    return (float)(state_of_random >> 40) / (1 << 23) - 1.0f;
}

static inline float *random_values(int64_t count)
{
    float *x = malloc(sizeof *x * (size_t)(count + 1));
    for (int64_t i = 0; i < count; i++) x[i] = random_value();
    return x;
}

/* The precisions that the table in use computes in. */
static inline bool has_precision(at_precision precision)
{
    at_context *cx = at_context_new(NULL);
    bool there = precision == AT_PRECISION_F32 || cx->kernels->gemm[precision];
    at_context_free(cx);
    return there;
}

static const at_precision precisions[] = {AT_PRECISION_F32, AT_PRECISION_BF16, AT_PRECISION_INT8};
static const char *const precision_names[] = {"f32", "bf16", "int8"};

#define EACH_PRECISION(i)       \
    for (int i = 0; i < 3; i++) \
        if (has_precision(precisions[i]))

#endif
