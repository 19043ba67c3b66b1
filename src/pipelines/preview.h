/* How a picture looks while it is drawn. */
#ifndef AT_PREVIEW_H
#define AT_PREVIEW_H

#include "pipelines/latent_run.h"

/* Colours of latents, as a run goes through them: RGB in -1..1 is bias + latents times factors.
   Fitted by users of ComfyUI, from whose latent formats the numbers are. */
typedef struct at_latent_colours {
    int channels;
    float factors[16][3], bias[3];
} at_latent_colours;

extern const at_latent_colours at_colours_sd1, at_colours_xl, at_colours_sd3, at_colours_flux;

/* The clean latents that the scheduler's step i sees behind `latents`, where the network said
   `output` of them. */
at_tensor *at_latent_clean(const at_latent_run *run, at_tensor *output, at_tensor *latents, int i);

/* Shows step `done` of `steps` to the caller, where it is one of those that are shown. */
void at_latent_preview(at_latent_run *run, at_tensor *output, at_tensor *latents, int i, int done,
                       int steps);

#endif
