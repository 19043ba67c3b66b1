/* The parts of the packed product that AVX2 has for int8. vpmaddubsw, its product of bytes,
   saturates and needs as many instructions as vpmaddwd, which multiplies pairs of 16 bits: so what
   int8 asks for is done in integers of 12 bits, 16 times finer. SCALED values of k share a scale,
   in x and in the weight; a word is a pair, and behind the words of SCALED values lies the scale.
   Sums of SCALED products fit 32 bits and are exact. Tile as in f32: 6 rows x 2 vectors. */
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/tables.h"
#include <immintrin.h>
#include <string.h>

enum { LANES = 8, ROWS = 6, COLUMNS = 2 * LANES };
enum { SCALED = 256, WORDS = SCALED / 2, SCALES = 1, MOST = 2047 };

/* The largest magnitude among what gave these bits without sign, and NaN for NaN and infinity,
   which are larger than all others as bits. */
static __m256 largest_of(__m256i bits)
{
    __m256i odd = _mm256_cmpgt_epi32(bits, _mm256_set1_epi32(0x7f7fffff));
    return _mm256_castsi256_ps(_mm256_or_si256(bits, odd));
}

static __m256i magnitude(__m256 x)
{
    return _mm256_and_si256(_mm256_castps_si256(x), _mm256_set1_epi32(0x7fffffff));
}

static __m256 inverse_of(__m256 largest)
{
    __m256 some = _mm256_cmp_ps(largest, _mm256_set1_ps(1e-30f), _CMP_GT_OQ);
    return _mm256_and_ps(some, _mm256_div_ps(_mm256_set1_ps(MOST), largest));
}

/* `count` values, a multiple of 16, to 12 bits. NaN and infinity make the scale NaN, and with it
   all that it touches. */
static float quantize(int64_t count, const float *in, int16_t *out)
{
    __m256i most = _mm256_setzero_si256();
    for (int64_t i = 0; i < count; i += LANES)
        most = _mm256_max_epi32(most, magnitude(_mm256_loadu_ps(in + i)));
    __m128i half = _mm_max_epi32(_mm256_castsi256_si128(most), _mm256_extracti128_si256(most, 1));
    half = _mm_max_epi32(half, _mm_shuffle_epi32(half, 0x4e));
    half = _mm_max_epi32(half, _mm_shuffle_epi32(half, 0xb1));
    __m256 largest = largest_of(_mm256_broadcastd_epi32(half)), inverse = inverse_of(largest);
    for (int64_t i = 0; i < count; i += 2 * LANES) {
        __m256i a = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(in + i), inverse));
        __m256i b = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(in + i + LANES), inverse));
        __m256i shorts = _mm256_permute4x64_epi64(_mm256_packs_epi32(a, b), 0xd8);
        _mm256_storeu_si256((__m256i *)(void *)(out + i), shorts);
    }
    return _mm256_cvtss_f32(largest) / MOST;
}

static void to_words(int64_t count, const float *in, uint32_t *out)
{
    for (; count > 0; count -= SCALED, in += SCALED, out += WORDS + SCALES) {
        float part[SCALED], scale;
        int16_t shorts[SCALED];
        int64_t now = count < SCALED ? count : SCALED, filled = (now + 15) / 16 * 16;
        int64_t words = (now + 1) / 2;
        if (now < filled) {
            memcpy(part, in, (size_t)now * sizeof *in);
            memset(part + now, 0, (size_t)(filled - now) * sizeof *in);
        }
        scale = quantize(filled, now < filled ? part : in, shorts);
        memcpy(out, shorts, (size_t)words * sizeof *out);
        memcpy(out + words, &scale, sizeof scale);
    }
}

