#include "fuzz.h"
#include "text/regex.h"
#include <string.h>

/* A regular expression: translated, compiled, matched against a short text. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char text[] = "aab's 12\n\xc3\xa9 X";
    if (size > 200) return 0;
    at_context *cx = at_context_new(NULL);
    char pattern[201] = "";
    memcpy(pattern, data, size);
    at_regex *regex = at_regex_new(cx, pattern, false, "fuzz");
    size_t count, end = 0;
    at_span *found = regex ? at_regex_find(cx, regex, text, sizeof text - 1, &count) : NULL;
    for (size_t i = 0; found && i < count; i++) {
        if (found[i].start < end || found[i].end < found[i].start) abort();
        end = found[i].end;
    }
    if (end >= sizeof text) abort();
    at_free(found);
    at_regex_free(regex);
    fuzz_end(cx);
    return 0;
}
