/* The small float formats, one value at a time: IEEE 754 half, bfloat16, and the 8-bit formats of
   the OCP (e4m3fn: no infinity, one NaN; e5m2: as a half with a short mantissa). All round to
   nearest, ties to even. */
#ifndef AT_SMALL_FLOATS_H
#define AT_SMALL_FLOATS_H

#include <stdint.h>
#include <string.h>

static inline uint32_t at_bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float at_float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* The bits of |value| in a format with `mantissa` bits, exponent bias `bias`; beyond the largest
   exponent it just counts on, so that the caller decides what overflows. value is not NaN. */
static inline uint32_t at_round_float(uint32_t magnitude, int mantissa, int bias)
{
    int drop = 23 - mantissa;
    uint32_t smallest = (uint32_t)(127 - bias + 1) << 23; /* the smallest normal number */
    if (magnitude < smallest) { /* a denormal is a whole number of its smallest step */
        float step = at_float_of((uint32_t)(127 - bias + 1 - mantissa + 23) << 23);
        return at_bits_of(at_float_of(magnitude) + step) - at_bits_of(step);
    }
    uint32_t odd = (magnitude >> drop) & 1;
    uint32_t rounded = magnitude - ((uint32_t)(127 - bias) << 23) + (1u << (drop - 1)) - 1 + odd;
    return rounded >> drop;
}

static inline float at_f16_to_f32(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, magnitude = half & 0x7fff;
    if (magnitude >= 0x7c00) return at_float_of(sign | 0x7f800000u | (magnitude & 0x3ff) << 13);
    if (magnitude >= 0x400) return at_float_of(sign | ((magnitude << 13) + (112u << 23)));
    float tiny = (float)magnitude * 0x1p-24f;
    return sign ? -tiny : tiny;
}

static inline uint16_t at_f32_to_f16(float value)
{
    uint32_t bits = at_bits_of(value), magnitude = bits & 0x7fffffff;
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    if (magnitude > 0x7f800000) return (uint16_t)(sign | 0x7e00);
    uint32_t out = magnitude >= 0x47800000 ? 0x7c00 : at_round_float(magnitude, 10, 15);
    return (uint16_t)(sign | (out > 0x7c00 ? 0x7c00 : out));
}

static inline float at_bf16_to_f32(uint16_t value)
{
    return at_float_of((uint32_t)value << 16);
}

static inline uint16_t at_f32_to_bf16(float value)
{
    uint32_t bits = at_bits_of(value);
    if ((bits & 0x7fffffff) > 0x7f800000) return (uint16_t)((bits >> 16 & 0x8000) | 0x7fc0);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static inline float at_f8_e4m3_to_f32(uint8_t value)
{
    uint32_t sign = (uint32_t)(value & 0x80) << 24, magnitude = value & 0x7f;
    if (magnitude == 0x7f) return at_float_of(sign | 0x7fc00000u);
    if (magnitude >= 8) return at_float_of(sign | ((magnitude << 20) + (120u << 23)));
    float tiny = (float)magnitude * 0x1p-9f;
    return sign ? -tiny : tiny;
}

/* There is no infinity: what is too large becomes 448, as torch 2.15 has it (older ones: NaN); NaN
 * stays NaN. */
static inline uint8_t at_f32_to_f8_e4m3(float value)
{
    uint32_t bits = at_bits_of(value), magnitude = bits & 0x7fffffff;
    uint8_t sign = (uint8_t)(bits >> 24 & 0x80);
    if (magnitude > 0x7f800000) return (uint8_t)(sign | 0x7f);
    uint32_t out = magnitude >= 0x43e00000 ? 0x7e : at_round_float(magnitude, 3, 7);
    return (uint8_t)(sign | out);
}

static inline float at_f8_e5m2_to_f32(uint8_t value)
{
    return at_f16_to_f32((uint16_t)(value << 8));
}

static inline uint8_t at_f32_to_f8_e5m2(float value)
{
    uint32_t bits = at_bits_of(value), magnitude = bits & 0x7fffffff;
    uint8_t sign = (uint8_t)(bits >> 24 & 0x80);
    if (magnitude > 0x7f800000) return (uint8_t)(sign | 0x7f);
    uint32_t out = magnitude >= 0x47800000 ? 0x7c : at_round_float(magnitude, 2, 15);
    return (uint8_t)(sign | (out > 0x7c ? 0x7c : out));
}

#endif
