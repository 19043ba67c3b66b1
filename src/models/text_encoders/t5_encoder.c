#include "models/text_encoders/t5_encoder.h"
#include "models/text_encoders/hf_config.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct t5_config {
    int64_t vocabulary, width, inner, head_dim;
    int layers, heads, buckets, distance;
    at_activation activation;
    bool gated;
    bool bias_per_layer; /* UMT5 */
    double eps;
} t5_config;

typedef struct t5_block {
    int heads;
    bool gated;
    at_activation activation;
    at_nn_norm attention_norm, feed_forward_norm;
    at_nn_linear q, k, v, o;
    at_tensor *relative_attention_bias; /* [buckets,heads]; NULL: the block's before it */
    at_nn_linear wi_0, wi_1, wo;        /* wi_0 is wi where the feed-forward has no gate */
} t5_block;

typedef struct t5_encoder {
    at_module module;
    t5_config config;
    at_tensor *shared;
    t5_block *blocks;
    at_nn_norm final_layer_norm;
} t5_encoder;

/* x [B,N,D], bias [1 or B,H,N,N]. T5 does not scale the scores. */
static void block(at_context *cx, const t5_block *m, at_tensor **x, at_tensor *bias)
{
    at_scope s = at_scope_begin(cx);
    const at_attention_options options = {.scale = 1.0f, .mask = bias};
    at_tensor *y = at_rms_normalize(cx, &m->attention_norm, *x);
    at_tensor *q = at_split_heads(cx, at_project(cx, &m->q, y), m->heads);
    at_tensor *k = at_split_heads(cx, at_project(cx, &m->k, y), m->heads);
    at_tensor *v = at_split_heads(cx, at_project(cx, &m->v, y), m->heads);
    y = at_merge_heads(cx, at_attention(cx, q, k, v, &options));
    *x = at_add(cx, *x, at_project(cx, &m->o, y));

    y = at_rms_normalize(cx, &m->feed_forward_norm, *x);
    y = m->gated ? at_mul(cx, at_project_act(cx, &m->wi_0, y, m->activation),
                          at_project(cx, &m->wi_1, y))
                 : at_project_act(cx, &m->wi_0, y, m->activation);
    *x = at_add(cx, *x, at_project(cx, &m->wo, y));
    at_scope_end(cx, s, x, NULL);
}

/* T5Attention._relative_position_bucket, both directions: half of the buckets each; near ones
   exactly, far ones on a logarithmic scale. */
static int bucket_of(const t5_config *c, int64_t key_minus_query)
{
    int half = c->buckets / 2, exact = half / 2, base = key_minus_query > 0 ? half : 0;
    int64_t n = llabs(key_minus_query);
    if (n < exact) return base + (int)n;
    float ratio = logf((float)n / (float)exact) / (float)log((double)c->distance / exact);
    int far = exact + (int)(ratio * (float)(half - exact));
    return base + (far < half - 1 ? far : half - 1);
}

/* [1,H,N,N], plus the padding's -FLT_MAX where a mask is given: [B,H,N,N] */
static at_tensor *position_bias(at_context *cx, const t5_config *c, at_tensor *table, int64_t N,
                                at_tensor *mask)
{
    table = at_contiguous(cx, at_cast(cx, table, AT_F32));
    at_tensor *bias = at_new(cx, AT_F32, 1, c->heads, N, N);
    if (!table || !bias) return NULL;
    const float *by_bucket = table->data;
    for (int h = 0; h < c->heads; h++) {
        float *rows = (float *)bias->data + h * N * N;
        for (int64_t d = -(N - 1); d < N; d++) { /* one diagonal: the same distance */
            float value = by_bucket[bucket_of(c, d) * c->heads + h];
            for (int64_t i = d < 0 ? -d : 0; i < N && i + d < N; i++) rows[i * N + i + d] = value;
        }
    }
    if (!mask) return bias;
    at_tensor *hidden = at_affine(cx, at_cast(cx, mask, AT_F32), 1.0f, -1.0f); /* 0 and -1 */
    hidden = at_affine(cx, hidden, 3.4028235e38f, 0.0f);
    return at_add(cx, bias, at_view(cx, hidden, at_dim(mask, 0), 1, 1, N));
}

at_tensor *at_t5_encode(at_context *cx, const at_module *module, at_tensor *ids, at_tensor *mask)
{
    const t5_encoder *m = (const t5_encoder *)module;
    at_scope s = at_scope_begin(cx);
    at_tensor *x = at_embedding(cx, m->shared, ids); /* [B,N,D] */
    at_tensor *bias = NULL;
    for (int i = 0; i < m->config.layers; i++) {
        const t5_block *b = &m->blocks[i];
        if (b->relative_attention_bias)
            bias = position_bias(cx, &m->config, b->relative_attention_bias, at_dim(ids, 1), mask);
        block(cx, b, &x, bias);
        at_scope_keep(cx, s, &x, &bias, NULL);
    }
    x = at_rms_normalize(cx, &m->final_layer_norm, x);
    at_scope_end(cx, s, &x, NULL);
    return x;
}

