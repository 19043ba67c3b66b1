#include "models/unets/unet_2d_condition.h"
#include "models/unets/unet_2d_blocks.h"
#include "models/unets/unet_2d_config.h"

typedef struct unet_2d_condition {
    at_module module;
    at_unet_config config;
    at_nn_conv2d conv_in, conv_out;
    at_nn_embedder time_embedding, class_embedding, add_embedding;
    at_nn_linear time_cond_proj, class_projection, encoder_hid_proj;
    at_tensor *class_table;
    at_unet_block *down_blocks, *up_blocks, mid_block;
    at_nn_norm conv_norm_out;
} unet_2d_condition;

/* ---- forward */

static at_tensor *sinusoids(at_context *cx, const at_unet_config *c, at_tensor *t, int64_t dim)
{
    const at_timestep_options options = {.flip_sin_to_cos = c->flip_sin_to_cos,
                                         .downscale_freq_shift = (float)c->freq_shift};
    return at_timestep_embedding(cx, t, dim, &options);
}

/* The timestep [B] -> [B,T] */
static at_tensor *time_embedding(at_context *cx, const unet_2d_condition *m,
                                 const at_unet_inputs *in)
{
    const at_unet_config *c = &m->config;
    at_tensor *t = sinusoids(cx, c, in->timestep, c->channels[0]);
    if (in->timestep_cond) t = at_add(cx, t, at_project(cx, &m->time_cond_proj, in->timestep_cond));
    t = at_embed(cx, &m->time_embedding, t, c->activation);
    return at_activate(cx, t, c->post_activation);
}

/* Class labels -> [B,T] */
static at_tensor *class_embedding(at_context *cx, const unet_2d_condition *m, at_tensor *labels)
{
    const at_unet_config *c = &m->config;
    if (!labels)
        return at_fail(cx, AT_ERROR_ARGUMENT, "unet: class_labels are needed (\"%s\")",
                       at_unet_class_embed_name(c->class_embed));
    switch (c->class_embed) {
    case AT_UNET_CLASS_TABLE:
        return at_embedding(cx, m->class_table, labels);
    case AT_UNET_CLASS_TIMESTEP:
        labels = sinusoids(cx, c, labels, c->channels[0]);
        return at_embed(cx, &m->class_embedding, labels, c->activation);
    case AT_UNET_CLASS_PROJECTION:
        return at_embed(cx, &m->class_embedding, labels, AT_SILU);
    case AT_UNET_CLASS_SIMPLE:
        return at_project(cx, &m->class_projection, labels);
    default:
        return labels; /* identity */
    }
}

/* SDXL's pooled text [B,P] and sizes [B,n] -> [B,T] */
static at_tensor *text_time_embedding(at_context *cx, const unet_2d_condition *m,
                                      const at_unet_inputs *in)
{
    const at_unet_config *c = &m->config;
    if (!in->text_embeds || !in->time_ids)
        return at_fail(cx, AT_ERROR_ARGUMENT, "unet: text_embeds and time_ids are needed");
    int64_t B = at_dim(in->time_ids, 0), n = at_dim(in->time_ids, 1);
    at_tensor *ids = at_view(cx, in->time_ids, B * n);
    ids = at_view(cx, sinusoids(cx, c, ids, c->addition_time_dim), B, n * c->addition_time_dim);
    return at_embed(cx, &m->add_embedding, at_join(cx, 1, in->text_embeds, ids), AT_SILU);
}

/* All that is known but the text's words, as the resnets take it: [B,T], activated. */
static at_tensor *condition(at_context *cx, const unet_2d_condition *m, const at_unet_inputs *in)
{
    const at_unet_config *c = &m->config;
    at_scope s = at_scope_begin(cx);
    at_tensor *emb = time_embedding(cx, m, in);
    if (c->class_embed) {
        at_tensor *class = class_embedding(cx, m, in->class_labels);
        emb = c->class_concat ? at_join(cx, 1, emb, class) : at_add(cx, emb, class);
    }
    if (c->text_time) emb = at_add(cx, emb, text_time_embedding(cx, m, in));
    emb = at_activate(cx, emb, c->embedding_activation);
    emb = at_activate(cx, emb, c->activation);
    at_scope_end(cx, s, &emb, NULL);
    return emb;
}

