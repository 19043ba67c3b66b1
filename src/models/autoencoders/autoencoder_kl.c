#include "models/autoencoders/autoencoder_kl.h"
#include "models/autoencoders/tiling.h"
#include <string.h>

enum { MAX_LEVELS = 8 };

typedef struct vae_config {
    int64_t in_channels, out_channels, latent_channels, channels[MAX_LEVELS], sample_size;
    int levels, layers, groups;
    at_activation activation;
    bool quant_conv, post_quant_conv, mid_attention;
    double scaling_factor, shift_factor;
    double *latents_mean, *latents_std; /* latent_channels of each, or NULL */
} vae_config;

typedef struct vae_resnet {
    at_activation activation;
    at_nn_norm norm1, norm2;
    at_nn_conv2d conv1, conv2, conv_shortcut; /* the last where the channels change */
} vae_resnet;

typedef struct vae_attention {
    at_nn_norm group_norm;
    at_nn_linear to_q, to_k, to_v, to_out;
} vae_attention;

typedef struct vae_level {
    int layers;
    vae_resnet *resnets;
    at_nn_conv2d resample; /* downsamplers.0 or upsamplers.0; no weight at the last level */
} vae_level;

/* The encoder, or the decoder: levels in the order they run in. */
typedef struct vae_half {
    int levels;
    bool attends;
    at_nn_conv2d conv_in, conv_out;
    vae_level *blocks;
    vae_resnet mid_resnets[2];
    vae_attention mid_attention;
    at_nn_norm conv_norm_out;
} vae_half;

typedef struct autoencoder_kl {
    at_module module;
    vae_config config;
    vae_half encoder, decoder;
    at_nn_conv2d quant_conv, post_quant_conv;
} autoencoder_kl;

/* ---- forward; x is [B,H,W,C] throughout */

/* norm, activation, convolution: one half of a resnet */
static at_tensor *half(at_context *cx, const vae_resnet *m, const at_nn_norm *norm,
                       const at_nn_conv2d *conv, at_tensor *x)
{
    at_scope s = at_scope_begin(cx);
    x = at_convolve(cx, conv, at_group_normalize(cx, norm, x, m->activation));
    at_scope_end(cx, s, &x, NULL);
    return x;
}

static void resnet(at_context *cx, const vae_resnet *m, at_tensor **x)
{
    at_scope s = at_scope_begin(cx);
    at_tensor *h = half(cx, m, &m->norm1, &m->conv1, *x);
    h = half(cx, m, &m->norm2, &m->conv2, h);
    at_scope_keep(cx, s, &h, NULL);
    at_tensor *shortcut = m->conv_shortcut.weight ? at_convolve(cx, &m->conv_shortcut, *x) : *x;
    *x = at_add(cx, shortcut, h);
    at_scope_end(cx, s, x, NULL);
}

/* one head over all positions */
static void attention(at_context *cx, const vae_attention *m, at_tensor **x)
{
    at_scope s = at_scope_begin(cx);
    int64_t B = at_dim(*x, 0), H = at_dim(*x, 1), W = at_dim(*x, 2), C = at_dim(*x, 3);
    at_tensor *y =
        at_view(cx, at_group_normalize(cx, &m->group_norm, *x, AT_IDENTITY), B, H * W, C);
    at_tensor *q = at_split_heads(cx, at_project(cx, &m->to_q, y), 1);
    at_tensor *k = at_split_heads(cx, at_project(cx, &m->to_k, y), 1);
    at_tensor *v = at_split_heads(cx, at_project(cx, &m->to_v, y), 1);
    y = at_project(cx, &m->to_out, at_merge_heads(cx, at_attention(cx, q, k, v, NULL)));
    *x = at_add(cx, *x, at_view(cx, y, B, H, W, C));
    at_scope_end(cx, s, x, NULL);
}

