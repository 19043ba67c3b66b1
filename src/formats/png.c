#include "formats/image.h"
#include <png.h>
#include <setjmp.h>
#include <string.h>

/* All that a jump out of libpng must not lose. */
typedef struct coder {
    at_context *cx;
    const char *what;
    const uint8_t *data; /* what is left to read */
    size_t size;
    at_text *out;
    at_image *image;
    png_structp png;
    png_infop info;
    png_text *texts;
    int text_count;
} coder;

static _Noreturn void on_error(png_structp png, png_const_charp message)
{
    const coder *c = png_get_error_ptr(png);
    at_fail(c->cx, AT_ERROR_FORMAT, "%s: damaged or cut short (%s)", c->what, message);
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp message)
{
    const coder *c = png_get_error_ptr(png);
    at_log(c->cx, AT_LOG_DEBUG, "%s: %s", c->what, message);
}

static bool little_endian(void)
{
    return *(const uint8_t *)&(const uint16_t){1} == 1;
}

/* ---- Latin-1, which tEXt chunks are in */

static char *from_latin1(at_context *cx, const char *text)
{
    char *out = at_alloc(cx, strlen(text) + 1, 2), *to = out;
    for (; out && *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c >= 0x80) *to++ = (char)(0xc0 | c >> 6);
        *to++ = (char)(c >= 0x80 ? 0x80 | (c & 0x3f) : c);
    }
    return out;
}

/* NULL when a character is not in Latin-1 (or on no memory: cx says). */
static char *to_latin1(at_context *cx, const char *text)
{
    char *out = at_copy_text(cx, text), *to = out;
    for (; out && *text; text++) {
        unsigned char c = (unsigned char)*text, next = (unsigned char)text[1];
        if (c < 0x80) {
            *to++ = (char)c;
        } else if ((c == 0xc2 || c == 0xc3) && (next & 0xc0) == 0x80) {
            *to++ = (char)((c & 3) << 6 | (next & 0x3f));
            text++;
        } else {
            at_free(out);
            return NULL;
        }
    }
    if (out) *to = 0;
    return out;
}

/* ---- reading */

static void read_bytes(png_structp png, png_bytep out, size_t size)
{
    coder *c = png_get_io_ptr(png);
    if (size > c->size) png_error(png, "the file ends early");
    memcpy(out, c->data, size);
    c->data += size;
    c->size -= size;
}

/* Chunks up to IEND lie within the file. libpng believes a chunk's length and allocates it (up to
   2 GB) before it looks for the data. */
static bool is_whole(const uint8_t *data, size_t size)
{
    for (size_t at = 8; at <= size && size - at >= 12;) {
        uint32_t length = png_get_uint_32(data + at);
        if (length > size - at - 12) return false;
        if (memcmp(data + at + 4, "IEND", 4) == 0) return true;
        at += 12 + (size_t)length;
    }
    return false;
}

/* The sizes are known: what pixels to make of the file. */
static bool prepare(coder *c)
{
    png_uint_32 width, height;
    int depth, type;
    png_get_IHDR(c->png, c->info, &width, &height, &depth, &type, NULL, NULL, NULL);
    png_set_expand(c->png); /* palettes, fewer than 8 bits, transparent colours */
    if (depth == 16 && little_endian()) png_set_swap(c->png);
    bool alpha = type & PNG_COLOR_MASK_ALPHA || png_get_valid(c->png, c->info, PNG_INFO_tRNS);
    int channels = (type & PNG_COLOR_MASK_COLOR ? 3 : 1) + alpha;
    if (width > INT32_MAX || height > INT32_MAX) png_error(c->png, "too large");
    c->image =
        at_image_make(c->cx, c->what, (int)width, (int)height, channels, depth == 16 ? 16 : 8);
    return c->image;
}

static void read_pixels(coder *c)
{
    int passes = png_set_interlace_handling(c->png);
    size_t row = at_image_row(c->image);
    png_read_update_info(c->png, c->info);
    if (png_get_rowbytes(c->png, c->info) != row) png_error(c->png, "unexpected row size");
    for (int pass = 0; pass < passes; pass++)
        for (int y = 0; y < c->image->height; y++)
            png_read_row(c->png, (uint8_t *)c->image->pixels + (size_t)y * row, NULL);
    png_read_end(c->png, c->info);
}

static void read_texts(coder *c)
{
    png_textp texts;
    int count = png_get_text(c->png, c->info, &texts, NULL);
    for (int i = 0; i < count && at_ok(c->cx); i++) {
        const char *text = texts[i].text ? texts[i].text : "";
        bool utf8 = texts[i].compression >= PNG_ITXT_COMPRESSION_NONE;
        char *key = from_latin1(c->cx, texts[i].key);
        char *value = utf8 ? at_copy_text(c->cx, text) : from_latin1(c->cx, text);
        if (key && value) at_image_set_text(c->image, key, value);
        at_free(key);
        at_free(value);
    }
}

