/* Text to speech with Kokoro:

       at_context *cx = at_context_new(NULL);
       at_speaker *s = at_speaker_load(cx, NULL);
       at_speak_to_file(s, &(at_speak_options){.text = "Good morning."}, "morning.wav", NULL);
       if (at_failed(cx)) fprintf(stderr, "%s\n", at_error_text(cx));
       at_context_free(cx);                                     // frees all of it

   What is computed is the kokoro package's KModel on what misaki makes of the text. */
#ifndef ATELIER_SPEAK_H
#define ATELIER_SPEAK_H

#include <atelier/context.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct at_speaker at_speaker;

/* Opens a Kokoro model: a folder with config.json, model.safetensors or kokoro-v1_0.pth, and voices
   (voices/NAME.bin, .pt, .npy, or voices*.bin, .npz with all of them); or a name that `atelier
   list` shows; NULL is kokoro. The context owns the result. NULL on failure: AT_ERROR_FILE,
   AT_ERROR_FORMAT, AT_ERROR_UNSUPPORTED, AT_ERROR_MEMORY. */
AT_API at_speaker *at_speaker_load(at_context *cx, const char *model);
AT_API void at_speaker_free(at_speaker *speaker); /* NULL is fine */

/* Samples a second: 24000. */
AT_API int at_speaker_rate(const at_speaker *speaker);

/* A part of what is said, in order, as soon as it is known. */
typedef struct at_speech_chunk {
    const char *phonemes;
    const float *samples; /* count of them, mono, about -1 to 1 */
    int64_t count;
    double start; /* seconds from the beginning */
} at_speech_chunk;

/* Zeros mean the defaults. */
typedef struct at_speak_options {
    const char *text;     /* UTF-8, of any length; [word](/phonemes/) says how a word sounds */
    const char *voice;    /* "af_heart", "af_heart(2)+bf_emma": the mean by weight; a file of one;
                             NULL: af_heart */
    double speed;         /* 0.25 to 4; 0 is 1 */
    const char *language; /* "en-us", "en-gb", "es", "fr-fr", "hi", "it", "pt-br" or another of
                             espeak-ng's; NULL: the voice's, by its first letter */
    bool phonemes;        /* the text is phonemes already */
    uint64_t seed;        /* of the noise in a voice */
    /* May be NULL. Work stops where it gives false, without an error. */
    bool (*chunk)(void *user, const at_speech_chunk *chunk);
    void *user;
} at_speak_options;

/* What was said. */
typedef struct at_speech {
    double duration; /* seconds of sound */
    int chunks;
    double load;  /* seconds since the model was opened that weights took */
    double first; /* seconds until the first chunk was there */
    double total; /* seconds that the call took */
} at_speech;

/* info may be NULL. False on failure: AT_ERROR_ARGUMENT (no text, no such voice, a number out of
   range), AT_ERROR_FILE, AT_ERROR_FORMAT, AT_ERROR_UNSUPPORTED (a language), AT_ERROR_CANCELLED,
   AT_ERROR_MEMORY. */
AT_API bool at_speak(at_speaker *speaker, const at_speak_options *options, at_speech *info);

/* The same to a file: .wav (16 bits) and, with libsndfile, .flac, .opus, .ogg and .mp3. It is there
   whole or not at all. */
AT_API bool at_speak_to_file(at_speaker *speaker, const at_speak_options *options, const char *path,
                             at_speech *info);
AT_API bool at_speech_can_save(const char *path); /* whether the suffix is one of these */

#ifdef __cplusplus
}
#endif
#endif
