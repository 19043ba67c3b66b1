/* What is written shorter than it is said, one token at a time, as plain English words. A comma
   behind a word is a pause. */
#ifndef AT_ENGLISH_TOKENS_H
#define AT_ENGLISH_TOKENS_H

#include "base/text.h"

/* Whether a word is in a list that NULL ends; no word is in none. */
bool at_is_listed(const char *word, const char *const *list);

/* twelve, and NULL */
extern const char *const at_english_months[];

/* "$5.20", "1,234", "-3.5", "21st", "1990s", "7:05", "2024-05-12", "5km", "3/4", "10-15", "4x4",
   "5'10\"": what is said for a token that begins with a digit, a sign or a currency; false where it
   is none of these. american: the order of 5/12/2024. */
bool at_add_spoken_token(at_context *cx, at_text *out, const char *token, bool american);

/* What a unit is called, of one or of several: "km", "m/s", "ft^2"; false for what is none. apart:
   only those that may stand behind a space. */
bool at_add_unit(at_context *cx, at_text *out, const char *sign, bool one, bool apart);

/* "1/2": one half; mixed, behind a whole number: "a half". */
bool at_add_spoken_fraction(at_context *cx, at_text *out, const char *token, bool mixed);

/* "=", "≥", "&" that stands alone or between others; NULL: it is not said. */
const char *at_english_symbol(const char *text);

/* Web and mail addresses, `size` bytes: "https://a.org/b", "www.a.org", "a.org/b", "a@b.org". */
bool at_is_address(const char *text, size_t size);
void at_add_spoken_address(at_context *cx, at_text *out, const char *address);

/* A telephone number at the beginning of text: "(555) 123-4567", "+44 20 7946 0958". Gives how many
   bytes it is, 0: it is none. */
size_t at_add_spoken_telephone(at_context *cx, at_text *out, const char *text);

#endif
