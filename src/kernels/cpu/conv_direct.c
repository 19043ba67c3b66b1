/* Convolution as a product that reads x in place (implicit GEMM). A job takes some lines and
   columns of one frame of y. It turns the pixels that it sees to words once, zeros beyond the edges
   among them, and lays them out so that what a tap sees at neighbouring positions of y lies at one
   distance: then the register tile runs over the positions of a job for each tap, wherever the
   tap's first pixel lies. With a stride s, pixels of the same place modulo s lie together (a
   plane); lines of a plane are longer than those of y by the taps' reach, and the few sums in
   between are computed and not used. Where taps lie so far apart that they share little (a large
   dilation), each has its own plane.

   The weight is packed in strips of columns of y that fit STRIP_BYTES, once, by all threads, by
   blocks of channels, then taps, which is the order of the sums. Sums of a job stay in the second
   cache level; a tile that can goes over all taps of a block before its sums leave the registers.

   With few channels the words of a tap would be too few: then positions are laid out with all that
   they see, as if that were the channels of a single tap. A transposed convolution is one of these
   for each place modulo its stride, with the taps that fall there. */
#include "kernels/cpu/conv.h"
#include <math.h>
#include <omp.h>
#include <string.h>

enum { BLOCK_ROWS = 144, RUN_ROWS = 512, LEAST_COLUMNS = 32, PART = 128, FEW_CHANNELS = 24 };
enum { CHUNK = 1024 /* values of a column packed at once */ };
enum {
    STRIP_BYTES = 16 << 20,
    PIXEL_BYTES = 1 << 20,
    SMALL = 1 << 19,
    JOBS = 4 /* for each thread */
};

/* One of frames, lines, columns. */
typedef struct dimension {
    int64_t taps, count; /* taps there are here; positions of y */
    int64_t step, out_first,
        out_step;          /* x from position to position; y's are out_first + i * out_step */
    int64_t *tap, *offset; /* of each tap: its index in the kernel, what it sees from position 0 */
    int64_t *plane, *shift, *start;    /* where a tap looks, and what a plane has at position 0 */
    int64_t planes, job, jobs, length; /* positions in a job, jobs, pixels of a plane */
} dimension;

typedef struct direct {
    const at_conv_args *args;
    const at_gemm *gemm;
    dimension d[3];
    int64_t first_in, first_out, in, out; /* channels of the group */
    int64_t taps, channels; /* as they are multiplied: 1 and all that is seen, where gathered */
    bool gathered;
    int64_t block, words;         /* channels multiplied at once; words of all channels */
    int64_t run, chunk;           /* values of the weight for a channel; channels packed at once */
    int64_t pixels, pixel_stride; /* of a job, in words */
    int64_t rows;                 /* sums of a job, those between lines too, whole tiles */
    int64_t strip, columns, part; /* of y: of a strip, of a job, that sums are kept of */
    int64_t *start;               /* of each tap: the first pixel that it sees, in words */
    int threads;
    const float *zeros;
} direct;

/* ---- the plan */

/* The taps that see something from positions phase, phase + stride, ... of a transposed
   convolution, or all (phase 0) of an ordinary one. */
static void find_taps(const at_conv_args *a, int which, int64_t phase, dimension *d)
{
    int64_t stride = a->stride[which];
    d->step = a->transposed ? 1 : stride;
    d->out_first = phase;
    d->out_step = a->transposed ? stride : 1;
    d->count = AT_MAX(0, at_ceil_div(a->out_size[which] - phase, d->out_step));
    d->taps = 0;
    for (int64_t k = 0; k < a->kernel[which]; k++) {
        int64_t offset = k * a->dilation[which] - a->before[which];
        if (a->transposed && (phase - offset) % stride) continue;
        d->tap[d->taps] = k;
        d->offset[d->taps++] = a->transposed ? (phase - offset) / stride : offset;
    }
}

