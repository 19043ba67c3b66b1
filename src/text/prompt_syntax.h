/* What people write into prompts besides words: the syntaxes of A1111 and of ComfyUI, read as those
   two read them, odd input included. Weights, steps and LoRAs come out; no text is ever refused. */
#ifndef AT_PROMPT_SYNTAX_H
#define AT_PROMPT_SYNTAX_H

#include "base/base.h"

/* A list of texts; what `value` and `step` mean is said where one is made. */
typedef struct at_prompt_item {
    char *text;
    double value, value_2;
    int step;
} at_prompt_item;

typedef struct at_prompt_list {
    at_prompt_item *items;
    int count, capacity;
} at_prompt_list;

void at_prompt_list_free(at_prompt_list *list);

/* Whether a prompt cannot but be meant in A1111's syntax: it has <lora:...>, or a weight or a step
   written as a decimal number, (word:1.2) or [word:0.5]. Round and square brackets alone, times and
   ratios such as (16:9), AND and BREAK are found in plain text too. */
bool at_prompt_is_a1111(const char *text);

/* <lora:name:0.8>, <lora:name:text:unet>, te= and unet= by name: out of the text, which is what is
   left. found: text the name, value the weight of the UNet, value_2 of the text encoders. Other
   <kind:...> are taken out too, as A1111 does. The caller frees the result. */
char *at_prompt_take_loras(at_context *cx, const char *text, at_prompt_list *found);

/* Parts joined by AND, with value the weight behind their last colon, 1 where there is none. */
bool at_prompt_split_and(at_context *cx, const char *text, at_prompt_list *parts);

/* [a:b:0.4], [a:0.4], [a::0.4] and [a|b] over a run: text is the prompt up to and with `step` (the
   first is 1). The last item ends with the run. before: steps of an earlier pass, on which 4 counts
   and whose share is up to 1: this run has those from 1 to 2; 0: there was none. */
bool at_prompt_schedule(at_context *cx, const char *text, int steps, int before,
                        at_prompt_list *stages);

/* (a), (a:1.3), [a] and escapes: pieces of text and value, their weight. A piece "BREAK" of weight
   -1 begins a new chunk. */
bool at_prompt_weights_a1111(at_context *cx, const char *text, at_prompt_list *pieces);
/* The same for ComfyUI's: (a) and (a:1.3), which replaces the weight around it. */
bool at_prompt_weights_comfy(at_context *cx, const char *text, at_prompt_list *pieces);

/* Past the spaces from p to `end` (NULL: that of the text), and back before those that end at
   `end`: Python's, of all scripts. */
const char *at_prompt_skip_spaces(const char *p, const char *end);
const char *at_prompt_trim_spaces(const char *from, const char *end);

#endif
