/* UNet2DConditionModel (Diffusers): Stable Diffusion 1.x, 2.x and XL, their refiners and inpainting
   models, and what was distilled from them. */
#ifndef AT_UNET_2D_CONDITION_H
#define AT_UNET_2D_CONDITION_H

#include "models/module.h"

typedef struct at_unet_inputs {
    at_tensor *sample;                 /* [B,h,w,in_channels] */
    at_tensor *timestep;               /* [B] */
    at_tensor *encoder_hidden_states;  /* [B,M,D] */
    at_tensor *class_labels;           /* as class_embed_type wants them, else NULL */
    at_tensor *timestep_cond;          /* [B,time_cond_proj_dim] or NULL */
    at_tensor *text_embeds, *time_ids; /* [B,P], [B,n] for addition_embed_type text_time */
} at_unet_inputs;

typedef struct at_unet_info {
    int64_t in_channels, out_channels;
    int64_t sample_size[2]; /* height, width of the latents it was trained on; 0: not said */
    int64_t time_cond_dim;  /* of timestep_cond; 0: it takes none */
    bool text_time;         /* wants text_embeds and time_ids */
    int64_t time_ids_dim, added_dim; /* values of an embedded time id; of all that is added */
} at_unet_info;

extern const at_module_class at_unet_2d_condition_class;

at_unet_info at_unet_info_of(const at_module *unet);

/* -> [B,h,w,out_channels]. Any h and w: the way up goes back to the sizes of the way down. */
at_tensor *at_unet_forward(at_context *cx, const at_module *unet, const at_unet_inputs *inputs);

#endif
