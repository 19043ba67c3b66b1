#include "models/text_encoders/gemma2.h"
#include "models/text_encoders/hf_config.h"
#include <float.h>
#include <math.h>
#include <string.h>

typedef struct gemma2_config {
    int64_t vocabulary, width, inner, head_dim, window;
    int layers, heads, groups;
    bool bias;
    at_activation activation;
    double eps, theta;
    float scale, attention_cap, logit_cap; /* caps: 0 for none */
} gemma2_config;

typedef struct gemma2_layer {
    const gemma2_config *config;
    bool sliding;
    at_nn_norm input_layernorm, post_attention_layernorm;
    at_nn_norm pre_feedforward_layernorm, post_feedforward_layernorm;
    at_nn_linear q_proj, k_proj, v_proj, o_proj;
    at_nn_linear gate_proj, up_proj, down_proj;
} gemma2_layer;

typedef struct gemma2 {
    at_module module;
    gemma2_config config;
    at_tensor *embed_tokens;
    gemma2_layer *layers;
    at_nn_norm norm;
} gemma2;

/* What all layers share: rope [N,head_dim/2,2], what each query sees as f32 [B or 1,1,N,N]. */
typedef struct gemma2_shared {
    at_tensor *rope, *full, *sliding;
} gemma2_shared;

/* Gemma2RMSNorm: weights are kept as their distance from 1. */
static at_tensor *normalize(at_context *cx, const at_nn_norm *m, at_tensor *x)
{
    return at_rms_norm(cx, x, at_affine(cx, m->weight, 1.0f, 1.0f), m->eps);
}

/* cap * tanh(x / cap) */
static at_tensor *soft_cap(at_context *cx, at_tensor *x, float cap)
{
    x = at_activate(cx, at_affine(cx, x, 1.0f / cap, 0.0f), AT_TANH);
    return at_affine(cx, x, cap, 0.0f);
}

/* Attention with capped scores, which flash attention does not know: head by head they are matrices
   of [N,N], for the few hundred tokens of a prompt. q [B,N,H,D], k, v [B,N,G,D], mask [.,1,N,N]. */
static at_tensor *capped_attention(at_context *cx, const gemma2_config *c, at_tensor *q,
                                   at_tensor *k, at_tensor *v, at_tensor *mask)
{
    int64_t B = at_dim(q, 0), N = at_dim(q, 1), D = c->head_dim, G = c->groups;
    int64_t each = c->heads / c->groups;
    q = at_transpose(cx, at_view(cx, q, B, N, G, each, D), 0, 2, 3, 1, 4); /* [B,G,each,N,D] */
    k = at_transpose(cx, at_view(cx, k, B, N, G, 1, D), 0, 2, 3, 4, 1);    /* [B,G,1,D,N] */
    v = at_transpose(cx, at_view(cx, v, B, N, G, 1, D), 0, 2, 3, 1, 4);    /* [B,G,1,N,D] */
    at_tensor *scores = at_affine(cx, at_matmul(cx, q, k), c->scale, 0.0f);
    scores = soft_cap(cx, scores, c->attention_cap);
    mask = at_view(cx, mask, at_dim(mask, 0), 1, 1, N, N);
    at_tensor *y = at_matmul(cx, at_softmax(cx, at_add(cx, scores, mask)), v);
    return at_view(cx, at_transpose(cx, y, 0, 3, 1, 2, 4), B, N, c->heads, D);
}

/* x [B,N,D], already normed -> [B,N,D] */
static at_tensor *attention(at_context *cx, const gemma2_layer *m, at_tensor *x,
                            const gemma2_shared *shared)
{
    const gemma2_config *c = m->config;
    at_tensor *mask = m->sliding ? shared->sliding : shared->full;
    at_tensor *q = at_split_heads(cx, at_project(cx, &m->q_proj, x), c->heads);
    at_tensor *k = at_split_heads(cx, at_project(cx, &m->k_proj, x), c->groups);
    at_tensor *v = at_split_heads(cx, at_project(cx, &m->v_proj, x), c->groups);
    q = at_rotary(cx, q, shared->rope, AT_ROTARY_HALVES);
    k = at_rotary(cx, k, shared->rope, AT_ROTARY_HALVES);
    const at_attention_options options = {.scale = c->scale, .mask = mask};
    at_tensor *y = c->attention_cap > 0 ? capped_attention(cx, c, q, k, v, mask)
                                        : at_attention(cx, q, k, v, &options);
    return at_project(cx, &m->o_proj, at_merge_heads(cx, y));
}

/* x [B,N,D]: attention, then the gated feed-forward, each between two norms */
static void layer(at_context *cx, const gemma2_layer *m, at_tensor **x, const gemma2_shared *shared)
{
    at_scope s = at_scope_begin(cx);
    at_tensor *y = normalize(cx, &m->input_layernorm, *x);
    y = attention(cx, m, y, shared);
    *x = at_add(cx, *x, normalize(cx, &m->post_attention_layernorm, y));

    y = normalize(cx, &m->pre_feedforward_layernorm, *x);
    y = at_mul(cx, at_project_act(cx, &m->gate_proj, y, m->config->activation),
               at_project(cx, &m->up_proj, y));
    y = at_project(cx, &m->down_proj, y);
    *x = at_add(cx, *x, normalize(cx, &m->post_feedforward_layernorm, y));
    at_scope_end(cx, s, x, NULL);
}

