/* What a prompt says over a run, as A1111 counts it: parts joined by AND, each with a text for
   every call of the network. */
#ifndef AT_PROMPT_PLAN_H
#define AT_PROMPT_PLAN_H

#include "text/prompt_syntax.h"
#include <atelier/atelier.h>

typedef struct at_prompt_part {
    double weight;
    at_prompt_list texts; /* each once; step: how many entries of the part's schedule have it */
    int *which; /* calls + 1: which text the network is told at a call; the last past all */
} at_prompt_part;

typedef struct at_prompt_plan {
    at_prompt_part *parts;
    int count, calls;
} at_prompt_plan;

/* calls: of the network, for all steps that the caller asks for (two a step where a sampler takes
   two). Whole numbers in [a:b:4] count calls, from 0, and the text that ends with 4 is still told
   at call 4. before: calls of a first pass at a smaller size, see at_prompt_schedule. joined: AND
   joins; without, it is text. Syntaxes other than A1111's have one part of one text. False and the
   error on failure; at_prompt_plan_free either way. */
bool at_prompt_plan_make(at_context *cx, const char *prompt, at_prompt_syntax syntax, bool joined,
                         int calls, int before, at_prompt_plan *plan);
void at_prompt_plan_free(at_prompt_plan *plan);

/* Whether a prompt in A1111's syntax has AND (where `joined`) or changes over a run; a word for it,
   or NULL. */
const char *at_prompt_edits(at_context *cx, const char *prompt, bool joined);

#endif
