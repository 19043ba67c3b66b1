/* The packed products: one driver (blocks, threads, packing) for all instruction sets and
   precisions, over small parts that each of them brings.

   All arithmetic works on 32-bit words along k: a word is one f32, two bf16 or four int8 (with
   scales among them, words too). A precision brings only how numbers become words and a register
   tile that multiplies them; the driver does not know more. Sums are f32 in an order that depends
   on k alone, so that results are the same to the bit for any number of threads and any blocking of
   m and n. */
#ifndef AT_GEMM_H
#define AT_GEMM_H

#include "base/base.h"
#include "kernels/cpu/runs.h"
#include "kernels/kernels.h"
#include <string.h>

enum {
    AT_GEMM_MOST_ROWS = 32,    /* bounds of a register tile */
    AT_GEMM_MOST_COLUMNS = 32, /* and what buffers are made for */
    AT_GEMM_VALUES = 1024,     /* most values of k in one block */
    AT_GEMM_WORDS = 520,       /* and most words */
    AT_GEMM_FEW_ROWS = 16,     /* up to here a product reads its weight once, unpacked in passing */
    AT_GEMM_FEW_COLUMNS = 4,   /* weight rows at once in that case */
    AT_GEMM_FEWEST_ROWS = 4,   /* up to here small floats are multiplied as they lie */
};

/* sums[i][j][lanes] += x[i][.] w[j][.] lane by lane, over `count` words of m rows of x and of
   AT_GEMM_FEW_COLUMNS rows of w (unaligned). What lies `ahead` bytes behind w is asked for
   meanwhile, in the steps of the sums: asked for at once, it would keep them waiting. */
typedef void at_lane_sums(int64_t count, int64_t m, const uint32_t *x, int64_t x_stride,
                          const void *const *w, int64_t ahead, float *sums);

typedef void at_tile(int64_t count, const uint32_t *a, int64_t a_stride, const uint32_t *panel,
                     float *c, int64_t c_stride, bool add);

typedef struct at_gemm {
    int rows, columns;  /* the register tile */
    int step;           /* words of k that a tile likes to have a multiple of */
    int group;          /* values in a word: 1, 2, 4 */
    int bits;           /* that the precision keeps of a value, or of the largest of `scaled` */
    int block;          /* values of k in one block */
    int pass;           /* most values of k that a product sums in one go, whole blocks */
    int panels;         /* bytes of packed panels that a job may have, */
    int columns_of_job; /* but this many columns at least */
    int scaled;         /* values that share scales, which lie behind them, */
    int scales;         /* and how many words those are */
    int lanes;          /* f32 in a vector */
    at_dtype dtype;     /* whose rows are words as they lie; AT_DTYPES: none */

    /* count values of x, or of the weight, to words, the last one filled up with zeros */
    void (*to_words)(int64_t count, const float *in, uint32_t *out);
    void (*weight_to_words)(int64_t count, const float *in, uint32_t *out);

    /* panel[i][j] = row[j][i] for `count` words of `columns` rows (NULL: zeros; unaligned) */
    void (*interleave)(int64_t count, const void *const *row, uint32_t *panel);

    /* panel[i][j] = the word of in[i * group ...][j]: `rows` rows of up to `columns` values, the
       rest of the panel's columns 0; with the scales, where there are some. NULL: row by row */
    void (*column_words)(int64_t rows, int64_t columns, const float *in, int64_t stride,
                         uint32_t *panel);

    /* NULL, or what a thread calls before its first tile and after its last */
    void (*begin)(void);
    void (*end)(void);

    /* c[rows][columns] (+)= a[rows][count] panel[count][columns], a and c with strides in words */
    at_tile *tile;

    /* NULL, or the same for the first half of the columns alone */
    at_tile *half_tile;

    /* NULL, or tiles of which the sums are dear to move: the same over `runs` runs of `count`
       words in one go. Those of x start at a + start[run]; those of the panel follow each other. */
    void (*tile_runs)(int64_t runs, int64_t count, const uint32_t *a, const int64_t *start,
                      int64_t a_stride, const uint32_t *panel, float *c, int64_t c_stride,
                      bool add);

    /* Few rows: values of k at once (256, or a multiple); NULL: they are computed in the next
       better precision; NULL, or the same for rows of w as they lie (NULL for most dtypes); NULL,
       or what has more of these. */
    int few;
    at_lane_sums *lane_sums;
    at_lane_sums *(*sums_of)(at_dtype dtype);
    const struct at_gemm *finer;
    /* out[i] = the sum of the lanes of sums[i] */
    void (*add_lanes)(int64_t count, const float *sums, float *out);

    /* A step of softmax: raises *most to the largest score or leaves it a little below that, turns
       scores to the words of exp(score - *most), in place, and returns their sum; nothing when
       *most stays -infinity */
    float (*soften)(int64_t count, float *scores, float *most);
} at_gemm;

extern const at_gemm at_gemm_avx512bf16, at_gemm_avx512vnni, at_gemm_amxint8, at_gemm_avx2integers;
at_gemm at_gemm_amxbf16(void);

