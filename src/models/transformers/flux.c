#include "models/transformers/flux.h"

enum { AXES = 3 };

typedef struct flux_config {
    int patch_size, layers, single_layers, heads;
    int64_t in_channels, out_channels, dim, head_dim, joint_dim, pooled_dim;
    bool guidance_embeds;
    int64_t axes[AXES];
} flux_config;

typedef struct flux_attention {
    int heads;
    at_nn_linear to_q, to_k, to_v, to_out;
    at_nn_norm norm_q, norm_k;
    at_nn_linear add_q_proj, add_k_proj, add_v_proj, to_add_out; /* the text's, in double blocks */
    at_nn_norm norm_added_q, norm_added_k;
} flux_attention;

typedef struct flux_double {
    at_nn_linear norm1, norm1_context;
    flux_attention attn;
    at_nn_feed_forward ff, ff_context;
} flux_double;

typedef struct flux_single {
    at_nn_linear norm, proj_mlp, proj_out;
    flux_attention attn;
} flux_single;

typedef struct flux_transformer {
    at_module module;
    flux_config config;
    at_nn_linear x_embedder, context_embedder;
    at_nn_embedder timestep_embedder, guidance_embedder, text_embedder;
    flux_double *transformer_blocks;
    flux_single *single_transformer_blocks;
    at_nn_linear norm_out, proj_out;
} flux_transformer;

/* ---- forward */

/* x [B,N,D] -> heads [B,N,H,head_dim], normed, ready to turn */
static at_tensor *heads_of(at_context *cx, const at_nn_linear *proj, const at_nn_norm *norm,
                           at_tensor *x, int heads)
{
    at_tensor *y = at_split_heads(cx, at_project(cx, proj, x), heads);
    return norm ? at_rms_normalize(cx, norm, y) : y;
}

/* q, k, v [B,N,H,head_dim] -> [B,N,D] */
static at_tensor *attend(at_context *cx, at_tensor *q, at_tensor *k, at_tensor *v, at_tensor *rope)
{
    q = at_rotary(cx, q, rope, AT_ROTARY_INTERLEAVED);
    k = at_rotary(cx, k, rope, AT_ROTARY_INTERLEAVED);
    return at_merge_heads(cx, at_attention(cx, q, k, v, NULL));
}

/* Text and picture attend together, text first. img [B,N,D], txt [B,M,D], rope [M+N,head_dim/2,2].
 */
static at_pair joint_attention(at_context *cx, const flux_attention *m, at_tensor *img,
                               at_tensor *txt, at_tensor *rope)
{
    at_scope s = at_scope_begin(cx);
    int64_t N = at_dim(img, 1), M = at_dim(txt, 1);
    at_tensor *q = at_join(cx, 1, heads_of(cx, &m->add_q_proj, &m->norm_added_q, txt, m->heads),
                           heads_of(cx, &m->to_q, &m->norm_q, img, m->heads));
    at_tensor *k = at_join(cx, 1, heads_of(cx, &m->add_k_proj, &m->norm_added_k, txt, m->heads),
                           heads_of(cx, &m->to_k, &m->norm_k, img, m->heads));
    at_tensor *v = at_join(cx, 1, heads_of(cx, &m->add_v_proj, NULL, txt, m->heads),
                           heads_of(cx, &m->to_v, NULL, img, m->heads));
    at_tensor *y = attend(cx, q, k, v, rope); /* [B,M+N,D] */
    at_pair out = {at_project(cx, &m->to_out, at_slice(cx, y, 1, M, N)),
                   at_project(cx, &m->to_add_out, at_slice(cx, y, 1, 0, M))};
    at_scope_end(cx, s, &out.first, &out.second, NULL);
    return out;
}

/* x [B,N,D] -> [B,N,D], without a projection behind */
static at_tensor *self_attention(at_context *cx, const flux_attention *m, at_tensor *x,
                                 at_tensor *rope)
{
    at_scope s = at_scope_begin(cx);
    at_tensor *q = heads_of(cx, &m->to_q, &m->norm_q, x, m->heads);
    at_tensor *k = heads_of(cx, &m->to_k, &m->norm_k, x, m->heads);
    at_tensor *v = heads_of(cx, &m->to_v, NULL, x, m->heads);
    at_tensor *y = attend(cx, q, k, v, rope);
    at_scope_end(cx, s, &y, NULL);
    return y;
}

