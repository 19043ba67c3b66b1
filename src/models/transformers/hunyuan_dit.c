#include "models/transformers/hunyuan_dit.h"
#include "nn/patches.h"
#include <math.h>
#include <string.h>

enum { FREQUENCIES = 256, META_SIZES = 6, POOLER_HEADS = 8, BASE_LATENTS = 512 / 8 };

typedef struct hunyuan_config {
    int patch_size, sample_size, layers, heads, text_len, text_len_t5;
    int64_t in_channels, out_channels, dim, head_dim, inner;
    int64_t cross_dim, t5_dim, pooled_dim;
    bool learn_sigma, sized;     /* use_style_cond_and_image_meta_size */
    bool gated;                  /* geglu */
    at_activation activation_fn; /* of the feed-forward without a gate */
} hunyuan_config;

typedef struct hunyuan_attention {
    int heads;
    at_nn_linear to_q, to_k, to_v, to_out;
    at_nn_norm norm_q, norm_k;
} hunyuan_attention;

typedef struct hunyuan_block {
    at_nn_linear norm1_linear; /* AdaLayerNormShift */
    at_nn_norm norm1, norm2, norm3;
    hunyuan_attention attn1, attn2;
    at_nn_feed_forward ff;
    at_nn_norm skip_norm; /* in the second half */
    at_nn_linear skip_linear;
} hunyuan_block;

typedef struct hunyuan_pool {
    at_tensor *positional_embedding; /* [text_len_t5+1,E] */
    at_nn_linear k_proj, q_proj, v_proj, c_proj;
} hunyuan_pool;

typedef struct hunyuan_dit {
    at_module module;
    hunyuan_config config;
    at_nn_embedder text_embedder;      /* E -> 4E -> D */
    at_tensor *text_embedding_padding; /* [text_len+text_len_t5,D] */
    at_nn_conv2d pos_embed;
    at_nn_embedder timestep_embedder, extra_embedder;
    hunyuan_pool pooler;
    at_tensor *style_embedder; /* [1,dim] */
    hunyuan_block *blocks;
    at_nn_linear norm_out, proj_out;
} hunyuan_dit;

/* What every block is given. */
typedef struct hunyuan_known {
    at_tensor *temb; /* [B,dim] */
    at_tensor *text; /* [B,M,D] */
    at_tensor *rope; /* [N,head_dim/2,2] */
} hunyuan_known;

/* ---- forward */

/* residual + what x [B,N,dim] finds in itself, or in text [B,M,D], where only the queries have
   positions. */
static at_tensor *add_attention(at_context *cx, const hunyuan_attention *m, at_tensor *x,
                                at_tensor *text, at_tensor *rope, at_tensor *residual)
{
    at_tensor *from = text ? text : x;
    at_tensor *q = at_split_heads(cx, at_project(cx, &m->to_q, x), m->heads);
    at_tensor *k = at_split_heads(cx, at_project(cx, &m->to_k, from), m->heads);
    at_tensor *v = at_split_heads(cx, at_project(cx, &m->to_v, from), m->heads);
    q = at_rotary(cx, at_layer_normalize(cx, &m->norm_q, q), rope, AT_ROTARY_INTERLEAVED);
    k = at_layer_normalize(cx, &m->norm_k, k);
    if (!text) k = at_rotary(cx, k, rope, AT_ROTARY_INTERLEAVED);
    at_tensor *y = at_merge_heads(cx, at_attention(cx, q, k, v, NULL));
    return at_project_add(cx, &m->to_out, y, NULL, residual);
}

/* norm(x) + shift in one pass. shift [B,1,dim] */
static at_tensor *norm_shifted(at_context *cx, const at_nn_norm *m, at_tensor *x, at_tensor *shift)
{
    at_tensor *scale = at_affine(cx, at_view(cx, m->weight, 1, 1, at_dim(m->weight, 0)), 1, -1);
    return at_norm_modulate(cx, x, at_add(cx, shift, m->bias), scale, m->eps);
}

