#ifndef AT_OPS_ATTENTION_H
#define AT_OPS_ATTENTION_H

#include "ops/ops.h"

/* Checks and describes an attention but for y: inputs as given to at_attention, f32 with adjacent
   last dimensions; mask expanded to [B,H,N,M] or NULL. */
void at_attention_describe(at_context *cx, at_attention_args *args, const at_tensor *q,
                           const at_tensor *k, const at_tensor *v, const at_tensor *mask,
                           bool causal, float scale);

void at_attention_backward(at_context *cx, at_node *node, at_tensor *grad);

#endif
