/* Matrix products and attention, as `atelier bench kernels` measures them. */
#include "cli/bench_kernels.h"
#include "kernels/cpu/gemm.h"
#include <stdio.h>

static const at_precision precisions[] = {AT_PRECISION_F32, AT_PRECISION_BF16, AT_PRECISION_INT8};

/* ---- matrix products */

static void run_matmul(at_context *cx, const void *args)
{
    cx->kernels->matmul(cx, args);
}

/* Few rows do not pay in every precision (at_gemm's lane_sums), but for blocks (finer). */
static bool computes_few(const at_bench *b, at_precision precision, at_dtype dtype)
{
    const at_gemm *g = b->cx->kernels->gemm[precision];
    return !g || g->lane_sums || (g->finer && g->finer->sums_of(dtype));
}

/* The arithmetic of a product with a weight in blocks or in a short float. */
static at_precision short_precision(const at_bench *b, at_dtype dtype, int64_t rows)
{
    if (at_bench_computes(b, AT_PRECISION_BF16)) return AT_PRECISION_BF16;
    bool few = rows <= AT_GEMM_FEW_ROWS;
    if (!at_bench_computes(b, AT_PRECISION_INT8) ||
        (few && !computes_few(b, AT_PRECISION_INT8, dtype)))
        return AT_PRECISION_F32;
    return AT_PRECISION_INT8;
}

/* Few rows are bound by reading the weight: then GB/s of it. */
static void bench_matmul(at_bench *b, const char *label, at_precision precision, at_dtype dtype,
                         const int64_t shape[3])
{
    int64_t m = shape[0], n = shape[1], k = shape[2];
    bool few = n <= AT_GEMM_FEW_ROWS;
    char name[96];
    snprintf(name, sizeof name, "matmul_%s_%lldx%lldx%lld", label, (long long)m, (long long)n,
             (long long)k);
    if (!at_bench_wanted(name, b->only)) return;
    at_scope s = at_scope_begin(b->cx);
    at_tensor *x = AT_BENCH_VALUES(b->cx, AT_F32, n, k);
    at_tensor *weight = AT_BENCH_VALUES(b->cx, dtype, m, k);
    at_tensor *y = at_new(b->cx, AT_F32, n, m);
    if (at_ok(b->cx)) {
        at_matmul_args args = {.m = n,
                               .n = m,
                               .k = k,
                               .x = x->data,
                               .x_stride = k,
                               .weight = weight->data,
                               .dtype = dtype,
                               .weight_stride = (int64_t)at_bytes(weight) / m,
                               .y = y->data,
                               .y_stride = m,
                               .precision = precision};
        double seconds = at_bench_median(b->cx, run_matmul, &args);
        if (few)
            at_bench_add_memory(b, name, precision, (double)at_bytes(weight), b->peaks.read,
                                seconds);
        else
            at_bench_add(b, name, precision, 2.0 * (double)m * (double)n * (double)k, seconds);
    }
    at_scope_end(b->cx, s, NULL);
}

static void bench_matmuls(at_bench *b)
{
    static const int64_t shapes[][3] = {{4096, 512, 14336}, {3072, 1536, 3072}, {12288, 1536, 3072},
                                        {320, 8192, 320},   {1280, 512, 5120},  {4096, 1, 14336},
                                        {4096, 4, 14336},   {4096, 16, 14336}};
    static const at_dtype weights[] = {AT_F16,  AT_F8_E4M3, AT_Q8_0, AT_Q4_0, AT_Q4_1, AT_Q5_0,
                                       AT_Q5_1, AT_Q6_K,    AT_Q5_K, AT_Q4_K, AT_Q3_K, AT_Q2_K};
    for (size_t p = 0; p < AT_COUNT(precisions); p++) {
        at_dtype own = precisions[p] == AT_PRECISION_F32 ? AT_F32 : AT_BF16;
        if (!at_bench_computes(b, precisions[p])) continue;
        for (size_t i = 0; i < AT_COUNT(shapes); i++)
            if (shapes[i][1] > AT_GEMM_FEW_ROWS || computes_few(b, precisions[p], own))
                bench_matmul(b, at_precision_name(precisions[p]), precisions[p], own, shapes[i]);
    }
    for (size_t d = 0; d < AT_COUNT(weights); d++)
        for (size_t i = 0; i < AT_COUNT(shapes); i++) {
            if (shapes[i][2] % at_dtype_block(weights[d])) continue;
            bench_matmul(b, at_dtype_name(weights[d]), short_precision(b, weights[d], shapes[i][1]),
                         weights[d], shapes[i]);
        }
}

