#include "formats/pickle.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    at_context *cx = at_context_new(NULL);
    size_t at = 0;
    at_pickle *p = at_pickle_read(cx, "fuzz", data, size, &at);
    if (!p != at_failed(cx) || at > size) abort();
    at_map *sizes = p ? at_map_new(cx) : NULL;
    if (sizes) at_pickle_each_storage(cx, p, sizes);
    at_map_free(sizes);
    at_pickle_free(p);
    fuzz_end(cx);
    return 0;
}