static void mid_block(at_context *cx, const vae_half *m, at_tensor **x)
{
    resnet(cx, &m->mid_resnets[0], x);
    if (m->attends) attention(cx, &m->mid_attention, x);
    resnet(cx, &m->mid_resnets[1], x);
}

static at_tensor *conv_out(at_context *cx, const vae_half *m, at_tensor *x)
{
    return at_convolve(cx, &m->conv_out, at_group_normalize(cx, &m->conv_norm_out, x, AT_SILU));
}

static at_tensor *encode(at_context *cx, const at_module *module, at_tensor *x)
{
    const autoencoder_kl *m = (const autoencoder_kl *)module;
    at_scope s = at_scope_begin(cx);
    x = at_convolve(cx, &m->encoder.conv_in, x);
    for (int i = 0; i < m->encoder.levels; i++) {
        const vae_level *level = &m->encoder.blocks[i];
        for (int k = 0; k < level->layers; k++) {
            resnet(cx, &level->resnets[k], &x);
            at_scope_keep(cx, s, &x, NULL);
        }
        if (level->resample.weight) x = at_convolve(cx, &level->resample, x);
    }
    mid_block(cx, &m->encoder, &x);
    x = conv_out(cx, &m->encoder, x);
    if (m->quant_conv.weight) x = at_convolve(cx, &m->quant_conv, x);
    at_scope_end(cx, s, &x, NULL);
    return x;
}

static at_tensor *decode(at_context *cx, const at_module *module, at_tensor *x)
{
    const autoencoder_kl *m = (const autoencoder_kl *)module;
    at_scope s = at_scope_begin(cx);
    if (m->post_quant_conv.weight) x = at_convolve(cx, &m->post_quant_conv, x);
    x = at_convolve(cx, &m->decoder.conv_in, x);
    mid_block(cx, &m->decoder, &x);
    for (int i = 0; i < m->decoder.levels; i++) {
        const vae_level *level = &m->decoder.blocks[i];
        for (int k = 0; k < level->layers; k++) {
            resnet(cx, &level->resnets[k], &x);
            at_scope_keep(cx, s, &x, NULL);
        }
        if (!level->resample.weight) continue;
        x = at_upsample_nearest(cx, x, 2 * at_dim(x, 1), 2 * at_dim(x, 2));
        at_scope_keep(cx, s, &x, NULL);
        x = at_convolve(cx, &level->resample, x);
        at_scope_keep(cx, s, &x, NULL);
    }
    x = conv_out(cx, &m->decoder, x);
    at_scope_end(cx, s, &x, NULL);
    return x;
}

/* AutoencoderKL's tiles: sample_size pixels, a quarter of them shared with the neighbour. */
static at_tiling tiling_of(const vae_config *c)
{
    int64_t latent = c->sample_size >> (c->levels - 1);
    return (at_tiling){.pixels = c->sample_size, .latents = latent, .overlap = 0.25};
}

at_tensor *at_autoencoder_kl_encode(at_context *cx, const at_module *vae, at_tensor *x, bool tiled)
{
    const vae_config *c = &((const autoencoder_kl *)vae)->config;
    if (x && (x->dims != 4 || x->shape[3] != c->in_channels))
        return at_fail(cx, AT_ERROR_SHAPE, "vae: %s is not [B,H,W,%lld]", at_shape_text(x),
                       (long long)c->in_channels);
    at_tiling t = tiling_of(c);
    return tiled ? at_tiled(cx, vae, x, encode, t.pixels, t.latents, t.overlap)
                 : encode(cx, vae, x);
}

at_tensor *at_autoencoder_kl_decode(at_context *cx, const at_module *vae, at_tensor *z, bool tiled)
{
    const vae_config *c = &((const autoencoder_kl *)vae)->config;
    if (z && (z->dims != 4 || z->shape[3] != c->latent_channels))
        return at_fail(cx, AT_ERROR_SHAPE, "vae: %s is not [B,h,w,%lld]", at_shape_text(z),
                       (long long)c->latent_channels);
    at_tiling t = tiling_of(c);
    return tiled ? at_tiled(cx, vae, z, decode, t.latents, t.pixels, t.overlap)
                 : decode(cx, vae, z);
}

