/* q2_K to q6_K: 256 values in sub-blocks of 16 or 32, whose scales (and minima) are small integers
   times one f16 for the block. Reading follows ggml's formulas. Writing searches: for each
   sub-block a few scales around the one that just covers its range are tried, each with the best
   integers for it and then the best real scale (and minimum) for those integers by least squares;
   the one with the smallest squared error is kept. Then the scales are rounded and the integers
   chosen once more. */
#include "tensor/blocks.h"
#include "tensor/small_floats.h"
#include <math.h>

enum { BLOCK = 256, MOST_GROUPS = 16, MOST_WIDTH = 32 };

static float get_f16(const uint8_t *bytes)
{
    return at_f16_to_f32((uint16_t)(bytes[0] | bytes[1] << 8));
}

static float put_f16(uint8_t *bytes, float value)
{
    uint16_t half = at_f32_to_f16(value);
    bytes[0] = (uint8_t)half;
    bytes[1] = (uint8_t)(half >> 8);
    return at_f16_to_f32(half);
}

/* The layouts, once for both ways. A block is taken apart into codes (0 <= code < 2^bits), one
   integer scale and one integer minimum per group of `width`, and the f16 factors of both. */
typedef struct parts {
    uint8_t code[BLOCK];
    int scale[MOST_GROUPS], minimum[MOST_GROUPS];
} parts;

typedef struct layout {
    int bits, width;
    bool has_minimum;
    int zero;                  /* subtracted from codes */
    int scale_low, scale_high; /* what the integer scale can be */
    int factor;                /* where the f16 factors are */
} layout;

static layout layout_of(at_dtype dtype)
{
    switch (dtype) {
    case AT_Q2_K:
        return (layout){2, 16, true, 0, 0, 15, 80};
    case AT_Q3_K:
        return (layout){3, 16, false, 4, -32, 31, 108};
    case AT_Q4_K:
        return (layout){4, 32, true, 0, 0, 63, 0};
    case AT_Q5_K:
        return (layout){5, 32, true, 0, 0, 63, 0};
    default:
        return (layout){6, 16, false, 32, -128, 127, 208}; /* q6_K */
    }
}

/* `bits` bits of each code from `shift` on, in runs: element `start + i` (i < run) of stream bytes
 * i. */
static void take_bits(parts *p, int start, int run, const uint8_t *bytes, int from, int bits,
                      int to)
{
    for (int i = 0; i < run; i++)
        p->code[start + i] |= (uint8_t)((bytes[i] >> from & ((1 << bits) - 1)) << to);
}

static void put_bits(const parts *p, int start, int run, uint8_t *bytes, int from, int bits, int to)
{
    for (int i = 0; i < run; i++)
        bytes[i] |= (uint8_t)((p->code[start + i] >> to & ((1 << bits) - 1)) << from);
}

/* Calls back for each run of codes that lies in neighbouring bytes: the same walk reads and writes.
 */
#define EACH_RUN(dtype, bytes, MOVE)                                                               \
    do {                                                                                           \
        for (int half = 0; half < 2 && (dtype) <= AT_Q3_K; half++)                                 \
            for (int j = 0; j < 4; j++) {                                                          \
                int start = 128 * half + 32 * j;                                                   \
                MOVE(start, 32, (bytes) + ((dtype) == AT_Q2_K ? 16 : 32) + 32 * half, 2 * j, 2,    \
                     0);                                                                           \
                if ((dtype) == AT_Q3_K) MOVE(start, 32, (bytes), 4 * half + j, 1, 2);              \
            }                                                                                      \
        for (int j = 0; j < 8 && ((dtype) == AT_Q4_K || (dtype) == AT_Q5_K); j++) {                \
            MOVE(32 * j, 32, (bytes) + ((dtype) == AT_Q4_K ? 16 : 48) + 32 * (j / 2), 4 * (j % 2), \
                 4, 0);                                                                            \
            if ((dtype) == AT_Q5_K) MOVE(32 * j, 32, (bytes) + 16, j, 1, 4);                       \
        }                                                                                          \
        for (int j = 0; j < 8 && (dtype) == AT_Q6_K; j++) {                                        \
            int half = j / 4, quarter = j % 4;                                                     \
            MOVE(32 * j, 32, (bytes) + 64 * half + 32 * (quarter % 2), 4 * (quarter / 2), 4, 0);   \
            MOVE(32 * j, 32, (bytes) + 128 + 32 * half, 2 * quarter, 2, 4);                        \
        }                                                                                          \
    } while (0)

/* q4_K, q5_K: eight scales and eight minima of 6 bits in 12 bytes. The upper two bits of the last
   four sit on top of the first four. */