/* Lays out what `job` positions see. */
static void lay_out(dimension *d, int64_t job)
{
    int64_t least = d->taps ? d->offset[0] : 0, most = 0;
    for (int64_t k = 0; k < d->taps; k++) least = AT_MIN(least, d->offset[k]);
    d->planes = 0;
    for (int64_t k = 0; k < d->taps; k++) {
        int64_t start = least + (d->offset[k] - least) % d->step, p = 0;
        while (p < d->planes && d->start[p] != start) p++;
        if (p == d->planes) d->start[d->planes++] = start;
        d->plane[k] = p;
        d->shift[k] = (d->offset[k] - least) / d->step;
        most = AT_MAX(most, d->shift[k]);
    }
    d->job = job;
    d->jobs = at_ceil_div(d->count, job);
    d->length = job + most;
    if (d->planes * d->length <= d->taps * job) return;
    for (int64_t k = 0; k < d->taps; k++) {
        d->start[k] = d->offset[k];
        d->plane[k] = k;
        d->shift[k] = 0;
    }
    d->planes = d->taps;
    d->length = job;
}

static void lay_out_gathered(dimension *d, int64_t job)
{
    d->job = job;
    d->jobs = at_ceil_div(d->count, job);
    d->planes = 1;
    d->length = job;
}

/* Lays out jobs of `columns` columns and as many lines as `rows` sums allow. */
static void try_job(direct *p, int64_t rows, int64_t columns)
{
    void (*lay)(dimension *, int64_t) = p->gathered ? lay_out_gathered : lay_out;
    dimension *t = &p->d[0], *y = &p->d[1], *x = &p->d[2];
    lay(t, 1);
    lay(x, columns);
    int64_t lines = AT_MIN(AT_MAX(1, rows / x->length), AT_MAX(1, y->count));
    lay(y, at_ceil_div(y->count, at_ceil_div(y->count, lines)));
    p->pixels = t->planes * t->length * y->planes * y->length * x->planes * x->length;
    p->rows = at_round_up((y->job - 1) * x->length + x->job, p->gemm->rows);
}

/* Of the jobs with up to `rows` sums whose pixels fit, the one with the least to turn and to
   multiply for a position: narrow ones share more between their lines. */
static void choose_job(direct *p, int64_t rows)
{
    int64_t all = p->d[2].count, best = 0, columns;
    double least = INFINITY;
    for (; best == 0; rows /= 2) {
        columns = at_ceil_div(all, at_ceil_div(all, rows));
        for (;; columns = at_ceil_div(columns, 2)) {
            try_job(p, rows, columns);
            double cost = (double)(p->pixels + p->rows) / (double)(p->d[1].job * columns);
            if (p->pixels * p->pixel_stride * 4 <= PIXEL_BYTES && cost < least)
                least = cost, best = columns;
            if (columns <= LEAST_COLUMNS) break;
        }
        if (best) try_job(p, rows, best);
        if (rows <= LEAST_COLUMNS) return; /* more than should be, then */
    }
}

static int64_t count_jobs(const direct *p)
{
    return p->args->batch * p->d[0].jobs * p->d[1].jobs * p->d[2].jobs;
}

static void make_plan(const at_context *cx, direct *p)
{
    const at_conv_args *a = p->args;
    const at_gemm *g = p->gemm;
    int64_t all = p->d[0].taps * p->d[1].taps * p->d[2].taps;
    p->gathered = !a->transposed && all > 1 && p->in < FEW_CHANNELS;
    p->taps = p->gathered ? 1 : all;
    p->channels = p->gathered ? all * p->in : p->in;
    p->words = at_gemm_words(g, p->channels);
    int64_t blocks = at_ceil_div(p->channels, g->block);
    int64_t whole = g->scales ? g->scaled : 32;
    p->block = at_round_up(at_ceil_div(p->channels, AT_MAX(blocks, 1)), whole);
    p->run = p->gathered ? 1 : (int64_t)a->kernel[0] * a->kernel[1] * a->kernel[2];
    p->chunk = AT_MIN(p->block, AT_MAX(CHUNK / p->run / whole, 1) * whole);
    p->pixel_stride = at_round_up(p->words, 16);
    if (p->pixel_stride % 64 == 0) p->pixel_stride += 16; /* rows of a tile in different sets */
    int64_t most = g->tile_runs ? RUN_ROWS : BLOCK_ROWS;
    choose_job(p, most);
    if (most > BLOCK_ROWS && count_jobs(p) < JOBS * cx->threads) choose_job(p, most / 2);

    int64_t room = STRIP_BYTES / 4 / AT_MAX(p->words * p->taps, 1) / g->columns * g->columns;
    int64_t strips = at_ceil_div(p->out, AT_MAX(room, g->columns));
    p->strip = at_round_up(at_ceil_div(p->out, strips), g->columns);
    int64_t jobs = count_jobs(p), parts = 1;
    int64_t work = jobs * p->rows * p->out * p->channels * AT_MAX(p->taps, 1);
    p->threads = work < SMALL ? 1 : cx->threads;
    while (jobs * parts < JOBS * p->threads && p->strip / parts > 2 * g->columns) parts++;
    p->columns = at_round_up(at_ceil_div(p->strip, parts), g->columns);
    p->part = AT_MIN(PART, p->columns);
}

