/* The blocking of the packed product (after Goto and van de Geijn 2008, and BLIS).

   The rows of x are turned to words by all threads, once, as many at a time as fit STRIP_BYTES and
   so the third cache level. Then jobs of some columns of y, and some or all of its rows, are shared
   out. A job goes over k in passes: it packs its columns of the weight into panels of its own,
   which stay in the second cache level, and takes its rows over them, those of a tile at a time.
   Where one pass is all of k, sums need room for a tile's rows only; else the job keeps its own
   between passes. After the last pass they are finished with bias and activation while they are in
   the first level, and written to y, whose lines were asked for while the tile was multiplied.

   A weight whose panels all fit SMALL_WEIGHT is packed whole, once for all threads. Then the rows
   of a tile are turned to words, multiplied and finished without leaving the first level. */
#include "kernels/cpu/gemm.h"
#include <omp.h>
#include <string.h>

enum { JOB_ROWS = 1024, LEAST_ROWS = 192, JOBS = 4 /* for each thread */ };
enum { STRIP_BYTES = 16 << 20, SMALL_WEIGHT = 512 << 10, TILES = 4 /* of rows shared out */ };
enum { ROW_PAD = 16 };
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
    else if (activation == AT_IDENTITY && y != c)
        memcpy(y, c, (size_t)n * sizeof *y);
    if (activation != AT_IDENTITY) runs->activate(activation, n, y, bias ? y : c);
}

void at_product_finish_row(const at_context *cx, const at_product *p, int64_t row, int64_t column,
                           int64_t n, const float *c)
{
    const at_runs *runs = cx->kernels->runs;
    const at_product_with *w = &p->with;
    const float *other = w->other ? w->other + row * w->stride + column : NULL;
    float *y = p->y + row * p->y_stride + column;
    at_product_finish(cx, n, c, p->bias ? p->bias + column : NULL, p->activation, y);
    if (other && w->times)
        runs->activate_mul(w->activation, n, y, other, y);
    else if (other && w->gate)
        runs->gated_add(n, y, other, w->gate + row / w->gate_rows * w->gate_stride + column, y);
    else if (other)
        runs->binary(AT_BINARY_ADD, n, y, other, y);
}

/* How a product is cut up; see the head of the file. */
typedef struct plan {
    bool small;
    int64_t words, pass;     /* of k; values of k that a job goes over at once */
    int64_t strip, x_stride; /* rows of x that are words at once, and their distance */
    int64_t rows, columns;   /* of a job, multiples of the tile's */
    int threads;
} plan;

/* Of a column, as many as are packed at once. */
static int64_t panel_words(const at_product *p, const plan *l)
{
    return at_gemm_words(p->gemm, AT_MIN(l->pass, AT_MAX(p->k, 1)));
}

static plan make_plan(const at_context *cx, const at_product *p)
{
    const at_gemm *g = p->gemm;
    plan l = {.words = at_gemm_words(g, p->k)};
    int64_t values = AT_MAX(p->k, 1), passes = at_ceil_div(values, g->pass);
    l.pass = at_round_up(at_ceil_div(values, passes), g->block);
    l.threads = p->m * p->n * values < SMALL ? 1 : cx->threads;
    l.x_stride = at_round_up(l.words, 16) + ROW_PAD;
    l.columns = at_round_up(p->n, g->columns);
    l.rows = g->rows;
    l.small = l.columns * l.words <= SMALL_WEIGHT / 4;
    if (l.small) return l;
    int64_t strips = at_ceil_div(p->m, AT_MAX(STRIP_BYTES / 4 / l.x_stride, LEAST_ROWS));
    l.strip = at_round_up(at_ceil_div(p->m, strips), g->rows);
    /* parts of one size rather than whole ones and a rest */
    int64_t columns = AT_MAX(g->panels / 4 / panel_words(p, &l), g->columns_of_job);
    int64_t acrosses = at_round_up(at_ceil_div(p->n, columns), l.threads);
    l.columns = at_round_up(at_ceil_div(p->n, acrosses), g->columns);
    acrosses = at_ceil_div(p->n, l.columns);
    int64_t downs = passes > 1 ? at_ceil_div(l.strip, JOB_ROWS) : 1;
    while (acrosses * downs < JOBS * l.threads && l.strip / downs > LEAST_ROWS) downs++;
    l.rows = at_round_up(at_ceil_div(l.strip, downs), g->rows);
    return l;
}

