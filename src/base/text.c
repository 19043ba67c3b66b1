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

void at_text_free(at_text *text)
{
    at_free(text->data);
    *text = (at_text){0};
}