at_autoencoder_info at_autoencoder_kl_info_of(const at_module *vae)
{
    const vae_config *c = &((const autoencoder_kl *)vae)->config;
    return (at_autoencoder_info){.latent_channels = c->latent_channels,
                                 .scale = 1 << (c->levels - 1),
                                 .channels = c->channels[AT_MIN(1, c->levels - 1)],
                                 .scaling_factor = c->scaling_factor,
                                 .shift_factor = c->shift_factor,
                                 .latents_mean = c->latents_mean,
                                 .latents_std = c->latents_std,
                                 .draws = true};
}

/* ---- parameters */

static void bind_resnet(at_binder *b, vae_resnet *m, const vae_config *c, int64_t in, int64_t out)
{
    m->activation = c->activation;
    at_bind_group_norm(b, "norm1", &m->norm1, in, c->groups, 1e-6);
    at_bind_conv2d(b, "conv1", &m->conv1, in, out, 3, 1, 1);
    at_bind_group_norm(b, "norm2", &m->norm2, out, c->groups, 1e-6);
    at_bind_conv2d(b, "conv2", &m->conv2, out, out, 3, 1, 1);
    if (in != out) at_bind_conv2d(b, "conv_shortcut", &m->conv_shortcut, in, out, 1, 1, 0);
}

static void bind_attention(at_binder *b, vae_attention *m, const vae_config *c, int64_t channels)
{
    at_bind_group_norm(b, "group_norm", &m->group_norm, channels, c->groups, 1e-6);
    at_bind_linear(b, "to_q", &m->to_q, channels, channels, AT_BIAS);
    at_bind_linear(b, "to_k", &m->to_k, channels, channels, AT_BIAS);
    at_bind_linear(b, "to_v", &m->to_v, channels, channels, AT_BIAS);
    at_bind_linear(b, "to_out.0", &m->to_out, channels, channels, AT_BIAS);
}

static void bind_mid(at_binder *b, vae_half *m, const vae_config *c, int64_t channels)
{
    m->attends = c->mid_attention;
    if (m->attends) AT_BIND(b, "attentions.0", bind_attention, &m->mid_attention, c, channels);
    AT_BIND_LIST(b, "resnets", 2, bind_resnet, m->mid_resnets, c, channels, channels);
}

static void bind_level(at_binder *b, vae_level *m, const vae_config *c, int64_t in, int64_t out)
{
    for (int i = 0; i < m->layers; i++) {
        size_t before = at_bind_enter_item(b, "resnets", i);
        bind_resnet(b, &m->resnets[i], c, i ? out : in, out);
        at_bind_leave(b, before);
    }
}

static void bind_encoder(at_binder *b, vae_half *m, const vae_config *c)
{
    int64_t in = c->channels[0], last = c->channels[c->levels - 1];
    at_bind_conv2d(b, "conv_in", &m->conv_in, c->in_channels, in, 3, 1, 1);
    for (int i = 0; i < c->levels; in = c->channels[i++]) {
        size_t before = at_bind_enter_item(b, "down_blocks", i);
        vae_level *level = &m->blocks[i];
        bind_level(b, level, c, in, c->channels[i]);
        if (i < c->levels - 1) {
            at_bind_conv2d(b, "downsamplers.0.conv", &level->resample, c->channels[i],
                           c->channels[i], 3, 2, 0);
            level->resample.options.padding[1] = level->resample.options.padding[3] =
                1; /* below and right only */
        }
        at_bind_leave(b, before);
    }
    AT_BIND(b, "mid_block", bind_mid, m, c, last);
    at_bind_group_norm(b, "conv_norm_out", &m->conv_norm_out, last, c->groups, 1e-6);
    at_bind_conv2d(b, "conv_out", &m->conv_out, last, 2 * c->latent_channels, 3, 1, 1);
}

