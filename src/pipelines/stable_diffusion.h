/* What the pipelines of Stable Diffusion 1, 2 and XL have in common: a UNet over latents, guided,
   from noise, from a picture or inside a mask. */
#ifndef AT_STABLE_DIFFUSION_H
#define AT_STABLE_DIFFUSION_H

#include "models/unets/unet_2d_condition.h"
#include "pipelines/latent_start.h"
#include "text/prompt_syntax.h"

enum { AT_SD_PARTS = 32 };

/* T texts, encoded. */
typedef struct at_sd_text {
    at_tensor *embeds; /* [T,N,D] */
    at_tensor *pooled; /* XL: [T,P] */
} at_sd_text;

/* A part of a prompt (prompt_plan.h). */
typedef struct at_sd_part {
    double weight;
    at_sd_text text;
    at_tensor *which; /* i32 [calls + 1]: the text of a call of the UNet; the last past all */
} at_sd_part;

/* One call of a pipeline. */
typedef struct at_sd_run {
    at_latent_run base;
    at_module *unet;
    at_unet_info info;
    bool guided;
    at_sd_part away, parts[AT_SD_PARTS]; /* the negative prompt, where guided; the prompt */
    int part_count;
    int first; /* the scheduler's step of the run's first call, as texts count them */
    at_tensor *time_ids, *away_time_ids; /* XL: [1,n] */
    at_tensor *scale; /* [B,time_cond_dim]: guidance as an input of distilled models, or NULL */
    at_latent_start start;
} at_sd_run;

/* guidance, strength: the defaults of the reference's class for this call. */
bool at_sd_settle(at_pipeline *pipeline, at_generate_options *o, int scale, double guidance,
                  double strength);

/* What a pipeline makes of a part's texts (of "" where there is no negative prompt). */
typedef at_sd_text (*at_sd_encoder)(at_latent_run *run, const at_prompt_list *texts, bool negative);

/* Both prompts (the negative last) where guided; each text once, however many pictures. */
void at_sd_encode(at_latent_run *run, at_sd_encoder encode);
/* The layers of CLIP that a prompt leaves out. */
int at_sd_clip_skip(const at_latent_run *run, bool negative);
void at_sd_prepare(at_latent_run *run);
/* The same but for the scheduler's steps, which are set already. */
void at_sd_begin(at_latent_run *run);
at_tensor *at_sd_denoise(at_latent_run *run);

#endif
