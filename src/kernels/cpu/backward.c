/* Ways back that are not made of other operations. Sums in double; all arrays contiguous f32. */
#include "kernels/cpu/elementwise.h"
#include "kernels/cpu/generic/activation.h"
#include "kernels/cpu/walk.h"
#include <math.h>

static void activate_backward(at_context *cx, at_tensor *out, const at_tensor *x,
                              at_activation activation, const at_tensor *grad)
{
    float *y = out->data;
    const float *in = x->data, *g = grad->data;
    int64_t count = at_elements(out);
#pragma omp parallel for num_threads(at_threads_for(cx, count))
    for (int64_t i = 0; i < count; i++) y[i] = g[i] * at_activation_slope(activation, in[i]);
}

static void clamp_backward(at_context *cx, at_tensor *out, const at_tensor *x, float low,
                           float high, const at_tensor *grad)
{
    float *y = out->data;
    const float *in = x->data, *g = grad->data;
    int64_t count = at_elements(out);
#pragma omp parallel for num_threads(at_threads_for(cx, count))
    for (int64_t i = 0; i < count; i++) y[i] = in[i] >= low && in[i] <= high ? g[i] : 0;
}

/* With v = (x - mean) * r, r = 1 / sqrt(var + eps): dx = r (g - mean(g) - v mean(g v)); without
   centring the same without the means of x and g. */
static void norm_row_backward(int64_t n, float *y, const float *x, const float *g, float eps,
                              bool centred)
{
    double mean = 0, square = 0, g_mean = 0, gv_mean = 0, count = (double)n;
    for (int64_t i = 0; centred && i < n; i++) {
        mean += x[i];
        g_mean += g[i];
    }
    mean /= count;
    g_mean /= count;
    for (int64_t i = 0; i < n; i++) {
        square += (x[i] - mean) * (x[i] - mean);
        gv_mean += g[i] * (x[i] - mean);
    }
    double r = 1 / sqrt(square / count + eps);
    gv_mean *= r / count;
    for (int64_t i = 0; i < n; i++)
        y[i] = (float)(r * (g[i] - g_mean - (x[i] - mean) * r * gv_mean));
}

static void norm_backward(at_context *cx, at_tensor *out, const at_tensor *x, const at_tensor *grad,
                          float eps, bool centred)
{
    int64_t count = at_elements(out), n = out->dims ? out->shape[out->dims - 1] : 1;
    if (!count) return;
#pragma omp parallel for num_threads(at_threads_for(cx, count))
    for (int64_t at = 0; at < count; at += n)
        norm_row_backward(n, (float *)out->data + at, (const float *)x->data + at,
                          (const float *)grad->data + at, eps, centred);
}

static void softmax_backward(at_context *cx, at_tensor *out, const at_tensor *y,
                             const at_tensor *grad)
{
    int64_t count = at_elements(out), n = out->dims ? out->shape[out->dims - 1] : 1;
    if (!count) return;
#pragma omp parallel for num_threads(at_threads_for(cx, count))
    for (int64_t at = 0; at < count; at += n) {
        const float *p = (const float *)y->data + at, *g = (const float *)grad->data + at;
        float *dx = (float *)out->data + at;
        double sum = 0;
        for (int64_t i = 0; i < n; i++) sum += (double)p[i] * g[i];
        for (int64_t i = 0; i < n; i++) dx[i] = (float)(p[i] * (g[i] - sum));
    }
}

void at_cpu_backward(at_kernels *table)
{
    table->activate_backward = activate_backward;
    table->clamp_backward = clamp_backward;
    table->norm_backward = norm_backward;
    table->softmax_backward = softmax_backward;
}
