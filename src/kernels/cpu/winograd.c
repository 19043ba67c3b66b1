/* Convolution 3x3 with a stride of 1 as 16 products instead of 36 for each 2x2 square of y
   (Winograd's F(2x2, 3x3); Lavin and Gray 2016). Frames of x that a kernel sees are added up in the
   transformed domain.

   The weight is transformed in strips of columns of y that fit STRIP_BYTES, once, by all threads.
   Then jobs of up to BLOCK_ROWS squares x some columns are shared out. A job transforms its squares
   of x to words (16 matrices [squares, words]), and for PART columns at a time multiplies the 16
   points on the register tile, each into a matrix of sums that stays in the second cache level, and
   transforms these to y. Nothing of the size of a picture is ever made.

   Where a tile takes all taps at once (AMX), multiplying is so cheap that the transforms pay only
   with FEW_CHANNELS.

   Transforms are in f32. x's points are sums of 4 values, a kernel's of 9 with weights up to 1, and
   y is the sum of 9 points: rounding to bf16 costs 5/3 of the error (root mean square) of the same
   sum without transform, at worst 2^-8 * 16 * sum over channels of (largest |x| of the 4x4 square *
   sum of |w|). */
#include "kernels/cpu/conv.h"
#include <omp.h>
#include <string.h>

enum { POINTS = 16, BLOCK_ROWS = 48, PART = 128, ROW_PAD = 16, CHUNK = 64 };
enum { STRIP_BYTES = 16 << 20, TILE_WORDS = 256 };
enum { SMALL = 1 << 18 }; /* multiply-adds of a point that are not worth the transforms */
enum { FEW_CHANNELS = 128 };

typedef struct winograd {
    const at_conv_args *args;
    const at_gemm *gemm;
    int64_t down, right, squares;
    int64_t frame_words, words; /* of one frame's channels, of all frames of the kernel */
    int64_t tile_words;         /* of a call of the register tile */
    int64_t strip, columns;     /* of y: of a strip, of a job */
    int64_t part;               /* columns that sums are kept of */
    int64_t rows, a_stride;     /* squares of a job */
    int64_t chunk, run;         /* channels of the weight turned at once, room for a column's */
} winograd;

static int64_t round_up(int64_t x, int64_t to)
{
    return at_ceil_div(x, to) * to;
}

static winograd make_plan(const at_context *cx, const at_conv_args *a)
{
    /* int8 would be less exact and hardly faster */
    const at_gemm *g = at_gemm_of(cx, AT_MIN(a->precision, AT_PRECISION_BF16));
    winograd w = {.args = a, .gemm = g};
    w.down = at_ceil_div(a->out_size[1], 2);
    w.right = at_ceil_div(a->out_size[2], 2);
    w.squares = a->batch * a->out_size[0] * w.down * w.right;
    w.frame_words = at_gemm_words(g, a->channels);
    w.words = a->kernel[0] * w.frame_words;
    w.tile_words = at_ceil_div(w.words, at_ceil_div(w.words, TILE_WORDS));
    int64_t room = STRIP_BYTES / 4 / POINTS / w.words / g->columns * g->columns;
    int64_t strips = at_ceil_div(a->out_channels, AT_MAX(room, g->columns));
    w.strip = round_up(at_ceil_div(a->out_channels, strips), g->columns);
    int64_t blocks = at_ceil_div(w.squares, BLOCK_ROWS / g->rows * g->rows);
    w.rows = round_up(at_ceil_div(w.squares, blocks), g->rows);
    int64_t parts = 1;
    while (blocks * parts < 4 * cx->threads && w.strip / parts > PART) parts++;
    w.columns = round_up(at_ceil_div(w.strip, parts), g->columns);
    w.part = AT_MIN(PART, w.columns);
    w.a_stride = round_up(w.words, 16) + ROW_PAD;
    w.chunk = round_up(at_ceil_div(CHUNK, a->kernel[0]), 8);
    w.run = w.chunk * a->kernel[0] * 9 + AT_CONV_SLACK;
    return w;
}

/* ---- the weight */

/* The panel of 16 points of the columns from `column` on: one chunk of channels. What the columns
   have is first interleaved, so that a vector holds one tap of neighbouring columns, and then
   transformed FEW channels at a time, which stay in the first cache level. */
