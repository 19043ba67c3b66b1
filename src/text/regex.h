/* Regular expressions as the `tokenizers` library has them: Oniguruma's Ruby syntax, translated to
   PCRE2 with Unicode properties.

   What differs between the two and is translated: \s \S \w \W \h \H \v \b \B and \u, the meaning of
   (?m), the missing lower bound in {,n}. What PCRE2 (10.42) cannot do is refused: nested classes,
   && in a class, {n,m}+, look-behind without a fixed length. */
#ifndef AT_REGEX_H
#define AT_REGEX_H

#include "base/base.h"

typedef struct at_regex at_regex;

typedef struct at_span {
    size_t start, end;
} at_span;

/* literal: the pattern is the text itself. what: the file, for messages. */
at_regex *at_regex_new(at_context *cx, const char *pattern, bool literal, const char *what);
void at_regex_free(at_regex *regex);

/* All matches in valid UTF-8, left to right; an empty match right behind the last one is skipped.
   NULL with *count 0: there is none, or an error was kept. at_free frees them. */
at_span *at_regex_find(at_context *cx, const at_regex *regex, const char *text, size_t size,
                       size_t *count);

#endif
