/* Speech to text with Whisper:

       at_context *cx = at_context_new(NULL);
       at_transcriber *t = at_transcriber_load(cx, "whisper-base");
       at_transcript *said = at_transcribe(t, "talk.mp3", NULL);
       if (said) puts(said->text);
       at_context_free(cx);                                     // frees all of it

   What is computed is openai-whisper's transcribe(): windows of 30 seconds, each begun where the
   last one's text ended, decoded anew at a higher temperature where the text looks wrong. */
#ifndef ATELIER_TRANSCRIBE_H
#define ATELIER_TRANSCRIBE_H

#include <atelier/context.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct at_transcriber at_transcriber;

/* Opens a Whisper model: a Transformers or CTranslate2 folder, OpenAI's .pt (whose vocabulary comes
   from beside it or from another Whisper), whisper.cpp's .bin, or a name that `atelier list` shows;
   NULL is whisper-base. The context owns the result. NULL on failure: AT_ERROR_FILE,
   AT_ERROR_FORMAT, AT_ERROR_UNSUPPORTED, AT_ERROR_MEMORY. */
AT_API at_transcriber *at_transcriber_load(at_context *cx, const char *model);
AT_API void at_transcriber_free(at_transcriber *transcriber); /* NULL is fine */

/* Other languages than English, and translation to it. */
AT_API bool at_transcriber_is_multilingual(const at_transcriber *transcriber);
/* "en", "de", ... number i; NULL past the last. */
AT_API const char *at_transcriber_language(const at_transcriber *transcriber, int i);

typedef struct at_word {
    const char *text;  /* with the space before it, where there is one */
    double start, end; /* seconds */
    double probability;
} at_word;

typedef struct at_segment {
    double start, end; /* seconds */
    const char *text;  /* as decoded: mostly with a space before it */
    double avg_logprob, no_speech_prob, compression_ratio;
    double temperature;   /* that it was decoded at in the end */
    const at_word *words; /* word_count of them, where they were asked for */
    int word_count;
} at_segment;

typedef enum at_timestamps {
    AT_TIMESTAMPS_SEGMENT,
    AT_TIMESTAMPS_NONE,
    AT_TIMESTAMPS_WORD
} at_timestamps;

/* Zeros mean openai-whisper's defaults. */
typedef struct at_transcribe_options {
    const char *language; /* "en", "de", ...; NULL: heard in the first 30 seconds */
    bool translate;       /* to English */
    at_timestamps timestamps;
    int beams;                  /* 0 is 5; 1 takes the likeliest token each time */
    double patience;            /* beams * patience texts are finished; 0 is 1 */
    double length_penalty;      /* 0: by the number of tokens; else Google's alpha, up to 1 */
    int best_of;                /* texts drawn at temperatures above 0; 0 is 5 */
    const double *temperatures; /* temperature_count of them, each tried where the last */
    int temperature_count;      /* failed; NULL: 0, 0.2, 0.4, 0.6, 0.8, 1 */
    double compression_ratio;   /* a text that shrinks more is a loop; 0 is 2.4, below 0: any */
    double logprob;             /* a text less likely fails; 0 is -1, above 0: any */
    double no_speech;           /* silence, where likelier and the text fails; 0 is 0.6, 1: none */
    bool forget;                /* windows do not see the text before them */
    const char *initial_prompt; /* text before the first window; NULL: none */
    const char *hotwords;       /* words before every window; NULL: none */
    bool keep_symbols;          /* brackets, notes and the like may be written */
    const int32_t *suppressed;  /* further tokens that are never written */
    int suppressed_count;
    double max_initial_timestamp; /* seconds; 0 is 1 */
    int batch;                    /* windows decoded at once, cut at silence, each without the
                                     text before it; 0: one after the other */
    uint64_t seed;                /* of temperatures above 0 */
    /* Called as each segment is known, in order; may be NULL. */
    void (*segment)(void *user, const at_segment *segment);
    void *user;
} at_transcribe_options;

/* Owned by the context. */
typedef struct at_transcript {
    const char *text; /* of all segments, without space around it */
    const char *language;
    double language_probability; /* 1 where it was given */
    double duration;             /* of the sound, seconds */
    const at_segment *segments;
    int count;
    double load, encode, decode, total; /* seconds that it took */
} at_transcript;

/* path: sound in any format that FFmpeg's libraries read. options may be NULL. NULL on failure:
   AT_ERROR_FILE, AT_ERROR_FORMAT, AT_ERROR_ARGUMENT (a language that the model does not have, a
   number out of range), AT_ERROR_UNSUPPORTED, AT_ERROR_CANCELLED, AT_ERROR_MEMORY. */
AT_API at_transcript *at_transcribe(at_transcriber *transcriber, const char *path,
                                    const at_transcribe_options *options);
AT_API void at_transcript_free(at_transcript *transcript); /* NULL is fine */

#ifdef __cplusplus
}
#endif
#endif
