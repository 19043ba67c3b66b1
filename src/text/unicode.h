/* Characters and their classes as the reference libraries see them (Rust's char methods, the regex
   crate, unicode_categories), from utf8proc's tables. */
#ifndef AT_UNICODE_H
#define AT_UNICODE_H

#include "base/text.h"

/* The character at text, which holds at least one byte of valid UTF-8; *size: its bytes. */
int32_t at_utf8_next(const char *text, size_t *size);

/* Bytes of the character that starts with this byte (valid UTF-8). */
size_t at_utf8_size(unsigned char first);

/* Bytes of the last character of text (valid UTF-8, not empty). */
size_t at_utf8_last(const char *text, size_t size);

void at_utf8_add(at_context *cx, at_text *text, int32_t character);
size_t at_utf8_count(const char *text, size_t size);   /* characters */
size_t at_utf8_invalid(const char *text, size_t size); /* bytes that are no UTF-8 */
bool at_utf8_valid(const char *text, size_t size);

/* A valid copy: each maximal invalid part becomes one U+FFFD (Unicode 3.9, as Python replaces). */
void at_utf8_repair(at_context *cx, const char *text, size_t size, at_text *out);

bool at_is_space(int32_t c);       /* White_Space */
bool at_is_word(int32_t c);        /* \w of the regex crate */
bool at_is_numeric(int32_t c);     /* N* */
bool at_is_punctuation(int32_t c); /* and the following: unicode_classes.h */
bool at_is_nonspacing(int32_t c);
bool at_is_combining(int32_t c);
bool at_is_cleaned(int32_t c);

/* Lower case without context, at most two characters; gives how many. */
int at_lower(int32_t c, int32_t out[2]);

typedef enum at_form { AT_NFC, AT_NFD, AT_NFKC, AT_NFKD } at_form;

/* Unicode normalization of valid UTF-8, appended to out. */
void at_unicode_form(at_context *cx, at_form form, const char *text, size_t size, at_text *out);

/* The end of the extended grapheme cluster that starts at `start`. */
size_t at_grapheme_end(const char *text, size_t size, size_t start);

#endif
