#include "formats/image.h"

#ifdef AT_HAVE_JPEG

#include <limits.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jerror.h>
#include <jpeglib.h>

enum { QUALITY = 95, MOST_SCANS = 500, MARKER_LIMIT = 65533, EXIF_MARKER = JPEG_APP0 + 1 };

/* All that a jump out of libjpeg must not lose. The error manager comes first: libjpeg gives back a
   pointer to it. */
typedef struct coder {
    struct jpeg_error_mgr errors;
    jmp_buf jump;
    at_context *cx;
    const char *what;
    at_image *image;
    uint8_t *row; /* of CMYK */
    unsigned char *out;
    unsigned long out_size;
} coder;

static _Noreturn void on_error(j_common_ptr jpeg)
{
    coder *c = (coder *)jpeg->err;
    char message[JMSG_LENGTH_MAX];
    c->errors.format_message(jpeg, message);
    bool memory =
        c->errors.msg_code == JERR_OUT_OF_MEMORY || c->errors.msg_code == JERR_NO_BACKING_STORE;
    at_fail(c->cx, memory ? AT_ERROR_MEMORY : AT_ERROR_FORMAT, "%s: %s (%s)", c->what,
            memory ? "not enough memory" : "damaged or not supported", message);
    longjmp(c->jump, 1);
}

/* Warnings are negative. Files with stray bytes are common and fine; a missing end is not. */
static void on_message(j_common_ptr jpeg, int level)
{
    coder *c = (coder *)jpeg->err;
    if (level >= 0) return;
    if (c->errors.msg_code == JWRN_JPEG_EOF) {
        at_fail(c->cx, AT_ERROR_FORMAT, "%s: the file is cut short", c->what);
        longjmp(c->jump, 1);
    }
    char message[JMSG_LENGTH_MAX];
    c->errors.format_message(jpeg, message);
    if (!c->errors.num_warnings++) at_log(c->cx, AT_LOG_WARNING, "%s: %s", c->what, message);
}

/* A small progressive file can ask for thousands of passes over a large picture. */
static void on_progress(j_common_ptr jpeg)
{
    coder *c = (coder *)jpeg->err;
    if (!at_ok(c->cx)) longjmp(c->jump, 1);
    if (!jpeg->is_decompressor || ((j_decompress_ptr)jpeg)->input_scan_number <= MOST_SCANS) return;
    at_fail(c->cx, AT_ERROR_FORMAT, "%s: more than %d scans", c->what, MOST_SCANS);
    longjmp(c->jump, 1);
}

static struct jpeg_error_mgr *prepare_errors(coder *c)
{
    jpeg_std_error(&c->errors);
    c->errors.error_exit = on_error;
    c->errors.emit_message = on_message;
    return &c->errors;
}

/* ---- reading */

/* Adobe stores 255 - ink, others are so rare that PIL takes all files as Adobe's. */
static void rgb_of_cmyk(const uint8_t *in, uint8_t *out, int width)
{
    for (int x = 0; x < width; x++, in += 4, out += 3)
        for (int i = 0; i < 3; i++) {
            int t = (255 - in[i]) * in[3] + 128; /* rounded division by 255 */
            out[i] = (uint8_t)(in[3] - ((t + (t >> 8)) >> 8));
        }
}

static void read_pixels(coder *c, j_decompress_ptr jpeg)
{
    bool cmyk = jpeg->out_color_space == JCS_CMYK;
    while (jpeg->output_scanline < jpeg->output_height) {
        uint8_t *to = (uint8_t *)c->image->pixels + jpeg->output_scanline * at_image_row(c->image);
        JSAMPROW row = cmyk ? c->row : to;
        jpeg_read_scanlines(jpeg, &row, 1);
        if (cmyk) rgb_of_cmyk(c->row, to, c->image->width);
    }
}

static bool decode(coder *c, j_decompress_ptr jpeg, const uint8_t *data, size_t size)
{
    struct jpeg_progress_mgr progress = {.progress_monitor = on_progress};
    if (setjmp(c->jump)) return false;
    jpeg_create_decompress(jpeg);
    if (c->cx->options.memory_budget)
        jpeg->mem->max_memory_to_use = (long)AT_MIN(c->cx->options.memory_budget, (size_t)LONG_MAX);
    jpeg->progress = &progress;
    jpeg_mem_src(jpeg, data, (unsigned long)size);
    jpeg_save_markers(jpeg, EXIF_MARKER, 0xffff);
    jpeg_read_header(jpeg, TRUE);
    int channels = jpeg->num_components == 1 ? 1 : 3;
    if (jpeg->num_components != 1 && jpeg->num_components != 4) jpeg->out_color_space = JCS_RGB;
    if (jpeg->num_components == 4) jpeg->out_color_space = JCS_CMYK;
    c->image =
        at_image_make(c->cx, c->what, (int)jpeg->image_width, (int)jpeg->image_height, channels, 8);
    c->row = c->image ? at_alloc(c->cx, jpeg->image_width, 4) : NULL;
    if (!c->row) return false;
    jpeg_start_decompress(jpeg);
    read_pixels(c, jpeg);
    jpeg_saved_marker_ptr m = jpeg->marker_list;
    while (m && (m->data_length < 6 || memcmp(m->data, "Exif\0\0", 6) != 0)) m = m->next;
    if (m && !at_exif_read(c->image, m->data, m->data_length)) return false;
    jpeg_finish_decompress(jpeg);
    return true;
}

