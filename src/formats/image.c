#include "formats/image.h"
#include "base/file.h"
#include "tensor/pool.h"
#include <math.h>
#include <string.h>
#include <strings.h>

enum { MOST_PIXELS = 1 << 28 };

/* ---- making */

static void free_text(struct at_image_text *text)
{
    at_free(text->key);
    at_free(text->value);
    at_free(text);
}

static void destroy(void *object)
{
    at_image *image = object;
    for (struct at_image_text *text; (text = image->texts);) {
        image->texts = text->next;
        free_text(text);
    }
    at_free(image->pixels);
    at_free(image);
}

void at_image_free(at_image *image)
{
    if (!image) return;
    at_disown(image->cx, image);
    destroy(image);
}

at_image *at_image_make(at_context *cx, const char *what, int width, int height, int channels,
                        int depth)
{
    if (!at_ok(cx)) return NULL;
    if (channels < 1 || channels > 4 || (depth != 8 && depth != 16))
        return at_fail(cx, AT_ERROR_ARGUMENT, "%s: a picture of %d channels of %d bits", what,
                       channels, depth);
    if (width < 1 || height < 1 || height > MOST_PIXELS / width)
        return at_fail(cx, AT_ERROR_ARGUMENT, "%s: a picture of %d x %d pixels (at most 2^28)",
                       what, width, height);
    size_t bytes = (size_t)width * (size_t)height * (size_t)(channels * depth / 8);
    if (cx->options.memory_budget && bytes > cx->options.memory_budget)
        return at_fail(cx, AT_ERROR_MEMORY,
                       "%s: a picture of %d x %d pixels exceeds the memory budget", what, width,
                       height);
    at_image *image = AT_NEW(cx, at_image);
    void *pixels = image ? at_alloc(cx, bytes, 1) : NULL;
    if (!pixels) {
        at_free(image);
        return NULL;
    }
    *image = (at_image){width, height, channels, depth, pixels, cx, NULL};
    return at_own(cx, image, destroy) ? image : NULL;
}

at_image *at_image_new(at_context *cx, int width, int height, int channels, int depth)
{
    return at_image_make(cx, "image", width, height, channels, depth);
}

size_t at_image_row(const at_image *image)
{
    return (size_t)image->width * (size_t)(image->channels * image->depth / 8);
}

/* ---- texts */

const char *at_image_text(const at_image *image, const char *key)
{
    for (const struct at_image_text *text = image ? image->texts : NULL; text; text = text->next)
        if (strcmp(text->key, key) == 0) return text->value;
    return NULL;
}

bool at_image_set_text(at_image *image, const char *key, const char *value)
{
    if (!image || !at_ok(image->cx)) return false;
    struct at_image_text **at = &image->texts, *text = NULL;
    while (*at && strcmp((*at)->key, key) != 0) at = &(*at)->next;
    if (value) {
        text = AT_NEW(image->cx, struct at_image_text);
        if (!text) return false;
        text->key = at_copy_text(image->cx, key);
        text->value = at_copy_text(image->cx, value);
        if (!text->key || !text->value) {
            free_text(text);
            return false;
        }
    }
    struct at_image_text *old = *at, *rest = old ? old->next : NULL;
    if (text) text->next = rest;
    *at = text ? text : rest;
    if (old) free_text(old);
    return true;
}

/* ---- files */

at_image *at_image_decode(at_context *cx, const uint8_t *data, size_t size, const char *what)
{
    if (!at_ok(cx)) return NULL;
    if (size >= 8 && memcmp(data, "\211PNG\r\n\032\n", 8) == 0)
        return at_png_decode(cx, data, size, what);
    if (size >= 3 && memcmp(data, "\377\330\377", 3) == 0)
        return at_jpeg_decode(cx, data, size, what);
    if (size >= 12 && memcmp(data, "RIFF", 4) == 0 && memcmp(data + 8, "WEBP", 4) == 0)
        return at_webp_decode(cx, data, size, what);
    return at_fail(cx, AT_ERROR_FORMAT, "%s: not a PNG, JPEG or WebP picture", what);
}

at_image *at_image_load(at_context *cx, const char *path)
{
    at_mapping *mapping = at_mapping_open(cx, path);
    if (!mapping) return NULL;
    at_image *image = at_image_decode(cx, mapping->data, mapping->size, path);
    at_mapping_release(mapping);
    return image;
}

typedef bool (*encoder)(at_context *cx, const at_image *image, const char *what, at_text *out);

static encoder encoder_of(const char *path)
{
    static const struct {
        const char *suffix;
        encoder encode;
    } kinds[] = {{".png", at_png_encode},
                 {".jpg", at_jpeg_encode},
                 {".jpeg", at_jpeg_encode},
                 {".webp", at_webp_encode}};
    const char *suffix = strrchr(path, '.');
    for (size_t i = 0; suffix && i < AT_COUNT(kinds); i++)
        if (strcasecmp(suffix, kinds[i].suffix) == 0) return kinds[i].encode;
    return NULL;
}

bool at_image_can_save(const char *path)
{
    return encoder_of(path) != NULL;
}

