/* What may come next: openai-whisper's logit filters. */
#ifndef AT_WHISPER_RULES_H
#define AT_WHISPER_RULES_H

#include "pipelines/whisper/model.h"

typedef struct at_rules {
    const at_transcriber *model;
    bool timestamps;
    int most_initial; /* the latest timestamp to begin with, in steps of 20 ms */
    bool *banned;     /* [vocabulary]: never */
} at_rules;

bool at_rules_begin(at_rules *rules, const at_transcriber *model,
                    const at_transcribe_options *options);
void at_rules_end(at_rules *rules);

/* Makes -infinity of the logits [vocabulary] that may not follow these tokens. */
void at_rules_apply(const at_rules *rules, const int32_t *tokens, int count, float *logits);

/* Where timestamps together are likelier than any text, it has to be one: the first token that may
   be taken. p [vocabulary]: the softmax of the logits; *share: what of it is left. */
int32_t at_rules_first(const at_rules *rules, const float *p, double *share);

#endif