/* One MM-DiT block: picture and text keep their own weights and attend together.
   img [B,N,D], txt [B,M,D], temb [B,D], rope [M+N,head_dim/2,2]. */
static void double_block(at_context *cx, const flux_double *b, at_tensor **img, at_tensor **txt,
                         at_tensor *temb, at_tensor *rope)
{
    at_scope s = at_scope_begin(cx);
    at_modulation mi = at_modulate(cx, &b->norm1, temb); /* 2 x (shift, scale, gate), [B,1,D] */
    at_modulation mt = at_modulate(cx, &b->norm1_context, temb);

    at_tensor *xi = at_norm_modulate(cx, *img, mi.shift[0], mi.scale[0], 1e-6f);
    at_tensor *xt = at_norm_modulate(cx, *txt, mt.shift[0], mt.scale[0], 1e-6f);
    at_pair a = joint_attention(cx, &b->attn, xi, xt, rope); /* img [B,N,D], txt [B,M,D] */

    *img = at_gated_add(cx, *img, mi.gate[0], a.first);
    *txt = at_gated_add(cx, *txt, mt.gate[0], a.second);

    xi = at_feed_forward(cx, &b->ff, at_norm_modulate(cx, *img, mi.shift[1], mi.scale[1], 1e-6f));
    xt = at_feed_forward(cx, &b->ff_context,
                         at_norm_modulate(cx, *txt, mt.shift[1], mt.scale[1], 1e-6f));
    *img = at_gated_add(cx, *img, mi.gate[1], xi);
    *txt = at_gated_add(cx, *txt, mt.gate[1], xt);
    at_scope_end(cx, s, img, txt, NULL);
}

/* Attention and feed-forward side by side over text and picture together. x [B,M+N,D], temb [B,D].
 */
static void single_block(at_context *cx, const flux_single *b, at_tensor **x, at_tensor *temb,
                         at_tensor *rope)
{
    at_scope s = at_scope_begin(cx);
    at_tensor *m[3]; /* shift, scale, gate: [B,1,D] */
    at_modulation_pieces(cx, &b->norm, temb, 3, m);

    at_tensor *y = at_norm_modulate(cx, *x, m[0], m[1], 1e-6f);
    at_tensor *a = self_attention(cx, &b->attn, y, rope);             /* [B,M+N,D] */
    at_tensor *f = at_project_act(cx, &b->proj_mlp, y, AT_GELU_TANH); /* [B,M+N,4D] */

    *x = at_gated_add(cx, *x, m[2], at_project(cx, &b->proj_out, at_join(cx, 2, a, f)));
    at_scope_end(cx, s, x, NULL);
}

/* CombinedTimestep(Guidance)TextProjEmbeddings -> [B,D] */
static at_tensor *time_text_embed(at_context *cx, const flux_transformer *m,
                                  const at_flux_inputs *in)
{
    const at_timestep_options options = {.flip_sin_to_cos = true};
    at_tensor *t =
        at_timestep_embedding(cx, at_affine(cx, in->timestep, 1000.0f, 0.0f), 256, &options);
    at_tensor *temb = at_embed(cx, &m->timestep_embedder, t, AT_SILU);
    if (m->config.guidance_embeds) {
        at_tensor *g =
            at_timestep_embedding(cx, at_affine(cx, in->guidance, 1000.0f, 0.0f), 256, &options);
        temb = at_add(cx, temb, at_embed(cx, &m->guidance_embedder, g, AT_SILU));
    }
    return at_add(cx, temb, at_embed(cx, &m->text_embedder, in->pooled_projections, AT_SILU));
}

static at_tensor *rope_of(at_context *cx, const flux_config *c, at_tensor *txt_ids,
                          at_tensor *img_ids)
{
    at_tensor *ids = at_contiguous(cx, at_join(cx, 0, txt_ids, img_ids)); /* [M+N,AXES] */
    return ids ? at_rotary_table(cx, ids->shape[0], AXES, c->axes, ids->data, 10000.0) : NULL;
}

