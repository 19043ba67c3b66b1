/* Kokoro (hexgrad 2025): a StyleTTS 2 without its diffusion, phonemes and a style vector to sound;
   the `kokoro` package's KModel. */
#ifndef AT_KOKORO_H
#define AT_KOKORO_H

#include "base/random.h"
#include "models/module.h"
#include "models/speech/albert.h"
#include "models/speech/istftnet.h"
#include "models/speech/prosody.h"

enum { AT_KOKORO_RATE = 24000 }; /* samples a second */

/* Its parts. */
typedef struct at_kokoro {
    at_module module;
    int64_t symbols, width, style, longest_duration;
    int text_size; /* of the text encoder's convolutions */
    at_albert bert;
    at_nn_linear bert_encoder;
    at_prosody predictor;
    at_text_encoder text_encoder;
    at_istftnet decoder;
} at_kokoro;

typedef struct at_kokoro_info {
    int64_t style;   /* of a voice's vector: the decoder's half, then the predictor's */
    int64_t longest; /* tokens, the two at the ends included */
    int64_t symbols; /* ids are below */
    int frame;       /* samples that a duration of 1 becomes: 600 */
} at_kokoro_info;

at_kokoro_info at_kokoro_info_of(const at_module *module);

/* How a text will be said. */
typedef struct at_kokoro_plan {
    at_tensor *durations;        /* i32 [N], frames of each token */
    at_tensor *predicted;        /* [N]: the same at a speed of 1, not yet whole */
    at_tensor *asr;              /* [1,F,hidden]: what is said, frame by frame */
    at_tensor *pitch, *loudness; /* [1,2*F,1] */
} at_kokoro_plan;

/* ids i32 [1,N], 0 first and last; style [1,S]; speed: 2 is twice as fast. end: frames that the
   last one, which is silence, lasts at most; 0: as long as it would. */
at_kokoro_plan at_kokoro_plan_of(at_context *cx, const at_module *module, at_tensor *ids,
                                 at_tensor *style, double speed, int32_t end);

/* -> samples [F*frame] of 24 kHz, about -1 to 1. random: torch's generator, drawn from as the
   reference does. */
at_tensor *at_kokoro_say(at_context *cx, const at_module *module, const at_kokoro_plan *plan,
                         at_tensor *style, at_generator *random);

extern const at_module_class at_kokoro_class;

#endif
