/* The noise that a diffusion model was trained with, step by step, as the schedulers of
   Diffusers compute it from their beta options. */
#ifndef AT_ALPHAS_H
#define AT_ALPHAS_H

#include "base/json.h"

typedef struct at_alphas_defaults {
    double start, stop; /* beta_start, beta_end */
    const char *schedule;
    bool zero_snr; /* the class has rescale_betas_zero_snr */
    bool tiny_end; /* and keeps 2^-24 of the sample there */
} at_alphas_defaults;

/* alphas_cumprod, one for each of num_train_timesteps (count of them), in f32 as torch has it:
   the share of the clean sample's variance that is left. Reads num_train_timesteps, beta_start,
   beta_end, beta_schedule (linear, scaled_linear, squaredcos_cap_v2, sigmoid, exp), trained_betas
   and rescale_betas_zero_snr. at_free frees it. */
float *at_alphas_cumprod(at_context *cx, at_config *config, int *count,
                         const at_alphas_defaults *defaults);

#endif