/* Packs a block of values of the columns of a panel. */
static void pack_block(const at_context *cx, const at_product *p, int64_t column, int64_t end,
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

/* Packs values [first, first + count) of columns [column, end) into panels. */
static void pack_panels(const at_context *cx, const at_product *p, int64_t column, int64_t end,
                        int64_t first, int64_t count, uint32_t *panel)
{
    const at_gemm *g = p->gemm;
    for (; column < end; column += g->columns) {
        for (int64_t at = 0; at < count; at += g->block)
            pack_block(cx, p, column, end, first + at, AT_MIN(g->block, count - at),
                       panel + at_gemm_words(g, at) * g->columns);
        panel += at_gemm_words(g, count) * g->columns;
    }
}

/* Row `row` of x as words. */
static void pack_row(const at_product *p, int64_t row, uint32_t *words)
{
    const at_gemm *g = p->gemm;
    float room[AT_GEMM_VALUES];
    for (int64_t k = 0; k < p->k; k += g->block) {
        int64_t count = AT_MIN(g->block, p->k - k);
        g->to_words(count, at_product_row(p, row, k, count, room), words + at_gemm_words(g, k));
    }
}

/* A part of y: rows [row, row + rows), columns [column, column + columns). */
typedef struct job {
    int64_t row, rows, column, columns;
    const uint32_t *x; /* the words of its rows */
    uint32_t *panels;  /* of its columns, the block of k at hand */
    float *sums;       /* of its rows, which are at a distance of */
    int64_t stride;
    bool kept; /* sums of all rows; else of a tile's only */
} job;

/* The lines of a block of rows, asked for a few at a time. */
typedef struct ahead {
    const char *row;
    int64_t rows, stride, bytes, at, each;
} ahead;

static void fetch(ahead *a)
{
    for (int64_t i = 0; i < a->each && a->rows > 0; i++) {
        __builtin_prefetch(a->row + a->at, 1, 2);
        a->at += 64;
        if (a->at < a->bytes) continue;
        a->at = 0;
        a->row += a->stride;
        a->rows--;
    }
}

/* What is written to y, or goes with it (`lines`, `stride` apart), of `rows` rows from `row` of the
   job on, in `times` calls of fetch. */
static ahead rows_ahead(const float *lines, int64_t stride, const job *j, int64_t row, int64_t rows,
                        int64_t times)
{
    if (!lines) return (ahead){0};
    ahead a = {.row = (const char *)(lines + (j->row + row) * stride + j->column),
               .rows = AT_MIN(rows, j->rows - row),
               .stride = stride * 4,
               .bytes = j->columns * 4};
    a.each = at_ceil_div(a.rows * at_ceil_div(a.bytes, 64), times);
    return a;
}

/* The tile's height of rows from `row` of the job on, over all panels. */
static void run_rows(const at_product *p, const plan *l, const job *j, int64_t row, int64_t first,
                     int64_t count, ahead *next)
{
    const at_gemm *g = p->gemm;
    int64_t words = at_gemm_words(g, count);
    const uint32_t *a = j->x + row * l->x_stride + at_gemm_words(g, first), *panel = j->panels;
    float *c = j->sums + (j->kept ? row * j->stride : 0);
    for (int64_t i = 0; i < j->columns; i += g->columns, panel += words * g->columns) {
        fetch(&next[0]);
        fetch(&next[1]);
        g->tile(words, a, l->x_stride, panel, c + i, j->stride, first > 0);
    }
}

static void finish_rows(const at_context *cx, const at_product *p, const job *j, int64_t row)
{
    const float *sums = j->sums + (j->kept ? row * j->stride : 0);
    for (int64_t i = row; i < AT_MIN(row + p->gemm->rows, j->rows); i++, sums += j->stride)
        at_product_finish_row(cx, p, j->row + i, j->column, j->columns, sums);
}

static void run_job(const at_context *cx, const at_product *p, const plan *l, const job *j)
{
    const at_gemm *g = p->gemm;
    int64_t panels = at_ceil_div(j->columns, g->columns);
    for (int64_t first = 0; (first < p->k || first == 0) && !at_cancelled(cx); first += l->pass) {
        int64_t count = AT_MIN(l->pass, p->k - first);
        bool last = first + count == p->k;
        pack_panels(cx, p, j->column, j->column + j->columns, first, count, j->panels);
        for (int64_t row = 0; row < j->rows; row += g->rows) {
            ahead next[2] = {{0}};
            if (last) {
                next[0] = rows_ahead(p->y, p->y_stride, j, row, g->rows, panels);
                next[1] = rows_ahead(p->with.other, p->with.stride, j, row, g->rows, panels);
            }
            run_rows(p, l, j, row, first, count, next);
            if (last) finish_rows(cx, p, j, row);
        }
    }
}

/* Rows of y [start, start + strip), by the threads that are in here. */
static void run_strip(const at_context *cx, const at_product *p, const plan *l, int64_t start,
                      uint32_t *x, uint32_t *own)
{
    const at_gemm *g = p->gemm;
    int64_t strip = AT_MIN(l->strip, p->m - start), downs = at_ceil_div(strip, l->rows);
#pragma omp for schedule(static)
    for (int64_t i = 0; i < at_round_up(strip, g->rows); i++)
        if (i < strip && !at_cancelled(cx))
            pack_row(p, start + i, x + i * l->x_stride);
        else /* it only fills up a tile */
            memset(x + i * l->x_stride, 0, (size_t)l->x_stride * sizeof *x);
#pragma omp for schedule(dynamic)
    for (int64_t i = 0; i < downs * at_ceil_div(p->n, l->columns); i++) {
        int64_t row = i % downs * l->rows, column = i / downs * l->columns;
        job j = {.row = start + row,
                 .rows = AT_MIN(l->rows, strip - row),
                 .column = column,
                 .columns = AT_MIN(l->columns, p->n - column),
                 .x = x + row * l->x_stride,
                 .panels = own,
                 .sums = (float *)(own + panel_words(p, l) * l->columns),
                 .stride = l->columns,
                 .kept = l->pass < p->k};
        run_job(cx, p, l, &j);
    }
}

/* Where the sums of a tile's rows are kept: in y itself if only whole tiles are written to it. */
static void place_sums(const at_product *p, const plan *l, job *j, float *own)
{
    bool whole = j->rows == l->rows && p->n == l->columns;
    j->sums = whole ? p->y + j->row * p->y_stride : own;
    j->stride = whole ? p->y_stride : l->columns;
}

/* All of it, with a small weight. */
static void run_small(const at_context *cx, const at_product *p, const plan *l, uint32_t *packed,
                      uint32_t *own)
{
    const at_gemm *g = p->gemm;
    job j = {.columns = p->n, .x = own};
    memset(own, 0, (size_t)(g->rows * l->x_stride) * sizeof *own);
#pragma omp for schedule(static)
    for (int64_t i = 0; i < p->n; i += g->columns)
        for (int64_t first = 0; first < p->k || first == 0; first += l->pass) {
            int64_t count = AT_MIN(l->pass, p->k - first);
            pack_panels(cx, p, i, AT_MIN(i + g->columns, p->n), first, count,
                        packed + at_gemm_words(g, first) * l->columns +
                            at_gemm_words(g, count) * i);
        }
#pragma omp for schedule(dynamic, TILES)
    for (int64_t i = 0; i < p->m; i += g->rows) {
        if (at_cancelled(cx)) continue;
        j.row = i, j.rows = AT_MIN(g->rows, p->m - i);
        place_sums(p, l, &j, (float *)(own + g->rows * l->x_stride));
        for (int64_t r = 0; r < j.rows; r++) pack_row(p, i + r, own + r * l->x_stride);
        for (int64_t first = 0; first < p->k || first == 0; first += l->pass) {
            j.panels = packed + at_gemm_words(g, first) * l->columns;
            run_rows(p, l, &j, 0, first, AT_MIN(l->pass, p->k - first), (ahead[2]){{0}});
        }
        finish_rows(cx, p, &j, 0);
    }
}

void at_product_run(at_context *cx, const at_product *p)
{
    if (p->m <= AT_GEMM_FEW_ROWS) {
        at_product_few_rows(cx, p);
        return;
    }
    plan l = make_plan(cx, p);
    /* shared: x of a strip, or the weight; own: panels, or x of a tile, and sums */
    int64_t shared = l.small ? l.columns * l.words : l.strip * l.x_stride;
    int64_t own = l.small ? l.rows * l.x_stride : panel_words(p, &l) * l.columns;
    own = at_round_up(own + (l.pass < p->k ? l.rows : p->gemm->rows) * l.columns, 16);
    uint32_t *ours = at_scratch(cx, (size_t)shared * sizeof *ours);
    uint32_t *all = at_scratch(cx, (size_t)(l.threads * own) * sizeof *all);
    if (ours && all) {
#pragma omp parallel num_threads(l.threads)
        {
            uint32_t *mine = all + omp_get_thread_num() * own;
            at_gemm_begin(p->gemm);
            if (l.small) run_small(cx, p, &l, ours, mine);
            for (int64_t start = 0; start < p->m && !l.small; start += l.strip)
                run_strip(cx, p, &l, start, ours, mine);
            at_gemm_end(p->gemm);
        }
    }
    at_scratch_free(cx, all);
    at_scratch_free(cx, ours);
}

void at_packed_matmul(at_context *cx, const at_matmul_args *args)
{
    at_product p = {
        .gemm = at_gemm_of(cx, args->precision),
        .m = args->m,
        .n = args->n,
        .k = args->k,
        .x = args->x,
        .x_stride = args->x_stride,
        .weight = args->weight,
        .dtype = args->dtype,
        .weight_stride = args->weight_stride,
        .bias = args->bias,
        .activation = args->activation,
        .with = args->with,
        .y = args->y,
        .y_stride = args->y_stride,
    };
    at_product_run(cx, &p);
}