/* 0 where a query sees a key, else -FLT_MAX: no later one, none further back than the window, no
   padding. mask bool [B,N] or NULL -> [B or 1,1,N,N] */
static at_tensor *seen(at_context *cx, int64_t N, int64_t window, at_tensor *mask)
{
    int64_t B = mask ? at_dim(mask, 0) : 1;
    mask = mask ? at_contiguous(cx, mask) : NULL;
    at_tensor *out = at_new(cx, AT_F32, B, 1, N, N);
    if (!out) return NULL;
    for (int64_t b = 0; b < B; b++) {
        const bool *token = mask ? (const bool *)mask->data + b * N : NULL;
        for (int64_t q = 0; q < N; q++) {
            float *row = (float *)out->data + (b * N + q) * N;
            for (int64_t k = 0; k < N; k++)
                row[k] = k <= q && k > q - window && (!token || token[k]) ? 0.0f : -FLT_MAX;
        }
    }
    return out;
}

static at_tensor *rope_of(at_context *cx, const gemma2_config *c, int64_t N)
{
    at_tensor *positions = at_new(cx, AT_F32, N);
    if (!positions) return NULL;
    for (int64_t i = 0; i < N; i++) ((float *)positions->data)[i] = (float)i;
    return at_rotary_table(cx, N, 1, &c->head_dim, positions->data, c->theta);
}

at_tensor *at_gemma2_encode(at_context *cx, const at_module *module, at_tensor *ids,
                            at_tensor *mask, int hidden)
{
    const gemma2 *m = (const gemma2 *)module;
    const gemma2_config *c = &m->config;
    int last = c->layers, N = (int)at_dim(ids, 1);
    if (hidden < 0) hidden += last + 1;
    if (hidden < 0 || hidden > last)
        return at_fail(cx, AT_ERROR_ARGUMENT, "gemma2: there is no hidden state %d of %d", hidden,
                       last);
    at_scope s = at_scope_begin(cx);
    at_tensor *x = at_embedding(cx, m->embed_tokens, ids);
    x = at_affine(cx, x, (float)sqrt((double)c->width), 0.0f);
    gemma2_shared shared = {rope_of(cx, c, N), seen(cx, N, N, mask), seen(cx, N, c->window, mask)};
    for (int i = 0; i < hidden; i++) {
        layer(cx, &m->layers[i], &x, &shared);
        at_scope_keep(cx, s, &x, &shared.rope, &shared.full, &shared.sliding, NULL);
    }
    if (hidden == last) x = normalize(cx, &m->norm, x);
    at_scope_end(cx, s, &x, NULL);
    return x;
}

at_tensor *at_gemma2_logits(at_context *cx, const at_module *module, at_tensor *hidden_state)
{
    const gemma2 *m = (const gemma2 *)module;
    at_tensor *logits = at_linear(cx, hidden_state, m->embed_tokens, NULL, AT_IDENTITY);
    return m->config.logit_cap > 0 ? soft_cap(cx, logits, m->config.logit_cap) : logits;
}

/* ---- parameters */

static void bind_layer(at_binder *b, gemma2_layer *m, const gemma2_config *c)
{
    int64_t inner = c->heads * c->head_dim, shared = c->groups * c->head_dim;
    m->config = c;
    at_bind_linear(b, "self_attn.q_proj", &m->q_proj, c->width, inner, c->bias);
    at_bind_linear(b, "self_attn.k_proj", &m->k_proj, c->width, shared, c->bias);
    at_bind_linear(b, "self_attn.v_proj", &m->v_proj, c->width, shared, c->bias);
    at_bind_linear(b, "self_attn.o_proj", &m->o_proj, inner, c->width, c->bias);
    at_bind_linear(b, "mlp.gate_proj", &m->gate_proj, c->width, c->inner, AT_NO_BIAS);
    at_bind_linear(b, "mlp.up_proj", &m->up_proj, c->width, c->inner, AT_NO_BIAS);
    at_bind_linear(b, "mlp.down_proj", &m->down_proj, c->inner, c->width, AT_NO_BIAS);
    at_bind_rms_norm(b, "input_layernorm", &m->input_layernorm, c->width, c->eps);
    at_bind_rms_norm(b, "post_attention_layernorm", &m->post_attention_layernorm, c->width, c->eps);
    at_bind_rms_norm(b, "pre_feedforward_layernorm", &m->pre_feedforward_layernorm, c->width,
                     c->eps);
    at_bind_rms_norm(b, "post_feedforward_layernorm", &m->post_feedforward_layernorm, c->width,
                     c->eps);
}

static void bind(at_binder *b, at_module *module)
{
    gemma2 *m = (gemma2 *)module;
    const gemma2_config *c = &m->config;
    at_bind_embedding(b, "embed_tokens", &m->embed_tokens, c->vocabulary, c->width);
    AT_BIND_LIST(b, "layers", c->layers, bind_layer, m->layers, c);
    at_bind_rms_norm(b, "norm", &m->norm, c->width, c->eps);
}

