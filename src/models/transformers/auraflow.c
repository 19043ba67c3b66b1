#include "models/transformers/auraflow.h"
#include "nn/patches.h"
#include <math.h>

enum { REGISTERS = 8 };
static const float EPS = 1e-5f; /* of FP32LayerNorm, which has no weights here */

typedef struct auraflow_config {
    at_auraflow_info info;
    int joint_layers, single_layers, heads;
    int64_t out_channels, dim, joint_dim, positions;
} auraflow_config;

typedef struct auraflow_attention {
    int heads;
    at_nn_linear to_q, to_k, to_v, to_out;
    at_nn_linear add_q_proj, add_k_proj, add_v_proj, to_add_out; /* the text's, in joint blocks */
} auraflow_attention;

typedef struct auraflow_feed_forward {
    at_nn_linear linear_1, linear_2, out_projection;
} auraflow_feed_forward;

typedef struct auraflow_joint {
    at_nn_linear norm1, norm1_context;
    auraflow_attention attn;
    auraflow_feed_forward ff, ff_context;
} auraflow_joint;

typedef struct auraflow_single {
    at_nn_linear norm1;
    auraflow_attention attn;
    auraflow_feed_forward ff;
} auraflow_single;

typedef struct auraflow_transformer {
    at_module module;
    auraflow_config config;
    at_nn_linear pos_embed_proj, context_embedder;
    at_tensor *pos_embed;       /* [1,positions,D], learned */
    at_tensor *register_tokens; /* [1,REGISTERS,D] */
    at_nn_embedder time_step_proj;
    auraflow_joint *joint_transformer_blocks;
    auraflow_single *single_transformer_blocks;
    at_nn_linear norm_out, proj_out;
} auraflow_transformer;

/* ---- forward */

/* y [B,N,D] -> heads [B,N,H,head_dim], normed: queries and keys */
static at_tensor *normed_heads(at_context *cx, at_tensor *y, int heads)
{
    return at_layer_norm(cx, at_split_heads(cx, y, heads), NULL, NULL, EPS);
}

/* Text and picture attend together, text first: xi [B,N,D], xt [B,M,D] -> [B,M+N,D] */
static at_tensor *joint_attention(at_context *cx, const auraflow_attention *m, at_tensor *xi,
                                  at_tensor *xt)
{
    at_scope s = at_scope_begin(cx);
    at_tensor *q = at_project_pair(cx, &m->add_q_proj, xt, &m->to_q, xi);
    at_tensor *k = at_project_pair(cx, &m->add_k_proj, xt, &m->to_k, xi);
    at_tensor *v = at_project_pair(cx, &m->add_v_proj, xt, &m->to_v, xi);
    q = normed_heads(cx, q, m->heads);
    k = normed_heads(cx, k, m->heads);
    v = at_split_heads(cx, v, m->heads);
    at_tensor *y = at_merge_heads(cx, at_attention(cx, q, k, v, NULL));
    at_scope_end(cx, s, &y, NULL);
    return y;
}

/* x [B,N,D] -> [B,N,D], without the projection behind */
static at_tensor *self_attention(at_context *cx, const auraflow_attention *m, at_tensor *x)
{
    at_scope s = at_scope_begin(cx);
    at_tensor *q = normed_heads(cx, at_project(cx, &m->to_q, x), m->heads);
    at_tensor *k = normed_heads(cx, at_project(cx, &m->to_k, x), m->heads);
    at_tensor *v = at_split_heads(cx, at_project(cx, &m->to_v, x), m->heads);
    at_tensor *y = at_merge_heads(cx, at_attention(cx, q, k, v, NULL));
    at_scope_end(cx, s, &y, NULL);
    return y;
}

/* residual + gate * SwiGLU: silu(linear_1 x) * linear_2 x. gate [B,1,D] */
static at_tensor *add_feed_forward(at_context *cx, const auraflow_feed_forward *m, at_tensor *x,
                                   at_tensor *gate, at_tensor *residual)
{
    at_scope s = at_scope_begin(cx);
    at_tensor *y = at_project(cx, &m->linear_1, x);
    y = at_project_mul(cx, &m->linear_2, x, y, AT_SILU);
    y = at_project_add(cx, &m->out_projection, y, gate, residual);
    at_scope_end(cx, s, &y, NULL);
    return y;
}