/* x [B,h,w,channels[0]] down, through the middle, and up again */
static at_tensor *walk(at_context *cx, const unet_2d_condition *m, at_tensor *x,
                       const at_unet_condition *known)
{
    const at_unet_config *c = &m->config;
    at_unet_skips skips = {AT_NEW_ARRAY(cx, at_tensor *, at_unet_skip_count(c)), 0};
    if (!skips.items) return NULL;
    at_scope s = at_scope_begin(cx);
    skips.items[skips.count++] = x;
    for (int i = 0; i < c->levels; i++) at_unet_down(cx, &m->down_blocks[i], &x, known, &skips);
    at_unet_mid(cx, &m->mid_block, &x, known);
    for (int i = 0; i < c->levels; i++) at_unet_up(cx, &m->up_blocks[i], &x, known, &skips);
    at_scope_end(cx, s, &x, NULL);
    at_free(skips.items);
    return x;
}

at_tensor *at_unet_forward(at_context *cx, const at_module *module, const at_unet_inputs *in)
{
    const unet_2d_condition *m = (const unet_2d_condition *)module;
    const at_unet_config *c = &m->config;
    at_scope s = at_scope_begin(cx);
    at_unet_condition known = {condition(cx, m, in), in->encoder_hidden_states};
    if (m->encoder_hid_proj.weight) known.text = at_project(cx, &m->encoder_hid_proj, known.text);
    at_tensor *x = in->sample;
    if (c->center_input_sample) x = at_affine(cx, x, 2.0f, -1.0f);
    x = walk(cx, m, at_convolve(cx, &m->conv_in, x), &known);
    x = at_group_normalize(cx, &m->conv_norm_out, x, c->activation);
    x = at_convolve(cx, &m->conv_out, x);
    at_scope_end(cx, s, &x, NULL);
    return x;
}

at_unet_info at_unet_info_of(const at_module *unet)
{
    if (!unet) return (at_unet_info){0};
    const at_unet_config *c = &((const unet_2d_condition *)unet)->config;
    return (at_unet_info){.in_channels = c->in_channels,
                          .out_channels = c->out_channels,
                          .sample_size = {c->sample_size[0], c->sample_size[1]},
                          .time_cond_dim = c->time_cond_dim,
                          .text_time = c->text_time,
                          .time_ids_dim = c->addition_time_dim,
                          .added_dim = c->projection_dim};
}

/* ---- parameters */

static void bind_embeddings(at_binder *b, unet_2d_condition *m, const at_unet_config *c)
{
    at_bind_embedder(b, "time_embedding", &m->time_embedding, c->channels[0], c->time_dim);
    if (c->time_cond_dim)
        at_bind_linear(b, "time_embedding.cond_proj", &m->time_cond_proj, c->time_cond_dim,
                       c->channels[0], AT_NO_BIAS);
    if (c->class_embed == AT_UNET_CLASS_TABLE)
        at_bind_embedding(b, "class_embedding", &m->class_table, c->classes, c->time_dim);
    if (c->class_embed == AT_UNET_CLASS_TIMESTEP)
        at_bind_embedder(b, "class_embedding", &m->class_embedding, c->channels[0], c->time_dim);
    if (c->class_embed == AT_UNET_CLASS_PROJECTION)
        at_bind_embedder(b, "class_embedding", &m->class_embedding, c->projection_dim, c->time_dim);
    if (c->class_embed == AT_UNET_CLASS_SIMPLE)
        at_bind_linear(b, "class_embedding", &m->class_projection, c->projection_dim, c->time_dim,
                       AT_BIAS);
    if (c->text_time)
        at_bind_embedder(b, "add_embedding", &m->add_embedding, c->projection_dim, c->time_dim);
    if (c->encoder_hid_dim)
        at_bind_linear(b, "encoder_hid_proj", &m->encoder_hid_proj, c->encoder_hid_dim,
                       c->cross_attention_dim[0], AT_BIAS);
}

/* What the layers of level i have in common. */
static at_unet_block_sizes sizes_of(const at_unet_config *c, int i)
{
    return (at_unet_block_sizes){
        .time_dim = c->class_concat ? 2 * c->time_dim : c->time_dim,
        .eps = c->eps,
        .output_scale = 1.0,
        .activation = c->activation,
        .scale_shift = c->scale_shift,
        .attention = {.channels = c->channels[i],
                      .cross_attention_dim = c->cross_attention_dim[i],
                      .heads = (int)c->heads[i],
                      .groups = c->groups,
                      .only_cross_attention = c->only_cross_attention[i]},
    };
}

