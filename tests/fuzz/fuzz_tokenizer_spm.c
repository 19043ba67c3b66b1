#include "fuzz.h"
#include "text/folder.h"
#include <string.h>

/* A sentencepiece file, and the tokenizer that it says by itself. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const at_tokenizer_class class = {.name = "TokenizersBackend"};
    static const char text[] = " a cat\xe4\xbd\xa0 <s>";
    at_context *cx = at_context_new(NULL);
    char path[] = "fuzz";
    at_folder folder = {.path = path, .class = &class, .spm_path = path};
    if (at_sentencepiece_parse(cx, data, size, path, &folder.spm) == at_failed(cx)) abort();
    at_folder_read_names(&folder);
    at_tokenizer *t = at_tokenizer_new(cx);
    at_ids ids = {0};
    if (t && at_folder_from_spm(cx, &folder, t) && at_folder_add_tokens(cx, &folder, t) &&
        at_added_tokens_finish(cx, t->added, false) &&
        at_tokenizer_encode(cx, t, text, strlen(text), NULL, &ids))
        at_free(at_tokenizer_decode(cx, t, ids.ids, ids.count, false, NULL));
    at_ids_free(&ids);
    at_tokenizer_free(t);
    at_sentencepiece_free(&folder.spm);
    fuzz_end(cx);
    return 0;
}
