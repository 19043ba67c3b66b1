/* Dynamic time warping of tokens over frames. */
#ifndef AT_WHISPER_ALIGNMENT_H
#define AT_WHISPER_ALIGNMENT_H

#include "base/base.h"

/* scores [heads][rows][width]: before the softmax, of which the first `frames` count. times[i]: the
   frame where token `first` + i begins, for the `count` tokens from there. */
bool at_align_tokens(at_context *cx, const float *scores, int heads, int rows, int64_t width,
                     int64_t frames, int first, int count, int *times);

#endif
