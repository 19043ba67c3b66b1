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

/* "$5.20", "1,234", "-3.5", "21st", "1990s", "7:05", "2024-05-12": what is said for a token that
   begins with a digit, a sign or a currency; false where it is none of these. american: the order
   of 5/12/2024. */
bool at_add_spoken_number(at_context *cx, at_text *out, const char *token, bool american);

#endif
