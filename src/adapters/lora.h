/* LoRA files: small updates of a network's layers, in every dialect that trainers write (kohya,
   PEFT, Diffusers old and new, LyCORIS, OneTrainer, XLabs, Black Forest Labs): docs/lora.md. */
#ifndef AT_LORA_H
#define AT_LORA_H

#include "adapters/lora_keys.h"
#include "formats/weights.h"
#include "models/module.h"

/* What a file has for one layer. */
typedef struct at_lora_layer {
    at_lora_part part;
    char *path;                              /* plain (lora_keys.h) */
    const at_weight *tensors[AT_LORA_ROLES]; /* NULL where it has none */
    bool matched;                            /* some network has this layer */
} at_lora_layer;

typedef struct at_lora {
    at_context *cx;
    char *path;
    at_weights *weights;
    at_lora_layer *layers;
    int count;
    cJSON *settings; /* PEFT's, from the metadata or adapter_config.json; or NULL */
} at_lora;

/* Opens and checks a file (values that are not finite are refused). NULL and the error on failure;
   at_lora_free frees it, before the context. */
at_lora *at_lora_open(at_context *cx, const char *path);
void at_lora_free(at_lora *lora); /* NULL is fine */

/* Adds what the file has for this component, times weight, until at_module_restore. With weight 0
   it only looks which layers match. */
bool at_lora_attach(at_lora *lora, at_module *module, const char *component, double weight);

/* After all components: an error that names three of the keys when no layer matched, a warning that
   counts when some did not. */
bool at_lora_report(const at_lora *lora);

#endif
