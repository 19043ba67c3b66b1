#include "text/byte_level.h"
#include "text/unicode.h"

static bool shows_itself(int byte)
{
    return (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

/* The bytes without a printable character of their own, in order: 0-32, 127-160, 173. */
static int32_t character_of(int byte)
{
    if (shows_itself(byte)) return byte;
    return 0x100 + (byte <= 32 ? byte : byte <= 160 ? byte - 127 + 33 : 67);
}

void at_bytes_show(at_context *cx, const char *bytes, size_t size, at_text *out)
{
    for (size_t i = 0; i < size && !at_failed(cx); i++)
        at_utf8_add(cx, out, character_of((unsigned char)bytes[i]));
}

int at_bytes_hidden(int32_t c)
{
    if (c < 0x100) return c >= 0 && shows_itself(c) ? c : -1;
    c -= 0x100;
    if (c <= 32) return c;
    if (c < 67) return c - 33 + 127;
    return c == 67 ? 173 : -1;
}
