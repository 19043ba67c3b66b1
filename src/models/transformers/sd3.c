#include "models/transformers/sd3.h"
#include "nn/patches.h"
#include <string.h>

enum { MOST_LAYERS = 256 };

typedef struct sd3_config {
    at_sd3_info info;
    int layers, heads;
    int64_t out_channels, dim, head_dim;
    bool qk_norm;
    bool dual[MOST_LAYERS]; /* which blocks attend a second time, the picture alone */
} sd3_config;

typedef struct sd3_attention {
    int heads;
    at_nn_linear to_q, to_k, to_v, to_out;
    at_nn_norm norm_q, norm_k;                                   /* without weight: none */
    at_nn_linear add_q_proj, add_k_proj, add_v_proj, to_add_out; /* the text's, in `attn` */
    at_nn_norm norm_added_q, norm_added_k;
} sd3_attention;

typedef struct sd3_block {
    bool dual, context_pre_only; /* the last block's text goes no further */
    at_nn_linear norm1, norm1_context;
    sd3_attention attn, attn2;
    at_nn_feed_forward ff, ff_context;
} sd3_block;

typedef struct sd3_transformer {
    at_module module;
    sd3_config config;
    at_nn_conv2d pos_embed_proj;
    at_tensor *pos_embed; /* [1,most*most,D] */
    at_nn_linear context_embedder;
    at_nn_embedder timestep_embedder, text_embedder;
    sd3_block *transformer_blocks;
    at_nn_linear norm_out, proj_out;
} sd3_transformer;

/* ---- forward */

/* x [B,N,D] -> heads [B,N,H,head_dim], normed where the model does so */
static at_tensor *heads_of(at_context *cx, const at_nn_linear *proj, const at_nn_norm *norm,
                           at_tensor *x, int heads)
{
    at_tensor *y = at_split_heads(cx, at_project(cx, proj, x), heads);
    return norm && norm->weight ? at_rms_normalize(cx, norm, y) : y;
}

/* img [B,N,D] and txt [B,M,D] -> heads [B,N+M,H,head_dim], picture first */
static at_tensor *joint_heads(at_context *cx, const at_nn_linear *to, const at_nn_linear *add,
                              at_tensor *img, at_tensor *txt, int heads)
{
    return at_split_heads(cx, at_project_pair(cx, to, img, add, txt), heads);
}

/* Picture and text attend together: xi [B,N,D], xt [B,M,D] -> [B,N+M,D] */
static at_tensor *joint_attention(at_context *cx, const sd3_attention *m, at_tensor *xi,
                                  at_tensor *xt)
{
    at_scope s = at_scope_begin(cx);
    int64_t N = at_dim(xi, 1);
    at_tensor *q = joint_heads(cx, &m->to_q, &m->add_q_proj, xi, xt, m->heads);
    at_tensor *k = joint_heads(cx, &m->to_k, &m->add_k_proj, xi, xt, m->heads);
    at_tensor *v = joint_heads(cx, &m->to_v, &m->add_v_proj, xi, xt, m->heads);
    if (m->norm_q.weight) {
        q = at_rms_normalize_pair(cx, &m->norm_q, &m->norm_added_q, q, N);
        k = at_rms_normalize_pair(cx, &m->norm_k, &m->norm_added_k, k, N);
    }
    at_tensor *y = at_merge_heads(cx, at_attention(cx, q, k, v, NULL));
    at_scope_end(cx, s, &y, NULL);
    return y;
}

/* residual + gate * what x [B,N,D] finds in itself. gate [B,1,D] */
static at_tensor *add_self_attention(at_context *cx, const sd3_attention *m, at_tensor *x,
                                     at_tensor *gate, at_tensor *residual)
{
    at_scope s = at_scope_begin(cx);
    at_tensor *q = heads_of(cx, &m->to_q, &m->norm_q, x, m->heads);
    at_tensor *k = heads_of(cx, &m->to_k, &m->norm_k, x, m->heads);
    at_tensor *v = heads_of(cx, &m->to_v, NULL, x, m->heads);
    at_tensor *y = at_merge_heads(cx, at_attention(cx, q, k, v, NULL));
    y = at_project_add(cx, &m->to_out, y, gate, residual);
    at_scope_end(cx, s, &y, NULL);
    return y;
}

