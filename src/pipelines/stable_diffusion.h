/* What the pipelines of Stable Diffusion 1, 2 and XL have in common: a UNet over latents, guided,
   from noise, from a picture or inside a mask. */
#ifndef AT_STABLE_DIFFUSION_H
#define AT_STABLE_DIFFUSION_H

#include "models/unets/unet_2d_condition.h"
#include "pipelines/latent_start.h"

/* A prompt, encoded; for each picture, without the prompt first where guided. */
typedef struct at_sd_text {
    at_tensor *embeds; /* [B,N,D] */
    at_tensor *pooled; /* XL: [B,P] */
} at_sd_text;

/* One call of a pipeline. */
typedef struct at_sd_run {
    at_latent_run base;
    at_module *unet;
    at_unet_info info;
    bool guided;
    at_sd_text text;
    at_tensor *time_ids; /* XL: [B,n] */
    at_tensor *scale;    /* [B,time_cond_dim]: guidance as an input of distilled models, or NULL */
    at_latent_start start;
} at_sd_run;

/* guidance, strength: the defaults of the reference's class for this call. */
bool at_sd_settle(at_pipeline *pipeline, at_generate_options *o, int scale, double guidance,
                  double strength);

/* Both prompts by encode_prompt (the negative first), where guided; once each, however many
   pictures. */
void at_sd_encode(at_latent_run *run,
                  at_sd_text (*encode_prompt)(at_latent_run *run, const char *prompt,
                                              bool negative));
void at_sd_prepare(at_latent_run *run);
at_tensor *at_sd_denoise(at_latent_run *run);

#endif
