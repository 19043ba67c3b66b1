/* The inner loops of convolution, a vector of channels at a time. */
#include "kernels/cpu/conv.h"
#include "kernels/cpu/simd/simd.h"
#include "kernels/cpu/tables.h"

/* [1 0 -1 0; 0 1 1 0; 0 -1 1 0; 0 1 0 -1] in */
static inline void turn_x(const vf in[4], vf out[4])
{
    out[0] = in[0] - in[2];
    out[1] = in[1] + in[2];
    out[2] = in[2] - in[1];
    out[3] = in[1] - in[3];
}

static void square_x(int64_t count, const float *const *pixel, float *point, int64_t stride)
{
    FOR_VECTORS(count)
    {
        vf half[4][4]; /* lines turned, by column */
        for (int x = 0; x < 4; x++) {
            vf in[4];
            for (int y = 0; y < 4; y++) in[y] = v_get(pixel[y * 4 + x] + i, left);
            turn_x(in, half[x]);
        }
        for (int y = 0; y < 4; y++) {
            vf in[4], out[4];
            for (int x = 0; x < 4; x++) in[x] = half[x][y];
            turn_x(in, out);
            for (int x = 0; x < 4; x++) v_put(point + (y * 4 + x) * stride + i, out[x], left);
        }
    }
}

/* [1 0 0; 1/2 1/2 1/2; 1/2 -1/2 1/2; 0 0 1] in */
static inline void turn_w(const vf in[3], vf out[4])
{
    vf outer = (in[0] + in[2]) * v_set(0.5f), inner = in[1] * v_set(0.5f);
    out[0] = in[0];
    out[1] = outer + inner;
    out[2] = outer - inner;
    out[3] = in[2];
}

static void square_w(int64_t count, const float *const *tap, float *point, int64_t stride)
{
    FOR_VECTORS(count)
    {
        vf half[3][4];
        for (int x = 0; x < 3; x++) {
            vf in[3];
            for (int y = 0; y < 3; y++) in[y] = v_get(tap[y * 3 + x] + i, left);
            turn_w(in, half[x]);
        }
        for (int y = 0; y < 4; y++) {
            vf in[3], out[4];
            for (int x = 0; x < 3; x++) in[x] = half[x][y];
            turn_w(in, out);
            for (int x = 0; x < 4; x++) v_put(point + (y * 4 + x) * stride + i, out[x], left);
        }
    }
}

/* [1 1 1 0; 0 1 -1 -1] in */
static inline void turn_y(const vf in[4], vf out[2])
{
    out[0] = in[0] + in[1] + in[2];
    out[1] = in[1] - in[2] - in[3];
}

static void square_y(int64_t count, const float *point, int64_t stride, const float *bias,
                     float *const *pixel)
{
    FOR_VECTORS(count)
    {
        vf half[4][2], base = bias ? v_get(bias + i, left) : v_set(0);
        for (int x = 0; x < 4; x++) {
            vf in[4];
            for (int y = 0; y < 4; y++) in[y] = v_get(point + (y * 4 + x) * stride + i, left);
            turn_y(in, half[x]);
        }
        for (int y = 0; y < 2; y++) {
            vf in[4], out[2];
            for (int x = 0; x < 4; x++) in[x] = half[x][y];
            turn_y(in, out);
            for (int x = 0; x < 2; x++)
                if (pixel[y * 2 + x]) v_put(pixel[y * 2 + x] + i, out[x] + base, left);
        }
    }
}

/* The rows of the line's three matrices are values at 0, 1, -1, 2, -2, 1/2 and infinity: of x those
   of the polynomials that are 0 at all of these but one. */
