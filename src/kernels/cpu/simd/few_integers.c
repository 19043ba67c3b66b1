/* Products of few rows with weights in blocks of integers, where unpacking them to floats would
   take longer than reading them. SCALED values of x share a scale and become integers of 16 bits
   (finer than bf16's 8 bits unless one of them is more than 100 times the rest); pairs of them are
   multiplied with the weight's integers as they are, exactly, and the sums scaled in f32. In the K
   types the scales of a block are integers too and go into the weight's. What blocks add to all of
   some values is multiplied with the sums of x there.

   Words of x: SCALED / 2 of integers, the scale, and from SUMS_AT on the sums of 16 values each. */
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/simd/simd.h"
#include "kernels/cpu/tables.h"

#if !defined(AT_SIMD_neon)

enum { SCALED = 256, WORDS = SCALED / 2, SUMS_AT = WORDS + 8, SUMS = SCALED / 16 };
enum { SCALES = 8 + SUMS, STEP = WORDS + SCALES };
enum { SHORTS = 2 * LANES, VECTORS = 32 / SHORTS /* of 32 values */ };

#if defined(AT_SIMD_avx512)
typedef int16_t vs __attribute__((vector_size(64), may_alias));

static inline vs s_load(const void *p)
{
    return (vs)_mm512_loadu_si512(p);
}
static inline vs s_signed(const uint8_t *p)
{
    return (vs)_mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(const void *)p));
}
static inline vs s_bytes(const uint8_t *p)
{
    return (vs)_mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i *)(const void *)p));
}
/* The low halves of 16 bytes, then the high ones. */
static inline void s_nibbles(const uint8_t *p, vs out[VECTORS])
{
    __m256i bytes = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(const void *)p));
    __m512i twice = _mm512_broadcast_i64x4(bytes);
    __m512i by = _mm512_inserti64x4(_mm512_setzero_si512(), _mm256_set1_epi16(4), 1);
    out[0] = (vs)_mm512_and_si512(_mm512_srlv_epi16(twice, by), _mm512_set1_epi16(15));
}
static inline vi s_multiply(vs a, vs b)
{
    return (vi)_mm512_madd_epi16((__m512i)a, (__m512i)b);
}
/* What 16 values have, then the next 16. */
static inline vs s_scales(const int32_t *scale)
{
    __m512i first = _mm512_set1_epi32(scale[0]);
    return (vs)_mm512_inserti64x4(first, _mm256_set1_epi32(scale[1]), 1);
}
/* -1 where a bit is set. */
static inline void s_bits(uint32_t bits, vs out[VECTORS])
{
    out[0] = (vs)_mm512_movm_epi16((__mmask32)bits);
}
static inline vi v_nearest(vf x)
{
    return (vi)_mm512_cvtps_epi32(x);
}
static inline void v_store_shorts(int16_t *p, vi x)
{
    _mm256_storeu_si256((__m256i *)(void *)p, _mm512_cvtepi32_epi16((__m512i)x));
}
#else
typedef int16_t vs __attribute__((vector_size(32), may_alias));

static inline vs s_load(const void *p)
{
    return (vs)_mm256_loadu_si256(p);
}
static inline vs s_signed(const uint8_t *p)
{
    return (vs)_mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)p));
}
static inline vs s_bytes(const uint8_t *p)
{
    return (vs)_mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(const void *)p));
}
static inline void s_nibbles(const uint8_t *p, vs out[VECTORS])
{
    vs bytes = s_bytes(p);
    out[0] = bytes & 15;
    out[1] = bytes >> 4;
}
static inline vi s_multiply(vs a, vs b)
{
    return (vi)_mm256_madd_epi16((__m256i)a, (__m256i)b);
}
static inline vs s_scales(const int32_t *scale)
{
    return (vs)_mm256_set1_epi32(scale[0]);
}
static inline void s_bits(uint32_t bits, vs out[VECTORS])
{
    const vs one = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, -32768};
    out[0] = ((vs)_mm256_set1_epi16((int16_t)bits) & one) == one;
    out[1] = ((vs)_mm256_set1_epi16((int16_t)(bits >> 16)) & one) == one;
}
static inline vi v_nearest(vf x)
{
    return (vi)_mm256_cvtps_epi32(x);
}
static inline void v_store_shorts(int16_t *p, vi x)
{
    __m128i low = _mm256_castsi256_si128((__m256i)x),
            high = _mm256_extracti128_si256((__m256i)x, 1);
    _mm_storeu_si128((__m128i *)(void *)p, _mm_packs_epi32(low, high));
}
#endif

