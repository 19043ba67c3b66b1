/* Words and how they sound: a file of lines sorted by their bytes,

       word TAB 4 or 3 TAB phonemes (TAB TAG=phonemes)*

   4: checked by people, 3: not (misaki's gold and silver). A tag is a part of speech (NOUN, VERB,
   ADJ, VBD, ...) or None, at the end of a phrase; without phonemes the word is spelled there. The
   rules of English on top are misaki's (Apache-2.0; en.py), without its tagger. */
#ifndef AT_LEXICON_H
#define AT_LEXICON_H

#include "base/file.h"
#include "text/sounds.h"

typedef struct at_lexicon at_lexicon;

/* NULL and the error for a file that is not one. british: which English the rules are of. */
at_lexicon *at_lexicon_open(at_context *cx, const char *path, bool british);
void at_lexicon_free(at_lexicon *lexicon); /* NULL is fine */

/* What a word stands before, and what it is. */
typedef enum at_next_sound { AT_NEXT_NOTHING, AT_NEXT_VOWEL, AT_NEXT_CONSONANT } at_next_sound;

typedef struct at_word_context {
    at_next_sound next;
    bool before_to;  /* the next word is "to" */
    const char *tag; /* "NOUN", "VERB" or NULL: what the words before let expect */
    bool sentence_start;
} at_word_context;

/* How a word sounds: out->count is -1 where the lexicon and its rules do not know. word: letters
   and apostrophes, a symbol (%, &, +, @), or letters with dots (U.S.). stress: as
   at_sounds_stress. */
void at_lexicon_say(const at_lexicon *lexicon, const char *word, double stress,
                    const at_word_context *context, at_sounds *out);

/* Letter by letter; -1 where one has no name. */
void at_lexicon_spell(const at_lexicon *lexicon, const char *word, at_sounds *out);

/* As it is in the file, or with another first letter's case. */
bool at_lexicon_has(const at_lexicon *lexicon, const char *word);

/* The endings as they sound behind a stem: -s, -ed, -ing. */
void at_lexicon_add_s(const at_lexicon *lexicon, at_sounds *stem);
void at_lexicon_add_ed(const at_lexicon *lexicon, at_sounds *stem);
void at_lexicon_add_ing(const at_lexicon *lexicon, at_sounds *stem);

#endif
