/* What phonemes.c and english.c share: text cut into words and marks. */
#ifndef AT_PIECES_OF_SPEECH_H
#define AT_PIECES_OF_SPEECH_H

#include "base/text.h"
#include "text/lexicon.h"

/* misaki's flags of a number: "one hundred and five", "hundred 'n five", "a hundred" */
enum { AT_NUMBER_AND = 1, AT_NUMBER_N = 2, AT_NUMBER_A = 4 };

typedef struct at_speech_piece {
    char *text;            /* a word without the marks around it, or a mark; NFKC, with ' for ’ */
    char *phonemes;        /* given by the writer, or a mark; NULL: a word to find them for */
    char *words;           /* plain words that are read instead of the text, some with a slash and
                              sounds behind; NULL: none */
    double stress;         /* given by the writer; NAN: none */
    int flags;             /* of a number, given by the writer */
    bool space, paragraph; /* behind it */
    bool is_mark;
} at_speech_piece;

typedef struct at_speech_pieces {
    at_speech_piece *items;
    int64_t count, capacity;
} at_speech_pieces;

/* Cuts valid UTF-8. column: of its first byte in its line. lexicon: whose words may end in a full
   stop, or NULL. english: addresses, fractions, powers and abbreviations are kept whole, for
   at_english_forms. missed: gets the beginnings of words of more than 100 letters, which nobody
   says. */
bool at_cut_speech(at_context *cx, const char *text, size_t size, size_t column,
                   const at_lexicon *lexicon, bool english, at_speech_pieces *out, at_text *missed);
/* A word more that is not said, once. */
void at_note_missed(at_context *cx, at_text *missed, const char *word);
void at_speech_pieces_free(at_speech_pieces *pieces);

/* What one word means where it is written shorter than said ("vs", "St"), or NULL. stopped: there
   is a full stop behind it, which is not in `word`; before, next: the words beside it, or NULL. */
const char *at_english_abbreviation(const char *word, bool stopped, const char *before,
                                    const char *next);
/* "The", "He": a capital that is no name. */
bool at_english_starts_sentence(const char *word);

/* Fills in what is read for numbers, dates, addresses, abbreviations and the like; pieces that are
   said with the one before them get no words. american: the order of 5/12/2024. */
bool at_english_forms(at_context *cx, at_speech_pieces *pieces, bool american);

/* Fills in the phonemes of all words. missed: gets words that nothing can be said for. */
bool at_english_phonemes(at_context *cx, const at_lexicon *lexicon, bool british,
                         at_speech_pieces *pieces, at_text *missed);

#endif
