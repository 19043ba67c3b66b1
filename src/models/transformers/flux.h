/* FluxTransformer2DModel (Black Forest Labs' Flux.1, as in Diffusers). */
#ifndef AT_FLUX_H
#define AT_FLUX_H

#include "models/module.h"

typedef struct at_flux_inputs {
    at_tensor *hidden_states;         /* [B,N,in_channels]: packed latents */
    at_tensor *encoder_hidden_states; /* [B,M,joint_attention_dim] */
    at_tensor *pooled_projections;    /* [B,pooled_projection_dim] */
    at_tensor *timestep;              /* [B], 0 to 1 */
    at_tensor *guidance;              /* [B] with guidance_embeds, else not used */
    at_tensor *img_ids, *txt_ids;     /* [N,axes], [M,axes] f32 */
} at_flux_inputs;

extern const at_module_class at_flux_transformer_class;

at_tensor *at_flux_forward(at_context *cx, const at_module *flux,
                           const at_flux_inputs *inputs); /* [B,N,out] */

bool at_flux_has_guidance(const at_module *flux);
int64_t at_flux_in_channels(const at_module *flux);

#endif
