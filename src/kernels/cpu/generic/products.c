/* The meaning of the heavy products: plain loops, f32 sums. Weights are turned to f32 a row at a
   time. Every precision is computed as f32. */
#include "base/base.h"
#include "kernels/cpu/generic/activation.h"
#include "kernels/cpu/tables.h"
#include <math.h>
#include <string.h>

/* Four running sums: a long row loses less than in one. */
static float dot(const float *a, const float *b, int64_t count)
{
    float sum[4] = {0};
    int64_t i = 0;
    for (; i + 4 <= count; i += 4)
        for (int j = 0; j < 4; j++) sum[j] += a[i + j] * b[i + j];
    for (; i < count; i++) sum[0] += a[i] * b[i];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

/* y of row i and column j with what goes with it. */
static float with(const at_product_with *w, int64_t i, int64_t j, float y)
{
    if (!w->other) return y;
    float other = w->other[i * w->stride + j];
    if (w->times) return at_activation_value(w->activation, other) * y;
    return other + (w->gate ? w->gate[i / w->gate_rows * w->gate_stride + j] : 1.0f) * y;
}

static void matmul(at_context *cx, const at_matmul_args *p)
{
    int threads = cx->threads;
    float *rows = at_scratch(cx, (size_t)threads * (size_t)p->k * sizeof *rows);
    if (!rows) return;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int t = 0; t < threads; t++) {
        float *row = rows + t * p->k;
        for (int64_t j = p->n * t / threads; j < p->n * (t + 1) / threads; j++) {
            if (atomic_load_explicit(&cx->cancelled, memory_order_relaxed)) break;
            cx->kernels->to_f32(p->dtype, (const char *)p->weight + j * p->weight_stride, row,
                                p->k);
            for (int64_t i = 0; i < p->m; i++) {
                float sum = dot(p->x + i * p->x_stride, row, p->k) + (p->bias ? p->bias[j] : 0);
                sum = at_activation_value(p->activation, sum);
                p->y[i * p->y_stride + j] = with(&p->with, i, j, sum);
            }
        }
    }
    at_scratch_free(cx, rows);
}

/* The score of one query and one key, or -inf where the mask hides the key. */
static float score(const at_attention_args *p, int64_t b, int64_t h, int64_t i, int64_t j)
{
    if (p->causal && j > i + (p->keys - p->queries)) return -INFINITY;
    const int64_t *s = p->mask_stride;
    int64_t at = b * s[0] + h * s[1] + i * s[2] + j * s[3];
    if (p->seen && !p->seen[at]) return -INFINITY;
    int64_t g = h / (p->heads / p->groups);
    const float *q = p->q + b * p->q_stride[0] + i * p->q_stride[1] + h * p->q_stride[2];
    const float *k = p->k + b * p->k_stride[0] + j * p->k_stride[1] + g * p->k_stride[2];
    return p->scale * dot(q, k, p->head_size) + (p->bias ? p->bias[at] : 0);
}

/* One query of one head: weights is scratch of [keys]. */
static void attend(const at_attention_args *p, int64_t b, int64_t h, int64_t i, float *weights)
{
    float *y = p->y + ((b * p->queries + i) * p->heads + h) * p->value_size;
    memset(y, 0, (size_t)p->value_size * sizeof *y);
    float most = -INFINITY, sum = 0;
    for (int64_t j = 0; j < p->keys; j++) {
        weights[j] = score(p, b, h, i, j);
        if (weights[j] > most || isnan(weights[j])) most = weights[j];
    }
    if (most == -INFINITY) return; /* it sees nothing */
    int64_t g = h / (p->heads / p->groups);
    for (int64_t j = 0; j < p->keys; j++) {
        const float *v = p->v + b * p->v_stride[0] + j * p->v_stride[1] + g * p->v_stride[2];
        float weight = expf(weights[j] - most);
        sum += weight;
        if (weight == 0) continue; /* hidden: whatever its value holds */
        for (int64_t e = 0; e < p->value_size; e++) y[e] += weight * v[e];
    }
    for (int64_t e = 0; e < p->value_size; e++) y[e] /= sum;
}

static void attention(at_context *cx, const at_attention_args *p)
{
    int threads = cx->threads;
    int64_t rows = p->batch * p->heads * p->queries;
    float *weights = at_scratch(cx, (size_t)(threads * p->keys) * sizeof *weights);
    if (!weights) return;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int t = 0; t < threads; t++)
        for (int64_t r = rows * t / threads; r < rows * (t + 1) / threads; r++) {
            if (atomic_load_explicit(&cx->cancelled, memory_order_relaxed)) break;
            attend(p, r / p->queries / p->heads, r / p->queries % p->heads, r % p->queries,
                   weights + t * p->keys);
        }
    at_scratch_free(cx, weights);
}

void at_generic_products(at_kernels *table)
{
    table->matmul = matmul;
    table->conv = at_generic_conv;
    table->attention = attention;
}