static void pack_chunk(const at_context *cx, const winograd *w, int64_t column, int64_t first,
                       uint32_t *panel, float *room)
{
    enum { FEW = 8 };
    _Alignas(64) float points[POINTS][FEW * AT_GEMM_MOST_COLUMNS + 16];
    const at_gemm *g = w->gemm;
    const at_conv_args *a = w->args;
    int64_t frames = a->kernel[0], count = AT_MIN(w->chunk, a->channels - first);
    int64_t columns = AT_MIN(g->columns, a->out_channels - column);
    float *taps = room + g->columns * w->run;
    const void *rows[AT_GEMM_MOST_COLUMNS] = {NULL};
    for (int64_t j = 0; j < columns; j++)
        rows[j] = at_conv_weight(cx, a, ((column + j) * a->channels + first) * frames * 9,
                                 count * frames * 9, room + j * w->run);
    g->interleave(count * frames * 9, rows, (uint32_t *)taps);
    int64_t fews = at_ceil_div(count, FEW);
    for (int64_t i = 0; i < frames * fews; i++) {
        int64_t frame = i / fews, at = i % fews * FEW, few = AT_MIN(FEW, count - at);
        for (int64_t c = 0; c < few; c++) {
            const float *tap[9];
            for (int t = 0; t < 9; t++)
                tap[t] = taps + (((at + c) * frames + frame) * 9 + t) * g->columns;
            cx->kernels->conv_parts->winograd_w(g->columns, tap, points[0] + c * g->columns,
                                                points[1] - points[0]);
        }
        uint32_t *to = panel + (frame * w->frame_words + at_gemm_words(g, first + at)) * g->columns;
        for (int p = 0; p < POINTS; p++)
            g->column_words(few, g->columns, points[p], g->columns, to + p * w->words * g->columns);
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
                       packed + POINTS * w->words * column, room);
    }
}

/* ---- x */

/* The 16 pixels of a square as one frame of the kernel sees them; NULL: zeros. */
static void find_pixels(const winograd *w, int64_t square, int64_t frame, const float *pixel[16])
{
    const at_conv_args *a = w->args;
    int64_t x = square % w->right * 2 - a->before[2], y = square / w->right % w->down * 2;
    int64_t picture = square / w->right / w->down;
    int64_t t = picture % a->out_size[0] * a->stride[0] + frame * a->dilation[0] - a->before[0];
    for (int i = 0; i < 16; i++)
        pixel[i] =
            at_conv_pixel(a, picture / a->out_size[0], t, y + i / 4 - a->before[1], x + i % 4);
}

static void turn_square(const at_context *cx, const winograd *w, int64_t square, uint32_t *a)
{
    static const float zeros[CHUNK];
    _Alignas(64) float points[POINTS][CHUNK];
    const at_gemm *g = w->gemm;
    int64_t stride = w->rows * w->a_stride;
    for (int64_t frame = 0; frame < w->args->kernel[0]; frame++, a += w->frame_words) {
        const float *from[16], *pixel[16];
        find_pixels(w, square, frame, from);
        for (int64_t first = 0; first < w->args->channels; first += CHUNK) {
            int64_t count = AT_MIN(CHUNK, w->args->channels - first);
            uint32_t *to = a + at_gemm_words(g, first);
            for (int i = 0; i < 16; i++) pixel[i] = from[i] ? from[i] + first : zeros;
            if (g->group == 1) {
                cx->kernels->conv_parts->winograd_x(count, pixel, (float *)to, stride);
                continue;
            }
            cx->kernels->conv_parts->winograd_x(count, pixel, points[0], CHUNK);
            for (int p = 0; p < POINTS; p++) g->to_words(count, points[p], to + p * stride);
        }
    }
}

/* ---- y */

static void store_square(const at_context *cx, const winograd *w, int64_t square, int64_t column,
                         int64_t columns, const float *sums, int64_t stride)
{
    const at_conv_args *a = w->args;
    int64_t y = square / w->right % w->down * 2, x = square % w->right * 2;
    int64_t picture = square / w->right / w->down;
    float *pixel[4];
    for (int i = 0; i < 4; i++) {
        int64_t line = y + i / 2, at = x + i % 2;
        bool inside = line < a->out_size[1] && at < a->out_size[2];
        int64_t position = (picture * a->out_size[1] + line) * a->out_size[2] + at;
        pixel[i] = inside ? a->y + position * a->out_channels + column : NULL;
    }
    cx->kernels->conv_parts->winograd_y(columns, sums, stride, a->bias ? a->bias + column : NULL,
                                        pixel);
    for (int i = 0; i < 4 && a->activation != AT_IDENTITY; i++)
        if (pixel[i]) cx->kernels->runs->activate(a->activation, columns, pixel[i], pixel[i]);
}

