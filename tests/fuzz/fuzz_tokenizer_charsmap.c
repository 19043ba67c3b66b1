#include "fuzz.h"
#include "text/charsmap.h"
#include "text/unicode.h"
#include <string.h>

/* A charsmap, behind the length of a text (a byte) and the text that it normalizes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || data[0] >= size) return 0;
    at_context *cx = at_context_new(NULL);
    at_text text = {0}, out = {0};
    at_utf8_repair(cx, (const char *)data + 1, data[0], &text);
    at_charsmap *map = at_charsmap_new(cx, data + 1 + data[0], size - 1 - data[0], "fuzz");
    if (!map != at_failed(cx)) abort();
    if (map) at_charsmap_normalize(cx, map, text.data, text.size, &out);
    if (out.size && !at_utf8_valid(out.data, out.size)) abort();
    at_text_free(&text);
    at_text_free(&out);
    at_charsmap_free(map);
    fuzz_end(cx);
    return 0;
}
