#include "models/registry.h"
#include "models/autoencoders/autoencoder_kl.h"
#include "models/speech/whisper.h"
#include "models/text_encoders/clip_text.h"
#include "models/text_encoders/t5_encoder.h"
#include "models/transformers/flux.h"
#include "models/unets/unet_2d_condition.h"

const at_module_class *const at_module_classes[] = {
    &at_autoencoder_kl_class,
    &at_clip_text_class,
    &at_clip_text_with_projection_class,
    &at_flux_transformer_class,
    &at_t5_encoder_class,
    &at_unet_2d_condition_class,
    &at_whisper_class,
    NULL,
};
