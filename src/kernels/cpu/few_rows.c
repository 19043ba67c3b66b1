/* Products with few rows of x (one token, a modulation) are bound by reading the weight. Each
   thread takes rows of the weight, AT_GEMM_FEW_COLUMNS at once, unpacks a block of k into the first
   cache level, and multiplies it with all rows of x lane by lane; lanes are added at the end. What
   a block needs of x lies together, so that it does not take the places of the weight's rows in
   that cache: their distance is often a multiple of its size.
   Blocks of integers are multiplied as integers unless f32 was asked for (simd/few_integers.c), and
   with very few rows small floats in f32 in every precision (but bf16 in bf16), unpacked in the
   registers: less work than words, and finer. Halves always are where words would be f32 too. */
#include "kernels/cpu/gemm.h"
#include <string.h>

enum { COLUMNS = AT_GEMM_FEW_COLUMNS, MOST_LANES = 16 };
enum { WORDS = 256 /* most of a row of the weight in a block */ };
enum { X_VALUES = 4096 /* of all rows of x in a block, half of the first cache level */ };
enum { SMALL = 1 << 16 /* values of a weight that one thread reads */ };

typedef struct few {
    const at_context *cx;
    const at_product *p;
    int64_t block, blocks; /* values of k, and how often */
    int64_t ahead;         /* bytes to the next block of the weight, asked for meanwhile, or 0 */
    int64_t words;         /* of a row of x in a block */
    uint32_t *x;           /* [blocks][m][words] */
    at_lane_sums *as_they_lie; /* NULL, or what takes the rows of the weight so */
} few;

static void pack_rows(const few *f)
{
    const at_product *p = f->p;
    float room[AT_GEMM_VALUES];
    for (int64_t i = 0; i < p->m; i++)
        for (int64_t b = 0; b < f->blocks; b++) {
            int64_t first = b * f->block, count = AT_MIN(f->block, p->k - first);
            p->gemm->to_words(count, at_product_row(p, i, first, count, room),
                              f->x + (b * p->m + i) * f->words);
        }
}

static const char *weight_at(const at_product *p, int64_t row, int64_t first)
{
    return p->weight + row * p->weight_stride +
           first / at_dtype_block(p->dtype) * (int64_t)at_dtype_block_bytes(p->dtype);
}

/* Asks for what comes two blocks after block b of the columns from `column` on, at once: where that
   is one run of memory or is unpacked first, it is faster so than in the steps of the sums. */
static void fetch(const few *f, int64_t column, int64_t b)
{
    const at_product *p = f->p;
    b += 2;
    for (; b >= f->blocks; b -= f->blocks) column += COLUMNS;
    int64_t first = b * f->block, count = AT_MIN(f->block, p->k - first);
    int64_t bytes = weight_at(p, 0, count) - p->weight;
    for (int64_t j = column; j < AT_MIN(column + COLUMNS, p->n); j++) {
        const char *from = weight_at(p, j, first);
        for (int64_t i = 0; i < bytes; i += 64) __builtin_prefetch(from + i, 0, 2);
    }
}

/* One step of sums. */
static void add_sums(const few *f, int64_t column, int64_t b, float *sums)
{
    const at_product *p = f->p;
    const at_gemm *g = p->gemm;
    _Alignas(64) float values[COLUMNS][WORDS], wide[AT_GEMM_VALUES];
    _Alignas(64) uint32_t words[COLUMNS][WORDS];
    int64_t columns = AT_MIN(COLUMNS, p->n - column);
    int64_t first = b * f->block, count = AT_MIN(f->block, p->k - first);
    const void *w[COLUMNS] = {NULL};
    for (int j = 0; j < COLUMNS; j++)
        w[j] = j >= columns     ? w[0]
               : f->as_they_lie ? weight_at(p, column + j, first)
                                : at_weight_words(f->cx, p, column + j, first, count,
                                                  g->group == 1 ? values[j] : wide, words[j]);
    at_lane_sums *add = f->as_they_lie ? f->as_they_lie : g->lane_sums;
    const uint32_t *x = f->x + b * p->m * f->words;
    if (f->ahead == 0) fetch(f, column, b);
    add(at_gemm_words(g, count), p->m, x, f->words, w, f->ahead, sums);
}

/* COLUMNS columns of y from `column` on. */
static void run_columns(const few *f, int64_t column)
{
    const at_product *p = f->p;
    _Alignas(64) float sums[AT_GEMM_FEW_ROWS * COLUMNS * MOST_LANES];
    memset(sums, 0, (size_t)(p->m * COLUMNS * p->gemm->lanes) * sizeof *sums);
    for (int64_t b = 0; b < f->blocks; b++) add_sums(f, column, b, sums);
    float c[AT_GEMM_FEW_ROWS * COLUMNS];
    p->gemm->add_lanes(p->m * COLUMNS, sums, c);
    for (int64_t i = 0; i < p->m; i++)
        at_product_finish_row(f->cx, p, i, column, AT_MIN(COLUMNS, p->n - column), c + i * COLUMNS);
}

/* Whose arithmetic is used, and whether on the weight as it lies. */
static void choose(few *f, at_product *p)
{
    const at_gemm *exact = at_gemm_of(f->cx, AT_PRECISION_F32);
    const at_gemm *by_words = p->gemm->lane_sums ? p->gemm : at_gemm_of(f->cx, AT_PRECISION_BF16);
    const at_gemm *direct[2] = {p->gemm->finer, exact};
    bool halves = at_dtype_block(p->dtype) == 1 && at_dtype_block_bytes(p->dtype) == 2;
    if (p->m > AT_GEMM_FEWEST_ROWS && !(halves && by_words == exact)) direct[1] = NULL;
    for (int i = 0; i < 2 && p->dtype != p->gemm->dtype && !f->as_they_lie; i++) {
        f->as_they_lie = direct[i] ? direct[i]->sums_of(p->dtype) : NULL;
        if (f->as_they_lie) p->gemm = direct[i];
    }
    if (!f->as_they_lie) p->gemm = by_words;
}

void at_product_few_rows(at_context *cx, const at_product *given)
{
    at_product p = *given;
    few f = {.cx = cx, .p = &p};
    choose(&f, &p);
    bool in_place = f.as_they_lie || p.dtype == p.gemm->dtype;
    f.block = p.gemm->few;
    if (in_place && p.gemm->group == 1) /* of any length: what they need of x stays at hand */
        f.block = AT_MAX(f.block, AT_MIN(X_VALUES / p.m / f.block * f.block, AT_GEMM_VALUES));
    f.blocks = at_ceil_div(p.k, f.block);
    if (in_place && f.blocks > 1) f.ahead = weight_at(&p, 0, f.block) - p.weight;
    f.words = at_gemm_words(p.gemm, f.block);
    f.x = at_scratch(cx, (size_t)(f.blocks * p.m * f.words + 1) * sizeof *f.x);
    if (!f.x) return;
    pack_rows(&f);
#pragma omp parallel for num_threads(cx->threads) schedule(static) if (p.n * p.k >= SMALL)
    for (int64_t i = 0; i < at_ceil_div(p.n, COLUMNS); i++)
        if (!at_cancelled(cx)) run_columns(&f, i * COLUMNS);
    at_scratch_free(cx, f.x);
}