/* ---- attention */

typedef enum attention_mask { WHOLE, CAUSAL, MASK, BIAS } attention_mask;

static void run_attention(at_context *cx, const void *args)
{
    cx->kernels->attention(cx, args);
}

/* A boolean mask [N,N] for all heads, a tenth of it hidden, or a bias [H,N,N]. */
static void add_mask(at_context *cx, at_attention_args *args, attention_mask mask)
{
    int64_t n = args->queries;
    args->causal = mask == CAUSAL;
    args->mask_stride[2] = n;
    args->mask_stride[3] = 1;
    if (mask == BIAS) {
        at_tensor *bias = AT_BENCH_VALUES(cx, AT_F32, args->heads, n, n);
        args->mask_stride[1] = n * n;
        args->bias = bias ? bias->data : NULL;
    } else if (mask == MASK) {
        at_tensor *values = AT_BENCH_VALUES(cx, AT_F32, n, n), *seen = at_new(cx, AT_BOOL, n, n);
        bool *to = seen ? seen->data : NULL;
        for (int64_t i = 0; values && to && i < n * n; i++)
            to[i] = ((const float *)values->data)[i] > -0.4f;
        args->seen = to;
    }
}

static void bench_attention(at_bench *b, at_precision precision, const int64_t shape[3],
                            attention_mask mask)
{
    static const char *const suffix[] = {"", "_causal", "_mask", "_bias"};
    int64_t heads = shape[0], n = shape[1], size = shape[2];
    char name[96];
    snprintf(name, sizeof name, "attention_%s_%lldx%lldx%lld%s", at_precision_name(precision),
             (long long)heads, (long long)n, (long long)size, suffix[mask]);
    if (!at_bench_wanted(name, b->only)) return;
    at_scope s = at_scope_begin(b->cx);
    at_tensor *q = AT_BENCH_VALUES(b->cx, AT_F32, 1, n, heads, size);
    at_tensor *k = AT_BENCH_VALUES(b->cx, AT_F32, 1, n, heads, size);
    at_tensor *v = AT_BENCH_VALUES(b->cx, AT_F32, 1, n, heads, size);
    at_tensor *y = at_new(b->cx, AT_F32, 1, n, heads, size);
    if (at_ok(b->cx)) {
        at_attention_args args = {.batch = 1,
                                  .queries = n,
                                  .keys = n,
                                  .heads = heads,
                                  .groups = heads,
                                  .head_size = size,
                                  .value_size = size,
                                  .q = q->data,
                                  .k = k->data,
                                  .v = v->data,
                                  .q_stride = {n * heads * size, heads * size, size},
                                  .k_stride = {n * heads * size, heads * size, size},
                                  .v_stride = {n * heads * size, heads * size, size},
                                  .scale = 0.1f,
                                  .y = y->data,
                                  .precision = precision};
        add_mask(b->cx, &args, mask);
        double work = 4.0 * (double)(heads * n * n * size) * (mask == CAUSAL ? 0.5 : 1);
        at_bench_add(b, name, precision, work, at_bench_median(b->cx, run_attention, &args));
    }
    at_scope_end(b->cx, s, NULL);
}

static void bench_attentions(at_bench *b)
{
    static const int64_t shapes[][3] = {
        {24, 1536, 128}, {8, 4096, 40}, {10, 4096, 64}, {1, 16384, 512}, {24, 8192, 128}};
    for (size_t p = 0; p < 2; p++) {
        if (!at_bench_computes(b, precisions[p])) continue;
        for (size_t i = 0; i < AT_COUNT(shapes); i++) {
            bench_attention(b, precisions[p], shapes[i], WHOLE);
            bench_attention(b, precisions[p], shapes[i], MASK);
        }
        bench_attention(b, precisions[p], shapes[0], CAUSAL);
        bench_attention(b, precisions[p], shapes[0], BIAS);
    }
}

void at_bench_products(at_bench *b)
{
    bench_matmuls(b);
    bench_attentions(b);
}
