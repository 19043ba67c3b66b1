/* Lumina2Transformer2DModel (Diffusers): Lumina-Image 2.0. */
#ifndef AT_LUMINA2_H
#define AT_LUMINA2_H

#include "models/module.h"

typedef struct at_lumina2_inputs {
    at_tensor *hidden_states;          /* [B,H,W,C], latents */
    at_tensor *timestep;               /* [B], 0 to 1 */
    at_tensor *encoder_hidden_states;  /* [B,M,E], captions padded to one length */
    at_tensor *encoder_attention_mask; /* bool [B,M]: true for tokens, which come first */
} at_lumina2_inputs;

typedef struct at_lumina2_info {
    int patch_size, sample_size;
    int64_t in_channels;
} at_lumina2_info;

extern const at_module_class at_lumina2_transformer_class;

at_lumina2_info at_lumina2_info_of(const at_module *lumina); /* zeros for NULL */

/* -> [B,H,W,C]. Sizes must be whole patches. A caption with as many tokens as axes_lens says, or a
   side of as many patches, is refused: the reference has no positions for them. */
at_tensor *at_lumina2_forward(at_context *cx, const at_module *lumina, const at_lumina2_inputs *in);

#endif
