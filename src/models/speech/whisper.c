#include "models/speech/whisper.h"
#include "kernels/kernels.h"
#include "models/text_encoders/hf_config.h"
#include <math.h>
#include <string.h>

typedef struct whisper_config {
    int64_t vocabulary, mels, width, frames, positions;
    int64_t encoder_inner, decoder_inner;
    int encoder_layers, decoder_layers, encoder_heads, decoder_heads;
    at_activation activation;
} whisper_config;

typedef struct whisper_attention {
    at_nn_linear q_proj, k_proj, v_proj, out_proj;
    int heads;
} whisper_attention;

typedef struct whisper_layer {
    at_nn_norm self_attn_layer_norm, encoder_attn_layer_norm, final_layer_norm;
    whisper_attention self_attn, encoder_attn; /* encoder_attn: of the decoder's layers */
    at_nn_linear fc1, fc2;
    at_activation activation;
} whisper_layer;

typedef struct whisper {
    at_module module;
    whisper_config config;
    at_nn_conv2d conv1, conv2;
    at_tensor *embed_positions; /* of the encoder [frames,width] */
    whisper_layer *encoder, *decoder;
    at_nn_norm encoder_norm, decoder_norm;
    at_tensor *embed_tokens, *token_positions; /* [vocabulary,width], [positions,width] */
} whisper;

/* Of one layer of the decoder. */
typedef struct layer_cache {
    at_tensor *k, *v;             /* [rows,positions,H,D], `length` of them filled */
    at_tensor *sound_k, *sound_v; /* [windows,frames,H,D] */
} layer_cache;

struct at_whisper_cache {
    at_context *cx;
    const whisper *model;
    int rows, windows;
    int64_t length;
    layer_cache *layers;
};

/* Collects what heads look at, for word times. */
typedef struct probe {
    const int (*heads)[2]; /* (layer, head) */
    int count;
    at_tensor **scores; /* [n,frames] each */
} probe;

/* ---- blocks */

static at_tensor *heads_of(at_context *cx, const whisper_attention *m, const at_nn_linear *linear,
                           at_tensor *x)
{
    return at_split_heads(cx, at_project(cx, linear, x), m->heads);
}

static void feed_forward(at_context *cx, const whisper_layer *m, at_tensor **x)
{
    at_tensor *y = at_layer_normalize(cx, &m->final_layer_norm, *x);
    y = at_project_act(cx, &m->fc1, y, m->activation);
    *x = at_add(cx, *x, at_project(cx, &m->fc2, y));
}

/* x [W,frames,width] */
static void encoder_layer(at_context *cx, const whisper_layer *m, at_tensor **x)
{
    at_scope s = at_scope_begin(cx);
    const whisper_attention *a = &m->self_attn;
    at_tensor *y = at_layer_normalize(cx, &m->self_attn_layer_norm, *x);
    at_tensor *q = heads_of(cx, a, &a->q_proj, y), *k = heads_of(cx, a, &a->k_proj, y);
    y = at_merge_heads(cx, at_attention(cx, q, k, heads_of(cx, a, &a->v_proj, y), NULL));
    *x = at_add(cx, *x, at_project(cx, &a->out_proj, y));
    feed_forward(cx, m, x);
    at_scope_end(cx, s, x, NULL);
}

/* The new keys or values behind the old ones: x [rows,n,H,D] into store, or, where there is but a
   row for each window, into the first of its rows; all of them come back. */
static at_tensor *append(at_context *cx, at_tensor *store, at_tensor *x, int64_t length)
{
    int64_t n = at_dim(x, 1), rows = at_dim(x, 0), beams = rows ? at_dim(store, 0) / rows : 1;
    int64_t P = at_dim(store, 1), H = at_dim(x, 2), D = at_dim(x, 3);
    if (beams > 1)
        store = at_view(cx, at_slice(cx, at_view(cx, store, rows, beams, P, H, D), 1, 0, 1), rows,
                        P, H, D);
    at_run(cx, copy, at_slice(cx, store, 1, length, n), x);
    return at_slice(cx, store, 1, 0, length + n);
}

