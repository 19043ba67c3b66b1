/* Pictures: pixels with their texts, read from and written to PNG, JPEG and WebP files. */
#ifndef ATELIER_IMAGE_H
#define ATELIER_IMAGE_H

#include <atelier/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Owned by the context that it was made with. The fields may be read, the pixels written too. */
typedef struct at_image {
    int width;
    int height;
    int channels; /* 1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha (not premultiplied) */
    int depth;    /* bits a sample: 8 (uint8_t) or 16 (uint16_t) */
    void *pixels; /* height rows from the top of width pixels of channels samples, no gaps */
    at_context *cx;
    struct at_image_text *texts;
} at_image;

/* Black (where there is alpha, transparent). At most 2^28 pixels, and no more bytes than the
   context's memory budget. */
AT_API at_image *at_image_new(at_context *cx, int width, int height, int channels, int depth);
AT_API void at_image_free(at_image *image); /* NULL is fine */

/* What the file is its first bytes say, not its name. Palettes become RGB, transparent colours
   alpha, fewer than 8 bits 8, CMYK (as Adobe stores it) RGB; the EXIF orientation is applied;
   colour profiles are not. Animated WebP is refused. AT_ERROR_FORMAT for damaged and truncated
   files. */
AT_API at_image *at_image_load(at_context *cx, const char *path);

/* The suffix says what is written: .png, .jpg or .jpeg (quality 95, 4:4:4; refuses alpha), .webp
   (lossy, quality 90). The file is there whole or not at all; the same picture gives the same bytes
   (with the same versions of the libraries). 16 bits stay in PNG only. */
AT_API bool at_image_save(const at_image *image, const char *path);
AT_API bool at_image_can_save(const char *path); /* whether the suffix is one of these */

/* Texts (UTF-8) that the file carries: "parameters" (settings in the form of A1111) and "atelier"
   (settings as JSON). PNG has all of them as tEXt chunks, or iTXt for what is not Latin-1. JPEG and
   WebP have these two in the EXIF UserComment: "parameters", followed on its last line by the field
   `atelier: "..."`, the JSON quoted as a JSON string, which readers of the A1111 form pass over.
   NULL when the picture has no such text. value NULL removes it. */
AT_API const char *at_image_text(const at_image *image, const char *key);
AT_API bool at_image_set_text(at_image *image, const char *key, const char *value);

/* A new picture in another form, without the texts. Gray is ITU-R 601 luma (PIL's "L"); alpha that
   is left out is dropped, not blended; new alpha is opaque. */
AT_API at_image *at_image_convert(const at_image *image, int channels, int depth);

/* A new picture of 8 bits in another size, without the texts: PIL's LANCZOS. */
AT_API at_image *at_image_resize(const at_image *image, int width, int height);

/* [H,W,C] with C of 1 to 4 values in 0..1, clamped -> 8 bits, rounded half to even (numpy's round),
   and back: values / 255 (or 65535). AT_ERROR_FORMAT where a value is not a number. */
AT_API at_image *at_image_from_tensor(at_context *cx, at_tensor *x);
AT_API at_tensor *at_image_to_tensor(const at_image *image);

#ifdef __cplusplus
}
#endif
#endif
