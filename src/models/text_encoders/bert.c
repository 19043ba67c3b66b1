#include "models/text_encoders/bert.h"
#include "models/text_encoders/hf_config.h"

typedef struct bert_config {
    int64_t vocabulary, width, inner, positions, types;
    int layers, heads;
    at_activation activation;
    bool causal, pooled;
    double eps;
} bert_config;

typedef struct bert_layer {
    int heads;
    bool causal;
    at_activation activation;
    at_nn_linear query, key, value, attention_dense;
    at_nn_norm attention_norm;
    at_nn_linear intermediate_dense, output_dense;
    at_nn_norm output_norm;
} bert_layer;

typedef struct bert {
    at_module module;
    bert_config config;
    at_tensor *word_embeddings, *position_embeddings, *token_type_embeddings;
    at_nn_norm embeddings_norm;
    bert_layer *layers;
    at_nn_linear pooler_dense;
} bert;

/* x [B,N,D], mask bool [B,1,1,N] or NULL. The norms follow the residuals. */
static void layer(at_context *cx, const bert_layer *m, at_tensor **x, at_tensor *mask)
{
    at_scope s = at_scope_begin(cx);
    const at_attention_options options = {.causal = m->causal, .mask = mask};
    at_tensor *q = at_split_heads(cx, at_project(cx, &m->query, *x), m->heads);
    at_tensor *k = at_split_heads(cx, at_project(cx, &m->key, *x), m->heads);
    at_tensor *v = at_split_heads(cx, at_project(cx, &m->value, *x), m->heads);
    at_tensor *y = at_merge_heads(cx, at_attention(cx, q, k, v, &options));
    y = at_project(cx, &m->attention_dense, y);
    *x = at_layer_normalize(cx, &m->attention_norm, at_add(cx, *x, y));

    y = at_project_act(cx, &m->intermediate_dense, *x, m->activation);
    y = at_project(cx, &m->output_dense, y);
    *x = at_layer_normalize(cx, &m->output_norm, at_add(cx, *x, y));
    at_scope_end(cx, s, x, NULL);
}

/* 0 to N - 1, i32 [1,N] */
static at_tensor *counted(at_context *cx, int64_t N)
{
    at_tensor *ids = at_new(cx, AT_I32, 1, N);
    for (int64_t i = 0; ids && i < N; i++) ((int32_t *)ids->data)[i] = (int32_t)i;
    return ids;
}

/* BertEmbeddings -> [B,N,D] */
static at_tensor *embeddings(at_context *cx, const bert *m, const at_bert_inputs *in)
{
    int64_t N = at_dim(in->input_ids, 1);
    at_tensor *types = in->token_type_ids, *positions = in->position_ids;
    if (!types) types = at_zeros(cx, AT_I32, 2, (int64_t[]){1, N});
    if (!positions) positions = counted(cx, N);
    at_tensor *x = at_embedding(cx, m->word_embeddings, in->input_ids);
    x = at_add(cx, x, at_embedding(cx, m->token_type_embeddings, types));
    x = at_add(cx, x, at_embedding(cx, m->position_embeddings, positions));
    return at_layer_normalize(cx, &m->embeddings_norm, x);
}

at_bert_output at_bert_forward(at_context *cx, const at_module *module, const at_bert_inputs *in)
{
    const bert *m = (const bert *)module;
    at_bert_output out = {0};
    at_scope s = at_scope_begin(cx);
    int64_t B = at_dim(in->input_ids, 0), N = at_dim(in->input_ids, 1);
    at_tensor *mask = in->attention_mask;
    if (mask) mask = at_view(cx, mask, B, 1, 1, N);
    at_tensor *x = embeddings(cx, m, in);
    for (int i = 0; i < m->config.layers; i++) {
        layer(cx, &m->layers[i], &x, mask);
        at_scope_keep(cx, s, &x, &mask, NULL);
    }
    out.last_hidden_state = x;
    if (m->config.pooled) {
        at_tensor *first = at_view(cx, at_slice(cx, x, 1, 0, 1), B, m->config.width);
        out.pooler_output = at_project_act(cx, &m->pooler_dense, first, AT_TANH);
    }
    at_scope_end(cx, s, &out.last_hidden_state, &out.pooler_output, NULL);
    return out;
}

