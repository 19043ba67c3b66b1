/* Log-mel frames as Whisper hears them: openai-whisper's log_mel_spectrogram, transformers'
   WhisperFeatureExtractor. A frame every 160 samples of 16 kHz sound, over a Hann window of 400
   around it; power in triangular bands of the Slaney scale; log10. */
#ifndef AT_LOG_MEL_H
#define AT_LOG_MEL_H

#include "base/base.h"

enum { AT_MEL_RATE = 16000, AT_MEL_WINDOW = 400, AT_MEL_HOP = 160 };

typedef struct at_log_mel at_log_mel;

at_log_mel *at_log_mel_new(at_context *cx, int bands);
void at_log_mel_free(at_log_mel *mel); /* NULL is fine */

/* out [frames][bands]: log10 of each band's power, at least -10. samples: the first frame's window
   begins there; (frames - 1) * 160 + 400 of them are read. */
bool at_log_mel_frames(at_context *cx, const at_log_mel *mel, const float *samples, int64_t frames,
                       float *out);

/* What the network takes: cut at 8 below the loudest band of the whole recording, about -1 to 1. */
void at_log_mel_scale(float *values, int64_t count, float loudest);

#endif
