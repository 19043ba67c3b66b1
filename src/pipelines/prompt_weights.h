/* Prompts with weights, in chunks: what goes into a text encoder and what becomes of what it gives.
   A plain prompt is one chunk without weights. */
#ifndef AT_PROMPT_WEIGHTS_H
#define AT_PROMPT_WEIGHTS_H

#include "pipelines/pipeline.h"
#include "text/prompt_syntax.h"

/* Chunks of T texts, C of each. */
typedef struct at_prompt_chunks {
    at_tensor *ids;     /* i32 [T*C,N], of one text after the other; where weights are interpolated,
                           a last row is the empty prompt; below zero: a row of vectors, from -1 */
    at_tensor *vectors; /* f32 [K,D] of textual inversions; NULL: no text has one */
    at_tensor *weights; /* f32 [T*C,N,1] without that row; NULL: all are 1 */
    at_tensor *uses;    /* f32 [T]: how often A1111 would encode a text, for its mean */
    int64_t texts, each; /* T, C */
    bool interpolates;   /* as ComfyUI; else as A1111, which restores the mean */
} at_prompt_chunks;

/* For CLIP: chunks of the tokenizer's length, each with its own begin and end; plain text is one
   chunk, with a warning where it is cut. For T5 (tokenizers without a begin token) one chunk of
   `length`; 0 is the tokenizer's own. */
at_prompt_chunks at_prompt_chunk(at_pipeline *pipeline, const char *tokenizer, const char *prompt,
                                 at_prompt_syntax syntax, size_t length);

/* The same for several texts (step: their uses), which get as many chunks as the longest of them,
   and at least `least`. */
at_prompt_chunks at_prompt_chunk_texts(at_pipeline *pipeline, const char *tokenizer,
                                       const at_prompt_list *texts, at_prompt_syntax syntax,
                                       size_t length, int64_t least);

/* x [T*C,N,D] of the encoder, weighed, the chunks of a text side by side: [T,C*N,D]. */
at_tensor *at_prompt_weigh(at_context *cx, const at_prompt_chunks *chunks, at_tensor *x);
/* Pooled text [T*C,P]: the first chunk's, [T,P]. NULL gives NULL. */
at_tensor *at_prompt_pooled(at_context *cx, const at_prompt_chunks *chunks, at_tensor *x);

/* Two encoded prompts [1,N,D], [1,M,D] repeated to one length: attention to tokens that are all
   there k times is the same. */
void at_prompt_match(at_context *cx, at_tensor **a, at_tensor **b);

#endif
