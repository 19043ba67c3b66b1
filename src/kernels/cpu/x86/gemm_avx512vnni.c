/* The parts of the packed product in int8. SCALED values of k share a scale, in x (per row, found
   on the fly) and in the weight (per output channel), so that an outlier costs only its neighbours
   precision. A word is four values. Behind the words of SCALED values lie two more: the scale, and
   for the weight 128 times the sum of its values. vpdpbusd multiplies unsigned by signed: x is
   stored plus 128, which that second word takes off again. Tile as in f32: 12 rows x 2 vectors. */
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/tables.h"
#include <immintrin.h>
#include <string.h>

enum { LANES = 16, ROWS = 12, COLUMNS = 2 * LANES };
enum { SCALED = 256, WORDS = SCALED / 4, SCALES = 2 };

static __mmask16 first_lanes(int64_t count)
{
    return count >= LANES ? 0xffff : (__mmask16)((1u << count) - 1);
}

/* Up to SCALED values. NaN and infinity make the scale NaN, and with it all that it touches. */
static void quantize(int64_t count, const float *in, uint32_t *out, bool is_weight)
{
    __m512 most = _mm512_setzero_ps(), odd = most;
    for (int64_t i = 0; i < count; i += LANES) {
        __m512 x = _mm512_maskz_loadu_ps(first_lanes(count - i), in + i);
        most = _mm512_max_ps(most, _mm512_abs_ps(x));
        odd = _mm512_add_ps(odd, _mm512_sub_ps(x, x)); /* 0, or NaN once there was one */
    }
    float largest = _mm512_reduce_max_ps(most);
    float scale = largest / 127.0f + _mm512_reduce_add_ps(odd);
    __m512 inverse = _mm512_set1_ps(largest > 0 ? 127.0f / largest : 0.0f);
    __m512i sum = _mm512_setzero_si512(), shift = _mm512_set1_epi32(is_weight ? 0 : 128);
    int64_t words = (count + 3) / 4;
    for (int64_t i = 0; i < count; i += LANES) {
        __m512 x = _mm512_maskz_loadu_ps(first_lanes(count - i), in + i);
        __m512i q = _mm512_cvtps_epi32(_mm512_mul_ps(x, inverse));
        sum = _mm512_add_epi32(sum, q);
        __m128i bytes = _mm512_cvtepi32_epi8(_mm512_add_epi32(q, shift));
        _mm_mask_storeu_epi32(out + i / 4, (__mmask8)(first_lanes(words - i / 4) & 15), bytes);
    }
    int32_t correction = is_weight ? 128 * _mm512_reduce_add_epi32(sum) : 0;
    memcpy(out + words, &scale, 4);
    memcpy(out + words + 1, &correction, 4);
}

static void all_to_words(int64_t count, const float *in, uint32_t *out, bool is_weight)
{
    for (int64_t i = 0; i < count; i += SCALED, out += WORDS + SCALES)
        quantize(count - i < SCALED ? count - i : SCALED, in + i, out, is_weight);
}

static void to_words(int64_t count, const float *in, uint32_t *out)
{
    all_to_words(count, in, out, false);
}

static void weight_to_words(int64_t count, const float *in, uint32_t *out)
{
    all_to_words(count, in, out, true);
}

/* As an instruction, for gcc 12 spills the sums of a tile around its intrinsic. */
static inline __m512i multiply_add(__m512i sum, __m512i x, __m512i weight)
{
#if defined(AT_EMULATED_IMMINTRIN_H)
    return _mm512_dpbusd_epi32(sum, x, weight);
#endif
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(x), "v"(weight));
    return sum;
}

/* The part of a tile that shares scales: `count` words, then the two. */
static void scaled_tile(int64_t count, const uint32_t *a, int64_t a_stride, const uint32_t *panel,
                        float *c, int64_t c_stride, bool add)
{
    const uint32_t *row[ROWS / 3];
    __m512i sum[ROWS][2];
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; i++) sum[i][0] = sum[i][1] = _mm512_setzero_si512();
    for (int i = 0; i < ROWS / 3; i++) row[i] = a + 3 * i * a_stride;
    for (int64_t k = 0; k < count; k++, panel += COLUMNS) {
        __m512i b0 = _mm512_loadu_si512(panel), b1 = _mm512_loadu_si512(panel + LANES);
#pragma GCC unroll 16
        for (int i = 0; i < ROWS; i++) {
            __m512i x = _mm512_set1_epi32((int)row[i / 3][i % 3 * a_stride]);
            sum[i][0] = multiply_add(sum[i][0], x, b0);
            sum[i][1] = multiply_add(sum[i][1], x, b1);
        }
#pragma GCC unroll 16
        for (int i = 0; i < ROWS / 3; i++) row[i]++;
    }
#pragma GCC unroll 2
    for (int j = 0; j < 2; j++) {
        __m512 scale = _mm512_loadu_ps(panel + j * LANES);
        __m512i correction = _mm512_loadu_si512(panel + COLUMNS + j * LANES);
#pragma GCC unroll 16
        for (int i = 0; i < ROWS; i++) {
            float *at = c + i * c_stride + j * LANES, x_scale;
            memcpy(&x_scale, row[i / 3] + i % 3 * a_stride, 4);
            __m512 now = _mm512_cvtepi32_ps(_mm512_sub_epi32(sum[i][j], correction));
            __m512 old = add ? _mm512_loadu_ps(at) : _mm512_setzero_ps();
            _mm512_storeu_ps(
                at, _mm512_fmadd_ps(now, _mm512_mul_ps(scale, _mm512_set1_ps(x_scale)), old));
        }
    }
}

static void tile(int64_t count, const uint32_t *a, int64_t a_stride, const uint32_t *panel,
                 float *c, int64_t c_stride, bool add)
{
    at_gemm_scaled_tile(&at_gemm_avx512vnni, scaled_tile, count, a, a_stride, panel, c, c_stride,
                        add);
}

const at_gemm at_gemm_avx512vnni = {
    .rows = ROWS,
    .columns = COLUMNS,
    .step = 1,
    .group = 4,
    .bits = 8,
    .block = AT_GEMM_VALUES,
    .pass = AT_GEMM_VALUES,
    .columns_of_job = 128,
    .scaled = SCALED,
    .scales = SCALES,
    .lanes = LANES,
    .dtype = AT_DTYPES,
    .to_words = to_words,
    .weight_to_words = weight_to_words,
    .interleave = at_simd_interleave_avx512,
    .tile = tile,
    .finer = &at_simd_integers_avx512,
};
