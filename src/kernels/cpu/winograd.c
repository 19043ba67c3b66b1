/* Convolution with a stride of 1 by at_winograd_form: 3x3 as 16 products instead of 36 for each 2x2
   square of y, F(2x2, 3x3), and the taps of a line, four at a time, as 7 instead of 16 for each 4
   pixels, F(4, 4) (Winograd 1980; Lavin and Gray 2016). What a form makes at once is called a
   square here, also of a line. Frames of x that a kernel sees, and the fours of a line's taps, are
   added up in the transformed domain. The pixels of a line's square lie `dilation` apart, and what
   the second four of its taps sees is what the first four sees from the square behind: so x is
   turned once for all of them.

   The weight is transformed in strips of columns of y that fit STRIP_BYTES, once, by all threads.
   Then jobs of up to BLOCK_ROWS squares x some columns are shared out. A job transforms its squares
   of x to words (a matrix [squares, words] for each point), and for PART columns at a time
   multiplies the points on the register tile, each into a matrix of sums that stays in the second
   cache level, and transforms these to y. Nothing of the size of a picture is ever made.

   Where a tile takes all taps at once (AMX), multiplying is so cheap that the transforms pay only
   with FEW_CHANNELS.

   Transforms are in f32. Of a square x's points are sums of 4 values, a kernel's of 9 with weights
   up to 1, and y is the sum of 9 points: rounding to bf16 costs 5/3 of the error (root mean square)
   of the same sum without transform, at worst 2^-8 * 16 * sum over channels of (largest |x| of the
   4x4 square * sum of |w|). Of a line rounding costs 4 times that error, in f32 8e-7 of y (both
   root mean square, of random values): lines are left to precisions that keep LINE_BITS, of which
   12 bits are as exact then as bf16 without transform. */
#include "kernels/cpu/conv.h"
#include <omp.h>
#include <string.h>

enum { BLOCK_ROWS = 48, PART = 128, ROW_PAD = 16, CHUNK = 256 };
enum { STRIP_BYTES = 16 << 20, TILE_WORDS = 256 };
enum { SMALL = 1 << 18 }; /* multiply-adds of a point that are not worth the transforms */
enum { FEW_CHANNELS = 128, LINE_BITS = 12 };

typedef struct winograd {
    const at_conv_args *args;
    const at_winograd_form *form;
    const at_gemm *gemm;
    int64_t lines, squares;     /* of y; a line of squares is a picture's, or all pictures */
    int64_t down, right;        /* squares of a picture, where they are not of a line */
    int64_t frames;             /* of the kernel, or fours of its taps */
    int64_t frame_words, words; /* of one frame's channels, of all frames of the kernel */
    int64_t x_frames;           /* that x is turned for */
    int64_t ahead;              /* squares between those that a frame and the next one see */
    int64_t tile_words;         /* of a call of the register tile */
    int64_t strip, columns;     /* of y: of a strip, of a job */
    int64_t part;               /* columns that sums are kept of */
    int64_t rows, x_rows;       /* squares of a job, those that its taps see */
    int64_t a_stride, a_frame;  /* from square to square, from frame to frame of its words */
    int64_t chunk, few;         /* channels of the weight unpacked, and transformed, at once */
    int64_t taps, run;          /* of the kernel; room for a column's chunk */
} winograd;

const at_gemm *at_winograd_gemm(const at_context *cx, at_precision precision)
{
    const at_gemm *g = at_gemm_of(cx, precision);
    return g->bits < LINE_BITS ? at_gemm_of(cx, AT_MIN(precision, AT_PRECISION_BF16)) : g;
}

static bool is_line(const at_conv_args *a)
{
    return a->kernel[0] == 1 && a->kernel[1] == 1;
}

static void count_squares(const at_conv_args *a, winograd *w)
{
    if (is_line(a)) {
        w->lines = a->batch * a->out_size[0] * a->out_size[1];
        w->squares = a->dilation[2] * at_ceil_div(at_ceil_div(a->out_size[2], a->dilation[2]), 4);
        return;
    }
    w->down = at_ceil_div(a->out_size[1], 2);
    w->right = at_ceil_div(a->out_size[2], 2);
    w->lines = 1;
    w->squares = a->batch * a->out_size[0] * w->down * w->right;
}

