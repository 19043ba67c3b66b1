/* Element by element: cuts the operands into runs and hands them to the set's inner loops. A run
   that is not adjacent in memory (a broadcast value, a transposed view) is gathered first. */
#include "kernels/cpu/elementwise.h"
#include "kernels/cpu/runs.h"
#include "kernels/cpu/walk.h"

/* The run of an operand as adjacent values: where it lies, or in `room`. */
static const float *adjacent(const at_tensor *x, int64_t offset, int64_t step, int64_t n,
                             float *room)
{
    const float *data = (const float *)x->data + offset;
    if (step == 1 || n == 1) return data;
    for (int64_t i = 0; i < n; i++) room[i] = data[i * step];
    return room;
}

/* Runs `call` for every run of `out` (y, n) with the operands in p[1], p[2], p[3]. */
#define EACH_RUN(cx, call, ...)                                                                    \
    do {                                                                                           \
        const at_tensor *operand[] = {__VA_ARGS__};                                                \
        at_walk walk;                                                                              \
        at_walk_elements(&walk, (int)AT_COUNT(operand), operand);                                  \
        _Pragma("omp parallel for num_threads(at_threads_for(cx, at_elements(operand[0])))") for ( \
            int64_t run = 0; run < walk.runs; run++)                                               \
        {                                                                                          \
            float room[AT_WALK_OPERANDS][AT_RUN];                                                  \
            const float *p[AT_WALK_OPERANDS] = {0};                                                \
            int64_t offset[AT_WALK_OPERANDS], n = at_walk_run(&walk, run, offset);                 \
            float *y = (float *)operand[0]->data + offset[0];                                      \
            for (int o = 1; o < walk.operands; o++)                                                \
                p[o] = adjacent(operand[o], offset[o], walk.step[o], n, room[o]);                  \
            call;                                                                                  \
        }                                                                                          \
    } while (0)

static void binary(at_context *cx, at_binary kind, at_tensor *out, const at_tensor *a,
                   const at_tensor *b)
{
    EACH_RUN(cx, cx->kernels->runs->binary(kind, n, y, p[1], p[2]), out, a, b);
}

static void affine(at_context *cx, at_tensor *out, const at_tensor *x, float scale, float shift)
{
    EACH_RUN(cx, cx->kernels->runs->affine(n, y, p[1], scale, shift), out, x);
}

static void clamp(at_context *cx, at_tensor *out, const at_tensor *x, float low, float high)
{
    EACH_RUN(cx, cx->kernels->runs->clamp(n, y, p[1], low, high), out, x);
}

static void activate(at_context *cx, at_tensor *out, const at_tensor *x, at_activation activation)
{
    EACH_RUN(cx, cx->kernels->runs->activate(activation, n, y, p[1]), out, x);
}

static void activate_mul(at_context *cx, at_tensor *out, const at_tensor *x,
                         at_activation activation, const at_tensor *u)
{
    EACH_RUN(cx, cx->kernels->runs->activate_mul(activation, n, y, p[1], p[2]), out, x, u);
}

static void gated_add(at_context *cx, at_tensor *out, const at_tensor *x, const at_tensor *gate,
                      const at_tensor *u)
{
    EACH_RUN(cx, cx->kernels->runs->gated_add(n, y, p[1], p[2], p[3]), out, x, gate, u);
}

static void leaky_relu(at_context *cx, at_tensor *out, const at_tensor *x, float slope)
{
    EACH_RUN(cx, cx->kernels->runs->leaky(n, y, p[1], slope), out, x);
}

void at_cpu_elements(at_kernels *table)
{
    table->binary = binary;
    table->affine = affine;
    table->clamp = clamp;
    table->activate = activate;
    table->activate_mul = activate_mul;
    table->gated_add = gated_add;
    table->leaky_relu = leaky_relu;
}
