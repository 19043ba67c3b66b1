/* The blocking of the packed product (after Goto and van de Geijn 2008, and BLIS).

   The weight is taken in strips of columns of y that fit STRIP_BYTES when packed: all threads
   unpack and interleave a strip into panels of the register tile's columns, once. Then jobs of
   BLOCK_ROWS x up to BLOCK_COLUMNS of y are shared out. A job goes over k in blocks: it takes its
   rows of x as words (all of them made once where they fit WORDS_BYTES, else those of the block,
   into the second cache level), and for each panel (first level, read again for every
   few rows) adds to its part of y, which stays in the second level until it is finished with bias
   and activation and written once. */
#include "kernels/cpu/gemm.h"
#include <omp.h>
#include <string.h>

enum { BLOCK_ROWS = 96, BLOCK_COLUMNS = 512, ROW_PAD = 16 };
enum { STRIP_BYTES = 16 << 20, WORDS_BYTES = 32 << 20 };
enum { SMALL = 1 << 19 }; /* multiply-adds that one thread does before another is awake */

const at_gemm *at_gemm_of(const at_context *cx, at_precision precision)
{
    for (int i = precision; i > AT_PRECISION_AUTO; i--)
        if (cx->kernels->gemm[i]) return cx->kernels->gemm[i];
    return NULL;
}

const void *at_weight_words(const at_context *cx, const at_product *p, int64_t row, int64_t first,
                            int64_t count, float *values, uint32_t *words)
{
    const char *from = p->weight + row * p->weight_stride +
                       first / at_dtype_block(p->dtype) * (int64_t)at_dtype_block_bytes(p->dtype);
    if (p->dtype == p->gemm->dtype && count % p->gemm->group == 0) return from;
    cx->kernels->to_f32(p->dtype, from, values, count);
    if (p->gemm->dtype == AT_F32) return values;
    p->gemm->weight_to_words(count, values, words);
    return words;
}

void at_product_finish(const at_context *cx, int64_t n, const float *c, const float *bias,
                       at_activation activation, float *y)
{
    const at_runs *runs = cx->kernels->runs;
    if (bias)
        runs->binary(AT_BINARY_ADD, n, y, c, bias);
    else if (activation == AT_IDENTITY)
        memcpy(y, c, (size_t)n * sizeof *y);
    if (activation != AT_IDENTITY) runs->activate(activation, n, y, bias ? y : c);
}

/* How a product is cut up; see the head of the file. */
typedef struct plan {
    int64_t words, strip;    /* of k; columns of a strip */
    int64_t rows, columns;   /* of a job, multiples of the tile's */
    int64_t a_words, c_size; /* of a thread's buffers */
    int threads;
    int64_t x_stride; /* of all of x as words; 0: they are made block by block */
} plan;

static int64_t round_up(int64_t x, int64_t to)
{
    return at_ceil_div(x, to) * to;
}

static plan make_plan(const at_context *cx, const at_product *p)
{
    const at_gemm *g = p->gemm;
    plan l = {.words = at_gemm_words(g, p->k)};
    l.threads = p->m * p->n * AT_MAX(p->k, 1) < SMALL ? 1 : cx->threads;
    int64_t room = STRIP_BYTES / 4 / AT_MAX(l.words, 1) / g->columns * g->columns;
    int64_t strips = at_ceil_div(p->n, AT_MAX(room, g->columns));
    l.strip = round_up(at_ceil_div(p->n, strips), g->columns);
    /* blocks of one size rather than whole ones and a rest */
    int64_t blocks = at_ceil_div(p->m, BLOCK_ROWS / g->rows * g->rows);
    l.rows = round_up(at_ceil_div(p->m, blocks), g->rows);
    int64_t parts = at_ceil_div(l.strip, BLOCK_COLUMNS);
    while (blocks * parts < 4 * l.threads && l.strip / parts > 2 * g->columns) parts++;
    l.columns = round_up(at_ceil_div(l.strip, parts), g->columns);
    l.a_words = l.rows * (AT_GEMM_WORDS + ROW_PAD);
    l.c_size = l.rows * l.columns;
    int64_t stride = round_up(l.words, 16) + ROW_PAD;
    bool again = p->n > l.columns; /* rows are wanted by more than one job */
    if (p->rows_lie && again && (p->m + g->rows) * stride <= WORDS_BYTES / 4) l.x_stride = stride;
    return l;
}

/* Packs values [first, first + count) of the columns at `column` into their panel. */
static void pack_panel(const at_context *cx, const at_product *p, int64_t column, int64_t end,
                       int64_t first, int64_t count, uint32_t *panel)
{
    const at_gemm *g = p->gemm;
    _Alignas(64) uint32_t words[AT_GEMM_MOST_COLUMNS][AT_GEMM_WORDS];
    _Alignas(64) float values[AT_GEMM_MOST_COLUMNS][AT_GEMM_WORDS];
    _Alignas(64) float wide[AT_GEMM_VALUES];
    const void *rows[AT_GEMM_MOST_COLUMNS] = {NULL};
    for (int j = 0; j < g->columns && column + j < end; j++)
        rows[j] = at_weight_words(cx, p, column + j, first, count, g->group == 1 ? values[j] : wide,
                                  words[j]);
    g->interleave(at_gemm_words(g, count), rows, panel);
}

/* Panels lie by blocks of k, so that a block's panels of a job are adjacent. */
static uint32_t *panel_at(const plan *l, uint32_t *packed, int64_t first, int64_t count,
                          int64_t column)
{
    return packed + first * l->strip + column * count;
}