static void bind_decoder(at_binder *b, vae_half *m, const vae_config *c)
{
    int64_t in = c->channels[c->levels - 1];
    at_bind_conv2d(b, "conv_in", &m->conv_in, c->latent_channels, in, 3, 1, 1);
    AT_BIND(b, "mid_block", bind_mid, m, c, in);
    for (int i = 0; i < c->levels; i++) {
        size_t before = at_bind_enter_item(b, "up_blocks", i);
        int64_t out = c->channels[c->levels - 1 - i];
        bind_level(b, &m->blocks[i], c, in, out);
        if (i < c->levels - 1)
            at_bind_conv2d(b, "upsamplers.0.conv", &m->blocks[i].resample, out, out, 3, 1, 1);
        at_bind_leave(b, before);
        in = out;
    }
    at_bind_group_norm(b, "conv_norm_out", &m->conv_norm_out, c->channels[0], c->groups, 1e-6);
    at_bind_conv2d(b, "conv_out", &m->conv_out, c->channels[0], c->out_channels, 3, 1, 1);
}

static void bind(at_binder *b, at_module *module)
{
    autoencoder_kl *m = (autoencoder_kl *)module;
    const vae_config *c = &m->config;
    int64_t L = c->latent_channels;
    AT_BIND(b, "encoder", bind_encoder, &m->encoder, c);
    AT_BIND(b, "decoder", bind_decoder, &m->decoder, c);
    if (c->quant_conv) at_bind_conv2d(b, "quant_conv", &m->quant_conv, 2 * L, 2 * L, 1, 1, 0);
    if (c->post_quant_conv)
        at_bind_conv2d(b, "post_quant_conv", &m->post_quant_conv, L, L, 1, 1, 0);
}

/* ---- configuration */

/* Every level must be of the one kind that published autoencoders have. */
static void expect_blocks(at_context *cx, at_config *k, const char *key, const char *only,
                          int levels)
{
    const cJSON *list = at_config_item(k, key), *item;
    int count = list ? 0 : 1;
    cJSON_ArrayForEach(item, list)
    {
        if (!cJSON_IsString(item) || strcmp(item->valuestring, only) != 0)
            at_fail(cx, AT_ERROR_UNSUPPORTED, "%s: \"%s\": \"%s\" is not supported (only \"%s\")",
                    at_config_what(k), key, cJSON_IsString(item) ? item->valuestring : "?", only);
        count++;
    }
    if (count != levels)
        at_fail(cx, AT_ERROR_FORMAT,
                "%s: \"%s\" must have as many entries as \"block_out_channels\", %d",
                at_config_what(k), key, levels);
}

static void make_half(at_module *module, vae_half *half, int levels, int layers)
{
    half->levels = levels;
    half->blocks = at_module_list(module, levels, sizeof *half->blocks);
    vae_resnet *resnets = at_module_list(module, (int64_t)levels * layers, sizeof *resnets);
    for (int i = 0; i < levels && half->blocks && resnets; i++)
        half->blocks[i] = (vae_level){.layers = layers, .resnets = resnets + i * layers};
}

/* One number a latent channel; NULL where the option is missing. */
static double *read_numbers(at_context *cx, at_config *k, const char *key, at_module *module,
                            int64_t channels)
{
    const cJSON *list = at_config_item(k, key), *item;
    double *numbers = list ? at_module_list(module, channels, sizeof *numbers) : NULL;
    int64_t count = 0;
    cJSON_ArrayForEach(item, list)
    {
        if (cJSON_IsNumber(item) && count < channels && numbers) numbers[count] = item->valuedouble;
        count += cJSON_IsNumber(item) ? 1 : channels + 1;
    }
    if (list && count != channels)
        at_fail(cx, AT_ERROR_FORMAT, "%s: \"%s\" must be %lld numbers, one a latent channel",
                at_config_what(k), key, (long long)channels);
    return numbers;
}

