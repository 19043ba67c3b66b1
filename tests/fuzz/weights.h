/* The body of the targets that read files of weights. */
#ifndef TESTS_FUZZ_WEIGHTS_H
#define TESTS_FUZZ_WEIGHTS_H

#include "formats/weights.h"
#include "fuzz.h"
#include "models/layouts/layout.h"
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

/* Opens the file, touches every byte of every tensor, and looks what it could be a checkpoint of.
 */
static inline int fuzz_weights(const uint8_t *data, size_t size)
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size) abort();
    at_context *cx = at_context_new(NULL);
    at_weights *w = at_weights_open(cx, path);
    if (!w != at_failed(cx)) abort();
    for (int64_t i = 0; i < at_weights_count(w); i++) {
        at_tensor *x = at_weights_get(cx, w, at_weights_at(w, i)->name);
        if (!x && !at_failed(cx)) abort();
        float *values = calloc((size_t)at_elements(x) + 1, sizeof(float));
        if (x && values) at_read_f32(cx, x, values);
        free(values);
    }
    at_weights_metadata(w, "format");
    at_layout_free(at_layout_of(cx, w));
    close(fd);
    fuzz_end(cx);
    return 0;
}

#endif