static void bind_block(at_binder *b, t5_block *m, const t5_config *c, bool own_bias)
{
    int64_t inner = c->heads * c->head_dim;
    m->heads = c->heads;
    m->gated = c->gated;
    m->activation = c->activation;
    at_bind_linear(b, "layer.0.SelfAttention.q", &m->q, c->width, inner, AT_NO_BIAS);
    at_bind_linear(b, "layer.0.SelfAttention.k", &m->k, c->width, inner, AT_NO_BIAS);
    at_bind_linear(b, "layer.0.SelfAttention.v", &m->v, c->width, inner, AT_NO_BIAS);
    at_bind_linear(b, "layer.0.SelfAttention.o", &m->o, inner, c->width, AT_NO_BIAS);
    if (own_bias)
        at_bind_embedding(b, "layer.0.SelfAttention.relative_attention_bias",
                          &m->relative_attention_bias, c->buckets, c->heads);
    at_bind_rms_norm(b, "layer.0.layer_norm", &m->attention_norm, c->width, c->eps);
    at_bind_linear(b, c->gated ? "layer.1.DenseReluDense.wi_0" : "layer.1.DenseReluDense.wi",
                   &m->wi_0, c->width, c->inner, AT_NO_BIAS);
    if (c->gated)
        at_bind_linear(b, "layer.1.DenseReluDense.wi_1", &m->wi_1, c->width, c->inner, AT_NO_BIAS);
    at_bind_linear(b, "layer.1.DenseReluDense.wo", &m->wo, c->inner, c->width, AT_NO_BIAS);
    at_bind_rms_norm(b, "layer.1.layer_norm", &m->feed_forward_norm, c->width, c->eps);
}

static void bind(at_binder *b, at_module *module)
{
    t5_encoder *m = (t5_encoder *)module;
    const t5_config *c = &m->config;
    at_bind_embedding(b, "shared", &m->shared, c->vocabulary, c->width);
    AT_BIND_LIST(b, "encoder.block", c->layers, bind_block, m->blocks, c,
                 c->bias_per_layer || i_ == 0);
    at_bind_rms_norm(b, "encoder.final_layer_norm", &m->final_layer_norm, c->width, c->eps);
}

/* "relu", "gated-gelu", ...; the plain gelu of a gated layer is the tanh form, as T5 1.1 was
 * trained. */
static void configure_feed_forward(at_context *cx, at_config *k, t5_config *c, const char *usual)
{
    const char *projection = at_config_text(cx, k, "feed_forward_proj", usual);
    bool gated = strncmp(projection, "gated-", 6) == 0;
    const char *act =
        strcmp(projection, "gated-gelu") == 0 ? "gelu_new" : projection + (gated ? 6 : 0);
    c->gated = at_config_bool(cx, k, "is_gated_act", gated);
    act = at_config_text(cx, k, "dense_act_fn", act);
    if (!at_activation_of(act, &c->activation))
        at_fail(cx, AT_ERROR_UNSUPPORTED, "%s: \"feed_forward_proj\": \"%s\" is not supported",
                at_config_what(k), act);
}

/* What T5Config, MT5Config and UMT5Config say where a file is silent. */
typedef struct t5_defaults {
    int vocabulary, inner, layers, heads;
    const char *feed_forward;
} t5_defaults;

static void configure_as(at_context *cx, at_config *k, at_module *module, const t5_defaults *usual)
{
    t5_encoder *m = (t5_encoder *)module;
    t5_config *c = &m->config;
    static const char *const harmless[] = {"eos_token_id", "scalable_attention", NULL};
    at_config_ignore_hf(k);
    at_config_ignore(k, harmless);
    c->vocabulary = at_config_range(cx, k, "vocab_size", usual->vocabulary, 1, 1 << 24);
    c->width = at_config_range(cx, k, "d_model", 512, 1, 1 << 16);
    c->head_dim = at_config_range(cx, k, "d_kv", 64, 1, 4096);
    c->inner = at_config_range(cx, k, "d_ff", usual->inner, 1, 1 << 20);
    c->layers = at_config_range(cx, k, "num_layers", usual->layers, 1, 1000);
    c->heads = at_config_range(cx, k, "num_heads", usual->heads, 1, 1024);
    c->buckets = at_config_range(cx, k, "relative_attention_num_buckets", 32, 4, 1 << 16);
    c->distance = at_config_range(cx, k, "relative_attention_max_distance", 128, 2, 1 << 20);
    c->eps = at_config_number(cx, k, "layer_norm_epsilon", 1e-6);
    configure_feed_forward(cx, k, c, usual->feed_forward);
    if (c->distance <= c->buckets / 4)
        at_fail(cx, AT_ERROR_FORMAT,
                "%s: \"relative_attention_max_distance\" must be more than a quarter of "
                "\"relative_attention_num_buckets\"",
                at_config_what(k));
    m->blocks = at_module_list(module, c->layers, sizeof *m->blocks);
}

static void configure(at_context *cx, at_config *k, at_module *module)
{
    configure_as(cx, k, module, &(t5_defaults){32128, 2048, 6, 8, "relu"});
}

static void configure_mt5(at_context *cx, at_config *k, at_module *module)
{
    configure_as(cx, k, module, &(t5_defaults){250112, 1024, 8, 6, "gated-gelu"});
}

static void configure_umt5(at_context *cx, at_config *k, at_module *module)
{
    ((t5_encoder *)module)->config.bias_per_layer = true;
    configure_mt5(cx, k, module);
}

static const at_alias aliases[] = {{"^shared.weight", "encoder.embed_tokens.weight"}, {NULL, NULL}};
static const char *const ignored[] = {"encoder.embed_tokens.weight", NULL};

const at_module_class at_t5_encoder_class = {
    .name = "T5EncoderModel",
    .size = sizeof(t5_encoder),
    .configure = configure,
    .bind = bind,
    .aliases = aliases,
    .ignored = ignored,
};

const at_module_class at_mt5_encoder_class = {
    .name = "MT5EncoderModel",
    .size = sizeof(t5_encoder),
    .configure = configure_mt5,
    .bind = bind,
    .aliases = aliases,
    .ignored = ignored,
};

const at_module_class at_umt5_encoder_class = {
    .name = "UMT5EncoderModel",
    .size = sizeof(t5_encoder),
    .configure = configure_umt5,
    .bind = bind,
    .aliases = aliases,
    .ignored = ignored,
};