static void plan_weight(const at_context *cx, winograd *w)
{
    const at_conv_args *a = w->args;
    bool line = is_line(a);
    w->form = line ? &cx->kernels->conv_parts->line : &cx->kernels->conv_parts->square;
    w->taps = (int64_t)a->kernel[0] * a->kernel[1] * a->kernel[2];
    w->frames = at_ceil_div(w->taps, w->form->taps);
    w->x_frames = line ? 1 : w->frames;
    w->ahead = line ? a->dilation[2] : 0;
    w->frame_words = at_gemm_words(w->gemm, a->channels);
    w->words = w->frames * w->frame_words;
    w->tile_words = w->gemm->scales
                        ? w->frame_words
                        : at_ceil_div(w->frame_words, at_ceil_div(w->frame_words, TILE_WORDS));
    w->chunk = w->gemm->scales ? w->gemm->scaled : at_round_up(at_ceil_div(64, w->frames), 8);
    w->few = w->gemm->scales ? w->gemm->scaled : 8;
    w->run = w->chunk * w->taps + AT_CONV_SLACK;
}

static winograd make_plan(const at_context *cx, const at_conv_args *a)
{
    winograd w = {.args = a, .gemm = at_winograd_gemm(cx, a->precision)};
    const at_gemm *g = w.gemm;
    plan_weight(cx, &w);
    count_squares(a, &w);
    int64_t room = STRIP_BYTES / 4 / w.form->points / w.words / g->columns * g->columns;
    int64_t strips = at_ceil_div(a->out_channels, AT_MAX(room, g->columns));
    w.strip = at_round_up(at_ceil_div(a->out_channels, strips), g->columns);
    int64_t blocks = at_ceil_div(w.squares, BLOCK_ROWS / g->rows * g->rows);
    w.rows = at_round_up(at_ceil_div(w.squares, blocks), g->rows);
    w.x_rows = w.rows + (w.frames - 1) * w.ahead;
    int64_t parts = 1;
    while (w.lines * blocks * parts < 4 * cx->threads && w.strip / parts > PART) parts++;
    w.columns = at_round_up(at_ceil_div(w.strip, parts), g->columns);
    w.part = AT_MIN(PART, w.columns);
    w.a_stride = at_round_up(w.x_frames * w.frame_words, 16) + ROW_PAD;
    w.a_frame = w.ahead ? w.ahead * w.a_stride : w.frame_words;
    return w;
}

/* ---- the weight */

/* Room for a chunk of the columns of a panel, the same interleaved, and the points of a few. */
static int64_t packing_room(const winograd *w)
{
    return w->gemm->columns * (2 * w->run + w->form->points * w->few);
}

/* The panel of all points of the columns from `column` on: one chunk of channels. What the columns
   have is first interleaved, so that a vector holds one tap of neighbouring columns, and then
   transformed a few channels at a time, which stay in the first cache level. */
static void pack_chunk(const at_context *cx, const winograd *w, int64_t column, int64_t first,
                       uint32_t *panel, float *room)
{
    static const float zeros[AT_GEMM_MOST_COLUMNS];
    const at_gemm *g = w->gemm;
    const at_conv_args *a = w->args;
    int64_t count = AT_MIN(w->chunk, a->channels - first);
    int64_t columns = AT_MIN(g->columns, a->out_channels - column);
    float *taps = room + g->columns * w->run, *points = taps + g->columns * w->run;
    const void *rows[AT_GEMM_MOST_COLUMNS] = {NULL};
    for (int64_t j = 0; j < columns; j++)
        rows[j] = at_conv_weight(cx, a, ((column + j) * a->channels + first) * w->taps,
                                 count * w->taps, room + j * w->run);
    g->interleave(count * w->taps, rows, (uint32_t *)taps);
    int64_t fews = at_ceil_div(count, w->few), stride = w->few * g->columns;
    for (int64_t i = 0; i < w->frames * fews; i++) {
        int64_t frame = i / fews, at = i % fews * w->few, few = AT_MIN(w->few, count - at);
        for (int64_t c = 0; c < few; c++) {
            const float *tap[AT_WINOGRAD_MOST];
            for (int t = 0; t < w->form->taps; t++) {
                int64_t k = frame * w->form->taps + t;
                tap[t] = k < w->taps ? taps + ((at + c) * w->taps + k) * g->columns : zeros;
            }
            w->form->w(g->columns, tap, points + c * g->columns, stride);
        }
        uint32_t *to = panel + (frame * w->frame_words + at_gemm_words(g, first + at)) * g->columns;
        for (int p = 0; p < w->form->points; p++)
            g->column_words(few, g->columns, points + p * stride, g->columns,
                            to + p * w->words * g->columns);
    }
}

static void pack_strip(const at_context *cx, const winograd *w, int64_t start, uint32_t *packed,
                       float *room)
{
    int64_t chunks = at_ceil_div(w->args->channels, w->chunk);
    int64_t panels = at_ceil_div(AT_MIN(w->strip, w->args->out_channels - start), w->gemm->columns);
#pragma omp for schedule(dynamic)
    for (int64_t i = 0; i < panels * chunks; i++) {
        int64_t column = i / chunks * w->gemm->columns;
        if (!at_cancelled(cx))
            pack_chunk(cx, w, start + column, i % chunks * w->chunk,
                       packed + w->form->points * w->words * column, room);
    }
}

