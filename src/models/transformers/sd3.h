/* SD3Transformer2DModel (Stability AI's Stable Diffusion 3 and 3.5, as in Diffusers). */
#ifndef AT_SD3_H
#define AT_SD3_H

#include "models/module.h"

typedef struct at_sd3_inputs {
    at_tensor *hidden_states;         /* [B,h,w,in_channels]: latents */
    at_tensor *encoder_hidden_states; /* [B,M,joint_attention_dim] */
    at_tensor *pooled_projections;    /* [B,pooled_projection_dim] */
    at_tensor *timestep;              /* [B], 0 to 1000 */
    const int64_t *skip_layers;       /* blocks to leave out (skip-layer guidance) */
    int skip_count;
} at_sd3_inputs;

typedef struct at_sd3_info {
    int64_t in_channels, joint_attention_dim, pooled_projection_dim, sample_size;
    int patch_size;
    int most; /* patches a side that have positions */
} at_sd3_info;

extern const at_module_class at_sd3_transformer_class;

at_tensor *at_sd3_forward(at_context *cx, const at_module *sd3,
                          const at_sd3_inputs *inputs); /* [B,h,w,out_channels] */
at_sd3_info at_sd3_info_of(const at_module *sd3);

#endif
