/* From the tensors that a file has for a layer to the update that nn applies. */
#ifndef AT_LORA_LAYER_H
#define AT_LORA_LAYER_H

#include "adapters/lora.h"
#include "adapters/targets.h"

/* Some rows of a layer by its name in the file: of `total` rows, `first` on belong to target. */
typedef struct at_lora_slice {
    const at_target *target;
    int64_t first, total;
    bool swapped;
} at_lora_slice;

/* Adds the layer's part of this target to the module, times weight. role: for a target that is no
   layer, which of the tensors it is. False with the error. */
bool at_lora_attach_layer(at_lora *lora, const at_lora_layer *layer, at_module *module,
                          const at_lora_slice *slice, at_lora_role role, double weight);

#endif
