/* Checkpoints that come as one file: which family they are of, by their tensors and metadata, and
   their networks as the classes want them, with the configuration that the shapes tell. A family is
   a row of the table in layout.c. */
#ifndef AT_LAYOUT_H
#define AT_LAYOUT_H

#include "base/json.h"
#include "formats/weights.h"

typedef struct at_layout_part {
    char name[32];          /* "unet", as model_index.json calls it */
    const char *class_name; /* "UNet2DConditionModel" */
    cJSON *config;          /* as config.json */
    at_weights *weights;    /* under the class's names; the layout's own holding */
} at_layout_part;

enum { AT_LAYOUT_PARTS = 6 };

typedef struct at_layout {
    const char *family;   /* "Stable Diffusion XL" */
    const char *pipeline; /* "StableDiffusionXLPipeline"; NULL: single networks only */
    char sign[160];       /* the tensor or key that said so */
    char prediction[96];  /* what the model predicts and who says so; "" where there is no doubt */
    cJSON *index;         /* as model_index.json */
    cJSON *scheduler;     /* as scheduler_config.json */
    const char *tokenizers[2]; /* folders of at_share_find for tokenizer, tokenizer_2, or NULL */
    at_layout_part parts[AT_LAYOUT_PARTS];
    int count;
    int64_t unused; /* tensors that no part takes */
} at_layout;

/* What a set of weights is: NULL without an error where no family is recognised. */
at_layout *at_layout_of(at_context *cx, at_weights *weights);
void at_layout_free(at_layout *layout); /* NULL is fine */

at_layout_part *at_layout_find(at_layout *layout, const char *name);

#endif
