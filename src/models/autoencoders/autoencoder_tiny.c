#include "models/autoencoders/autoencoder_tiny.h"
#include <stdio.h>

enum { MAX_STAGES = 8, TILE = 512, OVERLAP = TILE / 8 };

/* One entry of the reference's Sequential that has parameters. */
typedef struct tiny_layer {
    int index; /* there */
    bool block, bias;
    int stride, up; /* up: of the upsampling before it; 0: none */
    int64_t in, out;
    at_nn_conv2d conv[3]; /* of a block all three, else the first */
} tiny_layer;

/* The encoder, or the decoder. Without layers: the file does not hold it. */
typedef struct tiny_half {
    int stages, count;
    int64_t channels; /* of all stages */
    tiny_layer *layers;
} tiny_half;

typedef struct autoencoder_tiny {
    at_module module;
    int64_t in_channels, out_channels, latent_channels;
    at_activation activation;
    int upsampling;
    double scaling_factor, shift_factor;
    tiny_half encoder, decoder;
} autoencoder_tiny;

/* ---- forward; x is [B,H,W,C] throughout */

static at_tensor *layer(at_context *cx, const tiny_layer *l, at_tensor *x)
{
    if (l->up) x = at_upsample_nearest(cx, x, l->up * at_dim(x, 1), l->up * at_dim(x, 2));
    at_tensor *y = at_convolve(cx, &l->conv[0], x);
    if (!l->block) return y;
    y = at_convolve(cx, &l->conv[2], at_convolve(cx, &l->conv[1], y));
    return at_activate(cx, at_add(cx, y, x), AT_RELU);
}

static at_tensor *layers(at_context *cx, const tiny_half *m, at_tensor *x)
{
    at_scope s = at_scope_begin(cx);
    for (int i = 0; i < m->count; i++) {
        x = layer(cx, &m->layers[i], x);
        at_scope_keep(cx, s, &x, NULL);
    }
    at_scope_end(cx, s, &x, NULL);
    return x;
}

/* x in -1..1; the layers want 0..1. */
static at_tensor *encode(at_context *cx, const autoencoder_tiny *m, at_tensor *x)
{
    return layers(cx, &m->encoder, at_affine(cx, x, 0.5f, 0.5f));
}

static at_tensor *decode(at_context *cx, const autoencoder_tiny *m, at_tensor *z)
{
    z = at_activate(cx, at_affine(cx, z, 1.0f / 3.0f, 0.0f), AT_TANH);
    return at_affine(cx, layers(cx, &m->decoder, at_affine(cx, z, 3.0f, 0.0f)), 2.0f, -1.0f);
}

/* ---- tiles */

/* The share of a tile's row or column i, at `from`, over what is there already. */
static float share(int64_t from, int64_t i, int64_t overlap)
{
    return from == 0 || i >= overlap - 1 ? 1.0f : (float)i / (float)(overlap - 1);
}

/* Mixes a tile [B,h,w,C] into out at y, x. */
static void mix(at_tensor *out, const at_tensor *tile, int64_t y, int64_t x, int64_t overlap)
{
    int64_t H = AT_MIN(tile->shape[1], out->shape[1] - y), C = out->shape[3];
    int64_t W = AT_MIN(tile->shape[2], out->shape[2] - x);
    for (int64_t i = 0; i < out->shape[0] * H * W; i++) {
        int64_t b = i / (H * W), row = i / W % H, column = i % W;
        float t = share(y, row, overlap) * share(x, column, overlap);
        const float *from = (const float *)tile->data + b * tile->stride[0] +
                            row * tile->stride[1] + column * tile->stride[2];
        float *to = (float *)out->data + b * out->stride[0] + (y + row) * out->stride[1] +
                    (x + column) * out->stride[2];
        for (int64_t c = 0; c < C; c++) to[c] = t * from[c] + (1.0f - t) * to[c];
    }
}

/* in, out: sides of a tile and of what f makes of it. -> [B,H',W',channels] */
static at_tensor *tiled(at_context *cx, const autoencoder_tiny *m, at_tensor *x,
                        at_tensor *(*f)(at_context *, const autoencoder_tiny *, at_tensor *),
                        int64_t in, int64_t out, int64_t channels)
{
    int64_t H = at_dim(x, 1), W = at_dim(x, 2), step = in - in * OVERLAP / TILE;
    at_tensor *whole =
        at_zeros(cx, AT_F32, 4, (int64_t[]){at_dim(x, 0), H * out / in, W * out / in, channels});
    for (int64_t y = 0; y < H; y += step)
        for (int64_t left = 0; left < W && at_ok(cx); left += step) {
            at_scope s = at_scope_begin(cx);
            at_tensor *tile = at_slice(cx, x, 1, y, AT_MIN(in, H - y));
            tile = at_slice(cx, tile, 2, left, AT_MIN(in, W - left));
            tile = at_contiguous(cx, f(cx, m, at_contiguous(cx, tile)));
            if (tile) mix(whole, tile, y * out / in, left * out / in, out * OVERLAP / TILE);
            at_scope_end(cx, s, NULL);
        }
    return at_ok(cx) ? whole : NULL;
}