static void configure(at_context *cx, at_config *k, at_module *module)
{
    autoencoder_kl *m = (autoencoder_kl *)module;
    vae_config *c = &m->config;
    /* It is about f16, which nothing here computes in: sums and activations are f32. */
    static const char *const elsewhere[] = {"force_upcast", NULL};
    at_config_ignore(k, elsewhere);
    c->in_channels = at_config_range(cx, k, "in_channels", 3, 1, 4096);
    c->out_channels = at_config_range(cx, k, "out_channels", 3, 1, 4096);
    c->latent_channels = at_config_range(cx, k, "latent_channels", 4, 1, 4096);
    c->layers = at_config_range(cx, k, "layers_per_block", 1, 1, 100);
    c->groups = at_config_range(cx, k, "norm_num_groups", 32, 1, 65536);
    c->levels =
        at_config_ints(cx, k, "block_out_channels", c->channels, MAX_LEVELS, (int64_t[]){64}, 1);
    int64_t size[2];
    int sizes = at_config_ints(cx, k, "sample_size", size, 2, (int64_t[]){32}, 1);
    c->sample_size = sizes ? size[0] : 32;
    c->scaling_factor = at_config_number(cx, k, "scaling_factor", 0.18215);
    c->shift_factor = at_config_number(cx, k, "shift_factor", 0.0);
    c->quant_conv = at_config_bool(cx, k, "use_quant_conv", true);
    c->post_quant_conv = at_config_bool(cx, k, "use_post_quant_conv", true);
    c->mid_attention = at_config_bool(cx, k, "mid_block_add_attention", true);
    c->activation = at_config_activation(cx, k, "act_fn", "silu");
    const char *what = at_config_what(k);
    expect_blocks(cx, k, "down_block_types", "DownEncoderBlock2D", c->levels);
    expect_blocks(cx, k, "up_block_types", "UpDecoderBlock2D", c->levels);
    if (c->levels < 1 || c->sample_size < 1 || c->sample_size > 1 << 20 || c->scaling_factor == 0.0)
        at_fail(cx, AT_ERROR_FORMAT,
                "%s: block_out_channels, sample_size or scaling_factor is out of range", what);
    for (int i = 0; i < c->levels; i++)
        if (c->channels[i] < 1 || c->channels[i] > 65536 || c->channels[i] % c->groups)
            at_fail(cx, AT_ERROR_FORMAT,
                    "%s: \"block_out_channels\" must be multiples of \"norm_num_groups\", %d", what,
                    c->groups);
    if (!at_ok(cx)) return;
    c->latents_mean = read_numbers(cx, k, "latents_mean", module, c->latent_channels);
    c->latents_std = read_numbers(cx, k, "latents_std", module, c->latent_channels);
    for (int64_t i = 0; c->latents_std && at_ok(cx) && i < c->latent_channels; i++)
        if (c->latents_std[i] == 0)
            at_fail(cx, AT_ERROR_FORMAT, "%s: \"latents_std\" has a 0", what);
    make_half(module, &m->encoder, c->levels, c->layers);
    make_half(module, &m->decoder, c->levels, c->layers + 1);
}

/* Diffusers' names of the attention before version 0.18 */
static const at_alias aliases[] = {
    {"attentions.0.to_q.", "attentions.0.query."},
    {"attentions.0.to_k.", "attentions.0.key."},
    {"attentions.0.to_v.", "attentions.0.value."},
    {"attentions.0.to_out.0.", "attentions.0.proj_attn."},
    {NULL, NULL},
};

const at_module_class at_autoencoder_kl_class = {
    .name = "AutoencoderKL",
    .size = sizeof(autoencoder_kl),
    .configure = configure,
    .bind = bind,
    .aliases = aliases,
};
