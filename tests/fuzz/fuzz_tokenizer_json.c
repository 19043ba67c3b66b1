#include "fuzz.h"
#include "text/tokenizer.h"
#include <string.h>

/* tokenizer.json from the data; what it makes of a few texts, and back. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const texts[] = {"", "a", " The cat's 12\n<s> <mask>",
                                        "\xc3\xa9\xe4\xbd\xa0\xff  x"};
    at_context *cx = at_context_new(NULL);
    at_tokenizer *t = at_tokenizer_parse(cx, (const char *)data, size, "fuzz");
    if (!t != at_failed(cx)) abort();
    at_ids ids = {0};
    for (size_t i = 0; t && i < AT_COUNT(texts); i++) {
        at_encode_options o = {.no_special_tokens = i == 1, .max_length = i == 3 ? 4 : 0};
        bool fine = at_tokenizer_encode(cx, t, texts[i], strlen(texts[i]), &o, &ids);
        if (fine == at_failed(cx)) abort();
        for (size_t k = 0; fine && k < ids.count; k++)
            if (ids.ids[k] < 0) abort();
        if (fine) at_free(at_tokenizer_decode(cx, t, ids.ids, ids.count, i & 1, NULL));
        at_error_clear(cx);
    }
    at_tokenizer_size(t);
    at_ids_free(&ids);
    at_tokenizer_free(t);
    fuzz_end(cx);
    return 0;
}