/* x + gate * ff(norm(x) * (1 + scale) + shift). x [B,N,D]; shift, scale, gate [B,1,D] */
static at_tensor *add_feed_forward(at_context *cx, const at_nn_feed_forward *ff, at_tensor *x,
                                   at_tensor *shift, at_tensor *scale, at_tensor *gate)
{
    return at_feed_forward_add(cx, ff, at_norm_modulate(cx, x, shift, scale, 1e-6f), gate, x);
}

/* One MM-DiT block. img [B,N,D], txt [B,M,D] (stays as it was in a context_pre_only block), temb
   [B,D]. Pieces of norm1: shift, scale, gate of attention, of feed-forward, of the second
   attention. */
static void block(at_context *cx, const sd3_block *b, at_tensor **img, at_tensor **txt,
                  at_tensor *temb)
{
    at_scope s = at_scope_begin(cx);
    at_tensor *i[9], *t[6];
    at_modulation_pieces(cx, &b->norm1, temb, b->dual ? 9 : 6, i);
    at_modulation_pieces(cx, &b->norm1_context, temb, b->context_pre_only ? 2 : 6, t);
    if (b->context_pre_only) t[2] = t[0], t[0] = t[1], t[1] = t[2]; /* AdaLayerNormContinuous */

    at_tensor *xi = at_norm_modulate(cx, *img, i[0], i[1], 1e-6f);
    at_tensor *xt = at_norm_modulate(cx, *txt, t[0], t[1], 1e-6f);
    int64_t N = at_dim(xi, 1), M = at_dim(xt, 1);
    at_tensor *y = joint_attention(cx, &b->attn, xi, xt);
    xi = at_project_add(cx, &b->attn.to_out, at_slice(cx, y, 1, 0, N), i[2], *img);
    if (b->dual) {
        at_tensor *alone = at_norm_modulate(cx, *img, i[6], i[7], 1e-6f);
        xi = add_self_attention(cx, &b->attn2, alone, i[8], xi);
    }
    *img = add_feed_forward(cx, &b->ff, xi, i[3], i[4], i[5]);
    if (!b->context_pre_only) {
        xt = at_project_add(cx, &b->attn.to_add_out, at_slice(cx, y, 1, N, M), t[2], *txt);
        *txt = add_feed_forward(cx, &b->ff_context, xt, t[3], t[4], t[5]);
    }
    at_scope_end(cx, s, img, txt, NULL);
}

/* CombinedTimestepTextProjEmbeddings -> [B,D] */
static at_tensor *time_text_embed(at_context *cx, const sd3_transformer *m, const at_sd3_inputs *in)
{
    const at_timestep_options options = {.flip_sin_to_cos = true};
    at_tensor *t = at_timestep_embedding(cx, in->timestep, 256, &options);
    return at_add(cx, at_embed(cx, &m->timestep_embedder, t, AT_SILU),
                  at_embed(cx, &m->text_embedder, in->pooled_projections, AT_SILU));
}

/* Patches with the middle of the table of positions. x [B,h,w,C] -> [B,(h/p)(w/p),D] */
static at_tensor *patch_embed(at_context *cx, const sd3_transformer *m, at_tensor *x)
{
    int64_t most = m->config.info.most;
    at_tensor *y = at_convolve(cx, &m->pos_embed_proj, x); /* [B,rows,columns,D] */
    int64_t rows = at_dim(y, 1), columns = at_dim(y, 2);
    at_tensor *positions = at_positions_crop(cx, m->pos_embed, most, (most - rows) / 2,
                                             (most - columns) / 2, rows, columns);
    return at_add(cx, at_view(cx, y, at_dim(y, 0), rows * columns, at_dim(y, 3)), positions);
}

static bool skipped(const at_sd3_inputs *in, int layer)
{
    for (int i = 0; i < in->skip_count; i++)
        if (in->skip_layers[i] == layer) return true;
    return false;
}

