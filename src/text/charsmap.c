#include "text/charsmap.h"
#include "text/unicode.h"
#include <string.h>

struct at_charsmap {
    uint32_t *units;
    size_t unit_count;
    char *replacements;
    size_t replacement_size;
};

static uint32_t little_endian(const uint8_t *b)
{
    return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

at_charsmap *at_charsmap_new(at_context *cx, const void *data, size_t size, const char *what)
{
    if (!at_ok(cx)) return NULL;
    const uint8_t *bytes = data;
    size_t trie_size = size >= 4 ? little_endian(bytes) : 0;
    if (size < 4 || trie_size > size - 4 || trie_size % 4 != 0 ||
        !at_utf8_valid((const char *)bytes + 4 + trie_size, size - 4 - trie_size))
        return at_fail(cx, AT_ERROR_FORMAT, "%s: the precompiled charsmap is damaged", what);
    at_charsmap *map = AT_NEW(cx, at_charsmap);
    if (!map) return NULL;
    map->unit_count = trie_size / 4;
    map->replacement_size = size - 4 - trie_size;
    map->units = AT_NEW_ARRAY(cx, uint32_t, map->unit_count);
    map->replacements = at_alloc(cx, map->replacement_size + 1, 1);
    if (!map->units || !map->replacements) {
        at_charsmap_free(map);
        return NULL;
    }
    for (size_t i = 0; i < map->unit_count; i++) map->units[i] = little_endian(bytes + 4 + i * 4);
    memcpy(map->replacements, bytes + 4 + trie_size, map->replacement_size);
    return map;
}

void at_charsmap_free(at_charsmap *map)
{
    if (!map) return;
    at_free(map->units);
    at_free(map->replacements);
    at_free(map);
}

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

at_charsmap *at_charsmap_from_base64(at_context *cx, const char *text, const char *what)
{
    size_t length = strlen(text), size = 0;
    uint8_t *bytes = at_ok(cx) ? at_alloc(cx, length / 4 * 3 + 3, 1) : NULL;
    if (!bytes) return NULL;
    while (length && text[length - 1] == '=') length--;
    bool fine = length % 4 != 1;
    uint32_t group = 0;
    for (size_t i = 0; fine && i < length; i++) {
        int value = base64_value(text[i]);
        fine = value >= 0;
        group = group << 6 | (uint32_t)(value & 63);
        if (i % 4 == 0) continue; /* after 2, 3 and 4 digits one more byte is whole */
        unsigned left = 6 - 2 * (unsigned)(i % 4);
        bytes[size++] = (uint8_t)(group >> left);
    }
    at_charsmap *map = NULL;
    if (fine)
        map = at_charsmap_new(cx, bytes, size, what);
    else
        at_fail(cx, AT_ERROR_FORMAT, "%s: the precompiled charsmap is not base64", what);
    at_free(bytes);
    return map;
}

/* A unit of the double array (darts-clone): label, offset to the children, or a value. */
static bool has_leaf(uint32_t unit)
{
    return (unit >> 8 & 1) != 0;
}
static uint32_t value_of(uint32_t unit)
{
    return unit & 0x7fffffffu;
}
static uint32_t label_of(uint32_t unit)
{
    return unit & 0x800000ffu;
}
static uint32_t offset_of(uint32_t unit)
{
    return (unit >> 10) << ((unit & 0x200u) >> 6);
}

/* The replacement of the shortest prefix of key that the table has. */
static const char *replacement_of(const at_charsmap *map, const char *key, size_t size,
                                  size_t *replacement_size)
{
    if (map->unit_count == 0) return NULL;
    size_t at = offset_of(map->units[0]);
    for (size_t i = 0; i < size; i++) {
        unsigned char byte = (unsigned char)key[i];
        if (byte == 0) return NULL;
        at ^= byte;
        if (at >= map->unit_count || label_of(map->units[at]) != byte) return NULL;
        uint32_t unit = map->units[at];
        at ^= offset_of(unit);
        if (!has_leaf(unit)) continue;
        if (at >= map->unit_count) return NULL;
        size_t index = value_of(map->units[at]);
        if (index > map->replacement_size ||
            ((unsigned char)map->replacements[index] & 0xc0) == 0x80)
            return NULL;
        *replacement_size = strnlen(map->replacements + index, map->replacement_size - index);
        return map->replacements + index;
    }
    return NULL;
}

void at_charsmap_normalize(at_context *cx, const at_charsmap *map, const char *text, size_t size,
                           at_text *out)
{
    for (size_t start = 0, end; start < size && !at_failed(cx); start = end) {
        size_t n;
        end = at_grapheme_end(text, size, start);
        const char *replacement =
            end - start < 6 ? replacement_of(map, text + start, end - start, &n) : NULL;
        if (replacement) {
            at_text_add(cx, out, replacement, n);
            continue;
        }
        for (size_t i = start, bytes; i < end; i += bytes) {
            bytes = at_utf8_size((unsigned char)text[i]);
            replacement = replacement_of(map, text + i, bytes, &n);
            if (replacement)
                at_text_add(cx, out, replacement, n);
            else
                at_text_add(cx, out, text + i, bytes);
        }
    }
}
