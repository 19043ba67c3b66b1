/* Prompts as the text encoders take them. */
#ifndef AT_PROMPT_H
#define AT_PROMPT_H

#include "pipelines/pipeline.h"

/* The ids of a prompt, i32 [1,length], cut and padded as the tokenizer does with
   padding="max_length", truncation=True. length 0: the tokenizer's own model_max_length. */
at_tensor *at_prompt_ids(at_pipeline *pipeline, const char *tokenizer, const char *prompt,
                         size_t length);

#endif