/* What attention found (a [B,N,D], before its projection) steers the feed-forward only: the sum
   goes back to x itself. */
static at_tensor *finish(at_context *cx, const auraflow_feed_forward *ff, const at_nn_linear *out,
                         at_tensor *x, at_tensor *a, const at_modulation *m)
{
    at_tensor *y = at_project_add(cx, out, a, m->gate[0], x);
    y = at_norm_modulate(cx, y, m->shift[1], m->scale[1], EPS);
    return add_feed_forward(cx, ff, y, m->gate[1], x);
}

/* One MM-DiT block. img [B,N,D], txt [B,M,D], temb [B,D]. */
static void joint_block(at_context *cx, const auraflow_joint *b, at_tensor **img, at_tensor **txt,
                        at_tensor *temb)
{
    at_scope s = at_scope_begin(cx);
    at_modulation mi = at_modulate(cx, &b->norm1, temb); /* 2 x (shift, scale, gate), [B,1,D] */
    at_modulation mt = at_modulate(cx, &b->norm1_context, temb);

    at_tensor *xi = at_norm_modulate(cx, *img, mi.shift[0], mi.scale[0], EPS);
    at_tensor *xt = at_norm_modulate(cx, *txt, mt.shift[0], mt.scale[0], EPS);
    int64_t N = at_dim(xi, 1), M = at_dim(xt, 1);
    at_tensor *a = joint_attention(cx, &b->attn, xi, xt);

    *img = finish(cx, &b->ff, &b->attn.to_out, *img, at_slice(cx, a, 1, M, N), &mi);
    *txt = finish(cx, &b->ff_context, &b->attn.to_add_out, *txt, at_slice(cx, a, 1, 0, M), &mt);
    at_scope_end(cx, s, img, txt, NULL);
}

/* The same over text and picture in one row. x [B,M+N,D], temb [B,D]. */
static void single_block(at_context *cx, const auraflow_single *b, at_tensor **x, at_tensor *temb)
{
    at_scope s = at_scope_begin(cx);
    at_modulation m = at_modulate(cx, &b->norm1, temb);
    at_tensor *y = at_norm_modulate(cx, *x, m.shift[0], m.scale[0], EPS);
    *x = finish(cx, &b->ff, &b->attn.to_out, *x, self_attention(cx, &b->attn, y), &m);
    at_scope_end(cx, s, x, NULL);
}

/* Patches with the middle of the grid of learned positions. x [B,h,w,C] -> [B,(h/p)(w/p),D] */
static at_tensor *patch_embed(at_context *cx, const auraflow_transformer *m, at_tensor *x)
{
    int p = m->config.info.patch_size;
    int64_t most = (int64_t)sqrt((double)m->config.positions);
    int64_t rows = at_dim(x, 1) / p, columns = at_dim(x, 2) / p;
    at_tensor *y = at_project(cx, &m->pos_embed_proj, at_patchify(cx, x, p));
    at_tensor *positions = at_positions_crop(cx, m->pos_embed, most, most / 2 - rows / 2,
                                             most / 2 - columns / 2, rows, columns);
    return at_add(cx, y, positions);
}

/* [B,M,joint_attention_dim] -> [B,REGISTERS+M,D] */
static at_tensor *context_embed(at_context *cx, const auraflow_transformer *m, at_tensor *x)
{
    at_tensor *txt = at_project(cx, &m->context_embedder, x);
    int64_t shape[] = {at_dim(txt, 0), REGISTERS, m->config.dim};
    at_tensor *registers = at_cast(cx, m->register_tokens, AT_F32);
    return at_join(cx, 1, at_expand(cx, registers, 3, shape), txt);
}

