/* Where there is a voice to hear, by how loud the frames are: our own, and careful. What it keeps
   out is silence and steady noise, in which Whisper hears words that nobody said. */
#ifndef AT_WHISPER_GATE_H
#define AT_WHISPER_GATE_H

#include "base/base.h"

/* levels [count]: at_sound_levels. True also in doubt. */
bool at_gate_hears(at_context *cx, const float *levels, int64_t count);

/* Cuts a recording into windows of at most `most` frames, at the quietest places, without what is
   silent at their ends. Gives the next window at or behind `from`: false when there is none. */
bool at_gate_next(at_context *cx, const float *levels, int64_t count, int64_t from, int64_t most,
                  int64_t *begin, int64_t *end);

#endif
