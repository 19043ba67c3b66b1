#include "text/unicode.h"
#include "text/unicode_classes.h"
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

size_t at_utf8_size(unsigned char first)
{
    return first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

int32_t at_utf8_next(const char *text, size_t *size)
{
    const unsigned char *t = (const unsigned char *)text;
    *size = at_utf8_size(t[0]);
    switch (*size) {
    case 1:
        return t[0];
    case 2:
        return (t[0] & 0x1f) << 6 | (t[1] & 0x3f);
    case 3:
        return (t[0] & 0x0f) << 12 | (t[1] & 0x3f) << 6 | (t[2] & 0x3f);
    default:
        return (t[0] & 0x07) << 18 | (t[1] & 0x3f) << 12 | (t[2] & 0x3f) << 6 | (t[3] & 0x3f);
    }
}

size_t at_utf8_last(const char *text, size_t size)
{
    size_t n = 1;
    while (n < size && ((unsigned char)text[size - n] & 0xc0) == 0x80) n++;
    return n;
}

void at_utf8_add(at_context *cx, at_text *text, int32_t character)
{
    utf8proc_uint8_t bytes[4];
    utf8proc_ssize_t n = utf8proc_encode_char(character, bytes);
    at_text_add(cx, text, bytes, n > 0 ? (size_t)n : 0);
}

size_t at_utf8_count(const char *text, size_t size)
{
    size_t count = 0;
    for (size_t i = 0; i < size; i++) count += ((unsigned char)text[i] & 0xc0) != 0x80;
    return count;
}

/* Bytes of the valid character at t, or minus the length of the maximal invalid part there (table
   3-7 of the Unicode standard). */
static int sequence_at(const unsigned char *t, size_t size)
{
    unsigned char low = 0x80, high = 0xbf; /* what the second byte may be */
    int need;
    if (t[0] < 0x80) return 1;
    if (t[0] < 0xc2 || t[0] > 0xf4) return -1;
    need = t[0] < 0xe0 ? 1 : t[0] < 0xf0 ? 2 : 3;
    if (t[0] == 0xe0) low = 0xa0;
    if (t[0] == 0xed) high = 0x9f;
    if (t[0] == 0xf0) low = 0x90;
    if (t[0] == 0xf4) high = 0x8f;
    for (int i = 1; i <= need; i++) {
        if ((size_t)i >= size || t[i] < low || t[i] > high) return -i;
        low = 0x80;
        high = 0xbf;
    }
    return need + 1;
}

size_t at_utf8_invalid(const char *text, size_t size)
{
    size_t bytes = 0;
    for (size_t i = 0; i < size;) {
        int n = sequence_at((const unsigned char *)text + i, size - i);
        if (n < 0) bytes += (size_t)-n;
        i += (size_t)abs(n);
    }
    return bytes;
}

bool at_utf8_valid(const char *text, size_t size)
{
    return at_utf8_invalid(text, size) == 0;
}

void at_utf8_repair(at_context *cx, const char *text, size_t size, at_text *out)
{
    size_t start = 0;
    for (size_t i = 0; i < size;) {
        int n = sequence_at((const unsigned char *)text + i, size - i);
        if (n < 0) {
            at_text_add(cx, out, text + start, i - start);
            at_text_add(cx, out, "\xef\xbf\xbd", 3);
            start = i + (size_t)-n;
        }
        i += (size_t)abs(n);
    }
    at_text_add(cx, out, text + start, size - start);
}

bool at_is_space(int32_t c)
{
    return (c >= 0x09 && c <= 0x0d) || c == 0x20 || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
           c == 0x205f || c == 0x3000;
}

bool at_is_numeric(int32_t c)
{
    utf8proc_category_t k = utf8proc_category(c);
    return k == UTF8PROC_CATEGORY_ND || k == UTF8PROC_CATEGORY_NL || k == UTF8PROC_CATEGORY_NO;
}

bool at_is_word(int32_t c)
{
    switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_PC:
        return true;
    case UTF8PROC_CATEGORY_SO: /* Other_Alphabetic outside the marks */
        return (c >= 0x24b6 && c <= 0x24e9) || (c >= 0x1f130 && c <= 0x1f149) ||
               (c >= 0x1f150 && c <= 0x1f169) || (c >= 0x1f170 && c <= 0x1f189);
    default:
        return c == 0x200c || c == 0x200d; /* Join_Control */
    }
}

static bool is_in(const at_range *ranges, size_t count, int32_t c)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (c > ranges[middle].last)
            low = middle + 1;
        else if (c < ranges[middle].first)
            high = middle;
        else
            return true;
    }
    return false;
}

bool at_is_punctuation(int32_t c)
{
    return is_in(at_punctuation_ranges, at_punctuation_count, c);
}

bool at_is_nonspacing(int32_t c)
{
    return is_in(at_nonspacing_ranges, at_nonspacing_count, c);
}

bool at_is_combining(int32_t c)
{
    return is_in(at_combining_ranges, at_combining_count, c);
}