/* ---- the weight */

/* Words in front of tap `tap`'s of the channels from `first` on, in a panel. */
static int64_t words_before(const direct *p, int64_t first, int64_t tap)
{
    int64_t count = AT_MIN(p->block, p->channels - first);
    return at_gemm_words(p->gemm, first) * p->taps + tap * at_gemm_words(p->gemm, count);
}

/* The kernel's tap that is multiplied as number `tap`. */
static int64_t kernel_tap(const direct *p, int64_t tap)
{
    const int *size = p->args->kernel;
    int64_t x = p->d[2].tap[tap % p->d[2].taps], rest = tap / p->d[2].taps;
    int64_t y = p->d[1].tap[rest % p->d[1].taps], t = p->d[0].tap[rest / p->d[1].taps];
    return (t * size[1] + y) * size[2] + x;
}

/* Room for `count` channels of the weight of the columns of a panel, and for what they become. */
static int64_t packing_room(const direct *p)
{
    return p->gemm->columns * 2 * (p->chunk * p->run + AT_CONV_SLACK);
}

/* Channels [first, first + count) of the columns from `column` on, all taps: rows[j][c * run + tap]
   as they lie. */
static void find_rows(const at_context *cx, const direct *p, int64_t column, int64_t first,
                      int64_t count, float *room, const void *rows[AT_GEMM_MOST_COLUMNS])
{
    int64_t columns = AT_MIN(p->gemm->columns, p->out - column);
    for (int64_t j = 0; j < AT_GEMM_MOST_COLUMNS; j++) {
        int64_t at = (p->first_out + column + j) * p->channels + first;
        rows[j] = j < columns ? at_conv_weight(cx, p->args, at * p->run, count * p->run,
                                               room + j * (p->chunk * p->run + AT_CONV_SLACK))
                              : NULL;
    }
}

/* One tap of these rows, as words: where columns are words of their own after they have been
   interleaved, or row by row. */
static void pack_tap(const direct *p, const void *const *rows, const float *turned, int64_t tap,
                     int64_t count, float *room, uint32_t *panel)
{
    const at_gemm *g = p->gemm;
    if (turned) {
        g->column_words(count, g->columns, turned + tap * g->columns, p->run * g->columns, panel);
        return;
    }
    int64_t stride = at_round_up(at_gemm_words(g, count), 16);
    const void *words[AT_GEMM_MOST_COLUMNS] = {NULL};
    float values[AT_GEMM_VALUES];
    for (int64_t j = 0; j < g->columns && rows[j]; j++) {
        for (int64_t c = 0; c < count; c++) values[c] = ((const float *)rows[j])[c * p->run + tap];
        g->weight_to_words(count, values, (uint32_t *)room + j * stride);
        words[j] = room + j * stride;
    }
    g->interleave(at_gemm_words(g, count), words, panel);
}

/* The panel of the columns from `column` on, one block of channels. */
static void pack_panel(const at_context *cx, const direct *p, int64_t column, int64_t block,
                       uint32_t *panel, float *room)
{
    const at_gemm *g = p->gemm;
    int64_t end = AT_MIN(block + p->block, p->channels);
    const void *rows[AT_GEMM_MOST_COLUMNS];
    float *more = room + packing_room(p) / 2;
    for (int64_t first = block; first < end; first += p->chunk) {
        int64_t count = AT_MIN(p->chunk, end - first);
        find_rows(cx, p, column, first, count, room, rows);
        if (g->column_words) g->interleave(count * p->run, rows, (uint32_t *)more);
        for (int64_t tap = 0; tap < p->taps; tap++)
            pack_tap(p, rows, g->column_words ? more : NULL, p->gathered ? 0 : kernel_tap(p, tap),
                     count, more,
                     panel + (words_before(p, block, tap) + at_gemm_words(g, first - block)) *
                                 g->columns);
    }
}

