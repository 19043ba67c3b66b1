/* The parts of the packed product in f32, the same code for every set. The register tile is two
   vectors wide and as high as the registers allow: with 32 of them 12 rows (24 sums, 2 of the
   panel, 1 of x), with 16 of them 6 rows. The rows of x are reached from every third one, so that
   each is one address computation of the processor's. */
#include "kernels/cpu/conv.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/simd/math.h"
#include "kernels/cpu/simd/small.h"
#include "kernels/cpu/simd/transpose.h"
#include "kernels/cpu/tables.h"
#include <math.h>

#if defined(AT_SIMD_avx2)
enum { ROWS = 6 };
#else
enum { ROWS = 12 };
#endif
enum { COLUMNS = 2 * LANES };

static void to_words(int64_t count, const float *in, uint32_t *out)
{
    memcpy(out, in, (size_t)count * sizeof *in);
}

void AT_SIMD_NAME(at_simd_interleave)(int64_t count, const void *const *row, uint32_t *panel)
{
    for (int64_t i = 0; i < count; i += LANES)
        for (int half = 0; half < COLUMNS; half += LANES) {
            int64_t now = count - i < LANES ? count - i : LANES;
            vf x[LANES];
            for (int j = 0; j < LANES; j++) {
                const char *from = row[half + j];
                from = from ? from + 4 * i : NULL;
                x[j] = !from          ? v_set(0)
                       : now == LANES ? v_load((const void *)from)
                                      : v_load_part((const void *)from, now);
            }
            v_transpose(x);
            for (int64_t j = 0; j < now; j++)
                v_store((float *)panel + (i + j) * COLUMNS + half, x[j]);
        }
}

static void column_words(int64_t rows, int64_t columns, const float *in, int64_t stride,
                         uint32_t *panel)
{
    for (int64_t i = 0; i < rows; i++, in += stride, panel += COLUMNS) {
        memcpy(panel, in, (size_t)columns * sizeof *in);
        memset(panel + columns, 0, (size_t)(COLUMNS - columns) * sizeof *panel);
    }
}

/* `vectors` of the tile's columns, constant where this is inlined. */
__attribute__((always_inline)) static inline void tile_of(int vectors, int64_t count,
                                                          const uint32_t *a, int64_t a_stride,
                                                          const uint32_t *panel, float *c,
                                                          int64_t c_stride, bool add)
{
    const float *row[ROWS / 3], *b = (const float *)panel;
    vf sum[ROWS][2];
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; i++) sum[i][0] = sum[i][1] = v_set(0);
    for (int i = 0; i < ROWS / 3; i++) row[i] = (const float *)a + 3 * i * a_stride;
    for (int64_t k = 0; k < count; k++, b += COLUMNS) {
        vf b0 = v_load(b), b1 = v_load(b + LANES);
#pragma GCC unroll 16
        for (int i = 0; i < ROWS; i++) {
            vf x = v_set(row[i / 3][i % 3 * a_stride]);
            sum[i][0] = v_fma(x, b0, sum[i][0]);
            if (vectors > 1) sum[i][1] = v_fma(x, b1, sum[i][1]);
        }
#pragma GCC unroll 16
        for (int i = 0; i < ROWS / 3; i++) row[i]++;
    }
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; i++, c += c_stride)
        for (int j = 0; j < vectors; j++) {
            float *at = c + j * LANES;
            v_store(at, add ? (vf)(v_load(at) + sum[i][j]) : sum[i][j]);
        }
}

static void tile(int64_t count, const uint32_t *a, int64_t a_stride, const uint32_t *panel,
                 float *c, int64_t c_stride, bool add)
{
    tile_of(2, count, a, a_stride, panel, c, c_stride, add);
}

static void half_tile(int64_t count, const uint32_t *a, int64_t a_stride, const uint32_t *panel,
                      float *c, int64_t c_stride, bool add)
{
    tile_of(1, count, a, a_stride, panel, c, c_stride, add);
}

/* Few rows: as many at once as the registers allow, with their values and one of the weight. */
enum { FEW = AT_GEMM_FEW_COLUMNS, MOST_ROWS = ROWS == 6 ? 3 : 4 };

/* The values of a row of the weight from k on, `bytes` each. */
typedef vf values(const uint8_t *p);

static inline vf weights_at(values *value, int bytes, const void *row, int64_t k, int64_t left)
{
    const uint8_t *from = (const uint8_t *)row + bytes * k;
    if (left >= LANES) return value(from);
    uint8_t part[4 * LANES] = {0};
    memcpy(part, from, (size_t)(bytes * left));
    return value(part);
}

/* LANES of k from k on, or what is left. */
static inline __attribute__((always_inline)) void few_step(values *value, int bytes, int rows,
                                                           const float *x, int64_t x_stride,
                                                           const void *const *w, int64_t ahead,
                                                           int64_t k, int64_t left, vf sum[][FEW])
{
    vf from[MOST_ROWS];
#pragma GCC unroll 4
    for (int i = 0; i < rows; i++) from[i] = v_get(x + i * x_stride + k, left);
#pragma GCC unroll 4
    for (int j = 0; j < FEW; j++) {
        vf weight = weights_at(value, bytes, w[j], k, left);
        __builtin_prefetch((const char *)w[j] + bytes * k + ahead);
#if defined(AT_SIMD_avx2)
        __asm__("" : "+x"(weight)); /* gcc would load it for every row: more than a cycle has */
#endif
#pragma GCC unroll 4
        for (int i = 0; i < rows; i++) sum[i][j] = v_fma(weight, from[i], sum[i][j]);
    }
}

