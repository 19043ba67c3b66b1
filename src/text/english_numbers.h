/* Numbers as English words, as the num2words package writes them, without "and". */
#ifndef AT_ENGLISH_NUMBERS_H
#define AT_ENGLISH_NUMBERS_H

#include "base/text.h"

typedef enum at_number_kind { AT_CARDINAL, AT_ORDINAL, AT_YEAR } at_number_kind;

/* digits: ASCII, `count` of them. Past 18 digits, and where there is a leading 0 before others, one
   by one. Adds words with spaces between. */
void at_add_number(at_context *cx, at_text *out, const char *digits, size_t count,
                   at_number_kind kind);

/* Digit by digit. */
void at_add_digits(at_context *cx, at_text *out, const char *digits, size_t count);

/* A word, or several, with a space before them where there are others. */
void at_add_spoken(at_context *cx, at_text *out, const char *words);

#endif