static inline void at_gemm_begin(const at_gemm *g)
{
    if (g->begin) g->begin();
}

static inline void at_gemm_end(const at_gemm *g)
{
    if (g->end) g->end();
}

/* A tile of which only the first `columns` are wanted (there may be more than it has). */
static inline void at_gemm_tile(const at_gemm *g, int64_t columns, int64_t count, const uint32_t *a,
                                int64_t a_stride, const uint32_t *panel, float *c, int64_t c_stride,
                                bool add)
{
    bool half = g->half_tile && 2 * columns <= g->columns;
    (half ? g->half_tile : g->tile)(count, a, a_stride, panel, c, c_stride, add);
}

/* The tile of a precision with scales: `part` takes g->scaled values after the other, less at the
   end. Its count is of words without the scales, which it reads behind them. */
static inline __attribute__((always_inline)) void
at_gemm_scaled_tile(const at_gemm *g, at_tile *part, int64_t count, const uint32_t *a,
                    int64_t a_stride, const uint32_t *panel, float *c, int64_t c_stride, bool add)
{
    const int64_t step = g->scaled / g->group + g->scales;
    if (count == 0)
        for (int i = 0; i < g->rows && !add; i++)
            memset(c + i * c_stride, 0, (size_t)g->columns * sizeof *c);
    for (; count > 0; count -= step, a += step, panel += step * g->columns, add = true)
        part(AT_MIN(count, step) - g->scales, a, a_stride, panel, c, c_stride, add);
}

/* cpu/simd/gemm_f32.c: moving words is the same for all precisions of a set. */
void at_simd_interleave_avx2(int64_t count, const void *const *row, uint32_t *panel);
void at_simd_interleave_avx512(int64_t count, const void *const *row, uint32_t *panel);
void at_simd_interleave_neon(int64_t count, const void *const *row, uint32_t *panel);
void at_simd_add_lanes_avx2(int64_t count, const float *sums, float *out);
void at_simd_add_lanes_avx512(int64_t count, const float *sums, float *out);
void at_simd_add_lanes_neon(int64_t count, const float *sums, float *out);
extern const at_gemm at_simd_integers_avx2, at_simd_integers_avx512;
float at_simd_soften_avx2(int64_t count, float *scores, float *most);
float at_simd_soften_avx512(int64_t count, float *scores, float *most);
float at_simd_soften_neon(int64_t count, float *scores, float *most);

/* The words that `count` values become; also where the words of value `count` begin, for the first
   value of a block. */
static inline int64_t at_gemm_words(const at_gemm *g, int64_t count)
{
    return (count + g->group - 1) / g->group + (count + g->scaled - 1) / g->scaled * g->scales;
}

/* y = activation(x W^T + bias) where the rows of x may be anything that can be given as values. */
typedef struct at_product {
    const at_gemm *gemm;
    int64_t m, n, k;
    const float *x; /* rows at a distance of x_stride; or NULL, and then: */
    int64_t x_stride;
    /* values first to first + count of a row of x: where they lie, or written to `room` */
    const float *(*row)(const struct at_product *p, int64_t row, int64_t first, int64_t count,
                        float *room);
    const void *source; /* for `row` */
    const char *weight;
    at_dtype dtype;
    int64_t weight_stride; /* bytes */
    const float *bias;
    at_activation activation;
    at_product_with with;
    float *y;
    int64_t y_stride;
} at_product;

static inline const float *at_product_row(const at_product *p, int64_t row, int64_t first,
                                          int64_t count, float *room)
{
    return p->x ? p->x + row * p->x_stride + first : p->row(p, row, first, count, room);
}

/* The parts for a precision, or the nearest better one that this table has. */
const at_gemm *at_gemm_of(const at_context *cx, at_precision precision);

void at_product_run(at_context *cx, const at_product *p);

/* m up to AT_GEMM_FEW_ROWS: bound by reading the weight. */
void at_product_few_rows(at_context *cx, const at_product *p);

/* Words of values first to first + count of a weight row: where they lie, or unpacked into `words`
   by way of `values`, both of at least count elements. */
const void *at_weight_words(const at_context *cx, const at_product *p, int64_t row, int64_t first,
                            int64_t count, float *values, uint32_t *words);

/* y = activation(c + bias) for one row of n values; bias may be NULL */
void at_product_finish(const at_context *cx, int64_t n, const float *c, const float *bias,
                       at_activation activation, float *y);

/* The same for n values of a row of a product from `column` on, and what goes with it. */
void at_product_finish_row(const at_context *cx, const at_product *p, int64_t row, int64_t column,
                           int64_t n, const float *c);

void at_packed_matmul(at_context *cx, const at_matmul_args *args);
void at_packed_attention(at_context *cx, const at_attention_args *args);

static inline bool at_cancelled(const at_context *cx)
{
    return atomic_load_explicit(&cx->cancelled, memory_order_relaxed);
}

static inline int64_t at_ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static inline int64_t at_round_up(int64_t x, int64_t to)
{
    return at_ceil_div(x, to) * to;
}

#endif
