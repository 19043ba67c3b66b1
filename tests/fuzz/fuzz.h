/* What fuzz targets share. Seeds lie in corpus/<name without fuzz_>/. */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include "base/base.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A failure is one line; success is no line. Ends the context. */
static inline void fuzz_end(at_context *cx)
{
    const char *text = at_error_text(cx);
    if (at_failed(cx) != (text[0] != 0)) abort();
    for (; *text; text++)
        if ((unsigned char)*text < 0x20) abort();
    at_context_free(cx);
}

#endif
