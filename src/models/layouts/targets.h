/* Where the networks of a pipeline go in a single file: the layouts of layout.h the other way. */
#ifndef AT_LAYOUT_TARGETS_H
#define AT_LAYOUT_TARGETS_H

#include "models/layouts/parts.h"

typedef struct at_layout_target {
    const char *pipeline;  /* the beginning of its class's name */
    const char *component; /* of model_index.json */
    const char *prefix;    /* in the file */
    const char *sign;      /* its form in at_part_forms */
    bool open_clip;        /* only where the configuration says gelu */
    bool alone;            /* only without another text encoder */
} at_layout_target;

/* NULL: the pipeline has no single-file layout with such a component. */
const at_layout_target *at_layout_target_of(const char *pipeline, const char *component,
                                            bool open_clip, bool alone);

/* The sentencepiece file of a tokenizer's folder, and its name in the file. */
typedef struct at_layout_pieces {
    const char *pipeline, *component;
    const char *file; /* "spiece.model" */
    const char *name;
} at_layout_pieces;

const at_layout_pieces *at_layout_pieces_of(const char *pipeline, const char *component);
const at_part_form *at_layout_target_form(const at_layout_target *target);

/* general.architecture of GGUF for a pipeline's or a network's class. */
const char *at_layout_architecture(const char *class_name);

#endif
