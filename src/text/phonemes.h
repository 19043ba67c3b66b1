/* Text to the phonemes that Kokoro was trained on, as misaki (Apache-2.0) makes them. English goes
   by a lexicon where the model has one, with espeak-ng for the words that it lacks; other
   languages, and English without a lexicon, go by espeak-ng alone. */
#ifndef AT_PHONEMES_H
#define AT_PHONEMES_H

#include "base/text.h"

typedef struct at_phonemizer at_phonemizer;

/* language: "en-us", "en-gb", "es", "fr-fr", "hi", "it", "pt-br" or another that espeak-ng has.
   folder: that may hold lexicon/en-us.txt (lexicon.h); NULL: none. AT_ERROR_UNSUPPORTED for a
   language that nothing here knows. */
at_phonemizer *at_phonemizer_open(at_context *cx, const char *folder, const char *language);
void at_phonemizer_free(at_phonemizer *phonemizer); /* NULL is fine */

/* A word, or marks between words. */
typedef struct at_spoken {
    char *text;     /* as it was written */
    char *phonemes; /* "" for what is not spoken */
    bool space;     /* behind it */
    bool paragraph; /* a paragraph ends behind it */
} at_spoken;

typedef struct at_utterance {
    at_spoken *items;
    int64_t count, capacity;
    at_text missed; /* words that nothing can be said for */
} at_utterance;

/* text: any bytes; what is no UTF-8 and control characters are spaces. [word](/phonemes/) says how
   a word sounds, [word](1) how much stress it has, [105](#&#) how a number is said. What nothing
   can be said for is told in a warning. False and the error on failure. */
bool at_phonemize(at_context *cx, const at_phonemizer *phonemizer, const char *text, size_t size,
                  at_utterance *out);

/* The same for what begins at `at`: some sentences of it, so that long texts are heard at once.
   Gives where the rest begins; 0 on failure. Tells nothing of what it missed. */
size_t at_phonemize_part(at_context *cx, const at_phonemizer *phonemizer, const char *text,
                         size_t size, size_t at, at_utterance *out);
/* The warning of what was missed, if there is any. */
void at_utterance_warn(at_context *cx, const at_utterance *u);

/* Takes both texts, which are freed on failure. */
bool at_utterance_add(at_context *cx, at_utterance *u, char *text, char *phonemes, bool space,
                      bool paragraph);
/* Lets go of the first `count` items. */
void at_utterance_drop(at_utterance *utterance, int64_t count);
void at_utterance_free(at_utterance *utterance);

#endif
