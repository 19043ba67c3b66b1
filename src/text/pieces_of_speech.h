/* What phonemes.c and english.c share: text cut into words and marks. */
#ifndef AT_PIECES_OF_SPEECH_H
#define AT_PIECES_OF_SPEECH_H

#include "base/text.h"
#include "text/lexicon.h"

typedef struct at_speech_piece {
    char *text;            /* a word without the marks around it, or a mark; NFKC, with ' for ’ */
    char *phonemes;        /* given by the writer, or a mark; NULL: a word to find them for */
    double stress;         /* given by the writer; NAN: none */
    bool space, paragraph; /* behind it */
    bool is_mark;
} at_speech_piece;

typedef struct at_speech_pieces {
    at_speech_piece *items;
    int64_t count, capacity;
} at_speech_pieces;

/* Cuts valid UTF-8. lexicon: whose words may end in a full stop, or NULL. */
bool at_cut_speech(at_context *cx, const char *text, size_t size, const at_lexicon *lexicon,
                   at_speech_pieces *out);
void at_speech_pieces_free(at_speech_pieces *pieces);

/* What one word means, where it is written shorter than said ("vs.", "km"), or NULL. */
const char *at_english_abbreviation(const char *word);

/* Fills in the phonemes of all words. missed: gets words that nothing can be said for. */
bool at_english_phonemes(at_context *cx, const at_lexicon *lexicon, bool british,
                         at_speech_pieces *pieces, at_text *missed);

#endif