/* sums[rows][part] of one point, over all words. */
static void multiply(const winograd *w, int64_t rows, int64_t columns, const uint32_t *a,
                     const uint32_t *panels, int64_t panel_stride, float *sums)
{
    const at_gemm *g = w->gemm;
    for (int64_t first = 0; first < w->words; first += w->tile_words) {
        int64_t count = AT_MIN(w->tile_words, w->words - first);
        for (int64_t j = 0; j < columns; j += g->columns) {
            const uint32_t *panel = panels + j / g->columns * panel_stride + first * g->columns;
            for (int64_t i = 0; i < rows; i += g->rows)
                at_gemm_tile(g, columns - j, count, a + i * w->a_stride + first, w->a_stride, panel,
                             sums + i * w->part + j, w->part, first > 0);
        }
    }
}

/* Squares [row, row + w->rows), columns [column, column + columns) of the strip at `start`. */
static void run_job(const at_context *cx, const winograd *w, int64_t start, int64_t row,
                    int64_t column, const uint32_t *packed, uint32_t *own)
{
    const at_gemm *g = w->gemm;
    int64_t rows = AT_MIN(w->rows, w->squares - row), panel_stride = POINTS * w->words * g->columns;
    int64_t end = AT_MIN(AT_MIN(column + w->columns, w->strip), w->args->out_channels - start);
    float *sums = (float *)(own + POINTS * w->rows * w->a_stride);
    for (int64_t i = 0; i < rows; i++) turn_square(cx, w, row + i, own + i * w->a_stride);
    for (; column < end && !at_cancelled(cx); column += w->part) {
        int64_t columns = AT_MIN(w->part, end - column);
        for (int64_t p = 0; p < POINTS; p++)
            multiply(w, rows, columns, own + p * w->rows * w->a_stride,
                     packed + column / g->columns * panel_stride + p * w->words * g->columns,
                     panel_stride, sums + p * w->rows * w->part);
        for (int64_t i = 0; i < rows; i++)
            store_square(cx, w, row + i, start + column, columns, sums + i * w->part,
                         w->rows * w->part);
    }
}

bool at_winograd_pays(const at_context *cx, const at_conv_args *a)
{
    bool fits = cx->kernels->conv_parts && !a->transposed && a->groups == 1 && a->channels >= 16;
    for (int d = 1; d < 3; d++)
        fits = fits && a->kernel[d] == 3 && a->stride[d] == 1 && a->dilation[d] == 1;
    int64_t squares = at_ceil_div(a->out_size[1], 2) * at_ceil_div(a->out_size[2], 2);
    return fits && 16 * squares <= 6 * a->out_size[1] * a->out_size[2] &&
           squares * a->out_size[0] * a->batch >= 16 &&
           squares * a->out_size[0] * a->batch * a->channels * a->out_channels > SMALL &&
           (!at_gemm_of(cx, AT_MIN(a->precision, AT_PRECISION_BF16))->tile_runs ||
            a->channels <= FEW_CHANNELS);
}

void at_winograd_conv(at_context *cx, const at_conv_args *a)
{
    winograd w = make_plan(cx, a);
    int64_t job = POINTS * w.rows * (w.a_stride + w.part);
    int64_t packing = 2 * w.gemm->columns * w.run;
    int64_t each = round_up(AT_MAX(job, packing), 16);
    uint32_t *packed = at_scratch(cx, (size_t)(POINTS * w.strip * w.words) * sizeof *packed);
    uint32_t *own = at_scratch(cx, (size_t)(cx->threads * each) * sizeof *own);
    if (packed && own) {
        int64_t downs = at_ceil_div(w.squares, w.rows);
#pragma omp parallel num_threads(cx->threads)
        {
            uint32_t *mine = own + omp_get_thread_num() * each;
            at_gemm_begin(w.gemm);
            for (int64_t start = 0; start < a->out_channels; start += w.strip) {
                pack_strip(cx, &w, start, packed, (float *)mine);
                memset(mine, 0, (size_t)(POINTS * w.rows * w.a_stride) * sizeof *mine);
                int64_t columns = AT_MIN(w.strip, a->out_channels - start);
                int64_t acrosses = at_ceil_div(columns, w.columns);
#pragma omp for schedule(dynamic)
                for (int64_t i = 0; i < downs * acrosses; i++)
                    if (!at_cancelled(cx))
                        run_job(cx, &w, start, i / acrosses * w.rows, i % acrosses * w.columns,
                                packed, mine);
            }
            at_gemm_end(w.gemm);
        }
    }
    at_scratch_free(cx, own);
    at_scratch_free(cx, packed);
}