static void line_x(int64_t count, const float *const *pixel, float *point, int64_t stride)
{
    FOR_VECTORS(count)
    {
        vf d[7], t[6], out[7]; /* t: times (z - 1/2) */
        for (int n = 0; n < 7; n++) d[n] = v_get(pixel[n] + i, left);
        for (int n = 0; n < 6; n++) t[n] = v_fma(v_set(-0.5f), d[n], d[n + 1]);
        vf a = v_fma(v_set(-4), t[1], t[3]), b = v_fma(v_set(-4), t[2], t[4]);
        vf c = t[3] - t[1], e = t[4] - t[2];
        out[0] = v_fma(v_set(4), t[0], v_fma(v_set(-5), t[2], t[4]));
        out[1] = b + a;
        out[2] = b - a;
        out[3] = v_fma(v_set(2), c, e);
        out[4] = v_fma(v_set(-2), c, e);
        out[5] = v_fma(v_set(4), d[1], v_fma(v_set(-5), d[3], d[5]));
        out[6] = v_fma(v_set(4), t[1], v_fma(v_set(-5), t[3], t[5]));
        for (int p = 0; p < 7; p++) v_put(point + p * stride + i, out[p], left);
    }
}

/* Divided by what these polynomials are at their own point. */
static void line_w(int64_t count, const float *const *tap, float *point, int64_t stride)
{
    FOR_VECTORS(count)
    {
        vf w[4], out[7];
        for (int t = 0; t < 4; t++) w[t] = v_get(tap[t] + i, left);
        vf even = w[0] + w[2], odd = w[1] + w[3];
        vf even2 = v_fma(v_set(4), w[2], w[0]), odd2 = v_fma(v_set(8), w[3], w[1] * v_set(2));
        vf half = v_fma(v_set(0.125f), w[3], v_fma(v_set(0.25f), w[2], w[1] * v_set(0.5f)));
        out[0] = w[0] * v_set(-0.5f);
        out[1] = (even + odd) * v_set(-1 / 3.0f);
        out[2] = (even - odd) * v_set(1 / 9.0f);
        out[3] = (even2 + odd2) * v_set(1 / 36.0f);
        out[4] = (even2 - odd2) * v_set(-1 / 60.0f);
        out[5] = (w[0] + half) * v_set(32 / 45.0f);
        out[6] = w[3];
        for (int p = 0; p < 7; p++) v_put(point + p * stride + i, out[p], left);
    }
}

static void line_y(int64_t count, const float *point, int64_t stride, const float *bias,
                   float *const *pixel)
{
    FOR_VECTORS(count)
    {
        vf m[7], out[4], base = bias ? v_get(bias + i, left) : v_set(0);
        for (int p = 0; p < 7; p++) m[p] = v_get(point + p * stride + i, left);
        vf even = m[1] + m[2], odd = m[1] - m[2], even2 = m[3] + m[4], odd2 = m[3] - m[4];
        out[0] = m[0] + even + even2 + m[5];
        out[1] = v_fma(v_set(2), odd2, v_fma(v_set(0.5f), m[5], odd));
        out[2] = v_fma(v_set(4), even2, v_fma(v_set(0.25f), m[5], even));
        out[3] = v_fma(v_set(8), odd2, v_fma(v_set(0.125f), m[5], odd)) + m[6];
        for (int j = 0; j < 4; j++)
            if (pixel[j]) v_put(pixel[j] + i, out[j] + base, left);
    }
}

static void depthwise(int64_t count, int64_t taps, const float *const *pixel, const float *weight,
                      const float *bias, float *y)
{
    FOR_VECTORS(count)
    {
        vf sum = bias ? v_get(bias + i, left) : v_set(0);
        for (int64_t t = 0; t < taps; t++)
            if (pixel[t])
                sum = v_fma(v_get(pixel[t] + i, left), v_get(weight + t * count + i, left), sum);
        v_put(y + i, sum, left);
    }
}

const at_conv_parts AT_SIMD_NAME(at_simd_conv_parts) = {
    .square = {.points = 16,
               .pixels = 16,
               .taps = 9,
               .outputs = 4,
               .x = square_x,
               .w = square_w,
               .y = square_y},
    .line =
        {.points = 7, .pixels = 7, .taps = 4, .outputs = 4, .x = line_x, .w = line_w, .y = line_y},
    .depthwise = depthwise,
};