/* Pixels a latent pixel, as the reference has it for tiles. */
static int64_t tile_scale(const autoencoder_tiny *m)
{
    return (int64_t)1 << m->out_channels;
}

static bool check(at_context *cx, const at_tensor *x, int64_t channels, const tiny_half *half,
                  const char *what)
{
    if (!half->count)
        return at_fail_false(cx, AT_ERROR_UNSUPPORTED,
                             "vae: the file holds no %s (give the folder that has both)", what);
    if (x && (x->dims != 4 || x->shape[3] != channels))
        return at_fail_false(cx, AT_ERROR_SHAPE, "vae: %s is not [B,h,w,%lld]", at_shape_text(x),
                             (long long)channels);
    return x != NULL;
}

at_tensor *at_autoencoder_tiny_encode(at_context *cx, const at_module *vae, at_tensor *x, bool tile)
{
    const autoencoder_tiny *m = (const autoencoder_tiny *)vae;
    if (!check(cx, x, m->in_channels, &m->encoder, "encoder")) return NULL;
    int64_t scale = tile_scale(m);
    return tile ? tiled(cx, m, x, encode, TILE, TILE / scale, m->latent_channels)
                : encode(cx, m, x);
}

at_tensor *at_autoencoder_tiny_decode(at_context *cx, const at_module *vae, at_tensor *z, bool tile)
{
    const autoencoder_tiny *m = (const autoencoder_tiny *)vae;
    if (!check(cx, z, m->latent_channels, &m->decoder, "decoder")) return NULL;
    int64_t scale = tile_scale(m);
    return tile ? tiled(cx, m, z, decode, TILE / scale, TILE, m->out_channels) : decode(cx, m, z);
}

at_autoencoder_info at_autoencoder_tiny_info_of(const at_module *vae)
{
    const autoencoder_tiny *m = (const autoencoder_tiny *)vae;
    int stages = m->decoder.count ? m->decoder.stages : m->encoder.stages;
    return (at_autoencoder_info){.latent_channels = m->latent_channels,
                                 .scale = 1 << (stages - 1),
                                 .channels = AT_MAX(m->encoder.channels, m->decoder.channels),
                                 .scaling_factor = m->scaling_factor,
                                 .shift_factor = m->shift_factor};
}

/* ---- parameters */

static void bind_block(at_binder *b, tiny_layer *l, at_activation activation)
{
    for (int i = 0; i < 3; i++) {
        char name[16];
        snprintf(name, sizeof name, "conv.%d", 2 * i);
        at_bind_conv2d(b, name, &l->conv[i], l->in, l->out, 3, 1, 1);
        if (i < 2) l->conv[i].options.activation = activation;
    }
}

static void bind_half(at_binder *b, tiny_half *m, at_activation activation)
{
    for (int i = 0; i < m->count; i++) {
        tiny_layer *l = &m->layers[i];
        char name[24];
        snprintf(name, sizeof name, "layers.%d", l->index);
        if (l->block)
            AT_BIND(b, name, bind_block, l, activation);
        else if (l->bias)
            at_bind_conv2d(b, name, &l->conv[0], l->in, l->out, 3, l->stride, 1);
        else
            at_bind_conv2d_bare(b, name, &l->conv[0], l->in, l->out, 3, l->stride, 1);
    }
}

static void bind(at_binder *b, at_module *module)
{
    autoencoder_tiny *m = (autoencoder_tiny *)module;
    AT_BIND(b, "encoder", bind_half, &m->encoder, m->activation);
    AT_BIND(b, "decoder", bind_half, &m->decoder, m->activation);
    if (m->decoder.count) m->decoder.layers[0].conv[0].options.activation = m->activation;
}

/* ---- configuration */

/* The blocks of each stage. All stages have the same channels, as between them nothing changes
   their number. */
