/* Row by row: norms, softmax, rotary positions. A row's elements are adjacent; rows may lie
   anywhere. */
#include "kernels/cpu/elementwise.h"
#include "kernels/cpu/runs.h"
#include "kernels/cpu/walk.h"
#include <string.h>

/* Runs `call` for every row of `out` (y, n elements) with the operands' rows in p[1], p[2], p[3].
 */
#define EACH_ROW(cx, call, ...)                                                                    \
    do {                                                                                           \
        const at_tensor *operand[] = {__VA_ARGS__};                                                \
        at_walk walk;                                                                              \
        at_walk_rows(&walk, (int)AT_COUNT(operand), operand);                                      \
        _Pragma("omp parallel for num_threads(at_threads_for(cx, at_elements(operand[0])))") for ( \
            int64_t run = 0; run < walk.runs; run++)                                               \
        {                                                                                          \
            const float *p[AT_WALK_OPERANDS] = {0};                                                \
            int64_t offset[AT_WALK_OPERANDS], n = at_walk_run(&walk, run, offset);                 \
            float *y = (float *)operand[0]->data + offset[0];                                      \
            for (int o = 1; o < walk.operands; o++)                                                \
                p[o] = (const float *)operand[o]->data + offset[o];                                \
            call;                                                                                  \
        }                                                                                          \
    } while (0)

static const float *values(const at_tensor *x)
{
    return x ? x->data : NULL;
}

static void layer_norm(at_context *cx, at_tensor *out, const at_tensor *x, const at_tensor *weight,
                       const at_tensor *bias, float eps)
{
    const float *w = values(weight), *b = values(bias);
    EACH_ROW(cx, cx->kernels->runs->layer_norm(n, y, p[1], w, 0, b, eps), out, x);
}

static void rms_norm(at_context *cx, at_tensor *out, const at_tensor *x, const at_tensor *weight,
                     float eps)
{
    const float *w = values(weight);
    EACH_ROW(cx, cx->kernels->runs->rms_norm(n, y, p[1], w, eps), out, x);
}

static void norm_modulate(at_context *cx, at_tensor *out, const at_tensor *x,
                          const at_tensor *shift, const at_tensor *scale, float eps)
{
    EACH_ROW(cx, cx->kernels->runs->layer_norm(n, y, p[1], p[3], 1, p[2], eps), out, x, shift,
             scale);
}

static void softmax(at_context *cx, at_tensor *out, const at_tensor *x)
{
    EACH_ROW(cx, cx->kernels->runs->softmax(n, y, p[1]), out, x);
}

/* x [B,N,H,D], table [N,P,2] or [B,N,P,2]: the first 2 P values of each head turn, the others stay.
 */
static void rotary(at_context *cx, at_tensor *out, const at_tensor *x, const at_tensor *table,
                   at_rotary_pairs order)
{
    int64_t positions = x->shape[1], heads = x->shape[2], size = x->shape[3];
    int64_t pairs = table->shape[table->dims - 2], position_stride = table->stride[table->dims - 3];
    int64_t batch_stride = table->dims == 4 && table->shape[0] > 1 ? table->stride[0] : 0;
#pragma omp parallel for num_threads(at_threads_for(cx, at_elements(out)))
    for (int64_t i = 0; i < x->shape[0] * positions; i++) {
        int64_t b = i / positions, p = i % positions;
        const float *angles = (const float *)table->data + b * batch_stride + p * position_stride;
        const float *in = (const float *)x->data + b * x->stride[0] + p * x->stride[1];
        float *y = (float *)out->data + i * heads * size;
        for (int64_t h = 0; h < heads; h++, y += size, in += x->stride[2]) {
            cx->kernels->runs->rotary(order, pairs, y, in, angles);
            if (2 * pairs < size)
                memcpy(y + 2 * pairs, in + 2 * pairs, (size_t)(size - 2 * pairs) * sizeof *y);
        }
    }
}

void at_cpu_rows(at_kernels *table)
{
    table->layer_norm = layer_norm;
    table->rms_norm = rms_norm;
    table->norm_modulate = norm_modulate;
    table->softmax = softmax;
    table->rotary = rotary;
}