static void get_scales_6(const uint8_t *in, parts *p)
{
    for (int j = 0; j < 4; j++) {
        p->scale[j] = in[j] & 63;
        p->minimum[j] = in[j + 4] & 63;
        p->scale[j + 4] = (in[j + 8] & 15) | in[j] >> 6 << 4;
        p->minimum[j + 4] = in[j + 8] >> 4 | in[j + 4] >> 6 << 4;
    }
}

static void put_scales_6(uint8_t *out, const parts *p)
{
    for (int j = 0; j < 4; j++) {
        out[j] = (uint8_t)(p->scale[j] | p->scale[j + 4] >> 4 << 6);
        out[j + 4] = (uint8_t)(p->minimum[j] | p->minimum[j + 4] >> 4 << 6);
        out[j + 8] = (uint8_t)((p->scale[j + 4] & 15) | (p->minimum[j + 4] & 15) << 4);
    }
}

static void get_scales(at_dtype dtype, const uint8_t *in, parts *p)
{
    if (dtype == AT_Q4_K || dtype == AT_Q5_K) {
        get_scales_6(in + 4, p);
        return;
    }
    for (int j = 0; j < 16; j++) {
        if (dtype == AT_Q2_K) {
            p->scale[j] = in[j] & 15;
            p->minimum[j] = in[j] >> 4;
        } else if (dtype == AT_Q3_K) { /* sixteen of 6 bits: the low 4, then the high 2 */
            const uint8_t *bytes = in + 96;
            int low = j < 8 ? bytes[j] & 15 : bytes[j - 8] >> 4;
            p->scale[j] = (low | (bytes[8 + j % 4] >> (2 * (j / 4)) & 3) << 4) - 32;
        } else {
            p->scale[j] = (int8_t)in[192 + j];
        }
    }
}

static void put_scales(at_dtype dtype, uint8_t *out, const parts *p)
{
    if (dtype == AT_Q4_K || dtype == AT_Q5_K) {
        put_scales_6(out + 4, p);
        return;
    }
    for (int j = 0; j < 16; j++) {
        if (dtype == AT_Q2_K) {
            out[j] = (uint8_t)(p->scale[j] | p->minimum[j] << 4);
        } else if (dtype == AT_Q3_K) {
            uint8_t *bytes = out + 96;
            int code = p->scale[j] + 32;
            bytes[j % 8] |= (uint8_t)((code & 15) << (j < 8 ? 0 : 4));
            bytes[8 + j % 4] |= (uint8_t)(code >> 4 << (2 * (j / 4)));
        } else {
            out[192 + j] = (uint8_t)p->scale[j];
        }
    }
}

void at_kblock_to_f32(at_dtype dtype, const uint8_t *in, float *out)
{
    layout l = layout_of(dtype);
    parts p = {0};
#define TAKE(...) take_bits(&p, __VA_ARGS__)
    EACH_RUN(dtype, in, TAKE);
    get_scales(dtype, in, &p);
    float factor = get_f16(in + l.factor);
    float minimum_factor = l.has_minimum ? get_f16(in + l.factor + 2) : 0;
    for (int g = 0; g < BLOCK / l.width; g++) {
        float scale = factor * (float)p.scale[g], minimum = minimum_factor * (float)p.minimum[g];
        for (int i = g * l.width; i < (g + 1) * l.width; i++) {
            float value = scale * (float)(p.code[i] - l.zero);
            out[i] = l.has_minimum ? value - minimum : value;
        }
    }
}

/* ---- the search */

static int nearest(float value, int low, int high)
{
    return value >= (float)low ? value <= (float)high ? (int)rintf(value) : high : low;
}

/* The nearest integers to (x + shift) * by within [low, high]; no branches, so that compilers make
   vectors of it. NaN stays NaN. */
static void codes_of(const float *x, int count, float shift, float by, float low, float high,
                     float *codes)
{
    for (int i = 0; i < count; i++) {
        float value = (x[i] + shift) * by;
        value = value < low ? low : value > high ? high : value;
        codes[i] = (value + 0x1.8p23f) - 0x1.8p23f;
    }
}

/* count is a multiple of 8. */
static float dot(const float *a, const float *b, int count)
{
    float sum[8] = {0};
    for (int i = 0; i < count; i += 8)
        for (int k = 0; k < 8; k++) sum[k] += a[i + k] * b[i + k];
    return ((sum[0] + sum[4]) + (sum[1] + sum[5])) + ((sum[2] + sum[6]) + (sum[3] + sum[7]));
}

