/* A string that grows. After a failed allocation it stays as it was and the context has the error.
 */
#ifndef AT_TEXT_H
#define AT_TEXT_H

#include "base/base.h"

typedef struct at_text {
    char *data; /* always ends in a zero byte once anything was added; NULL when empty */
    size_t size;
    size_t capacity;
} at_text;

void at_text_add(at_context *cx, at_text *text, const void *bytes, size_t size);
void at_text_print(at_context *cx, at_text *text, const char *format, ...) AT_PRINTF(3, 4);
/* As a JSON string, in its quotes. */
void at_text_add_quoted(at_context *cx, at_text *text, const char *string);
void at_text_free(at_text *text);

/* For qsort over strings: char *. */
int at_text_order(const void *a, const void *b);

bool at_ends_with(const char *text, const char *end);
/* The same with something before it. */
bool at_has_suffix(const char *text, const char *suffix);

#endif
