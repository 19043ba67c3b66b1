#include "pipelines/guidance.h"
#include "base/base.h"
#include <math.h>

at_tensor *at_guidance(at_context *cx, at_tensor *cond, at_tensor *away, float scale)
{
    return at_add(cx, away, at_affine(cx, at_sub(cx, cond, away), scale, 0.0f));
}

/* torch's std: over all of a picture, its count less one. */
static double deviation(const float *x, int64_t count)
{
    double mean = 0, squares = 0;
    for (int64_t i = 0; i < count; i++) mean += x[i];
    mean /= (double)count;
    for (int64_t i = 0; i < count; i++) squares += (x[i] - mean) * (x[i] - mean);
    return sqrt(squares / (double)(count - 1));
}

at_tensor *at_guidance_rescale(at_context *cx, at_tensor *guided, at_tensor *cond, float share)
{
    guided = at_contiguous(cx, guided);
    cond = at_contiguous(cx, cond);
    at_tensor *factors = at_new(cx, AT_F32, at_dim(guided, 0), 1, 1, 1);
    if (!at_ok(cx)) return NULL;
    int64_t B = at_dim(guided, 0), each = at_elements(guided) / AT_MAX(B, 1);
    for (int64_t b = 0; b < B; b++) {
        const float *g = (const float *)guided->data + b * each;
        const float *c = (const float *)cond->data + b * each;
        float ratio = (float)(deviation(c, each) / deviation(g, each));
        ((float *)factors->data)[b] = share * ratio + (1.0f - share);
    }
    return at_mul(cx, guided, factors);
}

at_tensor *at_guidance_normalize(at_context *cx, at_tensor *guided, at_tensor *cond)
{
    guided = at_contiguous(cx, guided);
    cond = at_contiguous(cx, cond);
    int64_t B = at_dim(guided, 0), H = at_dim(guided, 1), W = at_dim(guided, 2);
    int64_t C = at_dim(guided, 3);
    at_tensor *factors = at_new(cx, AT_F32, B, H, 1, C);
    if (!at_ok(cx)) return NULL;
    for (int64_t i = 0; i < B * H * C; i++) {
        const float *g = (const float *)guided->data + i / C * W * C + i % C;
        const float *c = (const float *)cond->data + i / C * W * C + i % C;
        double of_guided = 0, of_cond = 0;
        for (int64_t x = 0; x < W; x++) {
            of_guided += (double)g[x * C] * g[x * C];
            of_cond += (double)c[x * C] * c[x * C];
        }
        ((float *)factors->data)[i] = (float)(sqrt(of_cond) / sqrt(of_guided));
    }
    return at_mul(cx, guided, factors);
}