/* ---- x */

/* Up to SCALED values. NaN and infinity make the scale NaN, and with it all that it touches. */
static void quantize(int64_t count, const float *in, uint32_t *out)
{
    vf most = v_set(0), odd = most;
    FOR_VECTORS(count)
    {
        vf x = v_get(in + i, left);
        most = v_max(v_abs(x), most);
        odd = odd + (x - x); /* 0, or NaN once there was one */
    }
    float largest = v_largest(most), scale = largest / 32767.0f + v_sum(odd);
    vf inverse = v_set(largest > 1e-30f ? 32767.0f / largest : 0.0f);
    int16_t values[SCALED] = {0};
    FOR_VECTORS(count) v_store_shorts(values + i, v_nearest(v_get(in + i, left) * inverse));
    float scales[SCALES] = {scale};
    for (int j = 0; j < SUMS; j++) {
        int32_t sum = 0;
        for (int i = 0; i < 16; i++) sum += values[16 * j + i];
        scales[SUMS_AT - WORDS + j] = (float)sum * scale;
    }
    int64_t words = (count + 1) / 2;
    memcpy(out, values, (size_t)words * sizeof *out);
    memcpy(out + words, scales, sizeof scales);
}

static void to_words(int64_t count, const float *in, uint32_t *out)
{
    for (int64_t i = 0; i < count; i += SCALED, out += STEP)
        quantize(count - i < SCALED ? count - i : SCALED, in + i, out);
}

/* ---- blocks of 32: a scale each, some a minimum */

static inline float half_at(const uint8_t *p)
{
    uint16_t bits;
    memcpy(&bits, p, sizeof bits);
    return _cvtsh_ss(bits);
}

static inline void q8_0(const uint8_t *in, vs w[VECTORS])
{
    for (int i = 0; i < VECTORS; i++) w[i] = s_signed(in + 2 + i * SHORTS);
}

static inline void q4_0(const uint8_t *in, vs w[VECTORS])
{
    s_nibbles(in + 2, w);
    for (int i = 0; i < VECTORS; i++) w[i] = w[i] - 8;
}

static inline void q4_1(const uint8_t *in, vs w[VECTORS])
{
    s_nibbles(in + 4, w);
}

static inline uint32_t bits_at(const uint8_t *p)
{
    uint32_t bits;
    memcpy(&bits, p, sizeof bits);
    return bits;
}

static inline void q5_0(const uint8_t *in, vs w[VECTORS])
{
    vs fifth[VECTORS];
    s_nibbles(in + 6, w);
    s_bits(~bits_at(in + 2), fifth);
    for (int i = 0; i < VECTORS; i++) w[i] = w[i] | fifth[i] << 4; /* less 16 where it is 0 */
}

static inline void q5_1(const uint8_t *in, vs w[VECTORS])
{
    vs fifth[VECTORS];
    s_nibbles(in + 8, w);
    s_bits(bits_at(in + 4), fifth);
    for (int i = 0; i < VECTORS; i++) w[i] = w[i] | (fifth[i] & 16);
}

/* The integers of a block times its scale, with 32 of x from `words` on. */
static inline vf scaled_sum(const vs w[VECTORS], vf scale, const uint32_t *words, vf sum)
{
    vi products = s_multiply(w[0], s_load(words));
    if (VECTORS > 1) products = products + s_multiply(w[VECTORS - 1], s_load(words + LANES));
    return v_fma(v_float(products), scale, sum);
}

enum { MOST_ROWS = 4 /* at once */ };

static inline void fetch(const uint8_t *p, int64_t bytes)
{
    for (int64_t i = 0; i < bytes; i += 64) __builtin_prefetch(p + i);
}

/* Constant where it is inlined: how integers are read, the bytes of a block, where it has a minimum
   (0: nowhere), the rows of x. */
