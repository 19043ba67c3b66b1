/* The sound of a file as Whisper's log-mel frames, of which only a window is in memory: the file is
   read twice, first for the loudest band, which scales all frames, then window by window. */
#ifndef AT_WHISPER_SOUND_H
#define AT_WHISPER_SOUND_H

#include "models/speech/log_mel.h"

typedef struct at_sound at_sound;

at_sound *at_sound_open(at_context *cx, const at_log_mel *mel, int bands, const char *path);
void at_sound_close(at_sound *sound); /* NULL is fine */

int64_t at_sound_frames(const at_sound *sound); /* of 10 ms, whole ones */
double at_sound_seconds(const at_sound *sound);

/* out [count][bands]: frames from `first` on, which may go back by a window and no more. Past the
   end they are those of silence. */
bool at_sound_read(at_context *cx, at_sound *sound, int64_t first, int64_t count, float *out);

/* How loud each frame is: log10 of the mean power of its bands, [at_sound_frames]. */
const float *at_sound_levels(const at_sound *sound);

#endif
