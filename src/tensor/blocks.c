#include "tensor/blocks.h"
#include "tensor/small_floats.h"
#include <math.h>

enum { BLOCK = 32, HALF = 16 };

static float get_f16(const uint8_t *bytes)
{
    return at_f16_to_f32((uint16_t)(bytes[0] | bytes[1] << 8));
}

static void put_f16(uint8_t *bytes, float value)
{
    uint16_t half = at_f32_to_f16(value);
    bytes[0] = (uint8_t)half;
    bytes[1] = (uint8_t)(half >> 8);
}

/* ---- to f32. Element j < 16 is the low half of byte j, element j + 16 its high half; the fifth
   bits of all 32 are four bytes of their own. */

static void q8_0_to_f32(const uint8_t *in, float *out)
{
    float scale = get_f16(in);
    for (int j = 0; j < BLOCK; j++) out[j] = (float)(int8_t)in[2 + j] * scale;
}

static void q4_to_f32(const uint8_t *in, float *out, bool has_minimum)
{
    float scale = get_f16(in), minimum = has_minimum ? get_f16(in + 2) : 0;
    const uint8_t *quants = in + (has_minimum ? 4 : 2);
    int zero = has_minimum ? 0 : 8;
    for (int j = 0; j < HALF; j++) {
        out[j] = (float)((quants[j] & 15) - zero) * scale;
        out[j + HALF] = (float)((quants[j] >> 4) - zero) * scale;
    }
    for (int j = 0; has_minimum && j < BLOCK; j++) out[j] += minimum;
}

static void q5_to_f32(const uint8_t *in, float *out, bool has_minimum)
{
    float scale = get_f16(in), minimum = has_minimum ? get_f16(in + 2) : 0;
    const uint8_t *fifth = in + (has_minimum ? 4 : 2), *quants = fifth + 4;
    int zero = has_minimum ? 0 : 16;
    for (int j = 0; j < BLOCK; j++) {
        int low = j < HALF ? quants[j] & 15 : quants[j - HALF] >> 4;
        int high = fifth[j / 8] >> (j % 8) & 1;
        out[j] = (float)((low | high << 4) - zero) * scale;
    }
    for (int j = 0; has_minimum && j < BLOCK; j++) out[j] += minimum;
}

/* ---- from f32 */

/* (int)value for values that a hostile file may have made anything. */
static int whole(float value, int low, int high)
{
    return value >= (float)low ? value <= (float)high ? (int)value : high : low;
}

static float inverse(float scale)
{
    return scale != 0 ? 1.0f / scale : 0.0f;
}

/* The value that is farthest from zero, with its sign. */
static float largest(const float *in)
{
    float most = 0, value = 0;
    for (int j = 0; j < BLOCK; j++) {
        if (fabsf(in[j]) <= most) continue;
        most = fabsf(in[j]);
        value = in[j];
    }
    return value;
}

static void q8_0_from_f32(const float *in, uint8_t *out)
{
    float scale = fabsf(largest(in)) / 127, by = inverse(scale);
    put_f16(out, scale);
    for (int j = 0; j < BLOCK; j++)
        out[2 + j] = (uint8_t)(int8_t)whole(roundf(in[j] * by), -128, 127);
}

/* The largest value becomes the lowest code, which has no positive counterpart; with a minimum, the
   codes go from the least to the largest value. */
static void q45_from_f32(const float *in, uint8_t *out, int bits, bool has_minimum)
{
    int top = (1 << bits) - 1;
    float scale, minimum = 0, centre;
    if (has_minimum) {
        float least = in[0], most = in[0];
        for (int j = 1; j < BLOCK; j++) {
            least = in[j] < least ? in[j] : least;
            most = in[j] > most ? in[j] : most;
        }
        scale = (most - least) / (float)top;
        minimum = least;
        centre = 0.5f;
        put_f16(out + 2, minimum);
    } else {
        scale = largest(in) / (float)-(1 << (bits - 1));
        centre = (float)(1 << (bits - 1)) + 0.5f;
    }
    put_f16(out, scale);
    float by = inverse(scale);
    uint8_t *fifth = out + (has_minimum ? 4 : 2), *quants = fifth + (bits == 5 ? 4 : 0);
    if (bits == 5) memset(fifth, 0, 4);
    memset(quants, 0, HALF);
    for (int j = 0; j < BLOCK; j++) {
        int code = whole((in[j] - minimum) * by + centre, 0, top);
        quants[j % HALF] |= (uint8_t)((code & 15) << (j < HALF ? 0 : 4));
        if (code & 16) fifth[j / 8] |= (uint8_t)(1 << (j % 8));
    }
}

