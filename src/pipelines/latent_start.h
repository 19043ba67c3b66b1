/* What a run over latents begins with where a picture is given: image to image and inpainting. */
#ifndef AT_LATENT_START_H
#define AT_LATENT_START_H

#include "pipelines/latent_run.h"

typedef struct at_latent_start {
    at_tensor *latents; /* [B,h,w,C]: what the first step takes */
    at_tensor *image;   /* [1,h,w,C]: the picture's, clean; NULL where nothing needs them */
    at_tensor *noise;   /* [B,h,w,C] */
    at_tensor *mask;    /* [1,h,w,1]: 1 is repainted; NULL: no inpainting */
    at_tensor *masked;  /* [1,h,w,C]: of the picture without what is repainted */
} at_latent_start;

/* Sides that the options leave out become those of the picture, down to multiples of `unit`. */
bool at_latent_size_of_init(at_context *cx, at_generate_options *o, int unit);

/* Whether init, mask, strength and latents go together. */
bool at_latent_check_start(at_context *cx, const at_generate_options *o);
/* Refuses denoising_start and denoising_end. */
bool at_latent_check_whole(at_context *cx, const at_generate_options *o);

/* Which of the scheduler's steps are taken: from strength, or from denoising_start, and up to
   denoising_end. */
void at_latent_window(at_latent_run *run);

/* The same by strength alone, of flows: int(n - n strength) steps of n are left out. */
void at_latent_window_of_flow(at_latent_run *run);

/* What pipelines do differently. */
enum {
    AT_START_BLENDS = 1, /* the network does not see the mask: the picture is put back each step */
    AT_START_SHARES = 2, /* image to image: all pictures begin with one posterior */
    AT_START_MIXES = 4,  /* inpainting at full strength, too, begins with the picture under noise */
};

/* The start at the scheduler's next step; draws in the reference's order. channels: of a latent. */
at_latent_start at_latent_begin(at_latent_run *run, int64_t channels, int rules);

/* Latents after step i with the picture, as noisy, where the mask is 0. */
at_tensor *at_latent_blend(at_latent_run *run, const at_latent_start *start, at_tensor *latents,
                           int i);

#endif