at_tensor *at_flux_forward(at_context *cx, const at_module *module, const at_flux_inputs *in)
{
    const flux_transformer *m = (const flux_transformer *)module;
    at_scope s = at_scope_begin(cx);
    at_tensor *img = at_project(cx, &m->x_embedder, in->hidden_states);               /* [B,N,D] */
    at_tensor *txt = at_project(cx, &m->context_embedder, in->encoder_hidden_states); /* [B,M,D] */
    at_tensor *temb = time_text_embed(cx, m, in);
    at_tensor *rope = rope_of(cx, &m->config, in->txt_ids, in->img_ids);

    for (int i = 0; i < m->config.layers; i++) {
        double_block(cx, &m->transformer_blocks[i], &img, &txt, temb, rope);
        at_scope_keep(cx, s, &img, &txt, &temb, &rope, NULL);
    }
    int64_t M = at_dim(txt, 1), N = at_dim(img, 1);
    at_tensor *x = at_join(cx, 1, txt, img);
    for (int i = 0; i < m->config.single_layers; i++) {
        single_block(cx, &m->single_transformer_blocks[i], &x, temb, rope);
        at_scope_keep(cx, s, &x, &temb, &rope, NULL);
    }
    at_tensor *p[2]; /* AdaLayerNormContinuous: scale, shift */
    at_modulation_pieces(cx, &m->norm_out, temb, 2, p);
    x = at_norm_modulate(cx, at_slice(cx, x, 1, M, N), p[1], p[0], 1e-6f);
    x = at_project(cx, &m->proj_out, x);
    at_scope_end(cx, s, &x, NULL);
    return x;
}

bool at_flux_has_guidance(const at_module *flux)
{
    return flux && ((const flux_transformer *)flux)->config.guidance_embeds;
}

int64_t at_flux_in_channels(const at_module *flux)
{
    return flux ? ((const flux_transformer *)flux)->config.in_channels : 0;
}

/* ---- parameters */

static void bind_attention(at_binder *b, flux_attention *m, const flux_config *c, bool joint)
{
    m->heads = c->heads;
    at_bind_rms_norm(b, "norm_q", &m->norm_q, c->head_dim, 1e-6);
    at_bind_rms_norm(b, "norm_k", &m->norm_k, c->head_dim, 1e-6);
    at_bind_linear(b, "to_q", &m->to_q, c->dim, c->dim, AT_BIAS);
    at_bind_linear(b, "to_k", &m->to_k, c->dim, c->dim, AT_BIAS);
    at_bind_linear(b, "to_v", &m->to_v, c->dim, c->dim, AT_BIAS);
    if (!joint) return;
    at_bind_linear(b, "to_out.0", &m->to_out, c->dim, c->dim, AT_BIAS);
    at_bind_rms_norm(b, "norm_added_q", &m->norm_added_q, c->head_dim, 1e-6);
    at_bind_rms_norm(b, "norm_added_k", &m->norm_added_k, c->head_dim, 1e-6);
    at_bind_linear(b, "add_q_proj", &m->add_q_proj, c->dim, c->dim, AT_BIAS);
    at_bind_linear(b, "add_k_proj", &m->add_k_proj, c->dim, c->dim, AT_BIAS);
    at_bind_linear(b, "add_v_proj", &m->add_v_proj, c->dim, c->dim, AT_BIAS);
    at_bind_linear(b, "to_add_out", &m->to_add_out, c->dim, c->dim, AT_BIAS);
}

static void bind_double(at_binder *b, flux_double *m, const flux_config *c)
{
    at_bind_linear(b, "norm1.linear", &m->norm1, c->dim, 6 * c->dim, AT_BIAS);
    at_bind_linear(b, "norm1_context.linear", &m->norm1_context, c->dim, 6 * c->dim, AT_BIAS);
    AT_BIND(b, "attn", bind_attention, &m->attn, c, true);
    at_bind_feed_forward(b, "ff", &m->ff, c->dim, 4 * c->dim, AT_GELU_TANH);
    at_bind_feed_forward(b, "ff_context", &m->ff_context, c->dim, 4 * c->dim, AT_GELU_TANH);
}