/* x, skip [B,N,dim]; skip is NULL in the first half and the middle. */
static void block(at_context *cx, const hunyuan_block *m, at_tensor **x, at_tensor *skip,
                  const hunyuan_known *known)
{
    at_scope s = at_scope_begin(cx);
    if (skip) {
        at_tensor *both = at_layer_normalize(cx, &m->skip_norm, at_join(cx, 2, *x, skip));
        *x = at_project(cx, &m->skip_linear, both);
    }
    at_tensor *shift;
    at_modulation_pieces(cx, &m->norm1_linear, known->temb, 1, &shift); /* [B,1,dim] */

    at_tensor *y = norm_shifted(cx, &m->norm1, *x, shift);
    *x = add_attention(cx, &m->attn1, y, NULL, known->rope, *x);

    y = at_layer_normalize(cx, &m->norm2, *x);
    *x = add_attention(cx, &m->attn2, y, known->text, known->rope, *x);

    y = at_layer_normalize(cx, &m->norm3, *x);
    *x = at_feed_forward_add(cx, &m->ff, y, NULL, *x);
    at_scope_end(cx, s, x, NULL);
}

/* Block i, all up to its mirror image at the other end, and that, which takes what block i gave as
   its long skip; the two or three in the middle have none. */
static void blocks_from(at_context *cx, const hunyuan_dit *m, int i, at_tensor **x,
                        const hunyuan_known *known)
{
    int n = m->config.layers;
    at_scope s = at_scope_begin(cx);
    if (i < n / 2 - 1) {
        block(cx, &m->blocks[i], x, NULL, known);
        at_tensor *skip = *x;
        blocks_from(cx, m, i + 1, x, known);
        block(cx, &m->blocks[n - 1 - i], x, skip, known);
    } else {
        for (; i < n && i <= n / 2; i++) block(cx, &m->blocks[i], x, NULL, known);
    }
    at_scope_end(cx, s, x, NULL);
}

/* HunyuanDiTAttentionPool: the mean of the tokens asks them all, padding too. x [B,M,E] ->
   [B,pooled] */
static at_tensor *pool(at_context *cx, const hunyuan_pool *m, at_tensor *x)
{
    int64_t B = at_dim(x, 0), M = at_dim(x, 1), E = at_dim(x, 2);
    at_tensor *every = at_full(cx, M ? 1.0f / (float)M : 0.0f, 3, (int64_t[]){1, 1, M});
    at_tensor *all = at_join(cx, 1, at_matmul(cx, every, x), x); /* [B,1+M,E] */
    all = at_add(cx, all, m->positional_embedding);
    at_tensor *first = at_slice(cx, all, 1, 0, 1);
    at_tensor *q = at_split_heads(cx, at_project(cx, &m->q_proj, first), POOLER_HEADS);
    at_tensor *k = at_split_heads(cx, at_project(cx, &m->k_proj, all), POOLER_HEADS);
    at_tensor *v = at_split_heads(cx, at_project(cx, &m->v_proj, all), POOLER_HEADS);
    at_tensor *y = at_merge_heads(cx, at_attention(cx, q, k, v, NULL)); /* [B,1,E] */
    return at_project(cx, &m->c_proj, at_view(cx, y, B, E));
}

/* HunyuanCombinedTimestepTextSizeStyleEmbedding -> [B,dim] */
static at_tensor *time_extra_emb(at_context *cx, const hunyuan_dit *m,
                                 const at_hunyuan_dit_inputs *in)
{
    const at_timestep_options options = {.flip_sin_to_cos = true};
    int64_t B = at_dim(in->hidden_states, 0);
    at_tensor *t = at_timestep_embedding(cx, in->timestep, FREQUENCIES, &options);
    at_tensor *extra = pool(cx, &m->pooler, in->encoder_hidden_states_t5);
    if (m->config.sized) {
        at_tensor *sizes = at_view(cx, in->image_meta_size, B * META_SIZES);
        sizes = at_timestep_embedding(cx, sizes, FREQUENCIES, &options);
        sizes = at_view(cx, sizes, B, META_SIZES * FREQUENCIES);
        extra = at_join(cx, 1, extra, sizes, at_embedding(cx, m->style_embedder, in->style));
    }
    return at_add(cx, at_embed(cx, &m->timestep_embedder, t, AT_SILU),
                  at_embed(cx, &m->extra_embedder, extra, AT_SILU));
}

