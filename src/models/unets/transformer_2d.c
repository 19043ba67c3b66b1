#include "models/unets/transformer_2d.h"

/* x [B,N,C] looks at context [B,M,D] -> [B,N,C] */
static at_tensor *attention(at_context *cx, const at_cross_attention *m, at_tensor *x,
                            at_tensor *context)
{
    at_scope s = at_scope_begin(cx);
    at_tensor *q = at_split_heads(cx, at_project(cx, &m->to_q, x), m->heads);
    at_tensor *k = at_split_heads(cx, at_project(cx, &m->to_k, context), m->heads);
    at_tensor *v = at_split_heads(cx, at_project(cx, &m->to_v, context), m->heads);
    at_tensor *y = at_merge_heads(cx, at_attention(cx, q, k, v, NULL));
    y = at_project(cx, &m->to_out, y);
    at_scope_end(cx, s, &y, NULL);
    return y;
}

/* x [B,N,C]: self-attention, cross-attention, feed-forward, each on a normed copy */
static void block(at_context *cx, const at_basic_block *m, at_tensor **x, at_tensor *text)
{
    at_scope s = at_scope_begin(cx);
    at_tensor *y = at_layer_normalize(cx, &m->norm1, *x);
    *x = at_add(cx, *x, attention(cx, &m->attn1, y, m->only_cross_attention ? text : y));
    y = at_layer_normalize(cx, &m->norm2, *x);
    *x = at_add(cx, *x, attention(cx, &m->attn2, y, text));
    at_scope_keep(cx, s, x, NULL);
    y = at_feed_forward(cx, &m->ff, at_layer_normalize(cx, &m->norm3, *x));
    *x = at_add(cx, *x, y);
    at_scope_end(cx, s, x, NULL);
}

void at_transformer_2d_forward(at_context *cx, const at_transformer_2d *m, at_tensor **x,
                               at_tensor *text)
{
    at_scope s = at_scope_begin(cx);
    int64_t B = at_dim(*x, 0), H = at_dim(*x, 1), W = at_dim(*x, 2), C = at_dim(*x, 3);
    at_tensor *y = at_view(cx, at_group_normalize(cx, &m->norm, *x, AT_IDENTITY), B, H * W, C);
    y = at_project(cx, &m->proj_in, y);
    for (int i = 0; i < m->depth; i++) block(cx, &m->transformer_blocks[i], &y, text);
    y = at_project(cx, &m->proj_out, y);
    *x = at_add(cx, *x, at_view(cx, y, B, H, W, C));
    at_scope_end(cx, s, x, NULL);
}

/* ---- parameters */

static void bind_attention(at_binder *b, at_cross_attention *m, const at_transformer_2d_sizes *c,
                           int64_t context)
{
    m->heads = c->heads;
    at_bind_linear(b, "to_q", &m->to_q, c->channels, c->channels, AT_NO_BIAS);
    at_bind_linear(b, "to_k", &m->to_k, context, c->channels, AT_NO_BIAS);
    at_bind_linear(b, "to_v", &m->to_v, context, c->channels, AT_NO_BIAS);
    at_bind_linear(b, "to_out.0", &m->to_out, c->channels, c->channels, AT_BIAS);
}

static void bind_block(at_binder *b, at_basic_block *m, const at_transformer_2d_sizes *c)
{
    m->only_cross_attention = c->only_cross_attention;
    int64_t own = c->only_cross_attention ? c->cross_attention_dim : c->channels;
    at_bind_layer_norm(b, "norm1", &m->norm1, c->channels, 1e-5);
    at_bind_layer_norm(b, "norm2", &m->norm2, c->channels, 1e-5);
    at_bind_layer_norm(b, "norm3", &m->norm3, c->channels, 1e-5);
    AT_BIND(b, "attn1", bind_attention, &m->attn1, c, own);
    AT_BIND(b, "attn2", bind_attention, &m->attn2, c, c->cross_attention_dim);
    at_bind_geglu(b, "ff", &m->ff, c->channels, 4 * c->channels);
}

void at_bind_transformer_2d(at_binder *b, at_transformer_2d *m, const at_transformer_2d_sizes *c)
{
    at_bind_group_norm(b, "norm", &m->norm, c->channels, c->groups, 1e-6);
    at_bind_linear(b, "proj_in", &m->proj_in, c->channels, c->channels, AT_BIAS);
    AT_BIND_LIST(b, "transformer_blocks", m->depth, bind_block, m->transformer_blocks, c);
    at_bind_linear(b, "proj_out", &m->proj_out, c->channels, c->channels, AT_BIAS);
}
