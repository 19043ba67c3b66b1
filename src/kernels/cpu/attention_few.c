/* Attention of few queries (a token that is decoded) is bound by reading keys and values. Each
   (batch, group) is one thread's: block by block of keys, all queries of all heads that share the
   group are multiplied with the keys where they lie, and their weights with the values. */
#include "kernels/cpu/attention.h"
#include "kernels/cpu/gemm.h"
#include <math.h>
#include <omp.h>
#include <string.h>

enum { FEW = AT_ATTENTION_FEW, BLOCK_KEYS = 64, COLUMNS = AT_GEMM_FEW_COLUMNS, MOST_LANES = 16 };
enum { SMALL = 1 << 16 }; /* multiply-adds that one thread does before another is awake */

/* A thread's. */
typedef struct workspace {
    float *q, *out; /* [FEW][head size], [FEW][value size] */
    float scores[FEW][BLOCK_KEYS], most[FEW], sum[FEW];
} workspace;

/* scores[i][j] = q[i] k[j] for keys at k, COLUMNS at a time */
static void score(const at_attention_args *a, const at_gemm *g, workspace *w, int64_t rows,
                  const float *k, int64_t keys)
{
    _Alignas(64) float lanes[FEW * COLUMNS * MOST_LANES];
    float sums[FEW * COLUMNS];
    for (int64_t j = 0; j < keys; j += COLUMNS) {
        const void *row[COLUMNS];
        for (int64_t c = 0; c < COLUMNS; c++) row[c] = k + AT_MIN(j + c, keys - 1) * a->k_stride[1];
        memset(lanes, 0, (size_t)(rows * COLUMNS * g->lanes) * sizeof *lanes);
        g->lane_sums(a->head_size, rows, (const uint32_t *)w->q, a->head_size, row,
                     COLUMNS * a->k_stride[1] * (int64_t)sizeof *k, lanes);
        g->add_lanes(rows * COLUMNS, lanes, sums);
        for (int64_t i = 0; i < rows; i++)
            memcpy(&w->scores[i][j], sums + i * COLUMNS, COLUMNS * sizeof *sums);
    }
}

/* Weights of row i for the keys that it sees, of which there are `count`; its sum and out so far
   follow the maximum. */
static void soften(const at_context *cx, const at_attention_args *a, const at_gemm *g, workspace *w,
                   int64_t i, int64_t count, const float *v)
{
    float old = w->most[i], sum = g->soften(count, w->scores[i], &w->most[i]);
    float *out = w->out + i * a->value_size;
    if (w->most[i] == -INFINITY) return; /* nothing seen yet */
    if (old != w->most[i] && old != -INFINITY) {
        w->sum[i] *= expf(old - w->most[i]);
        cx->kernels->runs->affine(a->value_size, out, out, expf(old - w->most[i]), 0);
    }
    w->sum[i] += sum;
    cx->kernels->runs->add_rows(count, a->value_size, out, w->scores[i], v, a->v_stride[1]);
}

/* The queries of `group` of batch b; row i is query i % queries of head i / queries. */
static void attend(const at_context *cx, const at_attention_args *a, int64_t b, int64_t group,
                   workspace *w)
{
    const at_gemm *g = at_gemm_of(cx, AT_PRECISION_F32);
    const at_runs *runs = cx->kernels->runs;
    int64_t heads = a->heads / a->groups, rows = heads * a->queries, head = group * heads;
    const float *k = a->k + b * a->k_stride[0] + group * a->k_stride[2];
    const float *v = a->v + b * a->v_stride[0] + group * a->v_stride[2];
    for (int64_t i = 0; i < rows; i++) {
        const float *q = a->q + b * a->q_stride[0] + i % a->queries * a->q_stride[1] +
                         (head + i / a->queries) * a->q_stride[2];
        runs->affine(a->head_size, w->q + i * a->head_size, q, a->scale, 0);
        w->most[i] = -INFINITY, w->sum[i] = 0;
    }
    memset(w->out, 0, (size_t)(rows * a->value_size) * sizeof *w->out);
    for (int64_t key = 0; key < a->keys && !at_cancelled(cx); key += BLOCK_KEYS) {
        int64_t keys = AT_MIN(BLOCK_KEYS, a->keys - key);
        score(a, g, w, rows, k + key * a->k_stride[1], keys);
        for (int64_t i = 0; i < rows; i++) {
            int64_t query = i % a->queries, last = query + a->keys - a->queries;
            int64_t seen = a->causal ? AT_MAX(0, AT_MIN(keys, last - key + 1)) : keys;
            if (a->bias || a->seen)
                at_attention_mask(cx, a, b, head + i / a->queries, query, key, seen, w->scores[i]);
            soften(cx, a, g, w, i, seen, v + key * a->v_stride[1]);
        }
    }
    for (int64_t i = 0; i < rows; i++) {
        float *y = a->y + ((b * a->queries + i % a->queries) * a->heads + head + i / a->queries) *
                              a->value_size;
        float by = w->most[i] == -INFINITY ? 0 : 1 / w->sum[i]; /* 0: it sees nothing */
        runs->affine(a->value_size, y, w->out + i * a->value_size, by, 0);
    }
}

void at_attention_few_queries(at_context *cx, const at_attention_args *a)
{
    int64_t all = a->batch * a->groups, each = FEW * (a->head_size + a->value_size);
    int64_t work = all * a->keys * (a->head_size + a->value_size);
    int threads = work < SMALL ? 1 : (int)AT_MIN(cx->threads, all);
    float *room = at_scratch(cx, (size_t)(threads * each + 1) * sizeof *room);
    if (!room) return;
#pragma omp parallel num_threads(threads)
    {
        workspace w = {.q = room + omp_get_thread_num() * each};
        w.out = w.q + FEW * a->head_size;
#pragma omp for schedule(dynamic)
        for (int64_t i = 0; i < all; i++)
            if (!at_cancelled(cx)) attend(cx, a, i / a->groups, i % a->groups, &w);
    }
    at_scratch_free(cx, room);
}