static void bind_single(at_binder *b, flux_single *m, const flux_config *c)
{
    at_bind_linear(b, "norm.linear", &m->norm, c->dim, 3 * c->dim, AT_BIAS);
    at_bind_linear(b, "proj_mlp", &m->proj_mlp, c->dim, 4 * c->dim, AT_BIAS);
    at_bind_linear(b, "proj_out", &m->proj_out, 5 * c->dim, c->dim, AT_BIAS);
    AT_BIND(b, "attn", bind_attention, &m->attn, c, false);
}

static void bind(at_binder *b, at_module *module)
{
    flux_transformer *m = (flux_transformer *)module;
    const flux_config *c = &m->config;
    at_bind_linear(b, "x_embedder", &m->x_embedder, c->in_channels, c->dim, AT_BIAS);
    at_bind_linear(b, "context_embedder", &m->context_embedder, c->joint_dim, c->dim, AT_BIAS);
    at_bind_embedder(b, "time_text_embed.timestep_embedder", &m->timestep_embedder, 256, c->dim);
    if (c->guidance_embeds)
        at_bind_embedder(b, "time_text_embed.guidance_embedder", &m->guidance_embedder, 256,
                         c->dim);
    at_bind_embedder(b, "time_text_embed.text_embedder", &m->text_embedder, c->pooled_dim, c->dim);
    AT_BIND_LIST(b, "transformer_blocks", c->layers, bind_double, m->transformer_blocks, c);
    AT_BIND_LIST(b, "single_transformer_blocks", c->single_layers, bind_single,
                 m->single_transformer_blocks, c);
    at_bind_linear(b, "norm_out.linear", &m->norm_out, c->dim, 2 * c->dim, AT_BIAS);
    at_bind_linear(b, "proj_out", &m->proj_out, c->dim,
                   c->patch_size * c->patch_size * c->out_channels, AT_BIAS);
}

static void configure(at_context *cx, at_config *k, at_module *module)
{
    flux_transformer *m = (flux_transformer *)module;
    flux_config *c = &m->config;
    c->patch_size = at_config_range(cx, k, "patch_size", 1, 1, 16);
    c->in_channels = at_config_range(cx, k, "in_channels", 64, 1, 65536);
    c->out_channels = at_config_range(cx, k, "out_channels", c->in_channels, 0, 65536);
    if (!c->out_channels) c->out_channels = c->in_channels;
    c->layers = at_config_range(cx, k, "num_layers", 19, 0, 1000);
    c->single_layers = at_config_range(cx, k, "num_single_layers", 38, 0, 1000);
    c->head_dim = at_config_range(cx, k, "attention_head_dim", 128, 1, 4096);
    c->heads = at_config_range(cx, k, "num_attention_heads", 24, 1, 1024);
    c->joint_dim = at_config_range(cx, k, "joint_attention_dim", 4096, 1, 1 << 20);
    c->pooled_dim = at_config_range(cx, k, "pooled_projection_dim", 768, 1, 1 << 20);
    c->guidance_embeds = at_config_bool(cx, k, "guidance_embeds", false);
    c->dim = c->heads * c->head_dim;

    int axes =
        at_config_ints(cx, k, "axes_dims_rope", c->axes, AXES, (int64_t[]){16, 56, 56}, AXES);
    int64_t sum = 0;
    bool even = axes == AXES;
    for (int a = 0; a < axes; a++) {
        even = even && c->axes[a] >= 0 && c->axes[a] <= c->head_dim && c->axes[a] % 2 == 0;
        sum += c->axes[a];
    }
    if (at_ok(cx) && (!even || sum != c->head_dim))
        at_fail(cx, AT_ERROR_FORMAT,
                "%s: \"axes_dims_rope\" must be three even numbers that add up to "
                "attention_head_dim, %lld",
                at_config_what(k), (long long)c->head_dim);
    m->transformer_blocks = at_module_list(module, c->layers, sizeof *m->transformer_blocks);
    m->single_transformer_blocks =
        at_module_list(module, c->single_layers, sizeof *m->single_transformer_blocks);
}

const at_module_class at_flux_transformer_class = {
    .name = "FluxTransformer2DModel",
    .size = sizeof(flux_transformer),
    .configure = configure,
    .bind = bind,
};
