/* What a prompt says besides words, before the pipeline sees it. */
#ifndef AT_PROMPT_LORAS_H
#define AT_PROMPT_LORAS_H

#include "pipelines/pipeline.h"

/* Memory of a call's options that stand in for the caller's. */
typedef struct at_prompt_options {
    char *prompt, *negative, *prompt_2, *negative_2;
    at_lora_use *loras;
    int own; /* how many of their paths, from the end, are ours */
} at_prompt_options;

/* Settles the syntax, and takes <lora:name:0.8> out of the prompts into the list of LoRAs. False
   with the error; at_prompt_options_free frees what was made, either way. */
bool at_prompt_settle(at_pipeline *pipeline, at_generate_options *options, at_prompt_options *made);
void at_prompt_options_free(at_prompt_options *made, const at_generate_options *options);

#endif
