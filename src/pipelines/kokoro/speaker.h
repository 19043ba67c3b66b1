/* The opened Kokoro model behind the public at_speaker. */
#ifndef AT_KOKORO_SPEAKER_H
#define AT_KOKORO_SPEAKER_H

#include "base/map.h"
#include "models/speech/kokoro.h"
#include "text/phonemes.h"
#include <atelier/speak.h>

struct at_speaker {
    at_context *cx;
    char *folder;
    at_module *module;
    at_map *symbols; /* UTF-8 to id */
    at_kokoro_info info;
    double load_seconds; /* since the last at_speak */
};

/* Opens the folder; hub/load_speech.c comes here from a name. The context owns it. */
at_speaker *at_speaker_open(at_context *cx, const char *folder);

/* ---- voices.c: style vectors by the number of symbols */
typedef struct at_voice {
    float *styles; /* [rows][width] */
    int64_t rows, width;
} at_voice;

/* spec: as at_speak_options.voice. NULL and the error: no such voice (with those that there are),
   or a damaged file. */
at_voice *at_voice_open(at_speaker *speaker, const char *spec);
void at_voice_free(at_voice *voice); /* NULL is fine */
/* [1,width] for that many symbols */
at_tensor *at_voice_style(at_context *cx, const at_voice *voice, int64_t symbols);

/* ---- chunks.c: what is said at once */
typedef struct at_chunk {
    int64_t begin, end; /* of an utterance's items */
    bool broken;        /* its sentence goes on, and no mark is where it was cut */
} at_chunk;

/* The next chunk from item `begin` on: sentences up to about `target` symbols, never more than
   `most`. The first, which is waited for, is cut at a mark or before a part of the sentence within
   `target`, else within twice as many, and a far longer one behind a word. False at the end. */
bool at_next_chunk(const at_utterance *utterance, int64_t begin, int64_t target, int64_t most,
                   bool first, at_chunk *out);

#endif