/* BERT's and mT5's tokens in one row, padding replaced by what was learned for it. -> [B,M,D] */
static at_tensor *text_of(at_context *cx, const hunyuan_dit *m, const at_hunyuan_dit_inputs *in)
{
    at_tensor *t5 = at_embed(cx, &m->text_embedder, in->encoder_hidden_states_t5, AT_SILU);
    at_tensor *text = at_join(cx, 1, in->encoder_hidden_states, t5);
    at_tensor *mask = at_join(cx, 1, at_cast(cx, in->text_embedding_mask, AT_F32),
                              at_cast(cx, in->text_embedding_mask_t5, AT_F32));
    mask = at_view(cx, mask, at_dim(mask, 0), at_dim(mask, 1), 1);
    at_tensor *hidden = at_affine(cx, mask, -1.0f, 1.0f);
    return at_add(cx, at_mul(cx, text, mask), at_mul(cx, m->text_embedding_padding, hidden));
}

/* Place i of n from start towards stop. The reference's last place is stop * (n - 1) / n, which
   ends one step before stop only where start is 0. */
static float place(double start, double stop, int64_t i, int64_t n)
{
    double last = stop * (double)(n - 1) / (double)n;
    return (float)(n > 1 ? start + (last - start) * (double)i / (double)(n - 1) : start);
}

at_tensor *at_hunyuan_dit_rope(at_context *cx, const at_module *module, int64_t height,
                               int64_t width)
{
    const hunyuan_config *c = &((const hunyuan_dit *)module)->config;
    int64_t h = height / c->patch_size, w = width / c->patch_size;
    double base = BASE_LATENTS / c->patch_size; /* get_resize_crop_region_for_grid */
    double rows = h > w ? base : rint(base / (double)w * (double)h);
    double columns = h > w ? rint(base / (double)h * (double)w) : base;
    double top = rint((base - rows) / 2), left = rint((base - columns) / 2);
    at_tensor *at = at_new(cx, AT_F32, h * w, 2);
    if (!at) return NULL;
    float *out = at->data;
    for (int64_t i = 0; i < h * w; i++) { /* columns turn the first half of a head, rows the rest */
        *out++ = place(left, left + columns, i % w, w);
        *out++ = place(top, top + rows, i / w, h);
    }
    return at_rotary_table(cx, h * w, 2, (int64_t[]){c->head_dim / 2, c->head_dim / 2}, at->data,
                           10000.0);
}

at_tensor *at_hunyuan_dit_forward(at_context *cx, const at_module *module,
                                  const at_hunyuan_dit_inputs *in)
{
    const hunyuan_dit *m = (const hunyuan_dit *)module;
    if (at_ok(cx) && m->config.sized && !(in->image_meta_size && in->style))
        return at_fail(cx, AT_ERROR_ARGUMENT, "hunyuan: image_meta_size and style are missing");
    at_scope s = at_scope_begin(cx);
    hunyuan_known known = {time_extra_emb(cx, m, in), text_of(cx, m, in), in->rope};
    at_tensor *x = at_convolve(cx, &m->pos_embed, in->hidden_states); /* [B,h,w,dim] */
    int64_t B = at_dim(x, 0), h = at_dim(x, 1), w = at_dim(x, 2);
    x = at_view(cx, x, B, h * w, m->config.dim);
    at_scope_keep(cx, s, &x, &known.temb, &known.text, NULL);
    blocks_from(cx, m, 0, &x, &known);

    at_tensor *p[2]; /* AdaLayerNormContinuous: scale, shift */
    at_modulation_pieces(cx, &m->norm_out, known.temb, 2, p);
    x = at_project(cx, &m->proj_out, at_norm_modulate(cx, x, p[1], p[0], 1e-6f));
    x = at_unpatchify(cx, x, h, w, m->config.patch_size);
    at_scope_end(cx, s, &x, NULL);
    return x;
}

at_hunyuan_dit_info at_hunyuan_dit_info_of(const at_module *module)
{
    if (!module) return (at_hunyuan_dit_info){0};
    const hunyuan_config *c = &((const hunyuan_dit *)module)->config;
    return (at_hunyuan_dit_info){.patch_size = c->patch_size,
                                 .sample_size = c->sample_size,
                                 .text_len = c->text_len,
                                 .text_len_t5 = c->text_len_t5,
                                 .in_channels = c->in_channels,
                                 .learn_sigma = c->learn_sigma,
                                 .use_style_cond_and_image_meta_size = c->sized};
}

/* ---- parameters */

