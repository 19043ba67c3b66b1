#include "ops/attention.h"
#include <math.h>

void at_attention_describe(at_context *cx, at_attention_args *args, const at_tensor *q,
                           const at_tensor *k, const at_tensor *v, const at_tensor *mask,
                           bool causal, float scale)
{
    *args = (at_attention_args){
        .batch = q->shape[0],
        .queries = q->shape[1],
        .keys = k->shape[1],
        .heads = q->shape[2],
        .groups = k->shape[2],
        .head_size = q->shape[3],
        .value_size = v->shape[3],
        .q = q->data,
        .k = k->data,
        .v = v->data,
        .bias = mask && mask->dtype == AT_F32 ? mask->data : NULL,
        .seen = mask && mask->dtype == AT_BOOL ? mask->data : NULL,
        .causal = causal,
        .scale = scale,
        .precision = at_precision_of(cx),
    };
    for (int i = 0; i < 3; i++) {
        args->q_stride[i] = q->stride[i];
        args->k_stride[i] = k->stride[i];
        args->v_stride[i] = v->stride[i];
    }
    for (int i = 0; mask && i < 4; i++) args->mask_stride[i] = mask->stride[i];
}

static bool fits(const at_tensor *q, const at_tensor *k, const at_tensor *v)
{
    return q->dims == 4 && k->dims == 4 && v->dims == 4 && q->shape[0] == k->shape[0] &&
           q->shape[0] == v->shape[0] && k->shape[1] == v->shape[1] && k->shape[2] == v->shape[2] &&
           k->shape[2] > 0 && q->shape[2] % k->shape[2] == 0 && q->shape[3] == k->shape[3];
}

/* f32, the last dimension adjacent, the others as they lie. */
static at_tensor *adjacent(at_context *cx, at_tensor *x)
{
    x = at_f32(cx, "attention", x);
    return x && at_dim(x, 3) > 1 && x->stride[3] != 1 ? at_contiguous(cx, x) : x;
}

static at_tensor *expand_mask(at_context *cx, at_tensor *mask, const at_tensor *q,
                              const at_tensor *k)
{
    int64_t shape[] = {q->shape[0], q->shape[2], q->shape[1], k->shape[1]};
    if (mask->dtype != AT_BOOL) mask = at_f32(cx, "attention mask", mask);
    if (!mask) return NULL;
    bool broadcasts = mask->dims <= 4;
    for (int i = 1; broadcasts && i <= mask->dims; i++)
        broadcasts =
            mask->shape[mask->dims - i] == 1 || mask->shape[mask->dims - i] == shape[4 - i];
    if (!broadcasts)
        return at_fail(cx, AT_ERROR_SHAPE,
                       "attention: mask %s does not broadcast to [%lld,%lld,%lld,%lld]",
                       at_shape_text(mask), (long long)shape[0], (long long)shape[1],
                       (long long)shape[2], (long long)shape[3]);
    return at_expand(cx, mask, 4, shape);
}

at_tensor *at_attention(at_context *cx, at_tensor *q, at_tensor *k, at_tensor *v,
                        const at_attention_options *options)
{
    if (!at_inputs(cx, q, k, v)) return NULL;
    at_attention_options o = options ? *options : (at_attention_options){0};
    if (!fits(q, k, v))
        return at_fail(cx, AT_ERROR_SHAPE, "attention: q %s, k %s, v %s do not fit together",
                       at_shape_text(q), at_shape_text(k), at_shape_text(v));
    if (o.scale == 0) o.scale = 1.0f / sqrtf((float)AT_MAX(q->shape[3], 1));
    q = adjacent(cx, q);
    k = adjacent(cx, k);
    v = adjacent(cx, v);
    at_tensor *mask = o.mask ? expand_mask(cx, o.mask, q, k) : NULL;
    if (!at_ok(cx)) return NULL;
    at_tensor *y = at_new(cx, AT_F32, q->shape[0], q->shape[1], q->shape[2], v->shape[3]);
    if (!y || at_elements(y) == 0) return y;
    at_attention_args args;
    at_attention_describe(cx, &args, q, k, v, mask, o.causal, o.scale);
    args.y = y->data;
    cx->kernels->attention(cx, &args);
    if (!at_ok(cx)) return NULL;
    y = at_record(cx, y, at_attention_backward, q, k, v, mask);
    if (y && y->node) {
        y->node->saved.numbers[0] = (double)o.scale;
        y->node->saved.numbers[1] = o.causal;
    }
    return y;
}