/* x [rows,n,width]; the beams of a window are queries side by side over the same sound. */
static at_tensor *attend_sound(at_context *cx, const whisper_attention *m, const layer_cache *c,
                               at_tensor *y, int layer, const probe *p)
{
    int64_t rows = at_dim(y, 0), n = at_dim(y, 1), W = at_dim(c->sound_k, 0);
    at_tensor *q = at_project(cx, &m->q_proj, y);
    q = at_split_heads(cx, at_view(cx, q, W, rows * n / W, at_dim(y, 2)), m->heads);
    for (int i = 0; p && i < p->count; i++) {
        if (p->heads[i][0] != layer) continue;
        int64_t D = at_dim(q, 3);
        at_tensor *of = at_view(cx, at_slice(cx, q, 2, p->heads[i][1], 1), n, D);
        at_tensor *at = at_view(cx, at_slice(cx, c->sound_k, 2, p->heads[i][1], 1), -1, D);
        at_tensor *scores = at_matmul(cx, of, at_transpose(cx, at, 1, 0));
        p->scores[i] = at_affine(cx, scores, (float)(1.0 / sqrt((double)D)), 0.0f);
    }
    y = at_merge_heads(cx, at_attention(cx, q, c->sound_k, c->sound_v, NULL));
    return at_project(cx, &m->out_proj, at_view(cx, y, rows, n, at_dim(y, 2)));
}

/* x [rows,n,width] */
static void decoder_layer(at_context *cx, const whisper_layer *m, layer_cache *c, int64_t length,
                          at_tensor **x, int layer, const probe *p)
{
    const at_attention_options causal = {.causal = true};
    const whisper_attention *a = &m->self_attn;
    at_tensor *y = at_layer_normalize(cx, &m->self_attn_layer_norm, *x);
    at_tensor *q = heads_of(cx, a, &a->q_proj, y);
    at_tensor *k = append(cx, c->k, heads_of(cx, a, &a->k_proj, y), length);
    at_tensor *v = append(cx, c->v, heads_of(cx, a, &a->v_proj, y), length);
    y = at_merge_heads(cx, at_attention(cx, q, k, v, &causal));
    *x = at_add(cx, *x, at_project(cx, &a->out_proj, y));

    y = at_layer_normalize(cx, &m->encoder_attn_layer_norm, *x);
    *x = at_add(cx, *x, attend_sound(cx, &m->encoder_attn, c, y, layer, p));
    feed_forward(cx, m, x);
}

/* ---- encoder */

at_tensor *at_whisper_encode(at_context *cx, const at_module *module, at_tensor *mel)
{
    const whisper *m = (const whisper *)module;
    if (!at_ok(cx)) return NULL;
    if (!at_has_shape(mel, 3, (int64_t[]){-1, 2 * m->config.frames, m->config.mels}))
        return at_fail(cx, AT_ERROR_SHAPE, "whisper: mel %s must be [W,%lld,%lld]",
                       at_shape_text(mel), (long long)(2 * m->config.frames),
                       (long long)m->config.mels);
    at_scope s = at_scope_begin(cx);
    at_tensor *x = at_convolve_1d(cx, &m->conv1, mel);
    x = at_convolve_1d(cx, &m->conv2, x);
    x = at_add(cx, x, at_cast(cx, m->embed_positions, AT_F32));
    for (int i = 0; i < m->config.encoder_layers; i++) {
        encoder_layer(cx, &m->encoder[i], &x);
        at_scope_keep(cx, s, &x, NULL);
    }
    x = at_layer_normalize(cx, &m->encoder_norm, x);
    at_scope_end(cx, s, &x, NULL);
    return x;
}

/* ---- decoder */