at_tensor *at_sd3_forward(at_context *cx, const at_module *module, const at_sd3_inputs *in)
{
    const sd3_transformer *m = (const sd3_transformer *)module;
    int p = m->config.info.patch_size;
    at_scope s = at_scope_begin(cx);
    at_tensor *img = patch_embed(cx, m, in->hidden_states);                           /* [B,N,D] */
    at_tensor *txt = at_project(cx, &m->context_embedder, in->encoder_hidden_states); /* [B,M,D] */
    at_tensor *temb = time_text_embed(cx, m, in);
    for (int i = 0; i < m->config.layers; i++) {
        if (skipped(in, i)) continue;
        block(cx, &m->transformer_blocks[i], &img, &txt, temb);
        at_scope_keep(cx, s, &img, &txt, &temb, NULL);
    }
    at_tensor *c[2]; /* AdaLayerNormContinuous: scale, shift */
    at_modulation_pieces(cx, &m->norm_out, temb, 2, c);
    at_tensor *x = at_project(cx, &m->proj_out, at_norm_modulate(cx, img, c[1], c[0], 1e-6f));
    x = at_unpatchify(cx, x, at_dim(in->hidden_states, 1) / p, at_dim(in->hidden_states, 2) / p, p);
    at_scope_end(cx, s, &x, NULL);
    return x;
}

at_sd3_info at_sd3_info_of(const at_module *sd3)
{
    return sd3 ? ((const sd3_transformer *)sd3)->config.info : (at_sd3_info){0};
}

/* ---- parameters */

static void bind_attention(at_binder *b, sd3_attention *m, const sd3_config *c, bool joint,
                           bool pre_only)
{
    int64_t dim = c->dim;
    m->heads = c->heads;
    if (c->qk_norm) {
        at_bind_rms_norm(b, "norm_q", &m->norm_q, c->head_dim, 1e-6);
        at_bind_rms_norm(b, "norm_k", &m->norm_k, c->head_dim, 1e-6);
    }
    at_bind_linear(b, "to_q", &m->to_q, dim, dim, AT_BIAS);
    at_bind_linear(b, "to_k", &m->to_k, dim, dim, AT_BIAS);
    at_bind_linear(b, "to_v", &m->to_v, dim, dim, AT_BIAS);
    at_bind_linear(b, "to_out.0", &m->to_out, dim, dim, AT_BIAS);
    if (!joint) return;
    if (c->qk_norm) {
        at_bind_rms_norm(b, "norm_added_q", &m->norm_added_q, c->head_dim, 1e-6);
        at_bind_rms_norm(b, "norm_added_k", &m->norm_added_k, c->head_dim, 1e-6);
    }
    at_bind_linear(b, "add_q_proj", &m->add_q_proj, dim, dim, AT_BIAS);
    at_bind_linear(b, "add_k_proj", &m->add_k_proj, dim, dim, AT_BIAS);
    at_bind_linear(b, "add_v_proj", &m->add_v_proj, dim, dim, AT_BIAS);
    if (!pre_only) at_bind_linear(b, "to_add_out", &m->to_add_out, dim, dim, AT_BIAS);
}

static void bind_block(at_binder *b, sd3_block *m, const sd3_config *c, const bool *dual,
                       const sd3_block *last)
{
    int64_t dim = c->dim;
    m->dual = dual[0];
    m->context_pre_only = m == last;
    at_bind_linear(b, "norm1.linear", &m->norm1, dim, (m->dual ? 9 : 6) * dim, AT_BIAS);
    at_bind_linear(b, "norm1_context.linear", &m->norm1_context, dim,
                   (m->context_pre_only ? 2 : 6) * dim, AT_BIAS);
    AT_BIND(b, "attn", bind_attention, &m->attn, c, true, m->context_pre_only);
    if (m->dual) AT_BIND(b, "attn2", bind_attention, &m->attn2, c, false, false);
    at_bind_feed_forward(b, "ff", &m->ff, dim, 4 * dim, AT_GELU_TANH);
    if (!m->context_pre_only)
        at_bind_feed_forward(b, "ff_context", &m->ff_context, dim, 4 * dim, AT_GELU_TANH);
}