at_tensor *at_auraflow_forward(at_context *cx, const at_module *module,
                               const at_auraflow_inputs *in)
{
    const auraflow_transformer *m = (const auraflow_transformer *)module;
    const at_timestep_options options = {.flip_sin_to_cos = true, .scale = 1000.0f};
    int p = m->config.info.patch_size;
    at_scope s = at_scope_begin(cx);
    at_tensor *img = patch_embed(cx, m, in->hidden_states);           /* [B,N,D] */
    at_tensor *txt = context_embed(cx, m, in->encoder_hidden_states); /* [B,8+M,D] */
    at_tensor *temb = at_timestep_embedding(cx, in->timestep, 256, &options);
    temb = at_embed(cx, &m->time_step_proj, temb, AT_SILU);
    for (int i = 0; i < m->config.joint_layers; i++) {
        joint_block(cx, &m->joint_transformer_blocks[i], &img, &txt, temb);
        at_scope_keep(cx, s, &img, &txt, &temb, NULL);
    }
    int64_t M = at_dim(txt, 1), N = at_dim(img, 1);
    at_tensor *x = at_join(cx, 1, txt, img);
    for (int i = 0; i < m->config.single_layers; i++) {
        single_block(cx, &m->single_transformer_blocks[i], &x, temb);
        at_scope_keep(cx, s, &x, &temb, NULL);
    }
    at_tensor *c[2]; /* scale, shift; no norm before them */
    at_modulation_pieces(cx, &m->norm_out, temb, 2, c);
    x = at_mul(cx, at_slice(cx, x, 1, M, N), at_affine(cx, c[0], 1.0f, 1.0f));
    x = at_project(cx, &m->proj_out, at_add(cx, x, c[1]));
    x = at_unpatchify(cx, x, at_dim(in->hidden_states, 1) / p, at_dim(in->hidden_states, 2) / p, p);
    at_scope_end(cx, s, &x, NULL);
    return x;
}

at_auraflow_info at_auraflow_info_of(const at_module *auraflow)
{
    return auraflow ? ((const auraflow_transformer *)auraflow)->config.info : (at_auraflow_info){0};
}

/* ---- parameters */

static void bind_attention(at_binder *b, auraflow_attention *m, const auraflow_config *c,
                           bool joint)
{
    int64_t dim = c->dim;
    m->heads = c->heads;
    at_bind_linear(b, "to_q", &m->to_q, dim, dim, AT_NO_BIAS);
    at_bind_linear(b, "to_k", &m->to_k, dim, dim, AT_NO_BIAS);
    at_bind_linear(b, "to_v", &m->to_v, dim, dim, AT_NO_BIAS);
    at_bind_linear(b, "to_out.0", &m->to_out, dim, dim, AT_NO_BIAS);
    if (!joint) return;
    at_bind_linear(b, "add_q_proj", &m->add_q_proj, dim, dim, AT_NO_BIAS);
    at_bind_linear(b, "add_k_proj", &m->add_k_proj, dim, dim, AT_NO_BIAS);
    at_bind_linear(b, "add_v_proj", &m->add_v_proj, dim, dim, AT_NO_BIAS);
    at_bind_linear(b, "to_add_out", &m->to_add_out, dim, dim, AT_NO_BIAS);
}

/* Two thirds of 4 D, up to the next multiple of 256. */
static void bind_feed_forward(at_binder *b, auraflow_feed_forward *m, int64_t dim)
{
    int64_t inner = (8 * dim / 3 + 255) / 256 * 256;
    at_bind_linear(b, "linear_1", &m->linear_1, dim, inner, AT_NO_BIAS);
    at_bind_linear(b, "linear_2", &m->linear_2, dim, inner, AT_NO_BIAS);
    at_bind_linear(b, "out_projection", &m->out_projection, inner, dim, AT_NO_BIAS);
}

static void bind_joint(at_binder *b, auraflow_joint *m, const auraflow_config *c)
{
    at_bind_linear(b, "norm1.linear", &m->norm1, c->dim, 6 * c->dim, AT_NO_BIAS);
    at_bind_linear(b, "norm1_context.linear", &m->norm1_context, c->dim, 6 * c->dim, AT_NO_BIAS);
    AT_BIND(b, "attn", bind_attention, &m->attn, c, true);
    AT_BIND(b, "ff", bind_feed_forward, &m->ff, c->dim);
    AT_BIND(b, "ff_context", bind_feed_forward, &m->ff_context, c->dim);
}

