/* AutoencoderKL (Diffusers): pictures to latents and back. */
#ifndef AT_AUTOENCODER_KL_H
#define AT_AUTOENCODER_KL_H

#include "models/module.h"

typedef struct at_autoencoder_kl_info {
    int64_t latent_channels;
    int scale;        /* pixels a latent pixel: 2^(levels - 1) */
    int64_t channels; /* of the decoder at the picture's size, the most */
    double scaling_factor, shift_factor;
} at_autoencoder_kl_info;

extern const at_module_class at_autoencoder_kl_class;

at_autoencoder_kl_info at_autoencoder_kl_info_of(const at_module *vae);

/* x [B,H,W,3] in -1..1 -> moments [B,h,w,2*latent_channels]: mean, then log-variance (not clamped).
   tiled: in overlapping tiles of sample_size pixels, blended, so that memory does not grow with the
   picture. */
at_tensor *at_autoencoder_kl_encode(at_context *cx, const at_module *vae, at_tensor *x, bool tiled);

/* z [B,h,w,latent_channels], scaling and shift already undone -> [B,H,W,3], about -1..1. */
at_tensor *at_autoencoder_kl_decode(at_context *cx, const at_module *vae, at_tensor *z, bool tiled);

#endif