static void pack_strip(const at_context *cx, const direct *p, int64_t start, uint32_t *packed,
                       float *room)
{
    int64_t blocks = at_ceil_div(p->channels, p->block);
    int64_t panels = at_ceil_div(AT_MIN(p->strip, p->out - start), p->gemm->columns);
#pragma omp for schedule(dynamic)
    for (int64_t i = 0; i < panels * blocks; i++) {
        int64_t column = i / blocks * p->gemm->columns;
        if (!at_cancelled(cx))
            pack_panel(cx, p, start + column, i % blocks * p->block,
                       packed + p->words * p->taps * column, room);
    }
}

/* ---- x */

typedef struct job {
    int64_t batch, first[3], count[3]; /* picture, and positions of y */
} job;

static job job_at(const direct *p, int64_t index)
{
    job j;
    for (int d = 2; d >= 0; d--) {
        j.first[d] = index % p->d[d].jobs * p->d[d].job;
        j.count[d] = AT_MIN(p->d[d].job, p->d[d].count - j.first[d]);
        index /= p->d[d].jobs;
    }
    j.batch = index;
    return j;
}

/* What a plane has at a position, in x. */
static int64_t place(const dimension *d, int64_t first, int64_t plane, int64_t i)
{
    return (first + i) * d->step + d->start[plane];
}

/* The pixels of a job: planes of frames, lines, columns, in each frames, lines, columns. */
static void fill_pixels(const direct *p, const job *j, uint32_t *out)
{
    const dimension *t = &p->d[0], *y = &p->d[1], *x = &p->d[2];
    for (int64_t plane = 0; plane < t->planes * y->planes * x->planes; plane++) {
        int64_t tp = plane / x->planes / y->planes, yp = plane / x->planes % y->planes;
        for (int64_t line = 0; line < t->length * y->length; line++) {
            int64_t frame_at = place(t, j->first[0], tp, line / y->length);
            int64_t line_at = place(y, j->first[1], yp, line % y->length);
            for (int64_t i = 0; i < x->length; i++, out += p->pixel_stride) {
                const float *pixel = at_conv_pixel(p->args, j->batch, frame_at, line_at,
                                                   place(x, j->first[2], plane % x->planes, i));
                p->gemm->to_words(p->in, pixel ? pixel + p->first_in : p->zeros, out);
            }
        }
    }
}

/* All that one position sees, as values: all of a channel, as the weight has it. */
static void gather(const direct *p, int64_t batch, const int64_t at[3], float *values)
{
    const dimension *d = p->d;
    int64_t taps = d[0].taps * d[1].taps * d[2].taps;
    for (int64_t t = 0; t < d[0].taps; t++)
        for (int64_t y = 0; y < d[1].taps; y++)
            for (int64_t x = 0; x < d[2].taps; x++, values++) {
                const float *pixel = at_conv_pixel(
                    p->args, batch, at[0] * d[0].step + d[0].offset[t],
                    at[1] * d[1].step + d[1].offset[y], at[2] * d[2].step + d[2].offset[x]);
                for (int64_t c = 0; c < p->in; c++)
                    values[c * taps] = pixel ? pixel[p->first_in + c] : 0;
            }
}

static void fill_gathered(const direct *p, const job *j, uint32_t *out, float *values)
{
    for (int64_t i = 0; i < j->count[1] * p->d[2].job; i++, out += p->pixel_stride) {
        int64_t at[3] = {j->first[0], j->first[1] + i / p->d[2].job, j->first[2] + i % p->d[2].job};
        gather(p, j->batch, at, values);
        p->gemm->to_words(p->channels, values, out);
    }
}

/* ---- a job */

/* The first pixel that a tap sees. */
static int64_t pixel_of(const direct *p, int64_t tap)
{
    if (p->gathered) return 0;
    const dimension *t = &p->d[0], *y = &p->d[1], *x = &p->d[2];
    int64_t i = tap % x->taps, j = tap / x->taps % y->taps, k = tap / x->taps / y->taps;
    int64_t plane = (t->plane[k] * y->planes + y->plane[j]) * x->planes + x->plane[i];
    return ((plane * t->length + t->shift[k]) * y->length + y->shift[j]) * x->length + x->shift[i];
}