/* The scale s for which sum (x - s q)^2 is least, q the nearest integers in [-zero, top - zero]. */
static float fit_scale(const float *x, int count, int top, int zero)
{
    float most = 0, q[MOST_WIDTH];
    for (int i = 0; i < count; i++)
        if (fabsf(x[i]) > fabsf(most)) most = x[i];
    if (!(fabsf(most) > 0) || !isfinite(most)) return 0;
    float best = 0, best_gain = 0;
    for (int try = -9; try <= 9; try++) { /* the largest becomes about -zero */
        float by = -((float)zero + 0.1f * (float)try) / most;
        codes_of(x, count, 0, by, (float)-zero, (float)(top - zero), q);
        float xq = dot(x, q, count), qq = dot(q, q, count);
        if (qq > 0 && xq * xq > best_gain * qq) { /* the error is sum x^2 - xq^2 / qq */
            best_gain = xq * xq / qq;
            best = xq / qq;
        }
    }
    return best;
}

/* Scale and minimum (subtracted, >= 0) for codes in [0, top]. */
static float fit_affine(const float *x, int count, int top, float *minimum)
{
    float least = 0, most = x[0], ones[MOST_WIDTH], q[MOST_WIDTH], off[MOST_WIDTH];
    for (int i = 0; i < count; i++) {
        least = fminf(least, x[i]);
        most = fmaxf(most, x[i]);
        ones[i] = 1;
    }
    *minimum = -least;
    if (!(most > least) || !isfinite(most - least)) return 0;
    float best = (most - least) / (float)top, best_error = INFINITY;
    float n = (float)count, sx = dot(x, ones, count);
    for (int try = -10; try <= 10; try++) {
        float by = ((float)top + 0.1f * (float)try) / (most - least);
        codes_of(x, count, -least, by, 0, (float)top, q);
        float sq = dot(q, ones, count), sqq = dot(q, q, count), sxq = dot(x, q, count);
        float determinant = n * sqq - sq * sq;
        if (!(determinant > 0)) continue;
        float scale = (n * sxq - sx * sq) / determinant, low = (sqq * sx - sq * sxq) / determinant;
        if (low > 0) { /* a minimum below zero cannot be written */
            low = 0;
            scale = sxq / sqq;
        }
        codes_of(x, count, -low, 1 / scale, 0, (float)top, q);
        for (int i = 0; i < count; i++) off[i] = scale * q[i] + low - x[i];
        float error = dot(off, off, count);
        if (error < best_error) {
            best_error = error;
            best = scale;
            *minimum = -low;
        }
    }
    return best;
}

void at_kblock_from_f32(at_dtype dtype, const float *in, uint8_t *out)
{
    layout l = layout_of(dtype);
    int groups = BLOCK / l.width, top = (1 << l.bits) - 1;
    float scale[MOST_GROUPS], minimum[MOST_GROUPS] = {0}, most = 0, most_minimum = 0;
    for (int g = 0; g < groups; g++) {
        const float *x = in + g * l.width;
        scale[g] = l.has_minimum ? fit_affine(x, l.width, top, &minimum[g])
                                 : fit_scale(x, l.width, top, l.zero);
        if (fabsf(scale[g]) > fabsf(most)) most = scale[g];
        most_minimum = fmaxf(most_minimum, minimum[g]);
    }
    /* Signed scales: the largest takes the lowest integer, which has no positive counterpart. */
    float whole = (float)(l.has_minimum ? l.scale_high : l.scale_low);
    memset(out, 0, at_dtype_block_bytes(dtype));
    float factor = put_f16(out + l.factor, isfinite(most) ? most / whole : 0), minimum_factor = 0;
    if (l.has_minimum) {
        bool lost = most > 0 && factor == 0; /* too small for f16: then all is 0 */
        float wanted = isfinite(most_minimum) && !lost ? most_minimum / whole : 0;
        minimum_factor = put_f16(out + l.factor + 2, wanted);
    }
    parts p = {0};
    for (int g = 0; g < groups; g++) {
        if (factor != 0) p.scale[g] = nearest(scale[g] / factor, l.scale_low, l.scale_high);
        if (minimum_factor != 0)
            p.minimum[g] = nearest(minimum[g] / minimum_factor, 0, l.scale_high);
        float s = factor * (float)p.scale[g], m = minimum_factor * (float)p.minimum[g];
        for (int i = g * l.width; i < (g + 1) * l.width; i++)
            p.code[i] =
                (uint8_t)(s != 0 ? nearest((in[i] + m) / s + (float)l.zero, 0, top) : l.zero);
    }
#define PUT(...) put_bits(&p, __VA_ARGS__)
    EACH_RUN(dtype, out, PUT);
    put_scales(dtype, out, &p);
}
