/* The layers of a network that adapters can change, found by any name that LoRA files have for
   them: the engine's own, which are Diffusers', and those of the original implementations, where
   one layer may be several here (Flux' qkv) or have its halves the other way round. */
#ifndef AT_TARGETS_H
#define AT_TARGETS_H

#include "base/map.h"
#include "models/module.h"

typedef struct at_target {
    char *name; /* of a layer "attn.to_q"; of any other parameter its whole name */
    int dims;
    int64_t shape[4];              /* of the weight, as files have it */
    at_tensor **weight, **bias;    /* its places; bias NULL where there is none */
    struct at_nn_update **updates; /* NULL: not a layer */
} at_target;

/* A layer by one of its names, or the rows of it that are this target: the parts of a name follow
   each other. */
typedef struct at_target_part {
    at_target *target;
    bool swapped; /* the halves of those rows stand the other way round */
    int order;    /* among the parts of one name */
    int next;     /* the next part of the same name, or -1 */
} at_target_part;

typedef struct at_targets {
    at_target *items;
    int count, capacity;
    at_target_part *parts;
    int part_count, part_capacity;
    at_map *by_name; /* plain names (lora_keys.h) to the first of their parts */
} at_targets;

/* at_targets_free frees what it holds. */
bool at_targets_of(at_module *module, at_targets *out);
void at_targets_free(at_targets *targets);

/* The first part of what a file calls `path`, -1: there is none. */
int at_targets_find(const at_targets *targets, const char *path);

/* layouts.c: adds the names that the original implementations have for every target. */
bool at_targets_add_layouts(at_module *module, at_targets *targets);
/* One more name of a target. */
bool at_targets_add_name(at_context *cx, at_targets *targets, at_target *target, const char *name,
                         int order, bool swapped);

#endif