static void bind_projection(at_binder *b, at_nn_embedder *m, int64_t in, int64_t hidden,
                            int64_t out)
{
    at_bind_linear(b, "linear_1", &m->linear_1, in, hidden, AT_BIAS);
    at_bind_linear(b, "linear_2", &m->linear_2, hidden, out, AT_BIAS);
}

static void bind_attention(at_binder *b, hunyuan_attention *m, const hunyuan_config *c,
                           int64_t from)
{
    m->heads = c->heads;
    at_bind_layer_norm(b, "norm_q", &m->norm_q, c->head_dim, 1e-6);
    at_bind_layer_norm(b, "norm_k", &m->norm_k, c->head_dim, 1e-6);
    at_bind_linear(b, "to_q", &m->to_q, c->dim, c->dim, AT_BIAS);
    at_bind_linear(b, "to_k", &m->to_k, from, c->dim, AT_BIAS);
    at_bind_linear(b, "to_v", &m->to_v, from, c->dim, AT_BIAS);
    at_bind_linear(b, "to_out.0", &m->to_out, c->dim, c->dim, AT_BIAS);
}

static void bind_block(at_binder *b, hunyuan_block *m, const hunyuan_config *c, bool skip)
{
    at_bind_linear(b, "norm1.linear", &m->norm1_linear, c->dim, c->dim, AT_BIAS);
    at_bind_layer_norm(b, "norm1.norm", &m->norm1, c->dim, 1e-6);
    AT_BIND(b, "attn1", bind_attention, &m->attn1, c, c->dim);
    at_bind_layer_norm(b, "norm2", &m->norm2, c->dim, 1e-6);
    AT_BIND(b, "attn2", bind_attention, &m->attn2, c, c->cross_dim);
    at_bind_layer_norm(b, "norm3", &m->norm3, c->dim, 1e-6);
    if (c->gated)
        at_bind_geglu(b, "ff", &m->ff, c->dim, c->inner);
    else
        at_bind_feed_forward(b, "ff", &m->ff, c->dim, c->inner, c->activation_fn);
    if (!skip) return;
    at_bind_layer_norm(b, "skip_norm", &m->skip_norm, 2 * c->dim, 1e-6);
    at_bind_linear(b, "skip_linear", &m->skip_linear, 2 * c->dim, c->dim, AT_BIAS);
}

static void bind_pool(at_binder *b, hunyuan_pool *m, const hunyuan_config *c)
{
    at_bind_parameter(b, "positional_embedding", &m->positional_embedding, AT_PARAMETER_TABLE, 2,
                      (int64_t[]){c->text_len_t5 + 1, c->t5_dim});
    at_bind_linear(b, "k_proj", &m->k_proj, c->t5_dim, c->t5_dim, AT_BIAS);
    at_bind_linear(b, "q_proj", &m->q_proj, c->t5_dim, c->t5_dim, AT_BIAS);
    at_bind_linear(b, "v_proj", &m->v_proj, c->t5_dim, c->t5_dim, AT_BIAS);
    at_bind_linear(b, "c_proj", &m->c_proj, c->t5_dim, c->pooled_dim, AT_BIAS);
}

static void bind_time_extra_emb(at_binder *b, hunyuan_dit *m)
{
    const hunyuan_config *c = &m->config;
    int64_t extra = c->pooled_dim + (c->sized ? META_SIZES * FREQUENCIES + c->dim : 0);
    at_bind_embedder(b, "timestep_embedder", &m->timestep_embedder, FREQUENCIES, c->dim);
    AT_BIND(b, "pooler", bind_pool, &m->pooler, c);
    if (c->sized) at_bind_embedding(b, "style_embedder", &m->style_embedder, 1, c->dim);
    AT_BIND(b, "extra_embedder", bind_projection, &m->extra_embedder, extra, 4 * c->dim, c->dim);
}

static void bind(at_binder *b, at_module *module)
{
    hunyuan_dit *m = (hunyuan_dit *)module;
    const hunyuan_config *c = &m->config;
    AT_BIND(b, "text_embedder", bind_projection, &m->text_embedder, c->t5_dim, 4 * c->t5_dim,
            c->cross_dim);
    at_bind_parameter(b, "text_embedding_padding", &m->text_embedding_padding, AT_PARAMETER_TABLE,
                      2, (int64_t[]){c->text_len + c->text_len_t5, c->cross_dim});
    at_bind_conv2d(b, "pos_embed.proj", &m->pos_embed, c->in_channels, c->dim, c->patch_size,
                   c->patch_size, 0);
    AT_BIND(b, "time_extra_emb", bind_time_extra_emb, m);
    AT_BIND_LIST(b, "blocks", c->layers, bind_block, m->blocks, c, i_ > c->layers / 2);
    at_bind_linear(b, "norm_out.linear", &m->norm_out, c->dim, 2 * c->dim, AT_BIAS);
    at_bind_linear(b, "proj_out", &m->proj_out, c->dim,
                   c->patch_size * c->patch_size * c->out_channels, AT_BIAS);
}