/* ---- x */

/* The first position of y of a square of a line. */
static int64_t line_start(const at_conv_args *a, int64_t square)
{
    int64_t d = a->dilation[2];
    return square % d + square / d * 4 * d;
}

/* The pixels of a square as one frame of the kernel sees them; NULL: zeros. */
static void find_pixels(const winograd *w, int64_t line, int64_t square, int64_t frame,
                        const float **pixel)
{
    const at_conv_args *a = w->args;
    if (is_line(a)) {
        int64_t t = line / a->out_size[1], x = line_start(a, square) - a->before[2];
        for (int i = 0; i < w->form->pixels; i++)
            pixel[i] = at_conv_pixel(a, t / a->out_size[0], t % a->out_size[0] - a->before[0],
                                     line % a->out_size[1] - a->before[1], x + i * a->dilation[2]);
        return;
    }
    int64_t x = square % w->right * 2 - a->before[2], y = square / w->right % w->down * 2;
    int64_t picture = square / w->right / w->down;
    int64_t t = picture % a->out_size[0] * a->stride[0] + frame * a->dilation[0] - a->before[0];
    for (int i = 0; i < w->form->pixels; i++)
        pixel[i] =
            at_conv_pixel(a, picture / a->out_size[0], t, y + i / 4 - a->before[1], x + i % 4);
}

static void turn_square(const winograd *w, int64_t line, int64_t square, uint32_t *a)
{
    static const float zeros[CHUNK];
    _Alignas(64) float points[AT_WINOGRAD_MOST][CHUNK];
    const at_gemm *g = w->gemm;
    int64_t stride = w->x_rows * w->a_stride;
    for (int64_t frame = 0; frame < w->x_frames; frame++, a += w->frame_words) {
        const float *from[AT_WINOGRAD_MOST], *pixel[AT_WINOGRAD_MOST];
        find_pixels(w, line, square, frame, from);
        for (int64_t first = 0; first < w->args->channels; first += CHUNK) {
            int64_t count = AT_MIN(CHUNK, w->args->channels - first);
            uint32_t *to = a + at_gemm_words(g, first);
            for (int i = 0; i < w->form->pixels; i++) pixel[i] = from[i] ? from[i] + first : zeros;
            if (g->group == 1) {
                w->form->x(count, pixel, (float *)to, stride);
                continue;
            }
            w->form->x(count, pixel, points[0], CHUNK);
            for (int p = 0; p < w->form->points; p++)
                g->to_words(count, points[p], to + p * stride);
        }
    }
}

/* ---- y */

/* Where the pixels of a square lie in y; NULL: beyond its edges. */
static void find_outputs(const winograd *w, int64_t line, int64_t square, int64_t column,
                         float **pixel)
{
    const at_conv_args *a = w->args;
    bool of_line = is_line(a);
    int64_t y = of_line ? 0 : square / w->right % w->down * 2;
    int64_t x = of_line ? line_start(a, square) : square % w->right * 2;
    int64_t picture = of_line ? line : square / w->right / w->down;
    int64_t height = of_line ? 1 : a->out_size[1];
    for (int i = 0; i < w->form->outputs; i++) {
        int64_t down = y + (of_line ? 0 : i / 2), at = x + (of_line ? i * a->dilation[2] : i % 2);
        int64_t position = (picture * height + down) * a->out_size[2] + at;
        bool inside = down < height && at < a->out_size[2];
        pixel[i] = inside ? a->y + position * a->out_channels + column : NULL;
    }
}

static void store_square(const at_context *cx, const winograd *w, int64_t line, int64_t square,
                         int64_t column, int64_t columns, const float *sums)
{
    const at_conv_args *a = w->args;
    float *pixel[AT_WINOGRAD_MOST];
    find_outputs(w, line, square, column, pixel);
    w->form->y(columns, sums, w->rows * w->part, a->bias ? a->bias + column : NULL, pixel);
    for (int i = 0; i < w->form->outputs && a->activation != AT_IDENTITY; i++)
        if (pixel[i]) cx->kernels->runs->activate(a->activation, columns, pixel[i], pixel[i]);
}

