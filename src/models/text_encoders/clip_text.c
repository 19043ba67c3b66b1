#include "models/text_encoders/clip_text.h"
#include "models/text_encoders/hf_config.h"
#include <string.h>

typedef struct clip_config {
    int64_t vocabulary, width, inner, positions, projection, eos;
    int layers, heads;
    at_activation activation;
    double eps;
} clip_config;

typedef struct clip_layer {
    int heads;
    at_activation activation;
    at_nn_norm layer_norm1, layer_norm2;
    at_nn_linear q_proj, k_proj, v_proj, out_proj;
    at_nn_linear fc1, fc2;
} clip_layer;

typedef struct clip_text {
    at_module module;
    clip_config config;
    at_tensor *token_embedding, *position_embedding;
    clip_layer *layers;
    at_nn_norm final_layer_norm;
    at_nn_linear text_projection;
} clip_text;

/* x [B,N,D]: causal attention, then the MLP, each on a normed copy */
static void layer(at_context *cx, const clip_layer *m, at_tensor **x)
{
    at_scope s = at_scope_begin(cx);
    const at_attention_options causal = {.causal = true};
    at_tensor *y = at_layer_normalize(cx, &m->layer_norm1, *x);
    at_tensor *q = at_split_heads(cx, at_project(cx, &m->q_proj, y), m->heads);
    at_tensor *k = at_split_heads(cx, at_project(cx, &m->k_proj, y), m->heads);
    at_tensor *v = at_split_heads(cx, at_project(cx, &m->v_proj, y), m->heads);
    y = at_merge_heads(cx, at_attention(cx, q, k, v, &causal));
    *x = at_add(cx, *x, at_project(cx, &m->out_proj, y));

    y = at_project_act(cx, &m->fc1, at_layer_normalize(cx, &m->layer_norm2, *x), m->activation);
    *x = at_add(cx, *x, at_project(cx, &m->fc2, y));
    at_scope_end(cx, s, x, NULL);
}

/* Where each row ends: the first end token; with eos_token_id 2, as older files have it by mistake,
   the largest id. -> indices of rows in [B*N,D] */
static at_tensor *end_positions(at_context *cx, const clip_text *m, at_tensor *ids)
{
    int64_t B = at_dim(ids, 0), N = at_dim(ids, 1);
    at_tensor *ends = at_new(cx, AT_I32, B);
    if (!ends || !ids) return NULL;
    for (int64_t b = 0; b < B; b++) {
        const int32_t *row = (const int32_t *)ids->data + b * N;
        int64_t end = 0;
        for (int64_t i = N - 1; i >= 0; i--)
            if (m->config.eos == 2 ? row[i] >= row[end] : row[i] == m->config.eos) end = i;
        ((int32_t *)ends->data)[b] = (int32_t)(b * N + end);
    }
    return ends;
}

/* The table's rows [B,N,D], and the vectors' where ids are below zero. */
static at_tensor *embed(at_context *cx, const clip_text *m, at_tensor *ids, at_tensor *vectors)
{
    if (!vectors) return at_embedding(cx, m->token_embedding, ids);
    int64_t count = at_elements(ids), K = at_dim(vectors, 0), D = m->config.width;
    at_tensor *known = at_empty_like(cx, ids);
    vectors = at_contiguous(cx, vectors);
    if (!at_ok(cx)) return NULL;
    const int32_t *id = ids->data;
    for (int64_t i = 0; i < count; i++) ((int32_t *)known->data)[i] = AT_MAX(id[i], 0);
    at_tensor *x = at_contiguous(cx, at_embedding(cx, m->token_embedding, known));
    if (!x || vectors->dtype != AT_F32 || vectors->dims != 2 || at_dim(vectors, 1) != D)
        return at_fail(cx, AT_ERROR_SHAPE, "clip: vectors %s for a width of %lld",
                       at_shape_text(vectors), (long long)D);
    for (int64_t i = 0; i < count; i++) {
        int64_t row = -1 - (int64_t)id[i];
        if (row < 0) continue;
        if (row >= K) return at_fail(cx, AT_ERROR_ARGUMENT, "clip: no vector %lld", (long long)row);
        memcpy((float *)x->data + i * D, (const float *)vectors->data + row * D, (size_t)D * 4);
    }
    return x;
}

at_clip_text_output at_clip_text_forward(at_context *cx, const at_module *module, at_tensor *ids,
                                         int hidden)
{
    return at_clip_text_forward_with(cx, module, ids, NULL, hidden);
}

