/* The parts of the packed product in bf16: a word is a pair of neighbours in k, vdpbf16ps adds the
   products of a pair to an f32 sum. Tile as in f32: 12 rows x 2 vectors. Numbers are rounded to
   nearest even; denormals count as 0, as the instruction has it. */
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/tables.h"
#include <immintrin.h>
#include <math.h>
#include <string.h>

enum { LANES = 16, ROWS = 12, COLUMNS = 2 * LANES };
enum { FEW = AT_GEMM_FEW_COLUMNS, MOST_ROWS = 4 /* of few */ };

static __m512i pairs(__m512 low, __m512 high)
{
    return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}

static void to_words(int64_t count, const float *in, uint32_t *out)
{
    int64_t i = 0;
    for (; i + 32 <= count; i += 32)
        _mm512_storeu_si512(out + i / 2,
                            pairs(_mm512_loadu_ps(in + i), _mm512_loadu_ps(in + i + 16)));
    if (i == count) return;
    uint32_t rest = (1u << (count - i)) - 1;
    __m512 low = _mm512_maskz_loadu_ps((__mmask16)rest, in + i);
    __m512 high = _mm512_maskz_loadu_ps((__mmask16)(rest >> 16), in + i + 16);
    uint32_t words = (1u << ((count - i + 1) / 2)) - 1;
    _mm512_mask_storeu_epi32(out + i / 2, (__mmask16)words, pairs(low, high));
}

/* 16 columns of two neighbouring rows: the pairs stand in place already. */
static __m512i row_pairs(__mmask16 mask, const float *first, const float *second)
{
    __m512i low =
        _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(mask, first)));
    __m512i high = _mm512_setzero_si512();
    if (second)
        high =
            _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(mask, second)));
    return _mm512_or_si512(low, _mm512_slli_epi32(high, 16));
}

static void column_words(int64_t rows, int64_t columns, const float *in, int64_t stride,
                         uint32_t *panel)
{
    uint32_t mask = (uint32_t)((1ull << columns) - 1);
    for (int64_t i = 0; i < rows; i += 2, in += 2 * stride, panel += COLUMNS) {
        const float *second = i + 1 < rows ? in + stride : NULL;
        _mm512_storeu_si512(panel, row_pairs((__mmask16)mask, in, second));
        _mm512_storeu_si512(panel + LANES, row_pairs((__mmask16)(mask >> 16), in + LANES,
                                                     second ? second + LANES : NULL));
    }
}

static __m512 multiply_add(__m512 sum, __m512i a, __m512i b)
{
    return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b);
}

