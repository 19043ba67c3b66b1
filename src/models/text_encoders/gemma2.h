/* Gemma2Model and Gemma2ForCausalLM (transformers), over a whole text at once. */
#ifndef AT_GEMMA2_H
#define AT_GEMMA2_H

#include "models/module.h"

extern const at_module_class at_gemma2_class, at_gemma2_for_causal_lm_class;

/* hidden_states[hidden] of the reference: 0 the embeddings, then what each layer gives, the last
   one normed; negative from the end. Later layers do not run. ids i32 [B,N]; mask bool [B,N] (true:
   a token, false: padding) or NULL for none -> [B,N,D]. */
at_tensor *at_gemma2_encode(at_context *cx, const at_module *gemma2, at_tensor *ids,
                            at_tensor *mask, int hidden);

/* last_hidden_state [B,N,D] -> [B,N,vocabulary], soft-capped where the configuration says so. */
at_tensor *at_gemma2_logits(at_context *cx, const at_module *gemma2, at_tensor *hidden_state);

#endif
