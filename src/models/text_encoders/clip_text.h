/* CLIPTextModel and CLIPTextModelWithProjection (transformers). */
#ifndef AT_CLIP_TEXT_H
#define AT_CLIP_TEXT_H

#include "models/module.h"

typedef struct at_clip_text_output {
    at_tensor *last_hidden_state; /* [B,N,D], after the final norm */
    at_tensor *pooler_output;     /* [B,D]: of the end token */
    at_tensor *hidden_state;      /* [B,N,D]: the one asked for, before the final norm */
    at_tensor *text_embeds;       /* [B,P] with projection, else NULL */
} at_clip_text_output;

extern const at_module_class at_clip_text_class, at_clip_text_with_projection_class;

/* ids i32 [B,N], N at most max_position_embeddings. No padding mask, as the diffusion pipelines use
   it. hidden: which of hidden_states[0..layers] to give as hidden_state; negative from the end. */
at_clip_text_output at_clip_text_forward(at_context *cx, const at_module *clip, at_tensor *ids,
                                         int hidden);

/* The same with words of the caller's: an id below zero, -1 - i, is row i of vectors f32 [K,D].
   vectors may be NULL: there are none. */
at_clip_text_output at_clip_text_forward_with(at_context *cx, const at_module *clip, at_tensor *ids,
                                              at_tensor *vectors, int hidden);
int64_t at_clip_text_width(const at_module *clip); /* D */

/* A hidden state through the final norm. [B,N,D] */
at_tensor *at_clip_text_final_norm(at_context *cx, const at_module *clip, at_tensor *x);

#endif
