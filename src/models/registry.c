#include "models/registry.h"
#include "models/autoencoders/autoencoder_kl.h"
#include "models/autoencoders/autoencoder_tiny.h"
#include "models/speech/kokoro.h"
#include "models/speech/whisper.h"
#include "models/text_encoders/bert.h"
#include "models/text_encoders/clip_text.h"
#include "models/text_encoders/gemma2.h"
#include "models/text_encoders/t5_encoder.h"
#include "models/transformers/auraflow.h"
#include "models/transformers/flux.h"
#include "models/transformers/hunyuan_dit.h"
#include "models/transformers/lumina2.h"
#include "models/transformers/sd3.h"
#include "models/unets/unet_2d_condition.h"

const at_module_class *const at_module_classes[] = {
    &at_autoencoder_kl_class,
    &at_autoencoder_tiny_class,
    &at_auraflow_transformer_class,
    &at_bert_class,
    &at_clip_text_class,
    &at_clip_text_with_projection_class,
    &at_flux_transformer_class,
    &at_gemma2_class,
    &at_gemma2_for_causal_lm_class,
    &at_hunyuan_dit_class,
    &at_kokoro_class,
    &at_lumina2_transformer_class,
    &at_mt5_encoder_class,
    &at_sd3_transformer_class,
    &at_t5_encoder_class,
    &at_umt5_encoder_class,
    &at_unet_2d_condition_class,
    &at_whisper_class,
    NULL,
};