static inline __attribute__((always_inline)) void
simple_column(void (*read)(const uint8_t *in, vs w[VECTORS]), int bytes, int minimum, int m,
              int64_t count, const uint32_t *x, int64_t x_stride, const uint8_t *w, int64_t ahead,
              float *sums)
{
    vf all[MOST_ROWS];
#pragma GCC unroll 4
    for (int i = 0; i < m; i++) all[i] = v_load(sums + i * AT_GEMM_FEW_COLUMNS * LANES);
    for (; count > 0; count -= STEP, x += STEP) {
        fetch(w + ahead, bytes * SCALED / 32);
        int64_t words = (count < STEP ? count : STEP) - SCALES;
        float least[SUMS] = {0}; /* of 16 values each */
        vf part[MOST_ROWS];
#pragma GCC unroll 4
        for (int i = 0; i < m; i++) part[i] = v_set(0);
        for (int64_t k = 0; k < words; k += 16, w += bytes) {
            vs integers[VECTORS];
            read(w, integers);
            vf scale = v_set(half_at(w));
            if (minimum) least[k / 8] = least[k / 8 + 1] = half_at(w + minimum);
#pragma GCC unroll 4
            for (int i = 0; i < m; i++)
                part[i] = scaled_sum(integers, scale, x + i * x_stride + k, part[i]);
        }
#pragma GCC unroll 4
        for (int i = 0; i < m; i++) {
            const float *of_x = (const float *)(const void *)(x + i * x_stride + words);
            all[i] = v_fma(part[i], v_set(of_x[0]), all[i]);
            for (int j = 0; j < SUMS && minimum; j += LANES)
                all[i] = v_fma(v_load(least + j), v_load(of_x + SUMS_AT - WORDS + j), all[i]);
        }
    }
#pragma GCC unroll 4
    for (int i = 0; i < m; i++) v_store(sums + i * AT_GEMM_FEW_COLUMNS * LANES, all[i]);
}

/* ---- blocks of 256 (tensor/kblocks.c) */

enum { ALL = SCALED / SHORTS, AT_ONCE = 1024 /* values */, BLOCKS = AT_ONCE / SCALED };

/* What belongs to the integers of a block: the scales of 16 each, twice in a lane, what the sums
   are multiplied with, and what their minima add to 16 values each. Read for some blocks before
   their integers are: the processor does not see that far ahead. */
typedef struct K_scales {
    int32_t scale[SUMS];
    vf factor, less[SUMS / LANES];
} K_scales;

/* From bytes that are `zero` too high. */
static inline void set_scales(const uint8_t bytes[SUMS], int zero, const uint8_t *factor,
                              K_scales *out)
{
    for (int i = 0; i < SUMS; i += LANES) {
        vi scale = (v_bytes(bytes + i) << 24 >> 24) - zero, twice = (scale & 0xffff) | scale << 16;
        memcpy(out->scale + i, &twice, sizeof twice);
    }
    out->factor = v_set(half_at(factor));
}

static inline void set_minima(const uint8_t bytes[SUMS], const uint8_t *factor, K_scales *out)
{
    for (int i = 0; i < SUMS / LANES; i++)
        out->less[i] = v_float(v_bytes(bytes + i * LANES)) * v_set(-half_at(factor));
}

/* Each of eight bytes twice. */
static inline void double_bytes(uint64_t bytes, uint8_t out[SUMS])
{
    __m128i x = _mm_cvtsi64_si128((long long)bytes);
    _mm_storeu_si128((__m128i *)(void *)out, _mm_unpacklo_epi8(x, x));
}

/* q4_K, q5_K: eight scales, eight minima of 6 bits. */
static inline void read_scales_6(const uint8_t *in, K_scales *out)
{
    uint32_t from[3];
    uint8_t bytes[SUMS];
    for (int i = 0; i < 3; i++) from[i] = bits_at(in + 4 + 4 * i);
    uint64_t high = (from[2] & 0x0f0f0f0f) | (from[0] >> 6 & 0x03030303) << 4;
    double_bytes(high << 32 | (from[0] & 0x3f3f3f3f), bytes);
    set_scales(bytes, 0, in, out);
    high = (from[2] >> 4 & 0x0f0f0f0f) | (from[1] >> 6 & 0x03030303) << 4;
    double_bytes(high << 32 | (from[1] & 0x3f3f3f3f), bytes);
    set_minima(bytes, in + 2, out);
}

