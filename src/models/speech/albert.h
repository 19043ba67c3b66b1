/* ALBERT (Lan et al. 2019), the encoder of transformers' AlbertModel: layers that share their
   weights in groups, embeddings narrower than the layers. Part of other networks (PL-BERT), which
   bind it under their own names. */
#ifndef AT_ALBERT_H
#define AT_ALBERT_H

#include "models/module.h"

typedef struct at_albert_layer {
    at_nn_linear query, key, value, dense, ffn, ffn_output;
    at_nn_norm attention_norm, full_layer_norm;
} at_albert_layer;

typedef struct at_albert {
    int64_t vocabulary, embedding, width, inner, positions, types;
    int layers, groups, inner_layers, heads;
    at_activation activation;
    double eps;
    at_tensor *word_embeddings, *position_embeddings, *token_type_embeddings;
    at_nn_norm embeddings_norm;
    at_nn_linear mapping_in;
    at_albert_layer *group_layers; /* [groups][inner_layers] */
} at_albert;

/* config: an AlbertConfig without vocab_size, which the caller knows */
void at_albert_configure(at_context *cx, at_config *config, at_module *owner, at_albert *m,
                         int64_t vocabulary);
void at_albert_bind(at_binder *b, at_albert *m);

/* ids i32 [B,N], none of them padding -> last_hidden_state [B,N,width] */
at_tensor *at_albert_forward(at_context *cx, const at_albert *m, at_tensor *ids);

#endif
