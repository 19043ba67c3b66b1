#include "models/unets/unet_2d_blocks.h"

/* The time's part of a resnet: [B,T] -> [B,1,1,C], or 2C as scale and shift */
static at_tensor *time_projection(at_context *cx, const at_unet_resnet *m, at_tensor *time)
{
    at_tensor *t = at_project(cx, &m->time_emb_proj, time);
    return at_view(cx, t, at_dim(t, 0), 1, 1, at_dim(t, 1));
}

/* norm2 and the activation of h [B,H,W,C] with the time added before, or scaling and shifting
   between */
static at_tensor *conditioned(at_context *cx, const at_unet_resnet *m, at_tensor *h,
                              at_tensor *time)
{
    at_tensor *t = time_projection(cx, m, time);
    if (!m->scale_shift) return at_group_normalize(cx, &m->norm2, at_add(cx, h, t), m->activation);
    int64_t C = at_dim(h, 3);
    at_tensor *scale = at_slice(cx, t, 3, 0, C), *shift = at_slice(cx, t, 3, C, C);
    h = at_group_normalize(cx, &m->norm2, h, AT_IDENTITY);
    h = at_add(cx, at_mul(cx, h, at_affine(cx, scale, 1.0f, 1.0f)), shift);
    return at_activate(cx, h, m->activation);
}

static void resnet(at_context *cx, const at_unet_resnet *m, at_tensor **x, at_tensor *time)
{
    at_scope s = at_scope_begin(cx);
    at_tensor *h = at_group_normalize(cx, &m->norm1, *x, m->activation);
    h = at_convolve(cx, &m->conv1, h);
    at_scope_keep(cx, s, &h, NULL);
    h = at_convolve(cx, &m->conv2, conditioned(cx, m, h, time));
    at_scope_keep(cx, s, &h, NULL);
    at_tensor *shortcut = m->conv_shortcut.weight ? at_convolve(cx, &m->conv_shortcut, *x) : *x;
    *x = at_add(cx, shortcut, h);
    if (m->output_scale != 1.0f) *x = at_affine(cx, *x, 1.0f / m->output_scale, 0.0f);
    at_scope_end(cx, s, x, NULL);
}

/* Resnet i and the transformer behind it, where there is one. */
static void layer(at_context *cx, const at_unet_block *m, int i, at_tensor **x,
                  const at_unet_condition *condition)
{
    at_scope s = at_scope_begin(cx);
    resnet(cx, &m->resnets[i], x, condition->time);
    if (i < m->attentions_count)
        at_transformer_2d_forward(cx, &m->attentions[i], x, condition->text);
    at_scope_end(cx, s, x, NULL);
}

void at_unet_down(at_context *cx, const at_unet_block *m, at_tensor **x,
                  const at_unet_condition *condition, at_unet_skips *skips)
{
    for (int i = 0; i < m->layers; i++) {
        layer(cx, m, i, x, condition);
        skips->items[skips->count++] = *x;
    }
    if (!m->resample.weight) return;
    *x = at_convolve(cx, &m->resample, *x);
    skips->items[skips->count++] = *x;
}

void at_unet_mid(at_context *cx, const at_unet_block *m, at_tensor **x,
                 const at_unet_condition *condition)
{
    at_scope s = at_scope_begin(cx);
    for (int i = 0; i < m->layers; i++) layer(cx, m, i, x, condition);
    at_scope_end(cx, s, x, NULL);
}

void at_unet_up(at_context *cx, const at_unet_block *m, at_tensor **x,
                const at_unet_condition *condition, at_unet_skips *skips)
{
    at_scope s = at_scope_begin(cx);
    for (int i = 0; i < m->layers; i++) {
        *x = at_join(cx, 3, *x, skips->items[--skips->count]);
        layer(cx, m, i, x, condition);
        at_scope_keep(cx, s, x, NULL);
    }
    if (m->resample.weight) { /* to the size of the result that comes next */
        const at_tensor *next = skips->items[skips->count - 1];
        *x = at_upsample_nearest(cx, *x, at_dim(next, 1), at_dim(next, 2));
        *x = at_convolve(cx, &m->resample, *x);
    }
    at_scope_end(cx, s, x, NULL);
}

/* ---- parameters */

static void bind_resnet(at_binder *b, at_unet_resnet *m, const at_unet_block_sizes *c, int64_t in)
{
    int64_t out = c->attention.channels;
    m->activation = c->activation;
    m->scale_shift = c->scale_shift;
    m->output_scale = (float)c->output_scale;
    at_bind_group_norm(b, "norm1", &m->norm1, in, c->attention.groups, c->eps);
    at_bind_conv2d(b, "conv1", &m->conv1, in, out, 3, 1, 1);
    at_bind_linear(b, "time_emb_proj", &m->time_emb_proj, c->time_dim,
                   c->scale_shift ? 2 * out : out, AT_BIAS);
    at_bind_group_norm(b, "norm2", &m->norm2, out, c->attention.groups, c->eps);
    at_bind_conv2d(b, "conv2", &m->conv2, out, out, 3, 1, 1);
    if (in != out) at_bind_conv2d(b, "conv_shortcut", &m->conv_shortcut, in, out, 1, 1, 0);
}

static void bind_resnet_item(at_binder *b, at_unet_block *m, const at_unet_block_sizes *c, int i,
                             int64_t in)
{
    size_t before = at_bind_enter_item(b, "resnets", i);
    bind_resnet(b, &m->resnets[i], c, in);
    at_bind_leave(b, before);
}

void at_bind_unet_down(at_binder *b, at_unet_block *m, const at_unet_block_sizes *c, int64_t in,
                       bool resamples, int padding)
{
    int64_t out = c->attention.channels;
    AT_BIND_LIST(b, "attentions", m->attentions_count, at_bind_transformer_2d, m->attentions,
                 &c->attention);
    for (int i = 0; i < m->layers; i++) bind_resnet_item(b, m, c, i, i ? out : in);
    if (!resamples) return;
    at_bind_conv2d(b, "downsamplers.0.conv", &m->resample, out, out, 3, 2, padding);
    if (!padding) m->resample.options.padding[1] = m->resample.options.padding[3] = 1;
}

void at_bind_unet_mid(at_binder *b, at_unet_block *m, const at_unet_block_sizes *c)
{
    AT_BIND_LIST(b, "attentions", m->attentions_count, at_bind_transformer_2d, m->attentions,
                 &c->attention);
    for (int i = 0; i < m->layers; i++) bind_resnet_item(b, m, c, i, c->attention.channels);
}

void at_bind_unet_up(at_binder *b, at_unet_block *m, const at_unet_block_sizes *c, int64_t in,
                     int64_t skip, bool resamples)
{
    int64_t out = c->attention.channels;
    AT_BIND_LIST(b, "attentions", m->attentions_count, at_bind_transformer_2d, m->attentions,
                 &c->attention);
    for (int i = 0; i < m->layers; i++)
        bind_resnet_item(b, m, c, i, (i ? out : in) + (i == m->layers - 1 ? skip : out));
    if (resamples) at_bind_conv2d(b, "upsamplers.0.conv", &m->resample, out, out, 3, 1, 1);
}
