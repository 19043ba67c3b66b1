/* espeak-ng's library: text to the International Phonetic Alphabet. */
#ifndef AT_ESPEAK_H
#define AT_ESPEAK_H

#include "base/text.h"

bool at_espeak_is_there(void);

/* Whether espeak-ng has the language; an error that says so otherwise. */
bool at_espeak_has(at_context *cx, const char *language);

/* Adds what is said for valid UTF-8 of one clause, '^' between the letters of one sound; flags of
   another language's words are left out. */
bool at_espeak_say(at_context *cx, const char *language, const char *text, at_text *out);

/* The same in Kokoro's symbols: misaki's EspeakFallback for English, EspeakG2P for the others. */
bool at_espeak_phonemes(at_context *cx, const char *language, const char *text, at_text *out);

#endif
