/* AutoencoderTiny (Diffusers; TAESD, TAESDXL, TAEF1, TAESD3): pictures to latents and back,
 * quickly.
 */
#ifndef AT_AUTOENCODER_TINY_H
#define AT_AUTOENCODER_TINY_H

#include "models/autoencoders/autoencoder.h"

extern const at_module_class at_autoencoder_tiny_class;

/* autoencoder.h says what they do. A file may hold the encoder or the decoder alone: the other way
   is then refused. */
at_autoencoder_info at_autoencoder_tiny_info_of(const at_module *vae);
at_tensor *at_autoencoder_tiny_encode(at_context *cx, const at_module *vae, at_tensor *x,
                                      bool tiled);
at_tensor *at_autoencoder_tiny_decode(at_context *cx, const at_module *vae, at_tensor *z,
                                      bool tiled);

#endif
