/* From what the encoder heard to tokens: openai-whisper's DecodingTask. */
#ifndef AT_WHISPER_DECODE_H
#define AT_WHISPER_DECODE_H

#include "base/random.h"
#include "pipelines/whisper/model.h"

typedef struct at_decode_task {
    const at_transcriber *model;
    const at_transcribe_options *options; /* without zeros that mean something else */
    const int32_t *prompt;                /* the tokens before the first that is chosen */
    int prompt_count;
    int sot_index; /* of <|startoftranscript|> among them */
    double temperature;
    at_generator *random;
} at_decode_task;

/* Of one window. */
typedef struct at_decoded {
    int32_t *tokens; /* count of them, freed with at_free */
    int count;
    double avg_logprob, no_speech_prob, compression_ratio, temperature;
} at_decoded;

/* encoded [W,frames,width] -> out[W], whose tokens were NULL or are freed. */
bool at_decode_windows(const at_decode_task *task, at_tensor *encoded, at_decoded *out);

/* The likeliest of the model's languages in the first window, and how likely. */
int at_detect_language(const at_transcriber *model, at_tensor *encoded, double *probability);

#endif