at_image *at_jpeg_decode(at_context *cx, const uint8_t *data, size_t size, const char *what)
{
    coder c = {.cx = cx, .what = what};
    struct jpeg_decompress_struct jpeg = {.err = prepare_errors(&c)};
    bool fine = decode(&c, &jpeg, data, size);
    jpeg_destroy_decompress(&jpeg);
    at_free(c.row);
    if (fine) return c.image;
    at_image_free(c.image);
    return NULL;
}

/* ---- writing */

static void write_exif(coder *c, j_compress_ptr jpeg, const at_text *exif)
{
    if (!exif->size) return;
    if (exif->size + 6 > MARKER_LIMIT) {
        at_log(c->cx, AT_LOG_WARNING,
               "%s: the settings are too long for a JPEG file and were left out", c->what);
        return;
    }
    jpeg_write_m_header(jpeg, EXIF_MARKER, (unsigned)exif->size + 6);
    for (int i = 0; i < 6; i++) jpeg_write_m_byte(jpeg, "Exif\0\0"[i]);
    for (size_t i = 0; i < exif->size; i++) jpeg_write_m_byte(jpeg, (uint8_t)exif->data[i]);
}

static bool encode(coder *c, j_compress_ptr jpeg, const at_text *exif)
{
    if (setjmp(c->jump)) return false;
    jpeg_create_compress(jpeg);
    jpeg_mem_dest(jpeg, &c->out, &c->out_size);
    jpeg->image_width = (JDIMENSION)c->image->width;
    jpeg->image_height = (JDIMENSION)c->image->height;
    jpeg->input_components = c->image->channels;
    jpeg->in_color_space = c->image->channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_set_defaults(jpeg);
    jpeg_set_quality(jpeg, QUALITY, TRUE);
    jpeg->comp_info[0].h_samp_factor = jpeg->comp_info[0].v_samp_factor = 1; /* 4:4:4 */
    jpeg_start_compress(jpeg, TRUE);
    write_exif(c, jpeg, exif);
    while (jpeg->next_scanline < jpeg->image_height) {
        JSAMPROW row = (uint8_t *)c->image->pixels + jpeg->next_scanline * at_image_row(c->image);
        jpeg_write_scanlines(jpeg, &row, 1);
    }
    jpeg_finish_compress(jpeg);
    return true;
}

bool at_jpeg_encode(at_context *cx, const at_image *image, const char *what, at_text *out)
{
    if (image->channels % 2 == 0)
        return at_fail_false(cx, AT_ERROR_UNSUPPORTED,
                             "%s: JPEG has no transparency (use .png or .webp)", what);
    if (image->width > JPEG_MAX_DIMENSION || image->height > JPEG_MAX_DIMENSION)
        return at_fail_false(cx, AT_ERROR_UNSUPPORTED,
                             "%s: JPEG holds at most %ld x %ld pixels (use .png)", what,
                             JPEG_MAX_DIMENSION, JPEG_MAX_DIMENSION);
    coder c = {.cx = cx, .what = what, .image = at_image_convert(image, image->channels, 8)};
    struct jpeg_compress_struct jpeg = {.err = prepare_errors(&c)};
    at_text exif = {0};
    at_exif_write(image, &exif);
    bool fine = c.image && at_ok(cx) && encode(&c, &jpeg, &exif);
    jpeg_destroy_compress(&jpeg);
    if (fine) at_text_add(cx, out, c.out, c.out_size);
    free(c.out);
    at_text_free(&exif);
    at_image_free(c.image);
    return fine && at_ok(cx);
}

#else

at_image *at_jpeg_decode(at_context *cx, const uint8_t *data, size_t size, const char *what)
{
    (void)data, (void)size;
    return at_fail(cx, AT_ERROR_UNSUPPORTED, "%s: this build of atelier is without JPEG (libjpeg)",
                   what);
}

bool at_jpeg_encode(at_context *cx, const at_image *image, const char *what, at_text *out)
{
    (void)image, (void)out;
    return at_fail_false(cx, AT_ERROR_UNSUPPORTED,
                         "%s: this build of atelier is without JPEG (libjpeg)", what);
}

#endif