bool at_is_cleaned(int32_t c)
{
    return is_in(at_cleaned_ranges, at_cleaned_count, c);
}

int at_lower(int32_t c, int32_t out[2])
{
    if (c == 0x130) return out[0] = 'i', out[1] = 0x307, 2; /* the only one that grows */
    out[0] = utf8proc_tolower(c);
    return 1;
}

typedef struct characters {
    int32_t *items;
    size_t count, capacity;
} characters;

/* Characters with a decomposition that Unicode got after version 11: the reference's tables
   (unicode_normalization_alignments) leave them alone. */
static bool is_too_new(int32_t c)
{
    static const int32_t ranges[][2] = {{0x32ff, 0x32ff},   {0xa7f1, 0xa7f4},   {0xab69, 0xab69},
                                        {0x105c9, 0x105c9}, {0x105e4, 0x105e4}, {0x10781, 0x107ba},
                                        {0x11383, 0x113c8}, {0x11938, 0x11938}, {0x16121, 0x16128},
                                        {0x16d68, 0x16d6a}, {0x1ccd6, 0x1ccf9}, {0x1e030, 0x1e06d},
                                        {0x1f16c, 0x1f16c}, {0x1fbf0, 0x1fbf9}};
    if (c < ranges[0][0]) return false;
    for (size_t i = 0; i < AT_COUNT(ranges); i++)
        if (c >= ranges[i][0] && c <= ranges[i][1]) return true;
    return false;
}

static void decompose(at_context *cx, characters *out, int32_t c, utf8proc_option_t options)
{
    enum { LONGEST = 32 }; /* a compatibility decomposition has at most 18 characters */
    if (out->capacity - out->count < LONGEST) {
        size_t capacity = out->capacity * 2 + 256;
        int32_t *items = at_resize(cx, out->items, capacity, sizeof *items);
        if (!items) return;
        out->items = items;
        out->capacity = capacity;
    }
    int boundary = 0;
    if (is_too_new(c)) {
        out->items[out->count++] = c;
        return;
    }
    utf8proc_ssize_t n =
        utf8proc_decompose_char(c, out->items + out->count, LONGEST, options, &boundary);
    if (n > 0 && n <= LONGEST) out->count += (size_t)n;
}

static int combining_class(int32_t c)
{
    return c < 0x300 ? 0 : utf8proc_get_property(c)->combining_class;
}

/* Stable, by combining class; counts classes, so that a long run of marks stays linear. */
static void order_marks(int32_t *run, size_t count, int32_t *scratch)
{
    size_t start[257] = {0};
    for (size_t i = 0; i < count; i++) start[combining_class(run[i]) + 1]++;
    for (int k = 0; k < 256; k++) start[k + 1] += start[k];
    for (size_t i = 0; i < count; i++) scratch[start[combining_class(run[i])]++] = run[i];
    memcpy(run, scratch, count * sizeof *run);
}

static void order_all(at_context *cx, characters *text)
{
    int32_t *scratch = NULL;
    for (size_t i = 0; i < text->count;) {
        size_t end = i;
        while (end < text->count && combining_class(text->items[end]) != 0) end++;
        if (end - i > 1) {
            if (!scratch) scratch = AT_NEW_ARRAY(cx, int32_t, text->count);
            if (!scratch) return;
            order_marks(text->items + i, end - i, scratch);
        }
        i = AT_MAX(end, i + 1);
    }
    at_free(scratch);
}

static bool all_ascii(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)text[i] >= 0x80) return false;
    return true;
}

void at_unicode_form(at_context *cx, at_form form, const char *text, size_t size, at_text *out)
{
    if (all_ascii(text, size)) {
        at_text_add(cx, out, text, size);
        return;
    }
    bool compose = form == AT_NFC || form == AT_NFKC;
    bool compatible = form == AT_NFKC || form == AT_NFKD;
    utf8proc_option_t options = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE;
    if (compatible) options |= UTF8PROC_COMPAT;
    characters all = {0};
    for (size_t i = 0, n; i < size && !at_failed(cx); i += n)
        decompose(cx, &all, at_utf8_next(text + i, &n), options);
    order_all(cx, &all);
    utf8proc_ssize_t count = (utf8proc_ssize_t)all.count;
    if (compose && !at_failed(cx))
        count = utf8proc_normalize_utf32(all.items, count, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    for (utf8proc_ssize_t i = 0; i < count && !at_failed(cx); i++)
        at_utf8_add(cx, out, all.items[i]);
    at_free(all.items);
}

size_t at_grapheme_end(const char *text, size_t size, size_t start)
{
    size_t n;
    utf8proc_int32_t state = 0;
    int32_t previous = at_utf8_next(text + start, &n);
    size_t end = start + n;
    while (end < size) {
        int32_t c = at_utf8_next(text + end, &n);
        if (utf8proc_grapheme_break_stateful(previous, c, &state)) break;
        previous = c;
        end += n;
    }
    return end;
}