/* ---- nf4, f8_s: an f32 scale, then 64 codes */

enum { SCALED = 64 };

const float at_nf4_values[16] = {
    -1.0f,
    -0.6961928009986877f,
    -0.5250730514526367f,
    -0.39491748809814453f,
    -0.28444138169288635f,
    -0.18477343022823334f,
    -0.09105003625154495f,
    0.0f,
    0.07958029955625534f,
    0.16093020141124725f,
    0.24611230194568634f,
    0.33791524171829224f,
    0.44070982933044434f,
    0.5626170039176941f,
    0.7229568362236023f,
    1.0f,
};

static void nf4_to_f32(const uint8_t *in, float *out)
{
    float scale;
    memcpy(&scale, in, sizeof scale);
    for (int i = 0; i < SCALED; i++)
        out[i] = at_nf4_values[in[4 + i / 2] >> (i % 2 ? 0 : 4) & 15] * scale;
}

static void f8_s_to_f32(const uint8_t *in, float *out)
{
    float scale;
    memcpy(&scale, in, sizeof scale);
    for (int i = 0; i < SCALED; i++) out[i] = at_f8_e4m3_to_f32(in[4 + i]) * scale;
}

static float largest_of(const float *in)
{
    float largest = 0;
    for (int i = 0; i < SCALED; i++) largest = fmaxf(largest, fabsf(in[i]));
    return largest;
}

static void nf4_from_f32(const float *in, uint8_t *out)
{
    float scale = largest_of(in), inverse = scale > 0 ? 1 / scale : 0;
    memcpy(out, &scale, sizeof scale);
    memset(out + 4, 0, SCALED / 2);
    for (int i = 0; i < SCALED; i++) {
        int code = 0;
        while (code < 15 &&
               in[i] * inverse > (at_nf4_values[code] + at_nf4_values[code + 1]) * 0.5f)
            code++;
        out[4 + i / 2] |= (uint8_t)(code << (i % 2 ? 0 : 4));
    }
}

static void f8_s_from_f32(const float *in, uint8_t *out)
{
    float scale = largest_of(in) / 448, inverse = scale > 0 ? 1 / scale : 0;
    memcpy(out, &scale, sizeof scale);
    for (int i = 0; i < SCALED; i++) out[4 + i] = at_f32_to_f8_e4m3(in[i] * inverse);
}

void at_blocks_to_f32(at_dtype dtype, const uint8_t *in, float *out, int64_t blocks)
{
    size_t bytes = at_dtype_block_bytes(dtype);
    int block = at_dtype_block(dtype);
    for (int64_t i = 0; i < blocks; i++, in += bytes, out += block) {
        switch (dtype) {
        case AT_Q8_0:
            q8_0_to_f32(in, out);
            break;
        case AT_Q4_0:
            q4_to_f32(in, out, false);
            break;
        case AT_Q4_1:
            q4_to_f32(in, out, true);
            break;
        case AT_Q5_0:
            q5_to_f32(in, out, false);
            break;
        case AT_Q5_1:
            q5_to_f32(in, out, true);
            break;
        case AT_NF4:
            nf4_to_f32(in, out);
            break;
        case AT_F8_S:
            f8_s_to_f32(in, out);
            break;
        default:
            at_kblock_to_f32(dtype, in, out);
        }
    }
}

void at_blocks_from_f32(at_dtype dtype, const float *in, uint8_t *out, int64_t blocks)
{
    size_t bytes = at_dtype_block_bytes(dtype);
    int block = at_dtype_block(dtype);
    for (int64_t i = 0; i < blocks; i++, in += block, out += bytes) {
        switch (dtype) {
        case AT_Q8_0:
            q8_0_from_f32(in, out);
            break;
        case AT_Q4_0:
            q45_from_f32(in, out, 4, false);
            break;
        case AT_Q4_1:
            q45_from_f32(in, out, 4, true);
            break;
        case AT_Q5_0:
            q45_from_f32(in, out, 5, false);
            break;
        case AT_Q5_1:
            q45_from_f32(in, out, 5, true);
            break;
        case AT_NF4:
            nf4_from_f32(in, out);
            break;
        case AT_F8_S:
            f8_s_from_f32(in, out);
            break;
        default:
            at_kblock_from_f32(dtype, in, out);
        }
    }
}
