#include "fuzz.h"
#include "text/phonemes.h"
#include "text/unicode.h"
#include <string.h>

/* Any bytes as text, with a lexicon: whatever comes out is UTF-8. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 4096) return 0;
    at_context *cx = at_context_new(NULL);
    at_phonemizer *p = at_phonemizer_open(cx, "tests/fixtures/phonemes", "en-us");
    at_utterance u = {0};
    if (p && !at_phonemize(cx, p, (const char *)data, size, &u)) abort();
    for (int64_t i = 0; i < u.count; i++)
        if (!at_utf8_valid(u.items[i].phonemes, strlen(u.items[i].phonemes))) abort();
    at_utterance_free(&u);
    at_phonemizer_free(p);
    fuzz_end(cx);
    return 0;
}