at_whisper_cache *at_whisper_cache_new(at_context *cx, const at_module *module, at_tensor *encoded,
                                       int beams)
{
    const whisper *m = (const whisper *)module;
    const whisper_config *config = &m->config;
    at_whisper_cache *c = at_ok(cx) && encoded ? AT_NEW(cx, at_whisper_cache) : NULL;
    if (!c) return NULL;
    c->cx = cx;
    c->model = m;
    c->windows = (int)at_dim(encoded, 0);
    c->rows = c->windows * beams;
    c->layers = AT_NEW_ARRAY(cx, layer_cache, config->decoder_layers);
    int64_t H = config->decoder_heads, D = config->width / H;
    for (int i = 0; c->layers && i < config->decoder_layers; i++) {
        const whisper_attention *a = &m->decoder[i].encoder_attn;
        layer_cache *l = &c->layers[i];
        at_scope s = at_scope_begin(cx);
        l->k = at_tensor_keep(at_new(cx, AT_F32, c->rows, config->positions, H, D));
        l->v = at_tensor_keep(at_new(cx, AT_F32, c->rows, config->positions, H, D));
        l->sound_k = at_tensor_keep(heads_of(cx, a, &a->k_proj, encoded));
        l->sound_v = at_tensor_keep(heads_of(cx, a, &a->v_proj, encoded));
        at_scope_end(cx, s, NULL);
    }
    if (at_ok(cx)) return c;
    at_whisper_cache_free(c);
    return NULL;
}

void at_whisper_cache_free(at_whisper_cache *c)
{
    if (!c) return;
    for (int i = 0; c->layers && i < c->model->config.decoder_layers; i++) {
        layer_cache *l = &c->layers[i];
        at_tensor *kept[] = {l->k, l->v, l->sound_k, l->sound_v};
        for (size_t j = 0; j < AT_COUNT(kept); j++) at_tensor_release(c->cx, kept[j]);
    }
    at_free(c->layers);
    at_free(c);
}

int64_t at_whisper_cache_length(const at_whisper_cache *cache)
{
    return cache->length;
}

void at_whisper_cache_cut(at_whisper_cache *cache, int64_t length)
{
    if (length < cache->length) cache->length = length;
}

/* Rows of `row` bytes, `size` of which count. */
static void reorder_rows(char *data, size_t row, size_t size, char *scratch, int rows,
                         const int *sources)
{
    for (int r = 0; r < rows; r++)
        memcpy(scratch + (size_t)r * size, data + (size_t)sources[r] * row, size);
    for (int r = 0; r < rows; r++)
        if (sources[r] != r) memcpy(data + (size_t)r * row, scratch + (size_t)r * size, size);
}

void at_whisper_cache_reorder(at_whisper_cache *c, const int *sources)
{
    bool moves = false;
    for (int r = 0; r < c->rows; r++) moves |= sources[r] != r;
    size_t width = (size_t)c->model->config.width * sizeof(float);
    size_t row = (size_t)c->model->config.positions * width, size = (size_t)c->length * width;
    char *scratch = moves && at_ok(c->cx) ? at_scratch(c->cx, (size_t)c->rows * size) : NULL;
    for (int i = 0; scratch && i < c->model->config.decoder_layers; i++) {
        reorder_rows(c->layers[i].k->data, row, size, scratch, c->rows, sources);
        reorder_rows(c->layers[i].v->data, row, size, scratch, c->rows, sources);
    }
    at_scratch_free(c->cx, scratch);
}

/* ids [rows,n] -> [rows,n,width] before the logits */
static at_tensor *decode(at_context *cx, const whisper *m, at_whisper_cache *c, at_tensor *ids,
                         const probe *p)
{
    int64_t n = at_dim(ids, 1);
    if (!at_ok(cx) || !c) return NULL;
    bool fits = at_dim(ids, 0) == c->rows || at_dim(ids, 0) == c->windows;
    if (!fits || n < 1 || c->length + n > m->config.positions)
        return at_fail(cx, AT_ERROR_ARGUMENT,
                       "whisper: %lld tokens in %lld rows behind %lld (at most %lld in %d rows)",
                       (long long)n, (long long)at_dim(ids, 0), (long long)c->length,
                       (long long)m->config.positions, c->rows);
    at_tensor *positions = at_slice(cx, m->token_positions, 0, c->length, n);
    at_tensor *x = at_embedding(cx, m->embed_tokens, ids);
    x = at_add(cx, x, at_cast(cx, positions, AT_F32));
    for (int i = 0; i < m->config.decoder_layers; i++) {
        at_scope s = at_scope_begin(cx);
        decoder_layer(cx, &m->decoder[i], &c->layers[i], c->length, &x, i, p);
        if (!p) at_scope_end(cx, s, &x, NULL); /* else its scores go with the caller's scope */
    }
    c->length += n;
    return at_layer_normalize(cx, &m->decoder_norm, x);
}

