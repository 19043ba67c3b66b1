#include "models/speech/albert.h"
#include "models/text_encoders/hf_config.h"

/* x [B,N,width]; the norms follow the residuals */
static void layer(at_context *cx, const at_albert *m, const at_albert_layer *l, at_tensor **x)
{
    at_scope s = at_scope_begin(cx);
    at_tensor *q = at_split_heads(cx, at_project(cx, &l->query, *x), m->heads);
    at_tensor *k = at_split_heads(cx, at_project(cx, &l->key, *x), m->heads);
    at_tensor *v = at_split_heads(cx, at_project(cx, &l->value, *x), m->heads);
    at_tensor *y = at_merge_heads(cx, at_attention(cx, q, k, v, NULL));
    y = at_project(cx, &l->dense, y);
    *x = at_layer_normalize(cx, &l->attention_norm, at_add(cx, *x, y));

    y = at_project_act(cx, &l->ffn, *x, m->activation);
    y = at_project(cx, &l->ffn_output, y);
    *x = at_layer_normalize(cx, &l->full_layer_norm, at_add(cx, y, *x));
    at_scope_end(cx, s, x, NULL);
}

/* AlbertEmbeddings -> [B,N,embedding] */
static at_tensor *embeddings(at_context *cx, const at_albert *m, at_tensor *ids)
{
    at_tensor *x = at_embedding(cx, m->word_embeddings, ids);
    at_tensor *positions = at_slice(cx, m->position_embeddings, 0, 0, at_dim(ids, 1));
    x = at_add(cx, x, at_slice(cx, m->token_type_embeddings, 0, 0, 1));
    x = at_add(cx, x, positions);
    return at_layer_normalize(cx, &m->embeddings_norm, x);
}

at_tensor *at_albert_forward(at_context *cx, const at_albert *m, at_tensor *ids)
{
    at_scope s = at_scope_begin(cx);
    at_tensor *x = at_project(cx, &m->mapping_in, embeddings(cx, m, ids));
    for (int i = 0; i < m->layers; i++) {
        int group = (int)((int64_t)i * m->groups / m->layers);
        for (int j = 0; j < m->inner_layers; j++)
            layer(cx, m, &m->group_layers[group * m->inner_layers + j], &x);
        at_scope_keep(cx, s, &x, NULL);
    }
    at_scope_end(cx, s, &x, NULL);
    return x;
}

static void bind_layer(at_binder *b, at_albert_layer *l, const at_albert *m)
{
    at_bind_linear(b, "attention.query", &l->query, m->width, m->width, AT_BIAS);
    at_bind_linear(b, "attention.key", &l->key, m->width, m->width, AT_BIAS);
    at_bind_linear(b, "attention.value", &l->value, m->width, m->width, AT_BIAS);
    at_bind_linear(b, "attention.dense", &l->dense, m->width, m->width, AT_BIAS);
    at_bind_layer_norm(b, "attention.LayerNorm", &l->attention_norm, m->width, m->eps);
    at_bind_linear(b, "ffn", &l->ffn, m->width, m->inner, AT_BIAS);
    at_bind_linear(b, "ffn_output", &l->ffn_output, m->inner, m->width, AT_BIAS);
    at_bind_layer_norm(b, "full_layer_layer_norm", &l->full_layer_norm, m->width, m->eps);
}

static void bind_group(at_binder *b, at_albert_layer **first, at_albert *m)
{
    AT_BIND_LIST(b, "albert_layers", m->inner_layers, bind_layer, *first, m);
    *first += m->inner_layers;
}

void at_albert_bind(at_binder *b, at_albert *m)
{
    at_bind_embedding(b, "embeddings.word_embeddings", &m->word_embeddings, m->vocabulary,
                      m->embedding);
    at_bind_embedding(b, "embeddings.position_embeddings", &m->position_embeddings, m->positions,
                      m->embedding);
    at_bind_embedding(b, "embeddings.token_type_embeddings", &m->token_type_embeddings, m->types,
                      m->embedding);
    at_bind_layer_norm(b, "embeddings.LayerNorm", &m->embeddings_norm, m->embedding, m->eps);
    at_bind_linear(b, "encoder.embedding_hidden_mapping_in", &m->mapping_in, m->embedding, m->width,
                   AT_BIAS);
    at_albert_layer *first = m->group_layers;
    for (int i = 0; i < m->groups; i++) {
        size_t before = at_bind_enter_item(b, "encoder.albert_layer_groups", i);
        bind_group(b, &first, m);
        at_bind_leave(b, before);
    }
}

void at_albert_configure(at_context *cx, at_config *k, at_module *owner, at_albert *m,
                         int64_t vocabulary)
{
    static const char *const harmless[] = {"hidden_dropout_prob", "attention_probs_dropout_prob",
                                           "classifier_dropout_prob", "eos_token_id", NULL};
    at_config_ignore_hf(k);
    at_config_ignore(k, harmless);
    at_config_expect_text(cx, k, "position_embedding_type", "absolute", "absolute");
    m->vocabulary = vocabulary;
    m->embedding = at_config_range(cx, k, "embedding_size", 128, 1, 1 << 16);
    m->width = at_config_range(cx, k, "hidden_size", 4096, 1, 1 << 16);
    m->layers = at_config_range(cx, k, "num_hidden_layers", 12, 1, 1000);
    m->groups = at_config_range(cx, k, "num_hidden_groups", 1, 1, 1000);
    m->inner_layers = at_config_range(cx, k, "inner_group_num", 1, 1, 1000);
    m->heads = at_config_range(cx, k, "num_attention_heads", 64, 1, 1024);
    m->inner = at_config_range(cx, k, "intermediate_size", 16384, 1, 1 << 20);
    m->positions = at_config_range(cx, k, "max_position_embeddings", 512, 3, 1 << 20);
    m->types = at_config_range(cx, k, "type_vocab_size", 2, 1, 1 << 16);
    m->eps = at_config_number(cx, k, "layer_norm_eps", 1e-12);
    const char *act = at_config_text(cx, k, "hidden_act", "gelu_new");
    if (!at_activation_of(act, &m->activation))
        at_fail(cx, AT_ERROR_UNSUPPORTED, "%s: \"hidden_act\": \"%s\" is not supported",
                at_config_what(k), act);
    if (m->width % m->heads || m->groups > m->layers)
        at_fail(cx, AT_ERROR_FORMAT,
                "%s: \"hidden_size\" must be a multiple of \"num_attention_heads\", and there can "
                "be no more groups than layers",
                at_config_what(k));
    m->group_layers =
        at_module_list(owner, (int64_t)m->groups * m->inner_layers, sizeof *m->group_layers);
}
