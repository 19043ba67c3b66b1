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

/* Up to SCALED values, filled up to SCALED with zeros. NaN and infinity make the scale NaN, and
   with it all that it touches. */
static float quantize(const float *in, int16_t *out)
{
    const __m256 sign = _mm256_set1_ps(-0.0f);
    __m256 most = _mm256_setzero_ps(), odd = most;
    for (int i = 0; i < SCALED; i += LANES) {
        __m256 x = _mm256_loadu_ps(in + i);
        most = _mm256_max_ps(_mm256_andnot_ps(sign, x), most);
        odd = _mm256_add_ps(odd, _mm256_sub_ps(x, x)); /* 0, or NaN once there was one */
    }
    float lanes[2][LANES], largest = 0, nan = 0;
    _mm256_storeu_ps(lanes[0], most);
    _mm256_storeu_ps(lanes[1], odd);
    for (int i = 0; i < LANES; i++) {
        largest = lanes[0][i] > largest ? lanes[0][i] : largest;
        nan += lanes[1][i];
    }
    __m256 inverse = _mm256_set1_ps(largest > 1e-30f ? MOST / largest : 0.0f);
    for (int i = 0; i < SCALED; i += 2 * LANES) {
        __m256i a = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(in + i), inverse));
        __m256i b = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(in + i + LANES), inverse));
        __m256i shorts = _mm256_permute4x64_epi64(_mm256_packs_epi32(a, b), 0xd8);
        _mm256_storeu_si256((__m256i *)(void *)(out + i), shorts);
    }
    return largest / MOST + nan;
}

static void to_words(int64_t count, const float *in, uint32_t *out)
{
    for (; count > 0; count -= SCALED, in += SCALED, out += WORDS + SCALES) {
        float part[SCALED], scale;
        int16_t shorts[SCALED];
        int64_t words = WORDS;
        if (count < SCALED) {
            memset(part, 0, sizeof part);
            memcpy(part, in, (size_t)count * sizeof *in);
            words = (count + 1) / 2;
        }
        scale = quantize(count < SCALED ? part : in, shorts);
        memcpy(out, shorts, (size_t)words * sizeof *out);
        memcpy(out + words, &scale, sizeof scale);
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
    .finer = &at_simd_integers_avx2,
};