static inline void read_scales_q2(const uint8_t *in, K_scales *out)
{
    uint8_t scale[SUMS], minimum[SUMS];
    for (int i = 0; i < SUMS; i++) scale[i] = in[i] & 15, minimum[i] = in[i] >> 4;
    set_scales(scale, 0, in + 80, out);
    set_minima(minimum, in + 82, out);
}

static inline void read_scales_q3(const uint8_t *in, K_scales *out)
{
    const uint64_t nibbles = 0x0f0f0f0f0f0f0f0f, pairs = 0x0303030303030303;
    uint64_t low, high = bits_at(in + 104), both[2];
    memcpy(&low, in + 96, sizeof low);
    high |= high << 30; /* bytes 4 to 7: two bits on */
    both[0] = (low & nibbles) | (high & pairs) << 4;
    both[1] = (low >> 4 & nibbles) | (high >> 4 & pairs) << 4;
    set_scales((const uint8_t *)both, 32, in + 108, out);
}

static inline void read_scales_q6(const uint8_t *in, K_scales *out)
{
    set_scales(in + 192, 0, in + 208, out);
}

/* Vector i of the integers, without scales. */
static inline vs code_q2(const uint8_t *in, int i)
{
    int at = i * SHORTS, quarter = at / 32 % 4;
    return s_bytes(in + 16 + 32 * (at / 128) + at % 32) >> (2 * quarter) & 3;
}

static inline vs code_q3(const uint8_t *in, int i)
{
    int at = i * SHORTS, quarter = at / 32 % 4, half = at / 128;
    vs low = s_bytes(in + 32 + 32 * half + at % 32) >> (2 * quarter) & 3;
    vs high = s_bytes(in + at % 32) << 2 >> (4 * half + quarter) & 4;
    return (low | high) - 4;
}

static inline vs code_q4(const uint8_t *in, int i)
{
    int at = i * SHORTS;
    return s_bytes(in + 16 + 32 * (at / 64) + at % 32) >> (at / 32 % 2 * 4) & 15;
}

static inline vs code_q5(const uint8_t *in, int i)
{
    int at = i * SHORTS;
    vs low = s_bytes(in + 48 + 32 * (at / 64) + at % 32) >> (at / 32 % 2 * 4) & 15;
    return low | (s_bytes(in + 16 + at % 32) << 4 >> (at / 32) & 16);
}

static inline vs code_q6(const uint8_t *in, int i)
{
    int at = i * SHORTS, half = at / 128, quarter = at / 32 % 4;
    vs low = s_bytes(in + 64 * half + at % 64) >> (quarter / 2 * 4) & 15;
    vs high = s_bytes(in + 128 + 32 * half + at % 32) << 4 >> (2 * quarter) & 48;
    return (low | high) - 32;
}

/* SCALED products; exact: a lane of a sum adds at most 16 of 2^12 * (2^15 - 1). */
static inline vf integer_sum(const vs w[ALL], const uint32_t *x)
{
    vi sum[2] = {s_multiply(w[0], s_load(x)), s_multiply(w[1], s_load(x + LANES))};
#pragma GCC unroll 16
    for (int i = 2; i < ALL; i++) sum[i % 2] = sum[i % 2] + s_multiply(w[i], s_load(x + i * LANES));
    return v_float(sum[0]) + v_float(sum[1]);
}

/* Constant where it is inlined: how scales and integers are read, the bytes of a block, whether it
   has minima, the rows of x. */
