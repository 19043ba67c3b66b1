/* Products with few rows of x (one token, a modulation) are bound by reading the weight. Each
   thread takes rows of the weight, AT_GEMM_FEW_COLUMNS at once, unpacks a block of k into the first
   cache level, and multiplies it with all rows of x lane by lane; lanes are added at the end.
   Weights of f16 are unpacked in the registers, in every precision: less work than their words.
   Quantising the weight to int8 in passing would cost more than the arithmetic it saves. */
#include "kernels/cpu/gemm.h"
#include <string.h>

enum { COLUMNS = AT_GEMM_FEW_COLUMNS, WORDS = AT_GEMM_WORDS, MOST_LANES = 16 };

/* All of x as words, rows at a distance of `stride`. */
static void pack_rows(const at_product *p, int64_t stride, uint32_t *x)
{
    float room[AT_GEMM_VALUES];
    for (int64_t i = 0; i < p->m; i++)
        for (int64_t first = 0; first < p->k; first += p->gemm->block) {
            int64_t count = AT_MIN(p->gemm->block, p->k - first);
            p->gemm->to_words(count, at_product_row(p, i, first, count, room),
                              x + i * stride + at_gemm_words(p->gemm, first));
        }
}

/* The processor's own prefetching does not keep up with some rows at once: asks for the bytes of
   values first to first + count. */
static void fetch(const at_product *p, int64_t row, int64_t first, int64_t count)
{
    int64_t block = at_dtype_block(p->dtype), bytes = (int64_t)at_dtype_block_bytes(p->dtype);
    const char *from = p->weight + row * p->weight_stride + first / block * bytes;
    for (int64_t i = 0; i < count / block * bytes; i += 64) __builtin_prefetch(from + i, 0, 3);
}

/* One step of sums: rows of f16 as they lie where the processor's set takes them so, others as the
   product's words. */
static void add_sums(const at_context *cx, const at_product *p, int64_t column, int64_t first,
                     int64_t count, const uint32_t *x, int64_t x_stride, float *sums)
{
    const at_gemm *g = p->gemm;
    _Alignas(64) float values[COLUMNS][WORDS], wide[AT_GEMM_VALUES];
    _Alignas(64) uint32_t words[COLUMNS][WORDS];
    bool half = p->dtype == AT_F16 && g->half_sums;
    int64_t columns = AT_MIN(COLUMNS, p->n - column);
    const void *w[COLUMNS];
    for (int j = 0; j < COLUMNS; j++)
        w[j] = j >= columns ? w[0]
               : half       ? p->weight + (column + j) * p->weight_stride + 2 * first
                            : at_weight_words(cx, p, column + j, first, count,
                                        g->group == 1 ? values[j] : wide, words[j]);
    (half ? g->half_sums : g->lane_sums)(at_gemm_words(g, count), p->m, x + at_gemm_words(g, first),
                                         x_stride, w, sums);
}

/* COLUMNS columns of y from `column` on. */
static void run_columns(const at_context *cx, const at_product *p, int64_t column,
                        const uint32_t *x, int64_t x_stride)
{
    const at_gemm *g = p->gemm;
    _Alignas(64) float sums[AT_GEMM_FEW_ROWS * COLUMNS * MOST_LANES];
    memset(sums, 0, sizeof sums);
    int64_t columns = AT_MIN(COLUMNS, p->n - column);
    for (int64_t first = 0; first < p->k; first += g->block) {
        int64_t count = AT_MIN(g->block, p->k - first);
        for (int j = 0; j < columns && first + 3 * g->block <= p->k; j++)
            fetch(p, column + j, first + 2 * g->block, g->block);
        add_sums(cx, p, column, first, count, x, x_stride, sums);
    }
    float c[AT_GEMM_FEW_ROWS * COLUMNS];
    g->add_lanes(p->m * COLUMNS, sums, c);
    for (int64_t i = 0; i < p->m; i++)
        at_product_finish(cx, columns, c + i * COLUMNS, p->bias ? p->bias + column : NULL,
                          p->activation, p->y + i * p->y_stride + column);
}

void at_product_few_rows(at_context *cx, const at_product *given)
{
    at_product better = *given, *p = &better;
    const at_gemm *exact = at_gemm_of(cx, AT_PRECISION_F32);
    if (p->dtype == AT_F16 && exact && exact->half_sums) p->gemm = exact;
    if (!p->gemm->lane_sums) p->gemm = at_gemm_of(cx, AT_PRECISION_BF16);
    int64_t stride = at_ceil_div(at_gemm_words(p->gemm, p->k), 16) * 16;
    uint32_t *x = at_scratch(cx, (size_t)(p->m * stride + 1) * sizeof *x);
    if (!x) return;
    pack_rows(p, stride, x);
    int64_t parts = at_ceil_div(p->n, COLUMNS);
    bool small = p->n * p->k < 1 << 16;
#pragma omp parallel for num_threads(cx->threads) schedule(static) if (!small)
    for (int64_t i = 0; i < parts; i++)
        if (!at_cancelled(cx)) run_columns(cx, p, i * COLUMNS, x, stride);
    at_scratch_free(cx, x);
}
