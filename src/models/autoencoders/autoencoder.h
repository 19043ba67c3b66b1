/* Autoencoders of pictures, of whatever class: AutoencoderKL and AutoencoderTiny (Diffusers). */
#ifndef AT_AUTOENCODER_H
#define AT_AUTOENCODER_H

#include "models/module.h"

typedef struct at_autoencoder_info {
    int64_t latent_channels;
    int scale;        /* pixels a latent pixel: 2^(levels - 1) */
    int64_t channels; /* of the decoder at the picture's size, the most */
    double scaling_factor, shift_factor;
    const double *latents_mean, *latents_std; /* latent_channels of each; NULL: none */
    bool draws; /* the encoder gives moments to draw from, not latents */
} at_autoencoder_info;

extern const char *const at_autoencoder_classes[]; /* their names, until NULL */

at_autoencoder_info at_autoencoder_info_of(const at_module *vae);

/* x [B,H,W,3] in -1..1 -> moments [B,h,w,2*latent_channels] (mean, then log-variance, not clamped)
   where it draws, else latents [B,h,w,latent_channels]. tiled: in overlapping tiles, blended as the
   class does, so that memory does not grow with the picture. */
at_tensor *at_autoencoder_encode(at_context *cx, const at_module *vae, at_tensor *x, bool tiled);

/* z [B,h,w,latent_channels], scaling and shift already undone -> [B,H,W,3], about -1..1. */
at_tensor *at_autoencoder_decode(at_context *cx, const at_module *vae, at_tensor *z, bool tiled);

#endif
