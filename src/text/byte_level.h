/* GPT-2's visible form of bytes: printable Latin-1 characters stand for themselves, the other bytes
   for the characters from U+0100 on. */
#ifndef AT_BYTE_LEVEL_H
#define AT_BYTE_LEVEL_H

#include "base/text.h"

/* Bytes to their characters. */
void at_bytes_show(at_context *cx, const char *bytes, size_t size, at_text *out);

/* The byte that a character stands for; -1: none. */
int at_bytes_hidden(int32_t character);

#endif
