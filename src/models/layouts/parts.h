/* The networks that single files hold: where they are in a file, their names, their configuration.
 */
#ifndef AT_LAYOUT_PARTS_H
#define AT_LAYOUT_PARTS_H

#include "base/json.h"
#include "models/layouts/names.h"

typedef enum at_part_kind {
    AT_PART_UNET,
    AT_PART_FLUX,
    AT_PART_VAE,
    AT_PART_TINY_VAE,
    AT_PART_CLIP,
    AT_PART_OPEN_CLIP,
    AT_PART_T5,
    AT_PART_LUMINA2,
    AT_PART_GEMMA2,
    AT_PART_SD3,
    AT_PART_AURAFLOW,
    AT_PART_UMT5,
    AT_PART_HUNYUAN,
    AT_PART_BERT,
    AT_PART_WHISPER,
    AT_PART_KINDS
} at_part_kind;

/* One way that a network is stored. */
typedef struct at_part_form {
    at_part_kind kind;
    const char *sign; /* a tensor that only this form has, behind the prefix */
    /* The list of names, for a file in this form, or (own) for weights under the class's names. */
    void (*names)(at_context *cx, at_names *names, const at_weights *weights, const char *prefix,
                  bool own);
} at_part_form;

extern const at_part_form at_part_forms[]; /* until one without a sign */

/* What the shapes tell of a network under its class's names, the rest as published. `hint` is what
   the file around it says: heads and activations are not in the shapes. NULL and the error when
   tensors are missing. */
typedef struct at_part_hint {
    const char *gelu;      /* of text encoders: "quick_gelu" or "gelu" */
    double scaling, shift; /* of autoencoders */
    int sample_size;       /* of UNets and autoencoders */
    int64_t time_dim;      /* of the numbers that Stable Diffusion XL adds */
    int heads[2];          /* of Whisper's encoder and decoder; 0: not said */
} at_part_hint;

cJSON *at_part_config(at_context *cx, at_part_kind kind, const at_weights *weights,
                      const at_part_hint *hint);

/* ---- small helpers of these files */
const at_weight *at_part_find(const at_weights *weights, const char *prefix, const char *format,
                              ...) AT_PRINTF(3, 4);
int64_t at_part_size(const at_weights *weights, int dim, const char *format, ...)
    AT_PRINTF(3, 4); /* 0: no such tensor or dimension */

#endif
