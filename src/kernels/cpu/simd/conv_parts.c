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

static void winograd_x(int64_t count, const float *const *pixel, float *point, int64_t stride)
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

static void winograd_w(int64_t count, const float *const *tap, float *point, int64_t stride)
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

static void winograd_y(int64_t count, const float *point, int64_t stride, const float *bias,
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
    .winograd_x = winograd_x,
    .winograd_w = winograd_w,
    .winograd_y = winograd_y,
    .depthwise = depthwise,
};
