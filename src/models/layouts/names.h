/* From the names of one layout of a checkpoint to those of the classes and back: a list of
   beginnings, each with a table of what follows it. Fused tensors become views of their rows. */
#ifndef AT_LAYOUT_NAMES_H
#define AT_LAYOUT_NAMES_H

#include "formats/weights.h"

/* theirs is the file's. `from` to `to` of `of` equal parts of the rows; of 0: all of them. */
typedef struct at_name_rule {
    const char *theirs, *ours; /* beginnings; NULL ends a table, "" fits everything */
    int from, to, of;
    bool transposed, halves_swapped, is_matrix, less_one;
} at_name_rule;

/* "input_blocks.4.0." becomes "down_blocks.1.resnets.0.", and what follows is as `rules` say; NULL:
   the same. */
typedef struct at_name_pair {
    char *theirs, *ours;
    const at_name_rule *rules;
} at_name_pair;

typedef struct at_names {
    at_name_pair *pairs;
    int count, capacity;
} at_names;

/* Takes the two texts over (at_format); the first that fits a name counts. */
void at_names_add(at_context *cx, at_names *names, const at_name_rule *rules, char *theirs,
                  char *ours);
/* The same for constants: rules with whole beginnings, up to a NULL. */
void at_names_add_all(at_context *cx, at_names *names, const at_name_rule *rules);
void at_names_free(at_names *names);

/* The tensors under `prefix` with the names of the class, of those that the list knows; adds their
   number in the file to *taken. */
at_weights *at_names_apply(at_context *cx, const at_names *names, at_weights *from,
                           const char *prefix, int64_t *taken);

/* The other way: the file's name (without its prefix) of a tensor of the class, and how its bytes
   lie in it: the rule. False: the layout has no place for it. The caller frees *name. */
bool at_names_reverse(at_context *cx, const at_names *names, const char *ours, char **name,
                      const at_name_rule **rule);

#endif