/* sums[rows][part] of one point, over all words. */
static void multiply(const winograd *w, int64_t rows, int64_t columns, const uint32_t *a,
                     const uint32_t *panels, int64_t panel_stride, float *sums)
{
    const at_gemm *g = w->gemm;
    for (int64_t at = 0, count; at < w->words; at += count) {
        int64_t frame = at / w->frame_words, first = at % w->frame_words;
        count = AT_MIN(w->tile_words, w->frame_words - first);
        const uint32_t *from = a + frame * w->a_frame + first;
        for (int64_t j = 0; j < columns; j += g->columns) {
            const uint32_t *panel = panels + j / g->columns * panel_stride + at * g->columns;
            for (int64_t i = 0; i < rows; i += g->rows)
                at_gemm_tile(g, columns - j, count, from + i * w->a_stride, w->a_stride, panel,
                             sums + i * w->part + j, w->part, at > 0);
        }
    }
}

/* Squares [row, row + w->rows) of a line, columns [column, column + columns) of the strip at
   `start`. */
static void run_job(const at_context *cx, const winograd *w, int64_t start, int64_t line,
                    int64_t row, int64_t column, const uint32_t *packed, uint32_t *own)
{
    int64_t rows = AT_MIN(w->rows, w->squares - row);
    int64_t panel_stride = w->form->points * w->words * w->gemm->columns;
    int64_t end = AT_MIN(AT_MIN(column + w->columns, w->strip), w->args->out_channels - start);
    int64_t point = w->x_rows * w->a_stride;
    float *sums = (float *)(own + w->form->points * point);
    for (int64_t i = 0; i < rows + w->x_rows - w->rows; i++)
        turn_square(w, line, row + i, own + i * w->a_stride);
    for (; column < end && !at_cancelled(cx); column += w->part) {
        int64_t columns = AT_MIN(w->part, end - column);
        for (int64_t p = 0; p < w->form->points; p++)
            multiply(w, rows, columns, own + p * point,
                     packed + column / w->gemm->columns * panel_stride +
                         p * w->words * w->gemm->columns,
                     panel_stride, sums + p * w->rows * w->part);
        for (int64_t i = 0; i < rows; i++)
            store_square(cx, w, line, row + i, start + column, columns, sums + i * w->part);
    }
}

bool at_winograd_pays(const at_context *cx, const at_conv_args *a)
{
    bool fits = cx->kernels->conv_parts && !a->transposed && a->groups == 1 && a->channels >= 16;
    bool line = is_line(a);
    for (int d = 0; d < 3; d++) {
        fits = fits && (a->stride[d] == 1 || (d == 0 && !line));
        fits = fits && (line || d == 0 || (a->kernel[d] == 3 && a->dilation[d] == 1));
    }
    if (!fits) return false;
    winograd w = {.args = a, .gemm = at_winograd_gemm(cx, a->precision)};
    plan_weight(cx, &w);
    count_squares(a, &w);
    int64_t squares = w.lines * w.squares, pixels = a->batch * a->out_size[1] * a->out_size[2];
    if (line && (w.gemm->bits < LINE_BITS || squares < 3 * BLOCK_ROWS)) return false;
    return w.form->points * w.frames * squares * 3 <= 2 * w.taps * a->out_size[0] * pixels &&
           squares >= 16 && squares * a->channels * a->out_channels > SMALL &&
           (!w.gemm->tile_runs || a->channels <= FEW_CHANNELS);
}

void at_winograd_conv(at_context *cx, const at_conv_args *a)
{
    winograd w = make_plan(cx, a);
    int64_t turned = w.form->points * w.x_rows * w.a_stride;
    int64_t job = turned + w.form->points * w.rows * w.part;
    int64_t each = at_round_up(AT_MAX(job, packing_room(&w)), 16);
    uint32_t *packed =
        at_scratch(cx, (size_t)(w.form->points * w.strip * w.words) * sizeof *packed);
    uint32_t *own = at_scratch(cx, (size_t)(cx->threads * each) * sizeof *own);
    if (packed && own) {
        int64_t downs = at_ceil_div(w.squares, w.rows);
#pragma omp parallel num_threads(cx->threads)
        {
            uint32_t *mine = own + omp_get_thread_num() * each;
            at_gemm_begin(w.gemm);
            for (int64_t start = 0; start < a->out_channels; start += w.strip) {
                pack_strip(cx, &w, start, packed, (float *)mine);
                memset(mine, 0, (size_t)turned * sizeof *mine);
                int64_t columns = AT_MIN(w.strip, a->out_channels - start);
                int64_t acrosses = at_ceil_div(columns, w.columns);
#pragma omp for schedule(dynamic)
                for (int64_t i = 0; i < w.lines * downs * acrosses; i++)
                    if (!at_cancelled(cx))
                        run_job(cx, &w, start, i / acrosses / downs, i / acrosses % downs * w.rows,
                                i % acrosses * w.columns, packed, mine);
            }
            at_gemm_end(w.gemm);
        }
    }
    at_scratch_free(cx, own);
    at_scratch_free(cx, packed);
}
