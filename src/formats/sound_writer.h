/* Sound to files: WAV of 16 bits by ourselves; FLAC, Opus, Vorbis and MP3 by libsndfile where the
   build has it. Samples are written as they come; the file is there whole or not at all. */
#ifndef AT_SOUND_WRITER_H
#define AT_SOUND_WRITER_H

#include "base/file.h"

typedef struct at_sound_writer at_sound_writer;

/* Whether the suffix is .wav, .flac, .opus, .ogg or .mp3. */
bool at_sound_can_save(const char *path);

/* One channel. AT_ERROR_UNSUPPORTED for another suffix, or where the build lacks the library. */
at_sound_writer *at_sound_writer_open(at_context *cx, const char *path, int rate);
/* Values beyond -1 to 1 are cut. */
bool at_sound_writer_write(at_context *cx, at_sound_writer *writer, const float *samples,
                           int64_t count);
bool at_sound_writer_commit(at_context *cx, at_sound_writer *writer); /* frees it either way */
void at_sound_writer_abandon(at_sound_writer *writer);                /* NULL is fine */

#endif
