/* Guidance: what a model says with the prompt and without, put together. Channels-last. */
#ifndef AT_GUIDANCE_H
#define AT_GUIDANCE_H

#include <atelier/ops.h>

/* Classifier-free guidance: away + scale (cond - away). */
at_tensor *at_guidance(at_context *cx, at_tensor *cond, at_tensor *away, float scale);

/* rescale_noise_cfg of Diffusers (Lin et al. 2023, 3.4): guided with the deviation of cond, picture
   by picture, mixed with guided as it is by `share`, 0 to 1. [B,...] */
at_tensor *at_guidance_rescale(at_context *cx, at_tensor *guided, at_tensor *cond, float share);

/* guided with the length of cond along the width: Lumina 2's cfg_normalization. [B,h,w,C] */
at_tensor *at_guidance_normalize(at_context *cx, at_tensor *guided, at_tensor *cond);

#endif