/* A vector of columns of up to SCALED rows, of which `kept` (all bits set) are wanted. */
static void column_vector(int64_t rows, __m256i kept, const float *in, int64_t stride,
                          uint32_t *panel)
{
    __m256i most = _mm256_setzero_si256(), low = _mm256_set1_epi32(0xffff);
    for (int64_t i = 0; i < rows; i++)
        most = _mm256_max_epi32(most, magnitude(_mm256_maskload_ps(in + i * stride, kept)));
    __m256 largest = largest_of(most), inverse = inverse_of(largest);
    for (int64_t i = 0; i < rows; i += 2, panel += COLUMNS) {
        __m256 first = _mm256_maskload_ps(in + i * stride, kept), second = _mm256_setzero_ps();
        if (i + 1 < rows) second = _mm256_maskload_ps(in + (i + 1) * stride, kept);
        __m256i a = _mm256_cvtps_epi32(_mm256_mul_ps(first, inverse));
        __m256i b = _mm256_cvtps_epi32(_mm256_mul_ps(second, inverse));
        __m256i pair = _mm256_or_si256(_mm256_and_si256(a, low), _mm256_slli_epi32(b, 16));
        _mm256_storeu_si256((__m256i *)(void *)panel, pair);
    }
    _mm256_storeu_ps((float *)(void *)panel, _mm256_div_ps(largest, _mm256_set1_ps(MOST)));
}

static void column_words(int64_t rows, int64_t columns, const float *in, int64_t stride,
                         uint32_t *panel)
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    for (; rows > 0; rows -= SCALED, in += SCALED * stride, panel += (WORDS + SCALES) * COLUMNS)
        for (int j = 0; j < COLUMNS; j += LANES) {
            __m256i kept = _mm256_cmpgt_epi32(_mm256_set1_epi32((int)columns - j), lane);
            column_vector(rows < SCALED ? rows : SCALED, kept, in + j, stride, panel + j);
        }
}

/* As instructions, for gcc 12 spills the sums of a tile around their intrinsics. */
static inline __m256i multiply_add(__m256i sum, __m256i x, __m256i weight)
{
    __m256i product;
    __asm__("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0"
            : "+x"(sum), "=&x"(product)
            : "x"(x), "x"(weight));
    return sum;
}

/* The part of a tile that shares scales: `count` words, then the scale. */
static void scaled_tile(int64_t count, const uint32_t *a, int64_t a_stride, const uint32_t *panel,
                        float *c, int64_t c_stride, bool add)
{
    const uint32_t *row[ROWS / 3] = {a, a + 3 * a_stride};
    __m256i sum[ROWS][2];
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; i++) sum[i][0] = sum[i][1] = _mm256_setzero_si256();
    for (int64_t k = 0; k < count; k++, panel += COLUMNS) {
        __m256i b0 = _mm256_loadu_si256((const __m256i *)(const void *)panel);
        __m256i b1 = _mm256_loadu_si256((const __m256i *)(const void *)(panel + LANES));
#pragma GCC unroll 16
        for (int i = 0; i < ROWS; i++) {
            __m256i x = _mm256_set1_epi32((int)row[i / 3][i % 3 * a_stride]);
            sum[i][0] = multiply_add(sum[i][0], x, b0);
            sum[i][1] = multiply_add(sum[i][1], x, b1);
        }
        row[0]++, row[1]++;
    }
#pragma GCC unroll 2
    for (int j = 0; j < 2; j++) {
        __m256 scale = _mm256_loadu_ps((const float *)(const void *)panel + j * LANES);
#pragma GCC unroll 16
        for (int i = 0; i < ROWS; i++) {
            float *at = c + i * c_stride + j * LANES, x_scale;
            memcpy(&x_scale, row[i / 3] + i % 3 * a_stride, sizeof x_scale);
            __m256 by = _mm256_mul_ps(scale, _mm256_set1_ps(x_scale));
            __m256 old = add ? _mm256_loadu_ps(at) : _mm256_setzero_ps();
            _mm256_storeu_ps(at, _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum[i][j]), by, old));
        }
    }
}

static void tile(int64_t count, const uint32_t *a, int64_t a_stride, const uint32_t *panel,
                 float *c, int64_t c_stride, bool add)
{
    at_gemm_scaled_tile(&at_gemm_avx2integers, scaled_tile, count, a, a_stride, panel, c, c_stride,
                        add);
}

const at_gemm at_gemm_avx2integers = {
    .rows = ROWS,
    .columns = COLUMNS,
    .step = 1,
    .group = 2,
    .bits = 12,
    .block = AT_GEMM_VALUES,
    .pass = AT_GEMM_VALUES,
    .columns_of_job = 128,
    .scaled = SCALED,
    .scales = SCALES,
    .lanes = LANES,
    .dtype = AT_DTYPES,
    .to_words = to_words,
    .weight_to_words = to_words,
    .interleave = at_simd_interleave_avx2,
    .tile = tile,
    .column_words = column_words,
    .finer = &at_simd_integers_avx2,
};
