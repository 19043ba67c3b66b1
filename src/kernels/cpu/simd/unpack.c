/* Weights to f32 with vectors, bit for bit as at_convert. What is not here goes to it. */
#include "kernels/cpu/simd/small.h"
#include "kernels/cpu/tables.h"
#include "tensor/small_floats.h"

#define UNPACK(size, value)                                                                 \
    do {                                                                                    \
        int64_t i = 0;                                                                      \
        for (; i + LANES <= count; i += LANES) v_store(out + i, value(bytes + i * (size))); \
        at_convert(from, bytes + i * (size), AT_F32, out + i, count - i);                   \
    } while (0)

static float get_f16(const uint8_t *p)
{
    return at_f16_to_f32((uint16_t)(p[0] | p[1] << 8));
}

/* LANES codes to values: the factor times (code - zero), then the minimum. */
static void put_codes(float *out, vi codes, int zero, float scale)
{
    v_store(out, v_float(codes - zero) * v_set(scale));
}

static void q8_0_block(const uint8_t *in, float *out)
{
    float scale = get_f16(in);
    for (int j = 0; j < 32; j += LANES)
        put_codes(out + j, v_bytes(in + 2 + j) << 24 >> 24, 0, scale); /* with its sign */
}

static void q4_0_block(const uint8_t *in, float *out)
{
    float scale = get_f16(in);
    for (int j = 0; j < 16; j += LANES) {
        vi codes = v_bytes(in + 2 + j);
        put_codes(out + j, codes & 15, 8, scale);
        put_codes(out + 16 + j, codes >> 4, 8, scale);
    }
}

static void q4_1_block(const uint8_t *in, float *out)
{
    vf scale = v_set(get_f16(in)), minimum = v_set(get_f16(in + 2));
    for (int j = 0; j < 16; j += LANES) {
        vi codes = v_bytes(in + 4 + j);
        v_store(out + j, v_float(codes & 15) * scale + minimum);
        v_store(out + 16 + j, v_float(codes >> 4) * scale + minimum);
    }
}

/* Bit `first` + lane of 32 bits in each lane, at the place of a fifth bit. */
static vi fifth_bits(const uint8_t *in, int first)
{
    static const int32_t lanes[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    int32_t bits;
    vi lane;
    memcpy(&bits, in, sizeof bits);
    memcpy(&lane, lanes, sizeof lane);
    return (((lane & 0) | bits) >> (lane + first) & 1) << 4;
}

static void q5_0_block(const uint8_t *in, float *out)
{
    float scale = get_f16(in);
    for (int j = 0; j < 16; j += LANES) {
        vi codes = v_bytes(in + 6 + j);
        put_codes(out + j, (codes & 15) | fifth_bits(in + 2, j), 16, scale);
        put_codes(out + 16 + j, codes >> 4 | fifth_bits(in + 2, j + 16), 16, scale);
    }
}

static void q5_1_block(const uint8_t *in, float *out)
{
    vf scale = v_set(get_f16(in)), minimum = v_set(get_f16(in + 2));
    for (int j = 0; j < 16; j += LANES) {
        vi codes = v_bytes(in + 8 + j);
        vf low = v_float((codes & 15) | fifth_bits(in + 4, j));
        vf high = v_float(codes >> 4 | fifth_bits(in + 4, j + 16));
        v_store(out + j, low * scale + minimum);
        v_store(out + 16 + j, high * scale + minimum);
    }
}

/* q4_K, q5_K: scale and minimum j of the eight (tensor/kblocks.c). */
static void scales_6(const uint8_t *in, int j, int *scale, int *minimum)
{
    if (j < 4) {
        *scale = in[j] & 63;
        *minimum = in[j + 4] & 63;
    } else {
        *scale = (in[j + 4] & 15) | in[j - 4] >> 6 << 4;
        *minimum = in[j + 4] >> 4 | in[j] >> 6 << 4;
    }
}

/* fifth: the plane of high bits, or NULL. */
static void q45_K_block(const uint8_t *in, const uint8_t *fifth, const uint8_t *codes, float *out)
{
    float factor = get_f16(in), minimum_factor = get_f16(in + 2);
    for (int j = 0; j < 8; j++) {
        int scale, minimum;
        scales_6(in + 4, j, &scale, &minimum);
        vf by = v_set(factor * (float)scale), less = v_set(minimum_factor * (float)minimum);
        for (int i = 0; i < 32; i += LANES) {
            vi code = v_bytes(codes + 32 * (j / 2) + i) >> (4 * (j % 2)) & 15;
            if (fifth) code |= (v_bytes(fifth + i) >> j & 1) << 4;
            v_store(out + 32 * j + i, v_float(code) * by - less);
        }
    }
}

static void q4_K_block(const uint8_t *in, float *out)
{
    q45_K_block(in, NULL, in + 16, out);
}

static void q5_K_block(const uint8_t *in, float *out)
{
    q45_K_block(in, in + 16, in + 48, out);
}

static void q6_K_block(const uint8_t *in, float *out)
{
    float factor = get_f16(in + 208);
    for (int j = 0; j < 8; j++) { /* 32 values: the low four bits, the high two */
        const uint8_t *low = in + 64 * (j / 4) + 32 * (j % 2), *high = in + 128 + 32 * (j / 4);
        for (int i = 0; i < 32; i += LANES) {
            float scale = factor * (float)(int8_t)in[192 + 2 * j + i / 16];
            vi code = v_bytes(low + i) >> (4 * (j % 4 / 2)) & 15;
            code |= (v_bytes(high + i) >> (2 * (j % 4)) & 3) << 4;
            put_codes(out + 32 * j + i, code, 32, scale);
        }
    }
}

static void each_block(void (*block)(const uint8_t *in, float *out), at_dtype from,
                       const uint8_t *in, float *out, int64_t count)
{
    int size = at_dtype_block(from);
    size_t bytes = at_dtype_block_bytes(from);
    for (int64_t i = 0; i + size <= count; i += size, in += bytes) block(in, out + i);
}

void AT_SIMD_NAME(at_simd_to_f32)(at_dtype from, const void *in, float *out, int64_t count)
{
    const uint8_t *bytes = in;
    switch (from) {
    case AT_F16:
        UNPACK(2, from_f16);
        break;
    case AT_BF16:
        UNPACK(2, from_bf16);
        break;
    case AT_F8_E4M3:
        UNPACK(1, from_f8_e4m3);
        break;
    case AT_F8_E5M2:
        UNPACK(1, from_f8_e5m2);
        break;
    case AT_Q8_0:
        each_block(q8_0_block, from, in, out, count);
        break;
    case AT_Q4_0:
        each_block(q4_0_block, from, in, out, count);
        break;
    case AT_Q4_1:
        each_block(q4_1_block, from, in, out, count);
        break;
    case AT_Q5_0:
        each_block(q5_0_block, from, in, out, count);
        break;
    case AT_Q5_1:
        each_block(q5_1_block, from, in, out, count);
        break;
    case AT_Q4_K:
        each_block(q4_K_block, from, in, out, count);
        break;
    case AT_Q5_K:
        each_block(q5_K_block, from, in, out, count);
        break;
    case AT_Q6_K:
        each_block(q6_K_block, from, in, out, count);
        break;
    default:
        at_convert(from, in, AT_F32, out, count);
    }
}
