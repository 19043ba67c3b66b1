/* AutoencoderKL (Diffusers): pictures to latents and back. */
#ifndef AT_AUTOENCODER_KL_H
#define AT_AUTOENCODER_KL_H

#include "models/autoencoders/autoencoder.h"

extern const at_module_class at_autoencoder_kl_class;

/* autoencoder.h says what they do. Tiles are of sample_size pixels. */
at_autoencoder_info at_autoencoder_kl_info_of(const at_module *vae);
at_tensor *at_autoencoder_kl_encode(at_context *cx, const at_module *vae, at_tensor *x, bool tiled);
at_tensor *at_autoencoder_kl_decode(at_context *cx, const at_module *vae, at_tensor *z, bool tiled);

#endif
