/* Checkpoints that come as one file, or in their makers' folders: which family they are of, by
   their tensors and metadata, and their networks as the classes want them, with the configuration
   that the shapes tell. A family is a row of the table in layout.c. */
#ifndef AT_LAYOUT_H
#define AT_LAYOUT_H

#include "base/json.h"
#include "formats/weights.h"

typedef struct at_layout_part {
    char name[32];          /* "unet", as model_index.json calls it */
    const char *class_name; /* "UNet2DConditionModel" */
    cJSON *config;          /* as config.json; of a tokenizer, tokenizer_config.json */
    at_weights *weights; /* under the class's names; the layout's own holding. Of a tokenizer, its
                            sentencepiece file as the tensor AT_LAYOUT_PIECES */
    char *folder;        /* of a tokenizer, where it has one; else NULL */
    bool inferred;       /* the configuration follows from the shapes */
} at_layout_part;

#define AT_LAYOUT_PIECES "spiece_model"

enum { AT_LAYOUT_PARTS = 8 };

typedef struct at_layout {
    const char *family;   /* "Stable Diffusion XL" */
    const char *pipeline; /* "StableDiffusionXLPipeline"; NULL: single networks only */
    char sign[160];       /* the tensor or key that said so */
    char prediction[96];  /* what the model predicts and who says so; "" where there is no doubt */
    cJSON *index;         /* as model_index.json */
    cJSON *scheduler;     /* as scheduler_config.json */
    const char *tokenizers[2]; /* folders of at_share_find for tokenizer, tokenizer_2, or NULL */
    at_layout_part parts[AT_LAYOUT_PARTS]; /* networks, then tokenizers that the model brings */
    int networks, count;
    int64_t unused; /* tensors that no part takes */
} at_layout;

/* What a set of weights is: NULL without an error where no family is recognised. */
at_layout *at_layout_of(at_context *cx, at_weights *weights);

/* The same of a file, or of a folder as at_layout_is_folder knows them, with what lies in it. NULL
   and the error where it is of no known family. */
at_layout *at_layout_open(at_context *cx, const char *path);

/* Tencent's t2i folder of HunyuanDiT, or the one above it: model/pytorch_model_ema.pt, _module or
   _distill, beside clip_text_encoder, mt5, tokenizer and sdxl-vae-fp16-fix. */
bool at_layout_is_folder(at_context *cx, const char *path);

void at_layout_free(at_layout *layout); /* NULL is fine */

at_layout_part *at_layout_find(at_layout *layout, const char *name);

/* Writes scaling_factor and shift_factor of the family with this pipeline into an autoencoder's
   configuration, which its shapes do not tell. An unknown pipeline changes nothing. */
void at_layout_set_scaling(cJSON *config, const char *pipeline);

#endif
