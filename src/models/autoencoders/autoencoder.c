#include "models/autoencoders/autoencoder.h"
#include "models/autoencoders/autoencoder_kl.h"
#include "models/autoencoders/autoencoder_tiny.h"

const char *const at_autoencoder_classes[] = {"AutoencoderKL", "AutoencoderTiny", NULL};

static bool is_tiny(const at_module *vae)
{
    return vae && vae->class == &at_autoencoder_tiny_class;
}

at_autoencoder_info at_autoencoder_info_of(const at_module *vae)
{
    return is_tiny(vae) ? at_autoencoder_tiny_info_of(vae) : at_autoencoder_kl_info_of(vae);
}

at_tensor *at_autoencoder_encode(at_context *cx, const at_module *vae, at_tensor *x, bool tiled)
{
    return is_tiny(vae) ? at_autoencoder_tiny_encode(cx, vae, x, tiled)
                        : at_autoencoder_kl_encode(cx, vae, x, tiled);
}

at_tensor *at_autoencoder_decode(at_context *cx, const at_module *vae, at_tensor *z, bool tiled)
{
    return is_tiny(vae) ? at_autoencoder_tiny_decode(cx, vae, z, tiled)
                        : at_autoencoder_kl_decode(cx, vae, z, tiled);
}