at_clip_text_output at_clip_text_forward_with(at_context *cx, const at_module *module,
                                              at_tensor *ids, at_tensor *vectors, int hidden)
{
    const clip_text *m = (const clip_text *)module;
    at_clip_text_output out = {0};
    int64_t B = at_dim(ids, 0), N = at_dim(ids, 1), D = m->config.width;
    if (!at_ok(cx)) return out;
    if (!ids || ids->dtype != AT_I32 || ids->dims != 2 || !at_is_contiguous(ids) ||
        N > m->config.positions) {
        at_fail(cx, AT_ERROR_SHAPE, "clip: ids %s must be i32 [B,N] of at most %lld tokens",
                at_shape_text(ids), (long long)m->config.positions);
        return out;
    }
    at_scope s = at_scope_begin(cx);
    at_tensor *positions = at_cast(cx, at_slice(cx, m->position_embedding, 0, 0, N), AT_F32);
    at_tensor *x = at_add(cx, embed(cx, m, ids, vectors), positions);
    if (hidden < 0) hidden += m->config.layers + 1;
    for (int i = 0; i < m->config.layers; i++) {
        if (i == hidden) out.hidden_state = x;
        layer(cx, &m->layers[i], &x);
        at_scope_keep(cx, s, &x, &out.hidden_state, NULL);
    }
    if (m->config.layers == hidden) out.hidden_state = x;
    out.last_hidden_state = at_layer_normalize(cx, &m->final_layer_norm, x);
    at_tensor *rows = at_view(cx, out.last_hidden_state, B * N, D);
    out.pooler_output = at_embedding(cx, rows, end_positions(cx, m, ids));
    if (m->text_projection.weight)
        out.text_embeds = at_project(cx, &m->text_projection, out.pooler_output);
    at_scope_end(cx, s, &out.last_hidden_state, &out.pooler_output, &out.hidden_state,
                 &out.text_embeds, NULL);
    return out;
}

int64_t at_clip_text_width(const at_module *module)
{
    return ((const clip_text *)module)->config.width;
}

at_tensor *at_clip_text_final_norm(at_context *cx, const at_module *module, at_tensor *x)
{
    return at_layer_normalize(cx, &((const clip_text *)module)->final_layer_norm, x);
}

static void bind_layer(at_binder *b, clip_layer *m, const clip_config *c)
{
    m->heads = c->heads;
    m->activation = c->activation;
    at_bind_linear(b, "self_attn.q_proj", &m->q_proj, c->width, c->width, AT_BIAS);
    at_bind_linear(b, "self_attn.k_proj", &m->k_proj, c->width, c->width, AT_BIAS);
    at_bind_linear(b, "self_attn.v_proj", &m->v_proj, c->width, c->width, AT_BIAS);
    at_bind_linear(b, "self_attn.out_proj", &m->out_proj, c->width, c->width, AT_BIAS);
    at_bind_layer_norm(b, "layer_norm1", &m->layer_norm1, c->width, c->eps);
    at_bind_layer_norm(b, "layer_norm2", &m->layer_norm2, c->width, c->eps);
    at_bind_linear(b, "mlp.fc1", &m->fc1, c->width, c->inner, AT_BIAS);
    at_bind_linear(b, "mlp.fc2", &m->fc2, c->inner, c->width, AT_BIAS);
}

static void bind(at_binder *b, at_module *module)
{
    clip_text *m = (clip_text *)module;
    const clip_config *c = &m->config;
    size_t before = at_bind_enter(b, "text_model");
    at_bind_embedding(b, "embeddings.token_embedding", &m->token_embedding, c->vocabulary,
                      c->width);
    at_bind_embedding(b, "embeddings.position_embedding", &m->position_embedding, c->positions,
                      c->width);
    AT_BIND_LIST(b, "encoder.layers", c->layers, bind_layer, m->layers, c);
    at_bind_layer_norm(b, "final_layer_norm", &m->final_layer_norm, c->width, c->eps);
    at_bind_leave(b, before);
    if (module->class == &at_clip_text_with_projection_class)
        at_bind_linear(b, "text_projection", &m->text_projection, c->width, c->projection,
                       AT_NO_BIAS);
}

static void configure(at_context *cx, at_config *k, at_module *module)
{
    clip_text *m = (clip_text *)module;
    clip_config *c = &m->config;
    at_config_ignore_hf(k);
    c->vocabulary = at_config_range(cx, k, "vocab_size", 49408, 1, 1 << 24);
    c->width = at_config_range(cx, k, "hidden_size", 512, 1, 1 << 16);
    c->inner = at_config_range(cx, k, "intermediate_size", 2048, 1, 1 << 20);
    c->projection = at_config_range(cx, k, "projection_dim", 512, 1, 1 << 16);
    c->layers = at_config_range(cx, k, "num_hidden_layers", 12, 0, 1000);
    c->heads = at_config_range(cx, k, "num_attention_heads", 8, 1, 1024);
    c->positions = at_config_range(cx, k, "max_position_embeddings", 77, 1, 1 << 20);
    c->eps = at_config_number(cx, k, "layer_norm_eps", 1e-5);
    c->eos = at_config_int(cx, k, "eos_token_id", 49407);
    c->activation = at_config_activation(cx, k, "hidden_act", "quick_gelu");
    if (c->width % c->heads)
        at_fail(cx, AT_ERROR_FORMAT,
                "%s: \"hidden_size\" must be a multiple of \"num_attention_heads\"",
                at_config_what(k));
    m->layers = at_module_list(module, c->layers, sizeof *m->layers);
}

/* transformers 5 writes CLIPTextModel without the prefix; older versions add the positions'
 * numbers. */
static const at_alias aliases[] = {{"^text_model.", ""}, {NULL, NULL}};
static const char *const ignored[] = {"embeddings.position_ids", "logit_scale", NULL};

const at_module_class at_clip_text_class = {
    .name = "CLIPTextModel",
    .size = sizeof(clip_text),
    .configure = configure,
    .bind = bind,
    .aliases = aliases,
    .ignored = ignored,
};

const at_module_class at_clip_text_with_projection_class = {
    .name = "CLIPTextModelWithProjection",
    .size = sizeof(clip_text),
    .configure = configure,
    .bind = bind,
    .aliases = aliases,
    .ignored = ignored,
};
