/* The body of the targets for kinds of pictures. */
#ifndef TESTS_FUZZ_PICTURE_H
#define TESTS_FUZZ_PICTURE_H

#include "formats/image.h"
#include "fuzz.h"

/* Reads a picture with a budget of 4 MB; what was read can be written as PNG and read again. */
static inline void fuzz_picture(const uint8_t *data, size_t size)
{
    at_context *cx = at_context_new(&(at_context_options){.memory_budget = 4 << 20});
    at_image *image = at_image_decode(cx, data, size, "fuzz");
    if (!image != at_failed(cx)) abort();
    if (image && image->width <= 64 && image->height <= 64) {
        at_text file = {0};
        if (at_png_encode(cx, image, "copy", &file)) {
            at_image *back = at_png_decode(cx, (const uint8_t *)file.data, file.size, "copy");
            if (!back || back->width != image->width || back->channels != image->channels) abort();
        }
        at_text_free(&file);
    }
    fuzz_end(cx);
}

#endif