/* sums[rows][columns of up to part] (+)= the channels from `first` on of all taps, all taps in the
   registers at once. */
static void multiply_runs(const direct *p, int64_t rows, int64_t columns, int64_t first,
                          const uint32_t *pixels, const uint32_t *panels, float *sums)
{
    const at_gemm *g = p->gemm;
    int64_t count = at_gemm_words(g, AT_MIN(p->block, p->channels - first));
    const uint32_t *a = pixels + at_gemm_words(g, first);
    for (int64_t j = 0; j < columns; j += g->columns) {
        const uint32_t *panel =
            panels + p->words * p->taps * j + words_before(p, first, 0) * g->columns;
        for (int64_t i = 0; i < rows; i += g->rows)
            g->tile_runs(p->taps, count, a + i * p->pixel_stride, p->start, p->pixel_stride, panel,
                         sums + i * p->part + j, p->part, first > 0);
    }
}

/* The same, tap by tap. */
static void multiply_taps(const direct *p, int64_t rows, int64_t columns, int64_t first,
                          const uint32_t *pixels, const uint32_t *panels, float *sums)
{
    const at_gemm *g = p->gemm;
    int64_t count = at_gemm_words(g, AT_MIN(p->block, p->channels - first));
    for (int64_t tap = 0; tap < p->taps; tap++) {
        const uint32_t *a = pixels + p->start[tap] + at_gemm_words(g, first);
        for (int64_t j = 0; j < columns; j += g->columns) {
            const uint32_t *panel =
                panels + p->words * p->taps * j + words_before(p, first, tap) * g->columns;
            for (int64_t i = 0; i < rows; i += g->rows)
                at_gemm_tile(g, columns - j, count, a + i * p->pixel_stride, p->pixel_stride, panel,
                             sums + i * p->part + j, p->part, first > 0 || tap > 0);
        }
    }
}

/* sums[rows][columns of up to part] over all taps and channels. */
static void multiply(const direct *p, int64_t rows, int64_t columns, const uint32_t *pixels,
                     const uint32_t *panels, float *sums)
{
    if (p->taps == 0 || p->channels == 0)
        memset(sums, 0, (size_t)(rows * p->part) * sizeof *sums); /* nothing is seen */
    for (int64_t first = 0; first < p->channels; first += p->block)
        (p->gemm->tile_runs ? multiply_runs : multiply_taps)(p, rows, columns, first, pixels,
                                                             panels, sums);
}

static void store(const at_context *cx, const direct *p, const job *j, int64_t column,
                  int64_t columns, const float *sums)
{
    const at_conv_args *a = p->args;
    const float *bias = a->bias ? a->bias + p->first_out + column : NULL;
    for (int64_t i = 0; i < j->count[1] * j->count[2]; i++) {
        int64_t line = i / j->count[2], place_x = i % j->count[2], position = j->batch;
        const int64_t at[3] = {j->first[0], j->first[1] + line, j->first[2] + place_x};
        for (int d = 0; d < 3; d++)
            position = position * a->out_size[d] + p->d[d].out_first + at[d] * p->d[d].out_step;
        at_product_finish(cx, columns, sums + (line * p->d[2].length + place_x) * p->part, bias,
                          a->activation, a->y + position * a->out_channels + p->first_out + column);
    }
}

static void run_job(const at_context *cx, const direct *p, int64_t index, int64_t start,
                    int64_t column, const uint32_t *packed, uint32_t *own)
{
    job j = job_at(p, index);
    uint32_t *pixels = own;
    float *sums = (float *)(own + (p->pixels + p->gemm->rows) * p->pixel_stride);
    if (p->gathered)
        fill_gathered(p, &j, pixels, sums); /* sums are not yet needed */
    else
        fill_pixels(p, &j, pixels);
    int64_t rows = at_round_up((j.count[1] - 1) * p->d[2].length + j.count[2], p->gemm->rows);
    int64_t end = AT_MIN(AT_MIN(column + p->columns, p->strip), p->out - start);
    for (; column < end && !at_cancelled(cx); column += p->part) {
        int64_t columns = AT_MIN(p->part, end - column);
        multiply(p, rows, columns, pixels, packed + p->words * p->taps * column, sums);
        store(cx, p, &j, start + column, columns, sums);
    }
}

