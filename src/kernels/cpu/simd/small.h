/* LANES values of the small floats, from bytes of any alignment, to f32: bit for bit as
   tensor/small_floats.h. */
#ifndef AT_SIMD_SMALL_H
#define AT_SIMD_SMALL_H

#include "kernels/cpu/simd/simd.h"

static inline vf from_f32(const uint8_t *p)
{
    return v_load((const float *)(const void *)p);
}

static inline vf from_f16(const uint8_t *p)
{
    return v_halves((const uint16_t *)(const void *)p);
}

static inline vf from_bf16(const uint8_t *p)
{
    return v_bits_float(v_shorts((const uint16_t *)(const void *)p) << 16);
}

typedef uint16_t v_u16 __attribute__((vector_size(2 * LANES)));

/* Bytes with their signs; as instructions, for gcc takes vectors that are halves of a register
   apart. */
static inline v_u16 words_of_bytes(const uint8_t *p)
{
#if defined(AT_SIMD_avx512)
    return (v_u16)_mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)p));
#elif defined(AT_SIMD_avx2)
    return (v_u16)_mm_cvtepi8_epi16(_mm_loadl_epi64((const __m128i *)(const void *)p));
#else
    return (v_u16){(uint16_t)(int8_t)p[0], (uint16_t)(int8_t)p[1], (uint16_t)(int8_t)p[2],
                   (uint16_t)(int8_t)p[3]};
#endif
}

static inline vf from_halves(v_u16 bits)
{
    uint16_t half[LANES];
    memcpy(half, &bits, sizeof half);
    return v_halves(half);
}

/* A half whose exponent is too small by 8; the factor puts that right, for denormals too. 0x7f
   becomes NaN. */
static inline vf from_f8_e4m3(const uint8_t *p)
{
    v_u16 bits = words_of_bytes(p) << 7;
    v_u16 nan = (v_u16)((bits & 0x3f80) == 0x3f80) & 0x7e00;
    return from_halves((bits & 0xbf80) | nan) * v_set(256);
}

/* A half without its low byte. */
static inline vf from_f8_e5m2(const uint8_t *p)
{
    return from_halves(words_of_bytes(p) << 8);
}

#endif
