/* What a conversion writes: each tensor of the output as rows of tensors that are there. */
#ifndef AT_CONVERT_PLAN_H
#define AT_CONVERT_PLAN_H

#include "base/map.h"
#include "base/text.h"
#include "formats/weight_writer.h"
#include "formats/weights.h"
#include "hub/convert.h"
#include "models/layouts/names.h"

enum { AT_PLAN_PIECES = 8 };

typedef struct at_plan_piece {
    at_weights *set;
    const at_weight *weight;
    int from; /* its place among the rows */
} at_plan_piece;

typedef struct at_plan_output {
    char *name;
    at_plan_piece pieces[AT_PLAN_PIECES];
    int count;
    int parts, of;  /* of a fused tensor: how many are there, and must be */
    bool is_kernel; /* a matrix that the file has as a 1x1 convolution */
} at_plan_output;

typedef struct at_plan {
    at_context *cx;
    const at_convert_options *options;
    at_plan_output *outputs;
    int64_t count, capacity;
    at_map *by_name;
    char *metadata[1024]; /* key, value, ..., NULL */
    int metadata_count;
} at_plan;

bool at_plan_begin(at_context *cx, at_plan *plan, const at_convert_options *options);
void at_plan_end(at_plan *plan);

/* A tensor of a set under `name` (taken over), as the rule says; NULL: as it is. */
bool at_plan_add(at_plan *plan, char *name, at_weights *set, const at_weight *weight,
                 const at_name_rule *rule);
bool at_plan_add_all(at_plan *plan, at_weights *set);
void at_plan_add_metadata(at_plan *plan, const char *key, const char *value);

/* The format is the suffix's. */
bool at_plan_write(at_plan *plan, const char *path, const char *architecture);

#endif
