/* Sound from files: whatever FFmpeg's libraries read, as f32 samples of the rate and channels asked
   for, streamed. Only the file itself is opened, also where it names others. */
#ifndef AT_AUDIO_H
#define AT_AUDIO_H

#include "base/base.h"

typedef struct at_audio at_audio;

/* NULL and AT_ERROR_FILE, AT_ERROR_FORMAT for what holds no sound, AT_ERROR_UNSUPPORTED where this
   build has no FFmpeg. Closed with at_audio_close, at the latest before the context. */
at_audio *at_audio_open(at_context *cx, const char *path, int rate, int channels);
void at_audio_close(at_audio *audio); /* NULL is fine */

/* The next samples of each channel, interleaved: at most count, fewer only at the end, 0 after it;
   -1 on failure. What is damaged is passed over, as players do; what is missing by the file's clock
   and values that are not numbers become silence. */
int64_t at_audio_read(at_context *cx, at_audio *audio, float *out, int64_t count);

/* At the end: warns, in one line, of what was passed over and of a file that is cut off. */
void at_audio_report(at_context *cx, const at_audio *audio);

#endif