static void bind_down(at_binder *b, unet_2d_condition *m, const at_unet_config *c)
{
    for (int i = 0; i < c->levels; i++) {
        size_t before = at_bind_enter_item(b, "down_blocks", i);
        at_unet_block_sizes sizes = sizes_of(c, i);
        at_bind_unet_down(b, &m->down_blocks[i], &sizes, c->channels[i ? i - 1 : 0],
                          i < c->levels - 1, c->downsample_padding);
        at_bind_leave(b, before);
    }
}

static void bind_mid(at_binder *b, unet_2d_condition *m, const at_unet_config *c)
{
    at_unet_block_sizes sizes = sizes_of(c, c->levels - 1);
    sizes.output_scale = c->mid_scale;
    sizes.attention.only_cross_attention = false;
    AT_BIND(b, "mid_block", at_bind_unet_mid, &m->mid_block, &sizes);
}

static void bind_up(at_binder *b, unet_2d_condition *m, const at_unet_config *c)
{
    int64_t in = c->channels[c->levels - 1];
    for (int k = 0; k < c->levels; k++) {
        size_t before = at_bind_enter_item(b, "up_blocks", k);
        int i = c->levels - 1 - k;
        at_unet_block_sizes sizes = sizes_of(c, i);
        at_bind_unet_up(b, &m->up_blocks[k], &sizes, in, c->channels[i ? i - 1 : 0], i > 0);
        at_bind_leave(b, before);
        in = c->channels[i];
    }
}

static void bind(at_binder *b, at_module *module)
{
    unet_2d_condition *m = (unet_2d_condition *)module;
    const at_unet_config *c = &m->config;
    at_bind_conv2d(b, "conv_in", &m->conv_in, c->in_channels, c->channels[0], c->conv_in_kernel, 1,
                   (c->conv_in_kernel - 1) / 2);
    bind_embeddings(b, m, c);
    bind_down(b, m, c);
    bind_mid(b, m, c);
    bind_up(b, m, c);
    at_bind_group_norm(b, "conv_norm_out", &m->conv_norm_out, c->channels[0], c->groups, c->eps);
    at_bind_conv2d(b, "conv_out", &m->conv_out, c->channels[0], c->out_channels, c->conv_out_kernel,
                   1, (c->conv_out_kernel - 1) / 2);
}

/* ---- blocks */

/* Room for a block's layers out of the module's three lists. */
typedef struct room {
    at_unet_resnet *resnets;
    at_transformer_2d *attentions;
    at_basic_block *blocks;
} room;

static void make_block(at_unet_block *m, const at_unet_layers *c, room *r)
{
    *m = (at_unet_block){.layers = c->resnets,
                         .attentions_count = c->attentions,
                         .resnets = r->resnets,
                         .attentions = r->attentions};
    r->resnets += c->resnets;
    r->attentions += c->attentions;
    for (int i = 0; i < c->attentions; i++) {
        m->attentions[i] = (at_transformer_2d){c->depth[i], r->blocks, {0}, {0}, {0}};
        r->blocks += c->depth[i];
    }
}

static void configure(at_context *cx, at_config *k, at_module *module)
{
    unet_2d_condition *m = (unet_2d_condition *)module;
    at_unet_config *c = &m->config;
    at_unet_config_read(cx, k, c);
    if (!at_ok(cx)) return;
    at_unet_totals t = at_unet_totals_of(c);
    room r = {at_module_list(module, t.resnets, sizeof *r.resnets),
              at_module_list(module, t.attentions, sizeof *r.attentions),
              at_module_list(module, t.blocks, sizeof *r.blocks)};
    m->down_blocks = at_module_list(module, c->levels, sizeof *m->down_blocks);
    m->up_blocks = at_module_list(module, c->levels, sizeof *m->up_blocks);
    if (!at_ok(cx)) return;
    for (int i = 0; i < c->levels; i++) make_block(&m->down_blocks[i], &c->down[i], &r);
    make_block(&m->mid_block, &c->mid, &r);
    for (int i = 0; i < c->levels; i++) make_block(&m->up_blocks[i], &c->up[i], &r);
}

const at_module_class at_unet_2d_condition_class = {
    .name = "UNet2DConditionModel",
    .size = sizeof(unet_2d_condition),
    .configure = configure,
    .bind = bind,
};