/* `vectors` of the tile's columns, constant where this is inlined. */
__attribute__((always_inline)) static inline void tile_of(int vectors, int64_t count,
                                                          const uint32_t *a, int64_t a_stride,
                                                          const uint32_t *panel, float *c,
                                                          int64_t c_stride, bool add)
{
    const uint32_t *row[ROWS / 3];
    __m512 sum[ROWS][2];
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; i++) sum[i][0] = sum[i][1] = _mm512_setzero_ps();
    for (int i = 0; i < ROWS / 3; i++) row[i] = a + 3 * i * a_stride;
    for (int64_t k = 0; k < count; k++, panel += COLUMNS) {
        __m512i b0 = _mm512_loadu_si512(panel), b1 = _mm512_loadu_si512(panel + LANES);
#pragma GCC unroll 16
        for (int i = 0; i < ROWS; i++) {
            __m512i x = _mm512_set1_epi32((int)row[i / 3][i % 3 * a_stride]);
            sum[i][0] = multiply_add(sum[i][0], x, b0);
            if (vectors > 1) sum[i][1] = multiply_add(sum[i][1], x, b1);
        }
#pragma GCC unroll 16
        for (int i = 0; i < ROWS / 3; i++) row[i]++;
    }
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; i++, c += c_stride)
        for (int j = 0; j < vectors; j++) {
            float *at = c + j * LANES;
            _mm512_storeu_ps(at, add ? _mm512_add_ps(_mm512_loadu_ps(at), sum[i][j]) : sum[i][j]);
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

/* LANES words of the rows of x and of the weight (those of the mask), multiplied. */
static inline void few_step(int rows, __mmask16 mask, const uint32_t *x, int64_t x_stride,
                            const void *const *w, int64_t ahead, int64_t k, __m512 sum[][FEW])
{
    __m512i weight[FEW];
#pragma GCC unroll 4
    for (int j = 0; j < FEW; j++) {
        weight[j] = _mm512_maskz_loadu_epi32(mask, (const char *)w[j] + 4 * k);
        __builtin_prefetch((const char *)w[j] + 4 * k + ahead);
    }
#pragma GCC unroll 4
    for (int i = 0; i < rows; i++) {
        __m512i from = _mm512_maskz_loadu_epi32(mask, x + i * x_stride + k);
#pragma GCC unroll 4
        for (int j = 0; j < FEW; j++) sum[i][j] = multiply_add(sum[i][j], from, weight[j]);
    }
}

/* Up to MOST_ROWS rows of x (`rows` is constant where this is inlined). */
static inline void few(int rows, int64_t count, const uint32_t *x, int64_t x_stride,
                       const void *const *w, int64_t ahead, float *sums)
{
    __m512 sum[MOST_ROWS][FEW];
#pragma GCC unroll 4
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (int j = 0; j < FEW; j++) sum[i][j] = _mm512_loadu_ps(sums + (i * FEW + j) * LANES);
    int64_t k = 0;
    for (; k + LANES <= count; k += LANES) few_step(rows, 0xffff, x, x_stride, w, ahead, k, sum);
    if (k < count)
        few_step(rows, (__mmask16)((1u << (count - k)) - 1), x, x_stride, w, ahead, k, sum);
#pragma GCC unroll 4
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (int j = 0; j < FEW; j++) _mm512_storeu_ps(sums + (i * FEW + j) * LANES, sum[i][j]);
}

static void lane_sums(int64_t count, int64_t m, const uint32_t *x, int64_t x_stride,
                      const void *const *w, int64_t ahead, float *sums)
{
    for (; m >= MOST_ROWS; m -= MOST_ROWS, x += MOST_ROWS * x_stride) {
        few(MOST_ROWS, count, x, x_stride, w, ahead, sums);
        sums += MOST_ROWS * FEW * LANES;
    }
    if (m == 3) few(3, count, x, x_stride, w, ahead, sums);
    if (m == 2) few(2, count, x, x_stride, w, ahead, sums);
    if (m == 1) few(1, count, x, x_stride, w, ahead, sums);
}

/* 2^x within 8e-5 of it; infinities give 0 and infinity, NaN stays. */
static inline __m512 power(__m512 x)
{
    __m512 f = _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
    __m512 p = _mm512_fmadd_ps(f, _mm512_set1_ps(0.07802452f), _mm512_set1_ps(0.22606716f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.69583354f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.99992522f));
    return _mm512_scalef_ps(p, x);
}

/* The largest score, no less than `most`; NaN if there is nothing but NaN and hidden ones. */
static float largest(int64_t count, const float *scores, float most)
{
    __m512 top[2] = {_mm512_set1_ps(most), _mm512_set1_ps(most)};
    int64_t i = 0;
    for (; i + 2 * LANES <= count; i += 2 * LANES)
        for (int j = 0; j < 2; j++) /* top where x is NaN */
            top[j] = _mm512_max_ps(_mm512_loadu_ps(scores + i + j * LANES), top[j]);
    for (; i < count; i += LANES) {
        __mmask16 some = count - i < LANES ? (__mmask16)((1u << (count - i)) - 1) : 0xffff;
        top[0] = _mm512_max_ps(_mm512_mask_loadu_ps(top[0], some, scores + i), top[0]);
    }
    most = _mm512_reduce_max_ps(_mm512_max_ps(top[0], top[1]));
    for (i = 0; most == -INFINITY && i < count; i++)
        if (isnan(scores[i])) most = NAN;
    return most;
}

/* The maximum may stay up to SLACK behind: weights are floating point numbers, and to scale what
   was added up before costs more. */
static float soften(int64_t count, float *scores, float *most)
{
    enum { SLACK = 16 };
    const __m512 log2_e = _mm512_set1_ps(1.44269504f), lowest = _mm512_set1_ps(-INFINITY);
    float now = largest(count, scores, *most);
    if (!(now <= *most + SLACK)) *most = now;
    if (*most == -INFINITY) return 0;
    bool far = fabsf(*most) > 1e30f; /* times log2 e it might be no number any more */
    for (int64_t i = 0; far && i < count; i++) scores[i] -= *most;
    __m512 base = _mm512_set1_ps(far ? 0 : *most * 1.44269504f);
    __m512 sum[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
    for (int64_t i = 0; i < count; i += 2 * LANES) {
        __m512 x, y;
        if (count - i >= 2 * LANES) {
            x = _mm512_loadu_ps(scores + i), y = _mm512_loadu_ps(scores + i + LANES);
        } else {
            uint32_t some = (1u << (count - i)) - 1;
            x = _mm512_mask_loadu_ps(lowest, (__mmask16)some, scores + i);
            y = _mm512_mask_loadu_ps(lowest, (__mmask16)(some >> 16), scores + i + LANES);
        }
        x = power(_mm512_fmsub_ps(x, log2_e, base));
        y = power(_mm512_fmsub_ps(y, log2_e, base));
        sum[0] = _mm512_add_ps(sum[0], x);
        sum[1] = _mm512_add_ps(sum[1], y);
        _mm512_storeu_si512(scores + i / 2, pairs(x, y));
    }
    return _mm512_reduce_add_ps(_mm512_add_ps(sum[0], sum[1]));
}

const at_gemm at_gemm_avx512bf16 = {
    .rows = ROWS,
    .columns = COLUMNS,
    .step = 1,
    .group = 2,
    .bits = 8,
    .block = 1024,
    .pass = 1024,
    .columns_of_job = 128,
    .scaled = 1024,
    .lanes = LANES,
    .dtype = AT_BF16,
    .to_words = to_words,
    .weight_to_words = to_words,
    .interleave = at_simd_interleave_avx512,
    .tile = tile,
    .half_tile = half_tile,
    .few = 512,
    .lane_sums = lane_sums,
    .finer = &at_simd_integers_avx512,
    .column_words = column_words,
    .soften = soften,
    .add_lanes = at_simd_add_lanes_avx512,
};