static void bind(at_binder *b, at_module *module)
{
    sd3_transformer *m = (sd3_transformer *)module;
    const sd3_config *c = &m->config;
    const at_sd3_info *info = &c->info;
    int64_t square = (int64_t)info->patch_size * info->patch_size;
    int64_t positions = (int64_t)info->most * info->most;
    at_bind_conv2d(b, "pos_embed.proj", &m->pos_embed_proj, info->in_channels, c->dim,
                   info->patch_size, info->patch_size, 0);
    at_bind_parameter(b, "pos_embed.pos_embed", &m->pos_embed, AT_PARAMETER_TABLE, 3,
                      (int64_t[]){1, positions, c->dim});
    at_bind_embedder(b, "time_text_embed.timestep_embedder", &m->timestep_embedder, 256, c->dim);
    at_bind_embedder(b, "time_text_embed.text_embedder", &m->text_embedder,
                     info->pooled_projection_dim, c->dim);
    at_bind_linear(b, "context_embedder", &m->context_embedder, info->joint_attention_dim, c->dim,
                   AT_BIAS);
    AT_BIND_LIST(b, "transformer_blocks", c->layers, bind_block, m->transformer_blocks, c,
                 &c->dual[i_], &m->transformer_blocks[c->layers - 1]);
    at_bind_linear(b, "norm_out.linear", &m->norm_out, c->dim, 2 * c->dim, AT_BIAS);
    at_bind_linear(b, "proj_out", &m->proj_out, c->dim, square * c->out_channels, AT_BIAS);
}

static void configure_dual(at_context *cx, at_config *k, sd3_config *c)
{
    int64_t layers[MOST_LAYERS];
    int count = at_config_ints(cx, k, "dual_attention_layers", layers, MOST_LAYERS, NULL, 0);
    for (int i = 0; i < count; i++)
        if (layers[i] >= 0 && layers[i] < MOST_LAYERS) c->dual[layers[i]] = true;
}

static void configure_norm(at_context *cx, at_config *k, sd3_config *c)
{
    const char *norm = at_config_text(cx, k, "qk_norm", "");
    c->qk_norm = strcmp(norm, "rms_norm") == 0;
    if (*norm && !c->qk_norm)
        at_fail(cx, AT_ERROR_UNSUPPORTED, "%s: \"qk_norm\": \"%s\" is not supported",
                at_config_what(k), norm);
}

static void configure(at_context *cx, at_config *k, at_module *module)
{
    sd3_transformer *m = (sd3_transformer *)module;
    sd3_config *c = &m->config;
    at_sd3_info *info = &c->info;
    info->sample_size = at_config_range(cx, k, "sample_size", 128, 1, 1 << 16);
    info->patch_size = at_config_range(cx, k, "patch_size", 2, 1, 64);
    info->in_channels = at_config_range(cx, k, "in_channels", 16, 1, 65536);
    info->joint_attention_dim = at_config_range(cx, k, "joint_attention_dim", 4096, 1, 1 << 20);
    info->pooled_projection_dim = at_config_range(cx, k, "pooled_projection_dim", 2048, 1, 1 << 20);
    info->most = at_config_range(cx, k, "pos_embed_max_size", 96, 1, 4096);
    c->out_channels = at_config_range(cx, k, "out_channels", 16, 1, 65536);
    c->layers = at_config_range(cx, k, "num_layers", 18, 1, MOST_LAYERS);
    c->head_dim = at_config_range(cx, k, "attention_head_dim", 64, 1, 4096);
    c->heads = at_config_range(cx, k, "num_attention_heads", 18, 1, 1024);
    c->dim = c->heads * c->head_dim;
    if (at_config_range(cx, k, "caption_projection_dim", 1152, 1, 1 << 22) != c->dim)
        at_fail(cx, AT_ERROR_FORMAT,
                "%s: \"caption_projection_dim\" must be heads times head size, %lld",
                at_config_what(k), (long long)c->dim);
    configure_norm(cx, k, c);
    configure_dual(cx, k, c);
    m->transformer_blocks = at_module_list(module, c->layers, sizeof *m->transformer_blocks);
}

const at_module_class at_sd3_transformer_class = {
    .name = "SD3Transformer2DModel",
    .size = sizeof(sd3_transformer),
    .configure = configure,
    .bind = bind,
};