static inline __attribute__((always_inline)) void
K_column(void (*read)(const uint8_t *in, K_scales *out), vs (*code)(const uint8_t *in, int i),
         int bytes, bool minima, int m, int64_t count, const uint32_t *x, int64_t x_stride,
         const uint8_t *w, int64_t ahead, float *sums)
{
    vf all[MOST_ROWS];
    K_scales scales[BLOCKS];
    int64_t blocks = AT_MIN(count / STEP, BLOCKS);
    fetch(w + ahead, bytes * blocks);
    for (int64_t b = 0; b < blocks; b++) read(w + bytes * b, &scales[b]);
#pragma GCC unroll 4
    for (int i = 0; i < m; i++) all[i] = v_load(sums + i * AT_GEMM_FEW_COLUMNS * LANES);
    for (int64_t b = 0; b < blocks; b++, x += STEP, w += bytes) {
        const K_scales *of = &scales[b];
        vs integers[ALL];
#pragma GCC unroll 16
        for (int i = 0; i < ALL; i++)
            integers[i] = code(w, i) * s_scales(of->scale + i * SUMS / ALL);
#pragma GCC unroll 4
        for (int i = 0; i < m; i++) {
            const uint32_t *row = x + i * x_stride;
            const float *of_x = (const float *)(const void *)(row + WORDS);
            vf by = of->factor * v_set(of_x[0]);
            all[i] = v_fma(integer_sum(integers, row), by, all[i]);
            for (int j = 0; j < SUMS / LANES && minima; j++)
                all[i] = v_fma(of->less[j], v_load(of_x + SUMS_AT - WORDS + j * LANES), all[i]);
        }
    }
#pragma GCC unroll 4
    for (int i = 0; i < m; i++) v_store(sums + i * AT_GEMM_FEW_COLUMNS * LANES, all[i]);
}

/* ---- all columns */

#define SUMS_OF(name, column, ...)                                                         \
    static void name##_sums(int64_t count, int64_t m, const uint32_t *x, int64_t x_stride, \
                            const void *const *w, int64_t ahead, float *sums)              \
    {                                                                                      \
        for (; m > 0; m -= MOST_ROWS, x += MOST_ROWS * x_stride) {                         \
            float *to = sums;                                                              \
            for (int j = 0; j < AT_GEMM_FEW_COLUMNS; j++, to += LANES) {                   \
                if (m > 3) column(__VA_ARGS__, 4, count, x, x_stride, w[j], ahead, to);    \
                if (m == 3) column(__VA_ARGS__, 3, count, x, x_stride, w[j], ahead, to);   \
                if (m == 2) column(__VA_ARGS__, 2, count, x, x_stride, w[j], ahead, to);   \
                if (m == 1) column(__VA_ARGS__, 1, count, x, x_stride, w[j], ahead, to);   \
            }                                                                              \
            sums += MOST_ROWS * AT_GEMM_FEW_COLUMNS * LANES;                               \
        }                                                                                  \
    }

SUMS_OF(q8_0, simple_column, q8_0, 34, 0)
SUMS_OF(q4_0, simple_column, q4_0, 18, 0)
SUMS_OF(q4_1, simple_column, q4_1, 20, 2)
SUMS_OF(q5_0, simple_column, q5_0, 22, 0)
SUMS_OF(q5_1, simple_column, q5_1, 24, 2)
SUMS_OF(q2_K, K_column, read_scales_q2, code_q2, 84, true)
SUMS_OF(q3_K, K_column, read_scales_q3, code_q3, 110, false)
SUMS_OF(q4_K, K_column, read_scales_6, code_q4, 144, true)
SUMS_OF(q5_K, K_column, read_scales_6, code_q5, 176, true)
SUMS_OF(q6_K, K_column, read_scales_q6, code_q6, 210, false)

static at_lane_sums *sums_of(at_dtype dtype)
{
    static at_lane_sums *const sums[AT_DTYPES] = {
        [AT_Q8_0] = q8_0_sums, [AT_Q4_0] = q4_0_sums, [AT_Q4_1] = q4_1_sums, [AT_Q5_0] = q5_0_sums,
        [AT_Q5_1] = q5_1_sums, [AT_Q2_K] = q2_K_sums, [AT_Q3_K] = q3_K_sums, [AT_Q4_K] = q4_K_sums,
        [AT_Q5_K] = q5_K_sums, [AT_Q6_K] = q6_K_sums};
    return sums[dtype];
}

const at_gemm AT_SIMD_NAME(at_simd_integers) = {
    .group = 2,
    .scaled = SCALED,
    .scales = SCALES,
    .lanes = LANES,
    .dtype = AT_DTYPES,
    .to_words = to_words,
    .few = AT_ONCE,
    .sums_of = sums_of,
    .add_lanes = AT_SIMD_NAME(at_simd_add_lanes),
};

#endif
