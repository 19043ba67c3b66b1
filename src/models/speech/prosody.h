/* How a text is said: StyleTTS 2's text encoder, duration encoder and prosody predictor,
   kokoro/modules.py. */
#ifndef AT_PROSODY_H
#define AT_PROSODY_H

#include "models/module.h"
#include "models/speech/adain.h"

/* ---- TextEncoder: what is said */
typedef struct at_text_encoder_layer {
    at_nn_conv2d conv;
    at_nn_norm norm;
} at_text_encoder_layer;

typedef struct at_text_encoder {
    at_tensor *embedding; /* [symbols,width] */
    int depth;
    at_text_encoder_layer *cnn;
    at_nn_lstm lstm;
} at_text_encoder;

void at_bind_text_encoder(at_binder *b, at_text_encoder *m, int64_t width, int size,
                          int64_t symbols);
at_tensor *at_encode_text(at_context *cx, const at_text_encoder *m,
                          at_tensor *ids); /* i32 [1,N] -> [1,N,width] */

/* ---- ProsodyPredictor */
typedef struct at_duration_layer {
    at_nn_lstm lstm;
    at_nn_linear fc; /* of AdaLayerNorm */
} at_duration_layer;

typedef struct at_prosody {
    int layers;
    at_duration_layer *text_encoder;
    at_nn_lstm lstm, shared;
    at_nn_linear duration_proj, pitch_proj, loudness_proj;
    at_adain_block pitch[3], loudness[3];
} at_prosody;

void at_bind_prosody(at_binder *b, at_prosody *m, int64_t width, int64_t style, int64_t longest);

/* x [1,N,width], style [1,S] -> [1,N,width+S], the style beside each token */
at_tensor *at_encode_durations(at_context *cx, const at_prosody *m, at_tensor *x, at_tensor *style);
/* d as at_encode_durations gives it -> frames of each token [N], not yet whole */
at_tensor *at_predict_durations(at_context *cx, const at_prosody *m, at_tensor *d);
/* en [1,F,width+S], a row of d for each frame -> pitch and loudness [1,2*F,1] */
at_pair at_predict_curves(at_context *cx, const at_prosody *m, at_tensor *en, at_tensor *style);

#endif
