/* BertModel (transformers). */
#ifndef AT_BERT_H
#define AT_BERT_H

#include "models/module.h"

typedef struct at_bert_inputs {
    at_tensor *input_ids;      /* i32 [B,N] */
    at_tensor *attention_mask; /* bool [B,N] (true: a token, false: padding); NULL: all tokens */
    at_tensor *token_type_ids; /* i32 [B,N]; NULL: all of type 0 */
    at_tensor *position_ids;   /* i32 [B,N] or [1,N]; NULL: counted from 0 */
} at_bert_inputs;

typedef struct at_bert_output {
    at_tensor *last_hidden_state; /* [B,N,D] */
    at_tensor *pooler_output;     /* [B,D]: of the first token */
} at_bert_output;

extern const at_module_class at_bert_class;

at_bert_output at_bert_forward(at_context *cx, const at_module *bert, const at_bert_inputs *in);

#endif