/* Whether each layer looks back over a window only: every second one, or as listed. */
static void configure_layers(at_context *cx, at_config *k, gemma2 *m)
{
    const cJSON *types = at_config_item(k, "layer_types");
    for (int i = 0; m->layers && i < m->config.layers; i++) {
        const cJSON *item = cJSON_GetArrayItem(types, i);
        const char *type = cJSON_IsString(item) ? item->valuestring : "";
        m->layers[i].sliding = types ? strcmp(type, "sliding_attention") == 0 : i % 2 == 0;
        if (types && !m->layers[i].sliding && strcmp(type, "full_attention") != 0)
            at_fail(cx, AT_ERROR_FORMAT, "%s: \"layer_types\": \"%s\" is no kind of layer %d",
                    at_config_what(k), type, i);
    }
}

/* rope_theta, or transformers 5's rope_parameters; only the plain kind. */
static double configure_rope(at_context *cx, at_config *k)
{
    const cJSON *rope = at_config_item(k, "rope_parameters");
    const cJSON *type = cJSON_GetObjectItemCaseSensitive(rope, "rope_type");
    const cJSON *theta = cJSON_GetObjectItemCaseSensitive(rope, "rope_theta");
    if (cJSON_IsString(type) && strcmp(type->valuestring, "default") != 0)
        at_fail(cx, AT_ERROR_UNSUPPORTED, "%s: \"rope_type\": \"%s\" is not supported",
                at_config_what(k), type->valuestring);
    return at_config_number(cx, k, "rope_theta",
                            cJSON_IsNumber(theta) ? theta->valuedouble : 10000.0);
}

/* A number where null is a value of its own: none, given as `none`. */
static double number_or_none(at_context *cx, at_config *k, const char *key, double fallback,
                             double none)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(at_config_json(k), key);
    return at_config_number(cx, k, key, cJSON_IsNull(item) ? none : fallback);
}

static void configure(at_context *cx, at_config *k, at_module *module)
{
    gemma2 *m = (gemma2 *)module;
    gemma2_config *c = &m->config;
    static const char *const harmless[] = {"eos_token_id", "hidden_act", "cache_implementation",
                                           "max_position_embeddings", NULL};
    at_config_ignore_hf(k);
    at_config_ignore(k, harmless);
    at_config_expect_bool(cx, k, "use_bidirectional_attention", false, false);
    c->vocabulary = at_config_range(cx, k, "vocab_size", 256000, 1, 1 << 24);
    c->width = at_config_range(cx, k, "hidden_size", 2304, 1, 1 << 16);
    c->inner = at_config_range(cx, k, "intermediate_size", 9216, 1, 1 << 20);
    c->layers = at_config_range(cx, k, "num_hidden_layers", 26, 0, 1000);
    c->heads = at_config_range(cx, k, "num_attention_heads", 8, 1, 1024);
    c->groups = at_config_range(cx, k, "num_key_value_heads", 4, 1, 1024);
    c->head_dim = at_config_range(cx, k, "head_dim", 256, 1, 4096);
    c->bias = at_config_bool(cx, k, "attention_bias", false);
    c->eps = at_config_number(cx, k, "rms_norm_eps", 1e-6);
    bool whole =
        cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(at_config_json(k), "sliding_window"));
    c->window = at_config_range(cx, k, "sliding_window", whole ? INT32_MAX : 4096, 1, INT32_MAX);
    c->attention_cap = (float)number_or_none(cx, k, "attn_logit_softcapping", 50.0, 0.0);
    c->logit_cap = (float)number_or_none(cx, k, "final_logit_softcapping", 30.0, 0.0);
    c->scale = (float)(1.0 / sqrt(at_config_range(cx, k, "query_pre_attn_scalar", 256, 1, 65536)));
    c->theta = configure_rope(cx, k);
    c->activation = at_config_activation(cx, k, "hidden_activation", "gelu_pytorch_tanh");
    if (c->heads % c->groups || c->head_dim % 2)
        at_fail(cx, AT_ERROR_FORMAT,
                "%s: \"num_attention_heads\" must be a multiple of \"num_key_value_heads\", and "
                "\"head_dim\" even",
                at_config_what(k));
    m->layers = at_module_list(module, c->layers, sizeof *m->layers);
    configure_layers(cx, k, m);
}

/* Files of Gemma2ForCausalLM have the same under "model.", and mostly no lm_head: it is tied. */
static const at_alias aliases[] = {{"^", "model."}, {NULL, NULL}};
static const char *const ignored[] = {"lm_head.weight", NULL};

const at_module_class at_gemma2_class = {
    .name = "Gemma2Model",
    .size = sizeof(gemma2),
    .configure = configure,
    .bind = bind,
    .aliases = aliases,
    .ignored = ignored,
};

const at_module_class at_gemma2_for_causal_lm_class = {
    .name = "Gemma2ForCausalLM",
    .size = sizeof(gemma2),
    .configure = configure,
    .bind = bind,
    .aliases = aliases,
    .ignored = ignored,
};
