/* The way back through attention: the weights are computed again, a query at a time, so that
   nothing of size N x M is kept. With P = softmax(S), S = scale q k^T + mask and g = dL/dy:
   dv = P^T g, dP = g v^T, dS = P (dP - sum(P dP)), dq = scale dS k, dk = scale dS^T q, and dS
   itself is the mask's, the one of that size, made only when it is asked for. */
#include "ops/attention.h"
#include <math.h>

typedef struct way_back {
    const at_attention_args *a;
    const float *grad;   /* [B,N,H,E], contiguous */
    float *dq, *dk, *dv; /* contiguous, cleared */
    float *dmask;        /* [B,H,N,M], likewise, or NULL */
} way_back;

static float dot(const float *a, const float *b, int64_t count)
{
    float sum = 0;
    for (int64_t i = 0; i < count; i++) sum += a[i] * b[i];
    return sum;
}

static void add_scaled(float *to, float scale, const float *from, int64_t count)
{
    for (int64_t i = 0; i < count; i++) to[i] += scale * from[i];
}

/* softmax of one query's scores into weights [keys]; false when it sees nothing. */
static bool weights_of(const at_attention_args *a, int64_t b, int64_t h, int64_t i, float *weights)
{
    const float *q = a->q + b * a->q_stride[0] + i * a->q_stride[1] + h * a->q_stride[2];
    const float *k = a->k + b * a->k_stride[0] + h / (a->heads / a->groups) * a->k_stride[2];
    int64_t mask = b * a->mask_stride[0] + h * a->mask_stride[1] + i * a->mask_stride[2];
    float most = -INFINITY, sum = 0;
    for (int64_t j = 0; j < a->keys; j++) {
        int64_t at = mask + j * a->mask_stride[3];
        bool hidden = (a->causal && j > i + a->keys - a->queries) || (a->seen && !a->seen[at]);
        weights[j] = hidden ? -INFINITY
                            : a->scale * dot(q, k + j * a->k_stride[1], a->head_size) +
                                  (a->bias ? a->bias[at] : 0);
        most = fmaxf(most, weights[j]);
    }
    if (most == -INFINITY) return false;
    for (int64_t j = 0; j < a->keys; j++) sum += weights[j] = expf(weights[j] - most);
    for (int64_t j = 0; j < a->keys; j++) weights[j] /= sum;
    return true;
}

/* All queries of head h; dk and dv of its group are added to. slope is scratch of [keys]. */
static void head_back(const way_back *w, int64_t b, int64_t h, float *weights, float *slope)
{
    const at_attention_args *a = w->a;
    int64_t g = h / (a->heads / a->groups);
    for (int64_t i = 0; i < a->queries; i++) {
        if (!weights_of(a, b, h, i, weights)) continue;
        const float *q = a->q + b * a->q_stride[0] + i * a->q_stride[1] + h * a->q_stride[2];
        const float *grad = w->grad + ((b * a->queries + i) * a->heads + h) * a->value_size;
        float *dq = w->dq + ((b * a->queries + i) * a->heads + h) * a->head_size;
        float *dmask = w->dmask ? w->dmask + ((b * a->heads + h) * a->queries + i) * a->keys : NULL;
        float mean = 0;
        for (int64_t j = 0; j < a->keys; j++) {
            const float *v = a->v + b * a->v_stride[0] + j * a->v_stride[1] + g * a->v_stride[2];
            slope[j] = dot(grad, v, a->value_size);
            mean += weights[j] * slope[j];
        }
        for (int64_t j = 0; j < a->keys; j++) {
            if (weights[j] == 0) continue;
            const float *k = a->k + b * a->k_stride[0] + j * a->k_stride[1] + g * a->k_stride[2];
            int64_t row = (b * a->keys + j) * a->groups + g;
            float ds = weights[j] * (slope[j] - mean);
            if (dmask) dmask[j] = ds;
            ds *= a->scale;
            add_scaled(dq, ds, k, a->head_size);
            add_scaled(w->dk + row * a->head_size, ds, q, a->head_size);
            add_scaled(w->dv + row * a->value_size, weights[j], grad, a->value_size);
        }
    }
}

void at_attention_backward(at_context *cx, at_node *node, at_tensor *grad)
{
    at_tensor *q = node->inputs[0], *k = node->inputs[1], *v = node->inputs[2];
    at_tensor *mask = node->inputs[3];
    at_attention_args a;
    at_attention_describe(cx, &a, q, k, v, mask, node->saved.numbers[1] != 0,
                          (float)node->saved.numbers[0]);
    grad = at_contiguous(cx, grad);
    at_tensor *dq = at_zeros(cx, AT_F32, 4, q->shape), *dk = at_zeros(cx, AT_F32, 4, k->shape);
    at_tensor *dv = at_zeros(cx, AT_F32, 4, v->shape);
    at_tensor *dmask = mask && mask->node ? at_zeros(cx, AT_F32, 4, mask->shape) : NULL;
    int64_t groups = a.batch * a.groups, heads = a.heads / a.groups;
    float *rows = at_scratch(cx, (size_t)(groups * 2 * a.keys + 1) * sizeof *rows);
    if (at_ok(cx)) {
        way_back w = {&a, grad->data, dq->data, dk->data, dv->data, dmask ? dmask->data : NULL};
#pragma omp parallel for num_threads(cx->threads)
        for (int64_t t = 0; t < groups; t++)
            for (int64_t h = t % a.groups * heads; h < (t % a.groups + 1) * heads; h++)
                head_back(&w, t / a.groups, h, rows + 2 * t * a.keys, rows + (2 * t + 1) * a.keys);
        at_accumulate(cx, q, dq);
        at_accumulate(cx, k, dk);
        at_accumulate(cx, v, dv);
        if (dmask) at_accumulate(cx, mask, dmask);
    }
    at_scratch_free(cx, rows);
}