/* libpng allocates what a chunk's length says, whatever png_set_chunk_malloc_max; here no length
   may go past the file's end. */
static bool chunks_fit(const coder *c)
{
    for (size_t at = 8; at + 8 <= c->size;) {
        size_t length = png_get_uint_32(c->data + at);
        if (memcmp(c->data + at + 4, "IEND", 4) == 0) return true;
        if (length > c->size - at - 8) return false;
        at += length + 12;
    }
    return true;
}

static bool decode(coder *c)
{
    if (setjmp(png_jmpbuf(c->png))) return false;
    png_set_user_limits(c->png, PNG_UINT_31_MAX, PNG_UINT_31_MAX); /* at_image_new has its own */
    png_set_chunk_cache_max(c->png, 64);
    png_set_chunk_malloc_max(c->png, 4 << 20);
    png_set_read_fn(c->png, c, read_bytes);
    if (!chunks_fit(c)) png_error(c->png, "a chunk is longer than the file");
    png_read_info(c->png, c->info);
    if (!prepare(c)) return false;
    read_pixels(c);
    read_texts(c);
    png_bytep exif;
    png_uint_32 size;
    if (png_get_eXIf_1(c->png, c->info, &size, &exif)) at_exif_read(c->image, exif, size);
    return at_ok(c->cx);
}

at_image *at_png_decode(at_context *cx, const uint8_t *data, size_t size, const char *what)
{
    if (!is_whole(data, size))
        return at_fail(cx, AT_ERROR_FORMAT, "%s: the file is cut short", what);
    coder c = {.cx = cx, .what = what, .data = data, .size = size};
    c.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &c, on_error, on_warning);
    c.info = c.png ? png_create_info_struct(c.png) : NULL;
    if (!c.info) at_fail(cx, AT_ERROR_MEMORY, "%s: out of memory", what);
    bool fine = c.info && decode(&c);
    png_destroy_read_struct(&c.png, &c.info, NULL);
    if (fine) return c.image;
    at_image_free(c.image);
    return NULL;
}

/* ---- writing */

static void write_bytes(png_structp png, png_bytep bytes, size_t size)
{
    coder *c = png_get_io_ptr(png);
    at_text_add(c->cx, c->out, bytes, size);
    if (!at_ok(c->cx)) png_error(png, "cannot be written");
}

static void flush(png_structp png)
{
    (void)png;
}

/* tEXt where Latin-1 has all characters, else iTXt: as PIL, and so A1111, writes them. */
static bool prepare_texts(coder *c)
{
    int count = 0;
    for (const struct at_image_text *t = c->image->texts; t; t = t->next) count++;
    c->texts = AT_NEW_ARRAY(c->cx, png_text, count);
    if (!c->texts) return false;
    for (const struct at_image_text *t = c->image->texts; t; t = t->next) {
        png_text *text = &c->texts[c->text_count++];
        text->key = t->key;
        text->text = to_latin1(c->cx, t->value);
        text->compression = PNG_TEXT_COMPRESSION_NONE;
        if (text->text || !at_ok(c->cx)) continue;
        text->text = at_copy_text(c->cx, t->value);
        text->compression = PNG_ITXT_COMPRESSION_NONE;
    }
    return at_ok(c->cx);
}

static bool encode(coder *c)
{
    static const int types[] = {PNG_COLOR_TYPE_GRAY, PNG_COLOR_TYPE_GRAY_ALPHA, PNG_COLOR_TYPE_RGB,
                                PNG_COLOR_TYPE_RGB_ALPHA};
    const at_image *image = c->image;
    if (setjmp(png_jmpbuf(c->png))) return false;
    png_set_write_fn(c->png, c, write_bytes, flush);
    png_set_IHDR(c->png, c->info, (png_uint_32)image->width, (png_uint_32)image->height,
                 image->depth, types[image->channels - 1], PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    if (c->text_count) png_set_text(c->png, c->info, c->texts, c->text_count);
    png_write_info(c->png, c->info);
    if (image->depth == 16 && little_endian()) png_set_swap(c->png);
    for (int y = 0; y < image->height; y++)
        png_write_row(c->png, (uint8_t *)image->pixels + (size_t)y * at_image_row(image));
    png_write_end(c->png, NULL);
    return true;
}

bool at_png_encode(at_context *cx, const at_image *image, const char *what, at_text *out)
{
    coder c = {.cx = cx, .what = what, .out = out, .image = (at_image *)(uintptr_t)image};
    c.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &c, on_error, on_warning);
    c.info = c.png ? png_create_info_struct(c.png) : NULL;
    if (!c.info) at_fail(cx, AT_ERROR_MEMORY, "%s: out of memory", what);
    bool fine = c.info && prepare_texts(&c) && encode(&c);
    png_destroy_write_struct(&c.png, &c.info);
    for (int i = 0; i < c.text_count; i++) at_free(c.texts[i].text);
    at_free(c.texts);
    return fine;
}