bool at_image_save(const at_image *image, const char *path)
{
    if (!image || !at_ok(image->cx)) return false;
    encoder encode = encoder_of(path);
    if (!encode)
        return at_fail_false(image->cx, AT_ERROR_UNSUPPORTED,
                             "%s: not a kind of picture that can be written (use .png, .jpg, "
                             ".jpeg or .webp)",
                             path);
    at_text file = {0};
    bool fine = encode(image->cx, image, path, &file) &&
                at_file_write(image->cx, path, file.data, file.size);
    at_text_free(&file);
    return fine;
}

/* ---- turning */

bool at_image_orient(at_image *image, int orientation)
{
    if (orientation < 2 || orientation > 8) return true;
    bool swap = orientation >= 5; /* rows become columns */
    bool mirror_x = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
    bool mirror_y = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
    int width = swap ? image->height : image->width, height = swap ? image->width : image->height;
    size_t pixel = (size_t)(image->channels * image->depth / 8), row = at_image_row(image);
    uint8_t *out = at_alloc(image->cx, row, (size_t)image->height);
    if (!out) return false;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            int u = swap ? y : x, v = swap ? x : y;
            if (mirror_x) u = image->width - 1 - u;
            if (mirror_y) v = image->height - 1 - v;
            memcpy(out + ((size_t)y * (size_t)width + (size_t)x) * pixel,
                   (uint8_t *)image->pixels + (size_t)v * row + (size_t)u * pixel, pixel);
        }
    at_free(image->pixels);
    image->pixels = out;
    image->width = width;
    image->height = height;
    return true;
}

/* ---- other forms */

static uint32_t sample(const at_image *image, size_t i)
{
    return image->depth == 8 ? ((const uint8_t *)image->pixels)[i]
                             : ((const uint16_t *)image->pixels)[i];
}

/* Between 8 and 16 bits: 255 and 65535 mean the same. */
static void put_sample(at_image *image, size_t i, uint32_t value, int depth)
{
    if (image->depth == 16)
        ((uint16_t *)image->pixels)[i] = (uint16_t)(depth == 16 ? value : value * 257);
    else
        ((uint8_t *)image->pixels)[i] =
            (uint8_t)(depth == 8 ? value : (value * 255 + 32767) / 65535);
}

at_image *at_image_convert(const at_image *image, int channels, int depth)
{
    at_image *out =
        image ? at_image_new(image->cx, image->width, image->height, channels, depth) : NULL;
    if (!out) return NULL;
    size_t pixels = (size_t)image->width * (size_t)image->height;
    size_t from = (size_t)image->channels, to = (size_t)channels;
    uint32_t opaque = image->depth == 8 ? 255 : 65535;
    for (size_t i = 0; i < pixels; i++) {
        uint32_t c[3], alpha = from % 2 ? opaque : sample(image, i * from + from - 1);
        for (size_t k = 0; k < 3; k++) c[k] = sample(image, i * from + (from > 2 ? k : 0));
        if (to < 3 && from > 2)
            c[0] = (uint32_t)(((uint64_t)c[0] * 19595 + (uint64_t)c[1] * 38470 +
                               (uint64_t)c[2] * 7471 + 0x8000) >>
                              16);
        for (size_t k = 0; k < to; k++)
            put_sample(out, i * to + k, to % 2 == 0 && k == to - 1 ? alpha : c[k], image->depth);
    }
    return out;
}

at_image *at_image_from_tensor(at_context *cx, at_tensor *x)
{
    if (!at_ok(cx) || !x) return NULL;
    if (!at_has_shape(x, 3, (int64_t[]){-1, -1, -1}) || x->shape[0] > INT32_MAX ||
        x->shape[1] > INT32_MAX || x->shape[2] < 1 || x->shape[2] > 4)
        return at_fail(cx, AT_ERROR_SHAPE, "a picture needs [H,W,1 to 4], got %s",
                       at_shape_text(x));
    at_image *image = at_image_new(cx, (int)x->shape[1], (int)x->shape[0], (int)x->shape[2], 8);
    int64_t count = at_elements(x);
    float *values = image ? at_scratch(cx, (size_t)count * sizeof(float)) : NULL;
    bool fine = values && at_read_f32(cx, x, values);
    for (int64_t i = 0; fine && i < count; i++) {
        if (isnan(values[i]))
            fine = at_fail_false(cx, AT_ERROR_FORMAT,
                                 "picture: the model gave values that are not numbers (is one of "
                                 "its files damaged?)");
        float v = values[i] > 0 ? fminf(values[i], 1) : 0;
        ((uint8_t *)image->pixels)[i] = (uint8_t)rintf(v * 255);
    }
    at_scratch_free(cx, values);
    if (fine) return image;
    at_image_free(image);
    return NULL;
}

at_tensor *at_image_to_tensor(const at_image *image)
{
    if (!image) return NULL;
    at_tensor *x = at_new(image->cx, AT_F32, image->height, image->width, image->channels);
    float most = image->depth == 8 ? 255 : 65535;
    for (int64_t i = 0, n = at_elements(x); i < n; i++)
        ((float *)x->data)[i] = (float)sample(image, (size_t)i) / most;
    return x;
}
