/* Vectors of f32, the same code for AVX2 (8 lanes), AVX-512 (16) and NEON (4). vf takes + - * /,
   vi (i32 lanes) takes & | << >> + -. The _part functions load and store the first `count` lanes
   only, reading 0 into the others, and touch no byte beyond them. */
#ifndef AT_SIMD_H
#define AT_SIMD_H

#include <stdint.h>
#include <string.h>

#if defined(AT_SIMD_avx512)

#include <immintrin.h>

enum { LANES = 16 };
typedef __m512 vf;
typedef int32_t vi __attribute__((vector_size(64), may_alias));
typedef __mmask16 vm;

static inline vf v_set(float x)
{
    return _mm512_set1_ps(x);
}
static inline vf v_load(const float *p)
{
    return _mm512_loadu_ps(p);
}
static inline void v_store(float *p, vf x)
{
    _mm512_storeu_ps(p, x);
}
static inline vm v_first(int64_t count)
{
    return (vm)((1u << count) - 1);
}
static inline vf v_load_part(const float *p, int64_t count)
{
    return _mm512_maskz_loadu_ps(v_first(count), p);
}
static inline void v_store_part(float *p, vf x, int64_t count)
{
    _mm512_mask_storeu_ps(p, v_first(count), x);
}
static inline vf v_fma(vf a, vf b, vf c)
{
    return _mm512_fmadd_ps(a, b, c);
}
static inline vf v_max(vf a, vf b)
{
    return _mm512_max_ps(a, b);
}
static inline vf v_min(vf a, vf b)
{
    return _mm512_min_ps(a, b);
}
static inline vm v_less(vf a, vf b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ);
}
static inline vf v_select(vm m, vf yes, vf no)
{
    return _mm512_mask_blend_ps(m, no, yes);
}
static inline vf v_abs(vf x)
{
    return _mm512_abs_ps(x);
}
static inline vf v_round(vf x)
{
    return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT);
}
static inline float v_sum(vf x)
{
    return _mm512_reduce_add_ps(x);
}
static inline float v_largest(vf x)
{
    return _mm512_reduce_max_ps(x);
}
static inline vf v_scale2(vf x, vf n)
{
    return _mm512_scalef_ps(x, n);
}
static inline vf v_even_twice(vf x)
{
    return _mm512_moveldup_ps(x);
}
static inline vf v_odd_twice(vf x)
{
    return _mm512_movehdup_ps(x);
}
static inline vf v_swap_pairs(vf x)
{
    return _mm512_permute_ps(x, 0xb1);
}
static inline void v_split_pairs(vf a, vf b, vf *even, vf *odd)
{
    __m512i first = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    *even = _mm512_permutex2var_ps(a, first, b);
    *odd = _mm512_permutex2var_ps(a, _mm512_or_si512(first, _mm512_set1_epi32(1)), b);
}
static inline vf v_float(vi x)
{
    return _mm512_cvtepi32_ps((__m512i)x);
}
static inline vf v_bits_float(vi x)
{
    return (vf)x;
}
static inline vi v_bytes(const uint8_t *p)
{
    return (vi)_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p));
}
static inline vi v_shorts(const uint16_t *p)
{
    return (vi)_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)p));
}
static inline vf v_halves(const uint16_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
}

#elif defined(AT_SIMD_avx2)

#include <immintrin.h>

enum { LANES = 8 };
typedef __m256 vf;
typedef int32_t vi __attribute__((vector_size(32), may_alias));
typedef __m256 vm;

static inline vf v_set(float x)
{
    return _mm256_set1_ps(x);
}
static inline vf v_load(const float *p)
{
    return _mm256_loadu_ps(p);
}
static inline void v_store(float *p, vf x)
{
    _mm256_storeu_ps(p, x);
}
static inline vm v_first(int64_t count)
{
    __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32((int)count), lane));
}
static inline vf v_load_part(const float *p, int64_t count)
{
    return _mm256_maskload_ps(p, _mm256_castps_si256(v_first(count)));
}
static inline void v_store_part(float *p, vf x, int64_t count)
{
    _mm256_maskstore_ps(p, _mm256_castps_si256(v_first(count)), x);
}
static inline vf v_fma(vf a, vf b, vf c)
{
    return _mm256_fmadd_ps(a, b, c);
}
static inline vf v_max(vf a, vf b)
{
    return _mm256_max_ps(a, b);
}
static inline vf v_min(vf a, vf b)
{
    return _mm256_min_ps(a, b);
}
static inline vm v_less(vf a, vf b)
{
    return _mm256_cmp_ps(a, b, _CMP_LT_OQ);
}
static inline vf v_select(vm m, vf yes, vf no)
{
    return _mm256_blendv_ps(no, yes, m);
}
static inline vf v_abs(vf x)
{
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x);
}
static inline vf v_round(vf x)
{
    return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT);
}
static inline float v_sum(vf x)
{
    __m128 half = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    half = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}