/* Up to MOST_ROWS rows of x (`value`, `bytes` and `rows` are constant where this is inlined). */
static inline __attribute__((always_inline)) void few(values *value, int bytes, int rows,
                                                      int64_t count, const float *x,
                                                      int64_t x_stride, const void *const *w,
                                                      int64_t ahead, float *sums)
{
    vf sum[MOST_ROWS][FEW];
    int64_t k = 0;
#pragma GCC unroll 4
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (int j = 0; j < FEW; j++) sum[i][j] = v_load(sums + (i * FEW + j) * LANES);
    for (; k + LANES <= count; k += LANES)
        few_step(value, bytes, rows, x, x_stride, w, ahead, k, LANES, sum);
    if (k < count) few_step(value, bytes, rows, x, x_stride, w, ahead, k, count - k, sum);
#pragma GCC unroll 4
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (int j = 0; j < FEW; j++) v_store(sums + (i * FEW + j) * LANES, sum[i][j]);
}

/* Of m rows. One alone waits for its sums. */
static inline int64_t rows_now(int64_t m)
{
    return m == MOST_ROWS + 1 ? 2 : AT_MIN(m, MOST_ROWS);
}

#define SUMS(name, value, bytes)                                                           \
    static void name(int64_t count, int64_t m, const uint32_t *words, int64_t x_stride,    \
                     const void *const *w, int64_t ahead, float *sums)                     \
    {                                                                                      \
        const float *x = (const float *)words;                                             \
        for (int64_t now; m > 0; m -= now, x += now * x_stride) {                          \
            now = rows_now(m);                                                             \
            if (now > 3) few(value, bytes, MOST_ROWS, count, x, x_stride, w, ahead, sums); \
            if (now == 3) few(value, bytes, 3, count, x, x_stride, w, ahead, sums);        \
            if (now == 2) few(value, bytes, 2, count, x, x_stride, w, ahead, sums);        \
            if (now == 1) few(value, bytes, 1, count, x, x_stride, w, ahead, sums);        \
            sums += now * FEW * LANES;                                                     \
        }                                                                                  \
    }

SUMS(lane_sums, from_f32, 4)
SUMS(f16_sums, from_f16, 2)
SUMS(bf16_sums, from_bf16, 2)
SUMS(f8_e4m3_sums, from_f8_e4m3, 1)
SUMS(f8_e5m2_sums, from_f8_e5m2, 1)

static at_lane_sums *sums_of(at_dtype dtype)
{
    switch (dtype) {
    case AT_F16:
        return f16_sums;
    case AT_BF16:
        return bf16_sums;
    case AT_F8_E4M3:
        return f8_e4m3_sums;
    case AT_F8_E5M2:
        return f8_e5m2_sums;
    default:
        return NULL;
    }
}

void AT_SIMD_NAME(at_simd_add_lanes)(int64_t count, const float *sums, float *out)
{
    for (int64_t i = 0; i < count; i++) out[i] = v_sum(v_load(sums + i * LANES));
}

float AT_SIMD_NAME(at_simd_soften)(int64_t count, float *scores, float *most)
{
    int64_t whole = count / LANES * LANES, i;
    vf largest = v_set(*most);
    for (i = 0; i < whole; i += LANES) largest = v_max(v_load(scores + i), largest);
    float now = v_largest(largest);
    for (; i < count; i++) now = scores[i] > now ? scores[i] : now;
    for (i = 0; now == -INFINITY && i < count; i++) /* NaN does not count as hidden */
        if (isnan(scores[i])) now = NAN;
    *most = now;
    if (now == -INFINITY) return 0;
    vf sum = v_set(0), base = v_set(now);
    for (i = 0; i < whole; i += LANES) {
        vf weight = v_exp_below(v_load(scores + i) - base);
        v_store(scores + i, weight);
        sum = sum + weight;
    }
    if (whole == count) return v_sum(sum);
    vf weight = v_exp_below(v_load_part(scores + i, count - i) - base);
    v_store_part(scores + i, weight, count - i);
    float rest = 0;
    for (; i < count; i++) rest += scores[i];
    return v_sum(sum) + rest;
}

static const at_gemm gemm = {
    .rows = ROWS,
    .columns = COLUMNS,
    .step = 1,
    .group = 1,
    .bits = 24,
    .block = 256,
    .pass = 256,
    .columns_of_job = 128,
    .scaled = 256,
    .lanes = LANES,
    .dtype = AT_F32,
    .to_words = to_words,
    .weight_to_words = to_words,
    .interleave = AT_SIMD_NAME(at_simd_interleave),
    .tile = tile,
    .half_tile = half_tile,
    .lane_sums = lane_sums,
    .few = 256,
    .sums_of = sums_of,
    .column_words = column_words,
    .soften = AT_SIMD_NAME(at_simd_soften),
    .add_lanes = AT_SIMD_NAME(at_simd_add_lanes),
};

void AT_SIMD_NAME(at_simd_products)(at_kernels *table)
{
    table->gemm[AT_PRECISION_F32] = &gemm;
    table->matmul = at_packed_matmul;
    table->conv = at_packed_conv;
    table->conv_parts = &AT_SIMD_NAME(at_simd_conv_parts);
    table->attention = at_packed_attention;
}