/* ---- all of it */

static void run(at_context *cx, const direct *p)
{
    int64_t pixels = (p->pixels + p->gemm->rows) * p->pixel_stride;
    int64_t each = pixels + AT_MAX(p->rows * p->part, p->channels);
    each = at_round_up(AT_MAX(each, packing_room(p)), 16);
    int64_t jobs = count_jobs(p);
    uint32_t *packed = at_scratch(cx, (size_t)(p->strip * p->words * p->taps) * sizeof *packed);
    uint32_t *own = at_scratch(cx, (size_t)(p->threads * each) * sizeof *own);
    if (packed && own) {
#pragma omp parallel num_threads(p->threads)
        {
            uint32_t *mine = own + omp_get_thread_num() * each;
            at_gemm_begin(p->gemm);
            for (int64_t start = 0; start < p->out; start += p->strip) {
                pack_strip(cx, p, start, packed, (float *)mine);
                memset(mine, 0, (size_t)pixels * sizeof *mine); /* what only fills up a tile */
                int64_t acrosses = at_ceil_div(AT_MIN(p->strip, p->out - start), p->columns);
#pragma omp for schedule(dynamic)
                for (int64_t i = 0; i < jobs * acrosses; i++)
                    if (!at_cancelled(cx))
                        run_job(cx, p, i / acrosses, start, i % acrosses * p->columns, packed,
                                mine);
            }
            at_gemm_end(p->gemm);
        }
    }
    at_scratch_free(cx, own);
    at_scratch_free(cx, packed);
}

static void run_phases(at_context *cx, direct *p)
{
    const int *stride = p->args->stride;
    int64_t phases = p->args->transposed ? (int64_t)stride[0] * stride[1] * stride[2] : 1;
    for (int64_t i = 0; i < phases && at_ok(cx); i++) {
        const int64_t phase[3] = {i / stride[2] / stride[1], i / stride[2] % stride[1],
                                  i % stride[2]};
        bool some = true;
        for (int d = 0; d < 3; d++) {
            find_taps(p->args, d, phases > 1 ? phase[d] : 0, &p->d[d]);
            some = some && p->d[d].count > 0;
        }
        if (!some) continue;
        make_plan(cx, p);
        for (int64_t tap = 0; tap < p->taps; tap++)
            p->start[tap] = pixel_of(p, tap) * p->pixel_stride;
        for (int64_t group = 0; group < p->args->groups && at_ok(cx); group++) {
            p->first_in = group * p->in;
            p->first_out = group * p->out;
            run(cx, p);
        }
    }
}

/* bf16 with all taps at once is faster than int8 without, and more exact. */
static const at_gemm *gemm_of(const at_context *cx, at_precision precision)
{
    const at_gemm *g = at_gemm_of(cx, precision), *better = at_gemm_of(cx, AT_PRECISION_BF16);
    return precision == AT_PRECISION_INT8 && !g->tile_runs && better->tile_runs ? better : g;
}

void at_direct_conv(at_context *cx, const at_conv_args *a)
{
    direct p = {.args = a,
                .gemm = gemm_of(cx, a->precision),
                .in = a->channels / a->groups,
                .out = a->out_channels / a->groups};
    int64_t sizes = (int64_t)a->kernel[0] + a->kernel[1] + a->kernel[2];
    int64_t taps = (int64_t)a->kernel[0] * a->kernel[1] * a->kernel[2];
    int64_t *lists = at_scratch(cx, (size_t)(sizes * 5 + taps) * sizeof *lists);
    float *zeros = at_scratch(cx, (size_t)p.in * sizeof *zeros);
    if (lists && zeros) {
        memset(zeros, 0, (size_t)p.in * sizeof *zeros);
        p.zeros = zeros;
        int64_t *next = lists;
        for (int d = 0; d < 3; d++) {
            int64_t **list[] = {&p.d[d].tap, &p.d[d].offset, &p.d[d].plane, &p.d[d].shift,
                                &p.d[d].start};
            for (size_t i = 0; i < AT_COUNT(list); i++, next += a->kernel[d]) *list[i] = next;
        }
        p.start = next;
        run_phases(cx, &p);
    }
    at_scratch_free(cx, zeros);
    at_scratch_free(cx, lists);
}
