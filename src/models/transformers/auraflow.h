/* AuraFlowTransformer2DModel (fal's AuraFlow 0.1 to 0.3, as in Diffusers). */
#ifndef AT_AURAFLOW_H
#define AT_AURAFLOW_H

#include "models/module.h"

typedef struct at_auraflow_inputs {
    at_tensor *hidden_states;         /* [B,h,w,in_channels]: latents */
    at_tensor *encoder_hidden_states; /* [B,M,joint_attention_dim] */
    at_tensor *timestep;              /* [B], 0 to 1 */
} at_auraflow_inputs;

typedef struct at_auraflow_info {
    int64_t in_channels, sample_size;
    int patch_size;
} at_auraflow_info;

extern const at_module_class at_auraflow_transformer_class;

at_tensor *at_auraflow_forward(at_context *cx, const at_module *auraflow,
                               const at_auraflow_inputs *inputs); /* [B,h,w,out_channels] */
at_auraflow_info at_auraflow_info_of(const at_module *auraflow);

#endif