at_tensor *at_whisper_decode(at_context *cx, const at_module *module, at_whisper_cache *cache,
                             at_tensor *ids, bool all)
{
    const whisper *m = (const whisper *)module;
    at_scope s = at_scope_begin(cx);
    at_tensor *x = decode(cx, m, cache, ids, NULL);
    if (!all) x = at_view(cx, at_slice(cx, x, 1, at_dim(x, 1) - 1, 1), at_dim(x, 0), at_dim(x, 2));
    at_tensor *logits = at_linear(cx, x, m->embed_tokens, NULL, AT_IDENTITY);
    at_scope_end(cx, s, &logits, NULL);
    return logits;
}

at_tensor *at_whisper_align(at_context *cx, const at_module *module, at_whisper_cache *cache,
                            at_tensor *ids, const int (*heads)[2], int count, at_tensor **logits)
{
    const whisper *m = (const whisper *)module;
    at_tensor **scores = AT_NEW_ARRAY(cx, at_tensor *, count);
    if (!scores) return NULL;
    at_scope s = at_scope_begin(cx);
    at_tensor *x = decode(cx, m, cache, ids, &(probe){heads, count, scores});
    for (int i = 0; i < count; i++)
        scores[i] = at_view(cx, scores[i], 1, at_dim(scores[i], 0), at_dim(scores[i], 1));
    at_tensor *all = at_concat(cx, 0, count, scores);
    *logits = at_linear(cx, at_view(cx, x, at_dim(x, 1), at_dim(x, 2)), m->embed_tokens, NULL,
                        AT_IDENTITY);
    at_scope_end(cx, s, &all, logits, NULL);
    at_free(scores);
    return all;
}

/* ---- parameters */

static void bind_attention(at_binder *b, whisper_attention *m, int64_t width, int heads)
{
    m->heads = heads;
    at_bind_linear(b, "q_proj", &m->q_proj, width, width, AT_BIAS);
    at_bind_linear(b, "k_proj", &m->k_proj, width, width, AT_NO_BIAS);
    at_bind_linear(b, "v_proj", &m->v_proj, width, width, AT_BIAS);
    at_bind_linear(b, "out_proj", &m->out_proj, width, width, AT_BIAS);
}

static void bind_layer(at_binder *b, whisper_layer *m, const whisper_config *c, bool decoder)
{
    int heads = decoder ? c->decoder_heads : c->encoder_heads;
    int64_t inner = decoder ? c->decoder_inner : c->encoder_inner;
    m->activation = c->activation;
    AT_BIND(b, "self_attn", bind_attention, &m->self_attn, c->width, heads);
    at_bind_layer_norm(b, "self_attn_layer_norm", &m->self_attn_layer_norm, c->width, 1e-5);
    if (decoder) {
        AT_BIND(b, "encoder_attn", bind_attention, &m->encoder_attn, c->width, heads);
        at_bind_layer_norm(b, "encoder_attn_layer_norm", &m->encoder_attn_layer_norm, c->width,
                           1e-5);
    }
    at_bind_linear(b, "fc1", &m->fc1, c->width, inner, AT_BIAS);
    at_bind_linear(b, "fc2", &m->fc2, inner, c->width, AT_BIAS);
    at_bind_layer_norm(b, "final_layer_norm", &m->final_layer_norm, c->width, 1e-5);
}

static void bind_encoder(at_binder *b, whisper *m, const whisper_config *c)
{
    at_bind_conv1d(b, "conv1", &m->conv1, c->mels, c->width, 3, 1, 1);
    at_bind_conv1d(b, "conv2", &m->conv2, c->width, c->width, 3, 2, 1);
    m->conv1.options.activation = m->conv2.options.activation = AT_GELU;
    at_bind_embedding(b, "embed_positions", &m->embed_positions, c->frames, c->width);
    AT_BIND_LIST(b, "layers", c->encoder_layers, bind_layer, m->encoder, c, false);
    at_bind_layer_norm(b, "layer_norm", &m->encoder_norm, c->width, 1e-5);
}