static void bind_single(at_binder *b, auraflow_single *m, const auraflow_config *c)
{
    at_bind_linear(b, "norm1.linear", &m->norm1, c->dim, 6 * c->dim, AT_NO_BIAS);
    AT_BIND(b, "attn", bind_attention, &m->attn, c, false);
    AT_BIND(b, "ff", bind_feed_forward, &m->ff, c->dim);
}

static void bind(at_binder *b, at_module *module)
{
    auraflow_transformer *m = (auraflow_transformer *)module;
    const auraflow_config *c = &m->config;
    int64_t square = (int64_t)c->info.patch_size * c->info.patch_size;
    at_bind_linear(b, "pos_embed.proj", &m->pos_embed_proj, square * c->info.in_channels, c->dim,
                   AT_BIAS);
    at_bind_parameter(b, "pos_embed.pos_embed", &m->pos_embed, AT_PARAMETER_TABLE, 3,
                      (int64_t[]){1, c->positions, c->dim});
    at_bind_parameter(b, "register_tokens", &m->register_tokens, AT_PARAMETER_TABLE, 3,
                      (int64_t[]){1, REGISTERS, c->dim});
    at_bind_linear(b, "context_embedder", &m->context_embedder, c->joint_dim, c->dim, AT_NO_BIAS);
    at_bind_embedder(b, "time_step_proj", &m->time_step_proj, 256, c->dim);
    AT_BIND_LIST(b, "joint_transformer_blocks", c->joint_layers, bind_joint,
                 m->joint_transformer_blocks, c);
    AT_BIND_LIST(b, "single_transformer_blocks", c->single_layers, bind_single,
                 m->single_transformer_blocks, c);
    at_bind_linear(b, "norm_out.linear", &m->norm_out, c->dim, 2 * c->dim, AT_NO_BIAS);
    at_bind_linear(b, "proj_out", &m->proj_out, c->dim, square * c->out_channels, AT_NO_BIAS);
}

static void configure(at_context *cx, at_config *k, at_module *module)
{
    auraflow_transformer *m = (auraflow_transformer *)module;
    auraflow_config *c = &m->config;
    c->info.sample_size = at_config_range(cx, k, "sample_size", 64, 1, 1 << 16);
    c->info.patch_size = at_config_range(cx, k, "patch_size", 2, 1, 64);
    c->info.in_channels = at_config_range(cx, k, "in_channels", 4, 1, 65536);
    c->out_channels = at_config_range(cx, k, "out_channels", 4, 1, 65536);
    c->joint_layers = at_config_range(cx, k, "num_mmdit_layers", 4, 0, 1000);
    c->single_layers = at_config_range(cx, k, "num_single_dit_layers", 32, 0, 1000);
    int64_t head_dim = at_config_range(cx, k, "attention_head_dim", 256, 1, 4096);
    c->heads = at_config_range(cx, k, "num_attention_heads", 12, 1, 1024);
    c->joint_dim = at_config_range(cx, k, "joint_attention_dim", 2048, 1, 1 << 20);
    c->positions = at_config_range(cx, k, "pos_embed_max_size", 1024, 1, 1 << 24);
    c->dim = c->heads * head_dim;
    if (at_config_range(cx, k, "caption_projection_dim", 3072, 1, 1 << 22) != c->dim)
        at_fail(cx, AT_ERROR_FORMAT,
                "%s: \"caption_projection_dim\" must be heads times head size, %lld",
                at_config_what(k), (long long)c->dim);
    m->joint_transformer_blocks =
        at_module_list(module, c->joint_layers, sizeof *m->joint_transformer_blocks);
    m->single_transformer_blocks =
        at_module_list(module, c->single_layers, sizeof *m->single_transformer_blocks);
}

const at_module_class at_auraflow_transformer_class = {
    .name = "AuraFlowTransformer2DModel",
    .size = sizeof(auraflow_transformer),
    .configure = configure,
    .bind = bind,
};
