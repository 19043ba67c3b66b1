/* What the keys of LoRA files mean: trainers and programs each have their own way to write which
   part of a model, which layer of it and which tensor of the layer's update a key is. */
#ifndef AT_LORA_KEYS_H
#define AT_LORA_KEYS_H

#include "base/base.h"

typedef enum at_lora_part {
    AT_LORA_DENOISER, /* UNet or transformer */
    AT_LORA_CLIP,     /* first text encoder */
    AT_LORA_CLIP_2,   /* second */
    AT_LORA_T5,
} at_lora_part;

typedef enum at_lora_role {
    AT_LORA_DOWN, /* [R,I] or [R,I,k,k] */
    AT_LORA_UP,   /* [O,R] */
    AT_LORA_UP_BIAS,
    AT_LORA_MID, /* [R,R,k,k] */
    AT_LORA_ALPHA,
    AT_LORA_DORA,      /* dora_scale: [O,1] or [1,I] */
    AT_LORA_MAGNITUDE, /* lora_magnitude_vector: [O] */
    AT_LORA_HADA_1A,   /* LoHa: (1a 1b) * (2a 2b), t1 and t2 between them (Tucker) */
    AT_LORA_HADA_1B,
    AT_LORA_HADA_2A,
    AT_LORA_HADA_2B,
    AT_LORA_HADA_T1,
    AT_LORA_HADA_T2,
    AT_LORA_KRON_1, /* LoKr: 1 (x) 2, each whole or as a product a b */
    AT_LORA_KRON_1A,
    AT_LORA_KRON_1B,
    AT_LORA_KRON_2,
    AT_LORA_KRON_2A,
    AT_LORA_KRON_2B,
    AT_LORA_KRON_T2,
    AT_LORA_DIFF,      /* added to the weight */
    AT_LORA_DIFF_BIAS, /* to the bias */
    AT_LORA_OTHER,     /* a parameter by its own name, in place of the model's */
    AT_LORA_ROLES
} at_lora_role;

typedef struct at_lora_key {
    at_lora_part part;
    at_lora_role role;
    char path[512]; /* the layer's name with every dot written as `_` */
} at_lora_key;

/* False for a key that is too long to be one. */
bool at_lora_key_of(const char *key, at_lora_key *out);

/* The family of an adapter that is not read, of which the key is (OFT, BOFT, GLoRA, IA3, VeRA);
   NULL: none of them. */
const char *at_lora_unread_family(const char *key);

/* `name` with every dot written as `_`; false when it does not fit. */
bool at_lora_plain(const char *name, char *out, size_t size);

#endif
