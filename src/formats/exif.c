#include "base/json.h"
#include "formats/image.h"
#include <string.h>
#include <utf8proc.h>

/* EXIF is a TIFF file: byte order, then lists of entries of 12 bytes (tag, type, count, value or
   offset). Two tags matter here: the orientation, and the UserComment in the list that another tag
   points to. (Exif 2.32, CIPA DC-008-2019.) */
enum { ORIENTATION = 0x0112, EXIF_LIST = 0x8769, USER_COMMENT = 0x9286, ENTRY = 12 };

typedef struct tiff {
    const uint8_t *data;
    size_t size;
    bool big; /* bytes' order: the most significant first */
} tiff;

static uint32_t number(const tiff *t, size_t at, int bytes)
{
    uint32_t value = 0;
    for (int i = 0; i < bytes; i++)
        value = value << 8 | t->data[at + (size_t)(t->big ? i : bytes - 1 - i)];
    return value;
}

/* The entry of a tag in the list at `list`; 0 when there is none. */
static size_t find_entry(const tiff *t, size_t list, unsigned tag)
{
    if (list < 8 || list > t->size || t->size - list < 2) return 0;
    size_t count = number(t, list, 2);
    for (size_t i = 0, at = list + 2; i < count && t->size - at >= ENTRY; i++, at += ENTRY)
        if (number(t, at, 2) == tag) return at;
    return 0;
}

/* ---- the comment's text */

static void add_character(at_context *cx, at_text *out, utf8proc_int32_t c)
{
    utf8proc_uint8_t bytes[4];
    if (!utf8proc_codepoint_valid(c)) c = 0xfffd;
    at_text_add(cx, out, bytes, (size_t)utf8proc_encode_char(c, bytes));
}

static void add_utf16(at_context *cx, at_text *out, const tiff *t, size_t at, size_t end)
{
    tiff order = *t;
    for (; end - at >= 2; at += 2) { /* byte order marks */
        if (number(&order, at, 2) == 0xfffe) order.big = !order.big;
        if (number(&order, at, 2) != 0xfeff) break;
    }
    for (; end - at >= 2; at += 2) {
        uint32_t c = number(&order, at, 2), low = end - at >= 4 ? number(&order, at + 2, 2) : 0;
        if (c >= 0xd800 && c < 0xdc00 && low >= 0xdc00 && low < 0xe000) {
            c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
            at += 2;
        }
        if (!c) return;
        add_character(cx, out, (utf8proc_int32_t)c);
    }
}

/* "parameters ..., atelier: "quoted JSON"" into its two texts. */
static void split_comment(at_image *image, char *comment)
{
    static const char field[] = "atelier: \"";
    char *last = NULL;
    for (char *at = comment; (at = strstr(at, field)); at++) last = at;
    cJSON *settings = last ? cJSON_ParseWithOpts(last + sizeof field - 2, NULL, true) : NULL;
    if (cJSON_IsString(settings) && last == comment) {
        *comment = 0;
    } else if (cJSON_IsString(settings) && last - comment > 2 && memcmp(last - 2, ", ", 2) == 0) {
        last[-2] = 0;
    } else {
        cJSON_Delete(settings);
        settings = NULL;
    }
    if (comment[0]) at_image_set_text(image, "parameters", comment);
    if (settings) at_image_set_text(image, "atelier", settings->valuestring);
    cJSON_Delete(settings);
}

static void read_comment(at_image *image, const tiff *t, size_t entry)
{
    size_t size = number(t, entry + 4, 4), at = number(t, entry + 8, 4);
    if (size <= 8 || at > t->size || size > t->size - at) return;
    at_text comment = {0};
    if (memcmp(t->data + at, "UNICODE\0", 8) == 0)
        add_utf16(image->cx, &comment, t, at + 8, at + size);
    else if (memcmp(t->data + at, "ASCII\0\0\0", 8) == 0)
        at_text_add(image->cx, &comment, t->data + at + 8, size - 8);
    if (comment.data) split_comment(image, comment.data);
    at_text_free(&comment);
}

bool at_exif_read(at_image *image, const uint8_t *data, size_t size)
{
    if (size >= 6 && memcmp(data, "Exif\0\0", 6) == 0) data += 6, size -= 6;
    if (size < 8) return true;
    tiff t = {data, size, data[0] == 'M'};
    if (memcmp(data, t.big ? "MM\0*" : "II*\0", 4) != 0) return true;
    size_t list = number(&t, 4, 4), orientation = find_entry(&t, list, ORIENTATION);
    size_t inner = find_entry(&t, list, EXIF_LIST);
    size_t comment = inner ? find_entry(&t, number(&t, inner + 8, 4), USER_COMMENT) : 0;
    if (comment) read_comment(image, &t, comment);
    return at_ok(image->cx) &&
           at_image_orient(image, orientation ? (int)number(&t, orientation + 8, 2) : 1);
}

/* ---- writing, as piexif does, which A1111 uses */

static void put(at_context *cx, at_text *out, uint32_t value, int bytes)
{
    for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8)
        at_text_add(cx, out, &(uint8_t){(uint8_t)(value >> shift)}, 1);
}

static void put_entry(at_context *cx, at_text *out, uint32_t tag, uint32_t type, uint32_t count,
                      uint32_t value)
{
    put(cx, out, tag, 2);
    put(cx, out, type, 2);
    put(cx, out, count, 4);
    put(cx, out, value, 4);
}

static void put_utf16(at_context *cx, at_text *out, const char *text)
{
    const utf8proc_uint8_t *at = (const utf8proc_uint8_t *)text;
    while (*at) {
        utf8proc_int32_t c;
        utf8proc_ssize_t n = utf8proc_iterate(at, -1, &c);
        at += n > 0 ? n : 1;
        if (n <= 0) c = 0xfffd;
        if (c >= 0x10000) put(cx, out, 0xd800 + ((uint32_t)(c - 0x10000) >> 10), 2);
        put(cx, out, c >= 0x10000 ? 0xdc00 + ((uint32_t)c & 0x3ff) : (uint32_t)c, 2);
    }
}

void at_exif_write(const at_image *image, at_text *out)
{
    at_context *cx = image->cx;
    const char *parameters = at_image_text(image, "parameters");
    const char *settings = at_image_text(image, "atelier");
    at_text comment = {0}, utf16 = {0};
    if (parameters) at_text_print(cx, &comment, "%s", parameters);
    if (settings) {
        at_text_print(cx, &comment, "%satelier: ", parameters ? ", " : "");
        at_text_add_quoted(cx, &comment, settings);
    }
    if (comment.data && at_ok(cx)) {
        put_utf16(cx, &utf16, comment.data);
        at_text_add(cx, out, "MM\0*\0\0\0\10", 8);
        put(cx, out, 1, 2); /* at 8: one entry, then no further list */
        put_entry(cx, out, EXIF_LIST, 4, 1, 26);
        put(cx, out, 0, 4);
        put(cx, out, 1, 2); /* at 26 */
        put_entry(cx, out, USER_COMMENT, 7, (uint32_t)(8 + utf16.size), 44);
        put(cx, out, 0, 4);
        at_text_add(cx, out, "UNICODE\0", 8); /* at 44 */
        at_text_add(cx, out, utf16.data, utf16.size);
    }
    at_text_free(&comment);
    at_text_free(&utf16);
}