static void configure_feed_forward(at_context *cx, at_config *k, hunyuan_config *c)
{
    const char *act = at_config_text(cx, k, "activation_fn", "gelu-approximate");
    double inner = (double)c->dim * at_config_number(cx, k, "mlp_ratio", 4.0);
    c->gated = strcmp(act, "geglu") == 0;
    c->activation_fn = strcmp(act, "gelu") == 0 ? AT_GELU : AT_GELU_TANH;
    c->inner = inner >= 1 && inner < 1 << 24 ? (int64_t)inner : 0;
    if (!c->inner)
        at_fail(cx, AT_ERROR_FORMAT, "%s: \"mlp_ratio\" is out of range", at_config_what(k));
    if (!c->gated && strcmp(act, "gelu") != 0 && strcmp(act, "gelu-approximate") != 0)
        at_fail(cx, AT_ERROR_UNSUPPORTED, "%s: \"activation_fn\": \"%s\" is not supported",
                at_config_what(k), act);
}

static void configure(at_context *cx, at_config *k, at_module *module)
{
    hunyuan_dit *m = (hunyuan_dit *)module;
    hunyuan_config *c = &m->config;
    static const char *const unused[] = {"norm_type", NULL}; /* by the reference too */
    at_config_ignore(k, unused);
    c->heads = at_config_range(cx, k, "num_attention_heads", 16, 1, 1024);
    c->head_dim = at_config_range(cx, k, "attention_head_dim", 88, 1, 4096);
    c->dim = c->heads * c->head_dim;
    c->in_channels = at_config_range(cx, k, "in_channels", 0, 1, 65536);
    c->patch_size = at_config_range(cx, k, "patch_size", 0, 1, BASE_LATENTS);
    c->sample_size = at_config_range(cx, k, "sample_size", 32, 1, 1 << 16);
    c->layers = at_config_range(cx, k, "num_layers", 28, 1, 1000);
    c->learn_sigma = at_config_bool(cx, k, "learn_sigma", true);
    c->out_channels = c->in_channels * (c->learn_sigma ? 2 : 1);
    c->cross_dim = at_config_range(cx, k, "cross_attention_dim", 1024, 1, 1 << 20);
    c->t5_dim = at_config_range(cx, k, "cross_attention_dim_t5", 2048, 1, 1 << 20);
    c->pooled_dim = at_config_range(cx, k, "pooled_projection_dim", 1024, 1, 1 << 20);
    c->text_len = at_config_range(cx, k, "text_len", 77, 0, 1 << 16);
    c->text_len_t5 = at_config_range(cx, k, "text_len_t5", 256, 1, 1 << 16);
    c->sized = at_config_bool(cx, k, "use_style_cond_and_image_meta_size", true);
    configure_feed_forward(cx, k, c);
    if (at_config_range(cx, k, "hidden_size", 1152, 1, 1 << 22) != c->dim)
        at_fail(cx, AT_ERROR_FORMAT,
                "%s: \"hidden_size\" must be num_attention_heads * attention_head_dim, %lld",
                at_config_what(k), (long long)c->dim);
    if (c->head_dim % 4 || c->t5_dim % POOLER_HEADS || (c->layers > 1 && c->layers % 2))
        at_fail(cx, AT_ERROR_FORMAT,
                "%s: \"attention_head_dim\" must be a multiple of 4, \"cross_attention_dim_t5\" of "
                "%d, and \"num_layers\" even",
                at_config_what(k), POOLER_HEADS);
    m->blocks = at_module_list(module, c->layers, sizeof *m->blocks);
}

const at_module_class at_hunyuan_dit_class = {
    .name = "HunyuanDiT2DModel",
    .size = sizeof(hunyuan_dit),
    .configure = configure,
    .bind = bind,
};
