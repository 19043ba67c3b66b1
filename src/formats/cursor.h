/* Reading little-endian numbers from bytes of a file. Past the end everything is zero and `failed`
   stays set, so that a reader may look once after several reads. */
#ifndef AT_CURSOR_H
#define AT_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct at_cursor {
    const uint8_t *data;
    size_t size, at;
    bool failed;
} at_cursor;

static inline size_t at_cursor_left(const at_cursor *c)
{
    return c->failed ? 0 : c->size - c->at;
}

/* The next `count` bytes; NULL when there are not so many. */
static inline const uint8_t *at_cursor_take(at_cursor *c, uint64_t count)
{
    if (c->failed || count > c->size - c->at) {
        c->failed = true;
        return NULL;
    }
    const uint8_t *bytes = c->data + c->at;
    c->at += (size_t)count;
    return bytes;
}

static inline uint64_t at_cursor_number(at_cursor *c, int bytes)
{
    const uint8_t *p = at_cursor_take(c, (uint64_t)bytes);
    uint64_t value = 0;
    for (int i = bytes - 1; p && i >= 0; i--) value = value << 8 | p[i];
    return value;
}

#endif