static void bind_layer(at_binder *b, bert_layer *m, const bert_config *c)
{
    m->heads = c->heads;
    m->causal = c->causal;
    m->activation = c->activation;
    at_bind_linear(b, "attention.self.query", &m->query, c->width, c->width, AT_BIAS);
    at_bind_linear(b, "attention.self.key", &m->key, c->width, c->width, AT_BIAS);
    at_bind_linear(b, "attention.self.value", &m->value, c->width, c->width, AT_BIAS);
    at_bind_linear(b, "attention.output.dense", &m->attention_dense, c->width, c->width, AT_BIAS);
    at_bind_layer_norm(b, "attention.output.LayerNorm", &m->attention_norm, c->width, c->eps);
    at_bind_linear(b, "intermediate.dense", &m->intermediate_dense, c->width, c->inner, AT_BIAS);
    at_bind_linear(b, "output.dense", &m->output_dense, c->inner, c->width, AT_BIAS);
    at_bind_layer_norm(b, "output.LayerNorm", &m->output_norm, c->width, c->eps);
}

static void bind(at_binder *b, at_module *module)
{
    bert *m = (bert *)module;
    const bert_config *c = &m->config;
    at_bind_embedding(b, "embeddings.word_embeddings", &m->word_embeddings, c->vocabulary,
                      c->width);
    at_bind_embedding(b, "embeddings.position_embeddings", &m->position_embeddings, c->positions,
                      c->width);
    at_bind_embedding(b, "embeddings.token_type_embeddings", &m->token_type_embeddings, c->types,
                      c->width);
    at_bind_layer_norm(b, "embeddings.LayerNorm", &m->embeddings_norm, c->width, c->eps);
    AT_BIND_LIST(b, "encoder.layer", c->layers, bind_layer, m->layers, c);
    if (c->pooled) at_bind_linear(b, "pooler.dense", &m->pooler_dense, c->width, c->width, AT_BIAS);
}

static void configure(at_context *cx, at_config *k, at_module *module)
{
    bert *m = (bert *)module;
    bert_config *c = &m->config;
    static const char *const harmless[] = {
        "hidden_dropout_prob", "attention_probs_dropout_prob", "eos_token_id", "directionality",
        /* of a pooler that BertModel does not have */
        "pooler_fc_size", "pooler_num_attention_heads", "pooler_num_fc_layers",
        "pooler_size_per_head", "pooler_type", NULL};
    c->causal = at_config_bool(cx, k, "is_decoder", false);
    c->pooled = at_config_bool(cx, k, "add_pooling_layer", true); /* an argument of the class */
    at_config_expect_bool(cx, k, "add_cross_attention", false, false);
    at_config_expect_text(cx, k, "position_embedding_type", "absolute", "absolute");
    at_config_ignore_hf(k);
    at_config_ignore(k, harmless);
    c->vocabulary = at_config_range(cx, k, "vocab_size", 30522, 1, 1 << 24);
    c->width = at_config_range(cx, k, "hidden_size", 768, 1, 1 << 16);
    c->layers = at_config_range(cx, k, "num_hidden_layers", 12, 0, 1000);
    c->heads = at_config_range(cx, k, "num_attention_heads", 12, 1, 1024);
    c->inner = at_config_range(cx, k, "intermediate_size", 3072, 1, 1 << 20);
    c->positions = at_config_range(cx, k, "max_position_embeddings", 512, 1, 1 << 20);
    c->types = at_config_range(cx, k, "type_vocab_size", 2, 1, 1 << 16);
    c->eps = at_config_number(cx, k, "layer_norm_eps", 1e-12);
    c->activation = at_config_activation(cx, k, "hidden_act", "gelu");
    if (c->width % c->heads)
        at_fail(cx, AT_ERROR_FORMAT,
                "%s: \"hidden_size\" must be a multiple of \"num_attention_heads\"",
                at_config_what(k));
    m->layers = at_module_list(module, c->layers, sizeof *m->layers);
}

/* Files of BERT's heads put the encoder under a name of its own; the oldest call weight and bias of
   a norm gamma and beta. */
static const at_alias aliases[] = {{"^", "bert."},
                                   {"LayerNorm.weight", "LayerNorm.gamma"},
                                   {"LayerNorm.bias", "LayerNorm.beta"},
                                   {NULL, NULL}};
static const char *const ignored[] = {"embeddings.position_ids", "embeddings.token_type_ids", NULL};

const at_module_class at_bert_class = {
    .name = "BertModel",
    .size = sizeof(bert),
    .configure = configure,
    .bind = bind,
    .aliases = aliases,
    .ignored = ignored,
};