static void bind_decoder(at_binder *b, whisper *m, const whisper_config *c)
{
    at_bind_embedding(b, "embed_tokens", &m->embed_tokens, c->vocabulary, c->width);
    at_bind_embedding(b, "embed_positions", &m->token_positions, c->positions, c->width);
    AT_BIND_LIST(b, "layers", c->decoder_layers, bind_layer, m->decoder, c, true);
    at_bind_layer_norm(b, "layer_norm", &m->decoder_norm, c->width, 1e-5);
}

static void bind(at_binder *b, at_module *module)
{
    whisper *m = (whisper *)module;
    size_t before = at_bind_enter(b, "model");
    AT_BIND(b, "encoder", bind_encoder, m, &m->config);
    AT_BIND(b, "decoder", bind_decoder, m, &m->config);
    at_bind_leave(b, before);
}

at_whisper_info at_whisper_info_of(const at_module *module)
{
    const whisper_config *c = &((const whisper *)module)->config;
    return (at_whisper_info){.vocabulary = c->vocabulary,
                             .mels = c->mels,
                             .width = c->width,
                             .frames = c->frames,
                             .positions = c->positions,
                             .layers = c->decoder_layers,
                             .heads = c->decoder_heads};
}

static void configure(at_context *cx, at_config *k, at_module *module)
{
    whisper *m = (whisper *)module;
    whisper_config *c = &m->config;
    static const char *const harmless[] = {
        /* training */
        "activation_dropout", "encoder_layerdrop", "decoder_layerdrop", "init_std",
        "apply_spec_augment", "mask_time_prob", "mask_time_length", "mask_time_min_masks",
        "mask_feature_prob", "mask_feature_length", "mask_feature_min_masks",
        "use_weighted_layer_sum", "classifier_proj_size",
        /* how tokens are chosen: the pipeline's, from generation_config.json */
        "median_filter_width", "forced_decoder_ids", "eos_token_id", "num_hidden_layers",
        /* which the reference reads and never uses */
        "scale_embedding", NULL};
    at_config_ignore_hf(k);
    at_config_ignore(k, harmless);
    c->vocabulary = at_config_range(cx, k, "vocab_size", 51865, 1, 1 << 24);
    c->mels = at_config_range(cx, k, "num_mel_bins", 80, 1, 1024);
    c->width = at_config_range(cx, k, "d_model", 384, 1, 1 << 16);
    c->frames = at_config_range(cx, k, "max_source_positions", 1500, 1, 1 << 20);
    c->positions = at_config_range(cx, k, "max_target_positions", 448, 8, 1 << 20);
    c->encoder_layers = at_config_range(cx, k, "encoder_layers", 4, 0, 1000);
    c->decoder_layers = at_config_range(cx, k, "decoder_layers", 4, 0, 1000);
    c->encoder_heads = at_config_range(cx, k, "encoder_attention_heads", 6, 1, 1024);
    c->decoder_heads = at_config_range(cx, k, "decoder_attention_heads", 6, 1, 1024);
    c->encoder_inner = at_config_range(cx, k, "encoder_ffn_dim", 1536, 1, 1 << 20);
    c->decoder_inner = at_config_range(cx, k, "decoder_ffn_dim", 1536, 1, 1 << 20);
    c->activation = at_config_activation(cx, k, "activation_function", "gelu");
    if (c->width % c->encoder_heads || c->width % c->decoder_heads)
        at_fail(cx, AT_ERROR_FORMAT, "%s: \"d_model\" must be a multiple of both numbers of heads",
                at_config_what(k));
    m->encoder = at_module_list(module, c->encoder_layers, sizeof *m->encoder);
    m->decoder = at_module_list(module, c->decoder_layers, sizeof *m->decoder);
}

/* WhisperModel's files lack the prefix. */
static const at_alias aliases[] = {{"^model.", ""}, {NULL, NULL}};
/* One bias for all keys of a query changes nothing. */
static const char *const ignored[] = {"proj_out.weight", "k_proj.bias", "coder.num_heads", NULL};

const at_module_class at_whisper_class = {
    .name = "WhisperForConditionalGeneration",
    .size = sizeof(whisper),
    .configure = configure,
    .bind = bind,
    .aliases = aliases,
    .ignored = ignored,
};
