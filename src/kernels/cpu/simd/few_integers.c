/* Products of very few rows with weights in blocks of integers, where unpacking them to floats
   would take longer than reading them. SCALED values of x share a scale and become integers of 16
   bits (finer than bf16's 8 bits unless one of them is more than 100 times the rest); pairs of them
   are multiplied with the weight's integers as they are, exactly, and the sums scaled in f32. In
   the K types the scales of a block are integers too and go into the weight's.

   Words of x: SCALED / 2 of integers, the scale, and from SUMS_AT on the sums of 32 values each. */
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/simd/simd.h"
#include "kernels/cpu/tables.h"

#if !defined(AT_SIMD_neon)

enum { SCALED = 256, WORDS = SCALED / 2, SUMS_AT = WORDS + 8, SCALES = 16, STEP = WORDS + SCALES };
enum { SHORTS = 2 * LANES, VECTORS = 32 / SHORTS /* of 32 values */, GROUPS = SCALED / 32 };

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
static inline vs s_pair(int32_t x)
{
    return (vs)_mm512_set1_epi32(x);
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
/* Eight bytes, 0 in the lanes beyond. */
static inline vi v_eight(uint64_t bytes)
{
    return (vi)_mm512_cvtepu8_epi32(_mm_cvtsi64_si128((long long)bytes));
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
static inline vs s_pair(int32_t x)
{
    return (vs)_mm256_set1_epi32(x);
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
static inline vi v_eight(uint64_t bytes)
{
    return (vi)_mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)bytes));
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
    for (int j = 0; j < SCALED; j += 32) {
        int32_t sum = 0;
        for (int i = 0; i < 32; i++) sum += values[j + i];
        scales[SUMS_AT - WORDS + j / 32] = (float)sum * scale;
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

/* ---- blocks of 32 with a scale each */

/* The integers of a block times its scale, with 32 of x from `words` on. */
static inline vf scaled_sum(const vs w[VECTORS], vf scale, const uint32_t *words, vf sum)
{
    vi products = s_multiply(w[0], s_load(words));
    if (VECTORS > 1) products = products + s_multiply(w[VECTORS - 1], s_load(words + LANES));
    return v_fma(v_float(products), scale, sum);
}

static inline vf half_at(const uint8_t *p)
{
    uint16_t bits;
    memcpy(&bits, p, sizeof bits);
    return v_set(_cvtsh_ss(bits));
}

static inline void q8_0(const uint8_t *in, vs w[VECTORS])
{
    w[0] = s_signed(in + 2);
    if (VECTORS > 1) w[VECTORS - 1] = s_signed(in + 2 + SHORTS);
}

static inline void q4_0(const uint8_t *in, vs w[VECTORS])
{
    s_nibbles(in + 2, w);
    for (int i = 0; i < VECTORS; i++) w[i] = w[i] - 8;
}

/* Constant where it is inlined: how integers are read, the bytes of a block, the rows of x. */
static inline __attribute__((always_inline)) void
simple_column(void (*read)(const uint8_t *in, vs w[VECTORS]), int bytes, int m, int64_t count,
              const uint32_t *x, int64_t x_stride, const uint8_t *w, float *sums)
{
    vf all[AT_GEMM_FEWEST_ROWS];
#pragma GCC unroll 4
    for (int i = 0; i < m; i++) all[i] = v_load(sums + i * AT_GEMM_FEW_COLUMNS * LANES);
    for (; count > 0; count -= STEP, x += STEP) {
        int64_t words = (count < STEP ? count : STEP) - SCALES;
        vf part[AT_GEMM_FEWEST_ROWS];
#pragma GCC unroll 4
        for (int i = 0; i < m; i++) part[i] = v_set(0);
        for (int64_t k = 0; k < words; k += 16, w += bytes) {
            vs integers[VECTORS];
            read(w, integers);
            vf scale = half_at(w);
#pragma GCC unroll 4
            for (int i = 0; i < m; i++)
                part[i] = scaled_sum(integers, scale, x + i * x_stride + k, part[i]);
        }
#pragma GCC unroll 4
        for (int i = 0; i < m; i++) {
            float scale;
            memcpy(&scale, x + i * x_stride + words, sizeof scale);
            all[i] = v_fma(part[i], v_set(scale), all[i]);
        }
    }
#pragma GCC unroll 4
    for (int i = 0; i < m; i++) v_store(sums + i * AT_GEMM_FEW_COLUMNS * LANES, all[i]);
}

/* ---- blocks of 256 */

enum { ALL = SCALED / SHORTS, AT_ONCE = 1024 /* values */, BLOCKS = AT_ONCE / SCALED };

/* What belongs to the integers of a block: their scales, twice in a lane, what the sums are
   multiplied with, and minima, multiplied. Read for some blocks before their integers are: the
   processor does not see that far ahead. */
typedef struct K_scales {
    int32_t scale[GROUPS];
    vf factor, less;
} K_scales;

/* q4_K, q5_K: eight scales, eight minima of 6 bits (tensor/kblocks.c). */
static inline void read_scales(const uint8_t *in, K_scales *out)
{
    uint32_t from[3];
    for (int i = 0; i < 3; i++) memcpy(&from[i], in + 4 + 4 * i, sizeof *from);
    uint64_t high = (from[2] & 0x0f0f0f0f) | (from[0] >> 6 & 0x03030303) << 4;
    vi scale = v_eight(high << 32 | (from[0] & 0x3f3f3f3f)), twice = scale | scale << 16;
    memcpy(out->scale, &twice, sizeof out->scale);
    high = (from[2] >> 4 & 0x0f0f0f0f) | (from[1] >> 6 & 0x03030303) << 4;
    out->factor = half_at(in);
    out->less = v_float(v_eight(high << 32 | (from[1] & 0x3f3f3f3f))) * half_at(in + 2);
}

static inline void q4_K(const uint8_t *in, const int32_t scale[GROUPS], vs w[ALL])
{
#pragma GCC unroll 4
    for (int j = 0; j < GROUPS; j += 2)
#pragma GCC unroll 2
        for (int h = 0; h < VECTORS; h++) {
            vs codes = s_bytes(in + 16 + 16 * j + h * SHORTS);
            w[j * VECTORS + h] = (codes & 15) * s_pair(scale[j]);
            w[(j + 1) * VECTORS + h] = (codes >> 4) * s_pair(scale[j + 1]);
        }
}

/* SCALED products; exact: a lane adds SCALED / LANES of at most 2^12 * 2^15. */
static inline vf integer_sum(const vs w[ALL], const uint32_t *x)
{
    vi sum[2] = {s_multiply(w[0], s_load(x)), s_multiply(w[1], s_load(x + LANES))};
#pragma GCC unroll 16
    for (int i = 2; i < ALL; i++) sum[i % 2] = sum[i % 2] + s_multiply(w[i], s_load(x + i * LANES));
    return v_float(sum[0] + sum[1]);
}

static inline __attribute__((always_inline)) void q4_K_column(int m, int64_t count,
                                                              const uint32_t *x, int64_t x_stride,
                                                              const uint8_t *w, float *sums)
{
    vf all[AT_GEMM_FEWEST_ROWS];
    K_scales scales[BLOCKS];
    int64_t blocks = count / STEP;
    for (int64_t b = 0; b < blocks; b++) read_scales(w + 144 * b, &scales[b]);
#pragma GCC unroll 4
    for (int i = 0; i < m; i++) all[i] = v_load(sums + i * AT_GEMM_FEW_COLUMNS * LANES);
    for (int64_t b = 0; b < blocks; b++, x += STEP, w += 144) {
        vs integers[ALL];
        q4_K(w, scales[b].scale, integers);
#pragma GCC unroll 4
        for (int i = 0; i < m; i++) {
            const uint32_t *row = x + i * x_stride;
            float by;
            memcpy(&by, row + WORDS, sizeof by);
            all[i] = v_fma(integer_sum(integers, row), scales[b].factor * v_set(by), all[i]);
            vf of_x = v_get((const float *)(const void *)(row + SUMS_AT), GROUPS);
            all[i] = all[i] - scales[b].less * of_x;
        }
    }
#pragma GCC unroll 4
    for (int i = 0; i < m; i++) v_store(sums + i * AT_GEMM_FEW_COLUMNS * LANES, all[i]);
}

/* ---- all columns */

#define SUMS_OF(name, column, ...)                                                         \
    static void name##_sums(int64_t count, int64_t m, const uint32_t *x, int64_t x_stride, \
                            const void *const *w, float *sums)                             \
    {                                                                                      \
        for (int j = 0; j < AT_GEMM_FEW_COLUMNS; j++, sums += LANES) {                     \
            if (m == 4) column(__VA_ARGS__ 4, count, x, x_stride, w[j], sums);             \
            if (m == 3) column(__VA_ARGS__ 3, count, x, x_stride, w[j], sums);             \
            if (m == 2) column(__VA_ARGS__ 2, count, x, x_stride, w[j], sums);             \
            if (m == 1) column(__VA_ARGS__ 1, count, x, x_stride, w[j], sums);             \
        }                                                                                  \
    }

#define COMMA ,
SUMS_OF(q8_0, simple_column, q8_0 COMMA 34 COMMA)
SUMS_OF(q4_0, simple_column, q4_0 COMMA 18 COMMA)
SUMS_OF(q4_K, q4_K_column, )

static at_lane_sums *sums_of(at_dtype dtype)
{
    switch (dtype) {
    case AT_Q8_0:
        return q8_0_sums;
    case AT_Q4_0:
        return q4_0_sums;
    case AT_Q4_K:
        return q4_K_sums;
    default:
        return NULL;
    }
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