static inline float v_largest(vf x)
{
    __m128 half = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    half = _mm_max_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_max_ss(half, _mm_movehdup_ps(half)));
}
/* x 2^n for whole n in [-252, 254], in two steps so that denormals come out right */
static inline vf v_scale2(vf x, vf n)
{
    vi all = (vi)_mm256_cvtps_epi32(n), half = all >> 1;
    return x * (vf)((half + 127) << 23) * (vf)((all - half + 127) << 23);
}
static inline vf v_even_twice(vf x)
{
    return _mm256_moveldup_ps(x);
}
static inline vf v_odd_twice(vf x)
{
    return _mm256_movehdup_ps(x);
}
static inline vf v_swap_pairs(vf x)
{
    return _mm256_permute_ps(x, 0xb1);
}
static inline void v_split_pairs(vf a, vf b, vf *even, vf *odd)
{
    __m256 low = _mm256_permute2f128_ps(a, b, 0x20), high = _mm256_permute2f128_ps(a, b, 0x31);
    *even = _mm256_shuffle_ps(low, high, 0x88); /* 0 2 4 6 of a, then of b, by quarters */
    *odd = _mm256_shuffle_ps(low, high, 0xdd);
}
static inline vf v_float(vi x)
{
    return _mm256_cvtepi32_ps((__m256i)x);
}
static inline vf v_bits_float(vi x)
{
    return (vf)x;
}
static inline vi v_bytes(const uint8_t *p)
{
    return (vi)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p));
}
static inline vi v_shorts(const uint16_t *p)
{
    return (vi)_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)p));
}
static inline vf v_halves(const uint16_t *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p));
}

#elif defined(AT_SIMD_neon)

#include <arm_neon.h>

enum { LANES = 4 };
typedef float32x4_t vf;
typedef int32x4_t vi;
typedef uint32x4_t vm;

static inline vf v_set(float x)
{
    return vdupq_n_f32(x);
}
static inline vf v_load(const float *p)
{
    return vld1q_f32(p);
}
static inline void v_store(float *p, vf x)
{
    vst1q_f32(p, x);
}
static inline vm v_first(int64_t count)
{
    static const int32_t lane[4] = {0, 1, 2, 3};
    return vcgtq_s32(vdupq_n_s32((int32_t)count), vld1q_s32(lane));
}
static inline vf v_load_part(const float *p, int64_t count)
{
    float room[4] = {0};
    memcpy(room, p, (size_t)count * sizeof *p);
    return vld1q_f32(room);
}
static inline void v_store_part(float *p, vf x, int64_t count)
{
    float room[4];
    vst1q_f32(room, x);
    memcpy(p, room, (size_t)count * sizeof *p);
}
static inline vf v_fma(vf a, vf b, vf c)
{
    return vfmaq_f32(c, a, b);
}
static inline vf v_max(vf a, vf b)
{
    return vmaxq_f32(a, b);
}
static inline vf v_min(vf a, vf b)
{
    return vminq_f32(a, b);
}
static inline vm v_less(vf a, vf b)
{
    return vcltq_f32(a, b);
}
static inline vf v_select(vm m, vf yes, vf no)
{
    return vbslq_f32(m, yes, no);
}
static inline vf v_abs(vf x)
{
    return vabsq_f32(x);
}
static inline vf v_round(vf x)
{
    return vrndnq_f32(x);
}
static inline float v_sum(vf x)
{
    return vaddvq_f32(x);
}
static inline float v_largest(vf x)
{
    return vmaxvq_f32(x);
}
static inline vf v_scale2(vf x, vf n)
{
    vi all = vcvtnq_s32_f32(n), half = all >> 1;
    return x * (vf)((half + 127) << 23) * (vf)((all - half + 127) << 23);
}
static inline vf v_even_twice(vf x)
{
    return vtrn1q_f32(x, x);
}
static inline vf v_odd_twice(vf x)
{
    return vtrn2q_f32(x, x);
}
static inline vf v_swap_pairs(vf x)
{
    return vrev64q_f32(x);
}
static inline void v_split_pairs(vf a, vf b, vf *even, vf *odd)
{
    *even = vuzp1q_f32(a, b);
    *odd = vuzp2q_f32(a, b);
}
static inline vf v_float(vi x)
{
    return vcvtq_f32_s32(x);
}
static inline vf v_bits_float(vi x)
{
    return vreinterpretq_f32_s32(x);
}
static inline vi v_bytes(const uint8_t *p)
{
    return (vi){p[0], p[1], p[2], p[3]};
}
static inline vi v_shorts(const uint16_t *p)
{
    return vreinterpretq_s32_u32(vmovl_u16(vld1_u16(p)));
}
static inline vf v_halves(const uint16_t *p)
{
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
}

#endif

/* Walks over n elements: `left` is what remains at i. */
#define FOR_VECTORS(n) for (int64_t i = 0, left = (n); left > 0; i += LANES, left -= LANES)

static inline vf v_get(const float *p, int64_t left)
{
    return left >= LANES ? v_load(p) : v_load_part(p, left);
}

static inline void v_put(float *p, vf x, int64_t left)
{
    if (left >= LANES)
        v_store(p, x);
    else
        v_store_part(p, x, left);
}

/* x with `other` in the lanes beyond `left`. */
static inline vf v_fill(vf x, int64_t left, vf other)
{
    return left >= LANES ? x : v_select(v_first(left), x, other);
}

#endif
