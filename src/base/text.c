#include "base/text.h"
#include <stdio.h>
#include <string.h>

void at_text_add(at_context *cx, at_text *text, const void *bytes, size_t size)
{
    if (size >= text->capacity - text->size || !text->data) {
        size_t wanted = text->size + size + 1;
        if (wanted < size) return;
        size_t capacity = AT_MAX(wanted, text->capacity * 2);
        char *data = at_resize(cx, text->data, AT_MAX(capacity, 64), 1);
        if (!data) return;
        text->data = data;
        text->capacity = AT_MAX(capacity, 64);
    }
    if (size) memcpy(text->data + text->size, bytes, size);
    text->size += size;
    text->data[text->size] = 0;
}

void at_text_print(at_context *cx, at_text *text, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int size = vsnprintf(NULL, 0, format, arguments);
    char *line = size < 0 ? NULL : at_alloc(cx, (size_t)size + 1, 1);
    if (line) {
        vsnprintf(line, (size_t)size + 1, format, again);
        at_text_add(cx, text, line, (size_t)size);
        at_free(line);
    }
    va_end(again);
    va_end(arguments);
}

void at_text_add_quoted(at_context *cx, at_text *text, const char *string)
{
    static const char letters[] = "btn?fr"; /* for 8 to 13 */
    at_text_add(cx, text, "\"", 1);
    for (const char *c = string; *c; c++) {
        unsigned char u = (unsigned char)*c;
        if (u == '"' || u == '\\')
            at_text_print(cx, text, "\\%c", u);
        else if (u >= 8 && u <= 13 && u != 11)
            at_text_print(cx, text, "\\%c", letters[u - 8]);
        else if (u < 0x20)
            at_text_print(cx, text, "\\u%04x", u);
        else
            at_text_add(cx, text, c, 1);
    }
    at_text_add(cx, text, "\"", 1);
}

void at_text_free(at_text *text)
{
    at_free(text->data);
    *text = (at_text){0};
}

int at_text_order(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

bool at_ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

bool at_has_suffix(const char *text, const char *suffix)
{
    return at_ends_with(text, suffix) && strlen(text) > strlen(suffix);
}
