/* When words were said: openai-whisper's timing.py, by where the decoder's heads look while it
   reads the text again. */
#ifndef AT_WHISPER_WORDS_H
#define AT_WHISPER_WORDS_H

#include "pipelines/whisper/model.h"

/* A segment in the making; owns what it points to. */
typedef struct at_piece {
    at_segment segment;
    int32_t *tokens;
    int count;
} at_piece;

void at_piece_free(at_piece *piece);

typedef struct at_words_task {
    const at_transcriber *model;
    const int32_t *prompt; /* <|startoftranscript|>, language, task, <|notimestamps|> */
    int prompt_count;
    bool no_spaces;      /* a language that is written without */
    double time_offset;  /* of the window, seconds */
    int64_t frames;      /* of it that hold sound */
    double *last_speech; /* when the text before ended, and then this */
} at_words_task;

/* Fills in the words of a window's segments and moves their ends to them. encoded [1,frames,width]
 */
bool at_words_add(const at_words_task *task, at_tensor *encoded, at_piece *pieces, int count);

#endif
