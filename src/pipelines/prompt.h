/* Prompts as the text encoders take them. */
#ifndef AT_PROMPT_H
#define AT_PROMPT_H

#include "pipelines/pipeline.h"

/* A prompt, cut and padded as the tokenizer does with padding="max_length", truncation=True. */
typedef struct at_prompt_tokens {
    at_tensor *ids;  /* i32 [1,length] */
    at_tensor *mask; /* bool [1,length]: true for tokens, false for padding */
} at_prompt_tokens;

/* length 0: the tokenizer's own model_max_length. right: the padding goes there, whatever the
   tokenizer says. */
at_prompt_tokens at_prompt_encode(at_pipeline *pipeline, const char *tokenizer, const char *prompt,
                                  size_t length, bool right);

/* The ids alone, padded where the tokenizer says. */
at_tensor *at_prompt_ids(at_pipeline *pipeline, const char *tokenizer, const char *prompt,
                         size_t length);

/* x [1,...] of one prompt, for each of count pictures. */
at_tensor *at_prompt_repeat(at_context *cx, at_tensor *x, int64_t count);

#endif