static void read_stages(at_context *cx, at_config *k, const char *side, const int64_t *usual,
                        autoencoder_tiny *m, tiny_half *half, int64_t blocks[MAX_STAGES])
{
    char blocks_key[40], channels_key[40];
    int64_t channels[MAX_STAGES];
    snprintf(blocks_key, sizeof blocks_key, "num_%s_blocks", side);
    snprintf(channels_key, sizeof channels_key, "%s_block_out_channels", side);
    half->stages = at_config_ints(cx, k, blocks_key, blocks, MAX_STAGES, usual, 4);
    int count =
        at_config_ints(cx, k, channels_key, channels, MAX_STAGES, (int64_t[]){64, 64, 64, 64}, 4);
    bool fine = count == half->stages;
    half->count = half->stages ? half->stages + 1 : 0;
    for (int i = 0; i < half->stages && fine; i++) {
        fine = channels[i] == channels[0] && channels[i] >= 1 && channels[i] <= 65536 &&
               blocks[i] >= 0 && blocks[i] <= 100;
        half->count += (int)blocks[i];
    }
    if (!fine)
        at_fail(cx, AT_ERROR_FORMAT,
                "%s: \"%s\" and \"%s\" must be as long as each other, all channels the same",
                at_config_what(k), blocks_key, channels_key);
    half->channels = half->stages ? channels[0] : 0;
    half->layers = at_module_list(&m->module, half->count, sizeof *half->layers);
}

static void add(tiny_layer **next, int *index, tiny_layer layer)
{
    layer.index = (*index)++;
    *(*next)++ = layer;
}

static void add_blocks(tiny_layer **next, int *index, int64_t count, int64_t channels)
{
    for (int64_t i = 0; i < count; i++)
        add(next, index, (tiny_layer){.block = true, .in = channels, .out = channels});
}

/* A convolution before the blocks of each stage, down by two but for the first, and one at the end.
 */
static void lay_encoder(autoencoder_tiny *m, const int64_t *blocks)
{
    int64_t channels = m->encoder.channels;
    tiny_layer *next = m->encoder.layers;
    int index = 0;
    for (int i = 0; i < m->encoder.stages; i++) {
        add(&next, &index,
            i ? (tiny_layer){.stride = 2, .in = channels, .out = channels}
              : (tiny_layer){.bias = true, .stride = 1, .in = m->in_channels, .out = channels});
        add_blocks(&next, &index, blocks[i], channels);
    }
    add(&next, &index,
        (tiny_layer){.bias = true, .stride = 1, .in = channels, .out = m->latent_channels});
}

/* A convolution and the activation, then blocks, upsampling and a convolution for each stage; the
   last goes to the picture instead. */
static void lay_decoder(autoencoder_tiny *m, const int64_t *blocks)
{
    int64_t channels = m->decoder.channels;
    tiny_layer *next = m->decoder.layers;
    int index = 0;
    add(&next, &index,
        (tiny_layer){.bias = true, .stride = 1, .in = m->latent_channels, .out = channels});
    index++;
    for (int i = 0; i < m->decoder.stages; i++) {
        bool last = i == m->decoder.stages - 1;
        add_blocks(&next, &index, blocks[i], channels);
        if (!last) index++;
        add(&next, &index,
            (tiny_layer){.bias = last,
                         .stride = 1,
                         .up = last ? 0 : m->upsampling,
                         .in = channels,
                         .out = last ? m->out_channels : channels});
    }
}

static void configure(at_context *cx, at_config *k, at_module *module)
{
    /* The reference's forward alone uses the two numbers; block_out_channels are the decoder's. */
    static const char *const elsewhere[] = {"force_upcast", "latent_magnitude", "latent_shift",
                                            "block_out_channels", NULL};
    autoencoder_tiny *m = (autoencoder_tiny *)module;
    int64_t down[MAX_STAGES], up[MAX_STAGES];
    at_config_ignore(k, elsewhere);
    m->in_channels = at_config_range(cx, k, "in_channels", 3, 1, 4096);
    m->out_channels = at_config_range(cx, k, "out_channels", 3, 1, 8);
    m->latent_channels = at_config_range(cx, k, "latent_channels", 4, 1, 4096);
    m->upsampling = at_config_range(cx, k, "upsampling_scaling_factor", 2, 1, 8);
    m->scaling_factor = at_config_number(cx, k, "scaling_factor", 1.0);
    m->shift_factor = at_config_number(cx, k, "shift_factor", 0.0);
    at_config_expect_text(cx, k, "upsample_fn", "nearest", "nearest");
    m->activation = at_config_activation(cx, k, "act_fn", "relu");
    read_stages(cx, k, "encoder", (int64_t[]){1, 3, 3, 3}, m, &m->encoder, down);
    read_stages(cx, k, "decoder", (int64_t[]){3, 3, 3, 1}, m, &m->decoder, up);
    if (m->scaling_factor == 0.0 || (!m->encoder.count && !m->decoder.count))
        at_fail(cx, AT_ERROR_FORMAT, "%s: no blocks, or a scaling_factor of 0", at_config_what(k));
    if (!at_ok(cx)) return;
    if (m->encoder.count) lay_encoder(m, down);
    if (m->decoder.count) lay_decoder(m, up);
}

const at_module_class at_autoencoder_tiny_class = {
    .name = "AutoencoderTiny",
    .size = sizeof(autoencoder_tiny),
    .configure = configure,
    .bind = bind,
};