static void pack_strip(const at_context *cx, const at_product *p, const plan *l, int64_t start,
                       uint32_t *packed)
{
    const at_gemm *g = p->gemm;
    int64_t blocks = at_ceil_div(p->k, g->block);
    int64_t panels = l->strip / g->columns;
#pragma omp for schedule(dynamic, 4)
    for (int64_t i = 0; i < panels * blocks; i++) {
        if (at_cancelled(cx)) continue;
        int64_t first = i % blocks * g->block, count = AT_MIN(g->block, p->k - first);
        int64_t column = i / blocks * g->columns;
        pack_panel(cx, p, start + column, p->n, first, count,
                   panel_at(l, packed, at_gemm_words(g, first), at_gemm_words(g, count), column));
    }
}

static void fill_rows(const at_product *p, int64_t row, int64_t rows, int64_t first, int64_t count,
                      uint32_t *a)
{
    float room[AT_GEMM_VALUES];
    for (int64_t i = 0; i < rows; i++, a += AT_GEMM_WORDS + ROW_PAD)
        p->gemm->to_words(count, p->row(p, row + i, first, count, room), a);
}

/* All of x as words. */
static void pack_rows(const at_context *cx, const at_product *p, const plan *l, uint32_t *x)
{
#pragma omp for schedule(static)
    for (int64_t i = 0; i < p->m; i++)
        if (!at_cancelled(cx))
            p->gemm->to_words(p->k, p->row(p, i, 0, p->k, NULL), x + i * l->x_stride);
}

/* Rows [row, row + rows) of y, columns [column, column + columns) of the strip at `start`. */
static void run_job(const at_context *cx, const at_product *p, const plan *l, int64_t start,
                    int64_t row, int64_t column, uint32_t *packed, const uint32_t *x, uint32_t *own)
{
    const at_gemm *g = p->gemm;
    float *c = (float *)(own + l->a_words);
    int64_t stride = l->x_stride ? l->x_stride : AT_GEMM_WORDS + ROW_PAD;
    int64_t rows = AT_MIN(l->rows, p->m - row);
    int64_t columns = AT_MIN(AT_MIN(l->columns, l->strip - column), p->n - start - column);
    for (int64_t value = 0; value < p->k || value == 0; value += g->block) {
        if (at_cancelled(cx)) return;
        int64_t values = AT_MIN(g->block, p->k - value);
        int64_t first = at_gemm_words(g, value), count = at_gemm_words(g, values);
        const uint32_t *a = l->x_stride ? x + row * stride + first : own;
        if (!l->x_stride) fill_rows(p, row, rows, value, values, own);
        for (int64_t j = 0; j < columns; j += g->columns) {
            const uint32_t *panel = panel_at(l, packed, first, count, column + j);
            for (int64_t i = 0; i < rows; i += g->rows)
                g->tile(count, a + i * stride, stride, panel, c + i * l->columns + j, l->columns,
                        first > 0);
        }
    }
    const float *bias = p->bias ? p->bias + start + column : NULL;
    for (int64_t i = 0; i < rows; i++)
        at_product_finish(cx, columns, c + i * l->columns, bias, p->activation,
                          p->y + (row + i) * p->y_stride + start + column);
}

void at_product_run(at_context *cx, const at_product *p)
{
    if (p->m <= AT_GEMM_FEW_ROWS) {
        at_product_few_rows(cx, p);
        return;
    }
    plan l = make_plan(cx, p);
    size_t each = (size_t)round_up(l.a_words + l.c_size, 16);
    int64_t x_rows = l.x_stride ? round_up(p->m, p->gemm->rows) : 0;
    uint32_t *packed = at_scratch(cx, (size_t)(l.strip * l.words) * sizeof *packed);
    uint32_t *own = at_scratch(cx, (size_t)l.threads * each * sizeof *own);
    uint32_t *x = at_scratch(cx, (size_t)(x_rows * l.x_stride) * sizeof *x);
    if (packed && own && x) {
        int64_t downs = at_ceil_div(p->m, l.rows);
        /* rows that only fill up a tile are 0 */
        if (x_rows > p->m)
            memset(x + p->m * l.x_stride, 0, (size_t)((x_rows - p->m) * l.x_stride) * sizeof *x);
#pragma omp parallel num_threads(l.threads)
        {
            uint32_t *mine = own + (size_t)omp_get_thread_num() * each;
            if (l.x_stride)
                pack_rows(cx, p, &l, x);
            else
                memset(mine, 0, (size_t)l.a_words * sizeof *mine);
            for (int64_t start = 0; start < p->n; start += l.strip) {
                pack_strip(cx, p, &l, start, packed);
                int64_t acrosses = at_ceil_div(AT_MIN(l.strip, p->n - start), l.columns);
#pragma omp for schedule(dynamic)
                for (int64_t i = 0; i < downs * acrosses; i++)
                    run_job(cx, p, &l, start, i / acrosses * l.rows, i % acrosses * l.columns,
                            packed, x, mine);
            }
        }
    }
    at_scratch_free(cx, x);
    at_scratch_free(cx, own);
    at_scratch_free(cx, packed);
}

static const float *matrix_row(const at_product *p, int64_t row, int64_t first, int64_t count,
                               float *room)
{
    const at_matmul_args *args = p->source;
    (void)count, (void)room;
    return args->x + row * args->x_stride + first;
}

void at_packed_matmul(at_context *cx, const at_matmul_args *args)
{
    at_product p = {
        .gemm = at_gemm_of(cx, args->precision),
        .m = args->m,
        .n = args->n,
        .k = args->k,
        .row = matrix_row,
        .rows_lie = true,
        .source = args,
        .weight = args->weight,
        .dtype = args->dtype,
        .weight_stride = args->weight_stride,
        .bias = args->bias,
        .activation = args->activation,
        .y = args->y,
        .y_stride = args->y_stride,
    };
    at_product_run(cx, &p);
}
