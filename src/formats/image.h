/* What image.c and the codecs of pictures share. `what` is how messages call the file. */
#ifndef AT_IMAGE_H
#define AT_IMAGE_H

#include "base/base.h"
#include "base/text.h"
#include <atelier/image.h>

struct at_image_text {
    char *key;
    char *value;
    struct at_image_text *next;
};

/* at_image_new for a file. */
at_image *at_image_make(at_context *cx, const char *what, int width, int height, int channels,
                        int depth);

/* Of the kind that the first bytes say. */
at_image *at_image_decode(at_context *cx, const uint8_t *data, size_t size, const char *what);

at_image *at_png_decode(at_context *cx, const uint8_t *data, size_t size, const char *what);
at_image *at_jpeg_decode(at_context *cx, const uint8_t *data, size_t size, const char *what);
at_image *at_webp_decode(at_context *cx, const uint8_t *data, size_t size, const char *what);

/* Add the whole file to out. */
bool at_png_encode(at_context *cx, const at_image *image, const char *what, at_text *out);
bool at_jpeg_encode(at_context *cx, const at_image *image, const char *what, at_text *out);
bool at_webp_encode(at_context *cx, const at_image *image, const char *what, at_text *out);

/* Bytes of a row. */
size_t at_image_row(const at_image *image);
/* Turns and mirrors the picture so that it needs EXIF orientation (1 to 8) no more. */
bool at_image_orient(at_image *image, int orientation);

/* EXIF data, with or without the leading "Exif\0\0": takes the texts and applies the orientation.
   What is damaged is passed over. */
bool at_exif_read(at_image *image, const uint8_t *data, size_t size);
/* The picture's texts as EXIF without the leading "Exif\0\0"; adds nothing when there are none. */
void at_exif_write(const at_image *image, at_text *out);

#endif
