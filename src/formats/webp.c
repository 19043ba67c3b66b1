#include "formats/image.h"

#ifdef AT_HAVE_WEBP

#include <string.h>
#include <webp/decode.h>
#include <webp/encode.h>
#include <webp/mux.h>

enum { QUALITY = 90 };

at_image *at_webp_decode(at_context *cx, const uint8_t *data, size_t size, const char *what)
{
    WebPBitstreamFeatures features;
    if (WebPGetFeatures(data, size, &features) != VP8_STATUS_OK)
        return at_fail(cx, AT_ERROR_FORMAT, "%s: damaged or cut short", what);
    if (features.has_animation)
        return at_fail(cx, AT_ERROR_UNSUPPORTED,
                       "%s: animated WebP is not supported (save one frame of it)", what);
    at_image *image =
        at_image_make(cx, what, features.width, features.height, features.has_alpha ? 4 : 3, 8);
    if (!image) return NULL;
    size_t row = at_image_row(image), bytes = row * (size_t)image->height;
    uint8_t *done = features.has_alpha
                        ? WebPDecodeRGBAInto(data, size, image->pixels, bytes, (int)row)
                        : WebPDecodeRGBInto(data, size, image->pixels, bytes, (int)row);
    bool fine = done || at_fail_false(cx, AT_ERROR_FORMAT, "%s: damaged or cut short", what);
    WebPMux *mux = fine ? WebPMuxCreate(&(WebPData){data, size}, 0) : NULL;
    WebPData exif;
    if (mux && WebPMuxGetChunk(mux, "EXIF", &exif) == WEBP_MUX_OK)
        fine = at_exif_read(image, exif.bytes, exif.size);
    WebPMuxDelete(mux);
    if (fine) return image;
    at_image_free(image);
    return NULL;
}

/* The picture alone; `image` is RGB or RGBA of 8 bits. */
static bool encode(at_context *cx, const at_image *image, const char *what, WebPMemoryWriter *out)
{
    WebPConfig config;
    WebPPicture picture;
    if (!WebPConfigPreset(&config, WEBP_PRESET_DEFAULT, QUALITY) || !WebPPictureInit(&picture))
        return at_fail_false(cx, AT_ERROR_UNSUPPORTED, "%s: libwebp is of another version", what);
    config.use_sharp_yuv = 1; /* colours keep their edges though WebP halves their resolution */
    picture.use_argb = 1;
    picture.width = image->width;
    picture.height = image->height;
    picture.writer = WebPMemoryWrite;
    picture.custom_ptr = out;
    int row = (int)at_image_row(image);
    bool fine = (image->channels == 4 ? WebPPictureImportRGBA(&picture, image->pixels, row)
                                      : WebPPictureImportRGB(&picture, image->pixels, row)) &&
                WebPEncode(&config, &picture);
    int error = (int)picture.error_code;
    WebPPictureFree(&picture);
    return fine || at_fail_false(cx, AT_ERROR_MEMORY, "%s: cannot be encoded (libwebp error %d)",
                                 what, error);
}

/* Adds the file with its EXIF data to out. */
static bool assemble(at_context *cx, const char *what, const WebPMemoryWriter *picture,
                     const at_text *exif, at_text *out)
{
    WebPData file = {0};
    WebPMux *mux = WebPMuxNew();
    bool fine =
        mux && WebPMuxSetImage(mux, &(WebPData){picture->mem, picture->size}, 0) == WEBP_MUX_OK &&
        WebPMuxSetChunk(mux, "EXIF", &(WebPData){(const uint8_t *)exif->data, exif->size}, 0) ==
            WEBP_MUX_OK &&
        WebPMuxAssemble(mux, &file) == WEBP_MUX_OK;
    if (fine) at_text_add(cx, out, file.bytes, file.size);
    WebPDataClear(&file);
    WebPMuxDelete(mux);
    return fine ||
           at_fail_false(cx, AT_ERROR_MEMORY, "%s: the settings cannot be put into the file", what);
}

bool at_webp_encode(at_context *cx, const at_image *image, const char *what, at_text *out)
{
    if (image->width > WEBP_MAX_DIMENSION || image->height > WEBP_MAX_DIMENSION)
        return at_fail_false(cx, AT_ERROR_UNSUPPORTED,
                             "%s: WebP holds at most %d x %d pixels (use .png)", what,
                             WEBP_MAX_DIMENSION, WEBP_MAX_DIMENSION);
    at_image *plain = at_image_convert(image, image->channels % 2 ? 3 : 4, 8);
    at_text exif = {0};
    at_exif_write(image, &exif);
    WebPMemoryWriter picture;
    WebPMemoryWriterInit(&picture);
    bool fine = plain && at_ok(cx) && encode(cx, plain, what, &picture);
    if (fine && exif.size)
        fine = assemble(cx, what, &picture, &exif, out);
    else if (fine)
        at_text_add(cx, out, picture.mem, picture.size);
    WebPMemoryWriterClear(&picture);
    at_text_free(&exif);
    at_image_free(plain);
    return fine && at_ok(cx);
}

#else

at_image *at_webp_decode(at_context *cx, const uint8_t *data, size_t size, const char *what)
{
    (void)data, (void)size;
    return at_fail(cx, AT_ERROR_UNSUPPORTED, "%s: this build of atelier is without WebP (libwebp)",
                   what);
}

bool at_webp_encode(at_context *cx, const at_image *image, const char *what, at_text *out)
{
    (void)image, (void)out;
    return at_fail_false(cx, AT_ERROR_UNSUPPORTED,
                         "%s: this build of atelier is without WebP (libwebp)", what);
}

#endif
