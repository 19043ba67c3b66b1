#include "base/base.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool at_allocation_fails(at_context *cx)
{
    return cx && cx->fail_allocation_in > 0 && --cx->fail_allocation_in == 0;
}

void *at_alloc(at_context *cx, size_t count, size_t size)
{
    bool fits = size == 0 || count <= SIZE_MAX / size;
    void *memory =
        !fits || at_allocation_fails(cx) ? NULL : calloc(count ? count : 1, size ? size : 1);
    return memory ? memory
                  : at_fail(cx, AT_ERROR_MEMORY, "out of memory: %zu x %zu bytes", count, size);
}

void *at_resize(at_context *cx, void *old, size_t count, size_t size)
{
    size_t bytes = 0;
    bool fits = !__builtin_mul_overflow(count, size, &bytes) && !at_allocation_fails(cx);
    void *memory = fits ? realloc(old, AT_MAX(bytes, 1)) : NULL;
    return memory ? memory
                  : at_fail(cx, AT_ERROR_MEMORY, "out of memory: %zu x %zu bytes", count, size);
}

void at_free(void *memory)
{
    free(memory);
}

char *at_copy_text(at_context *cx, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = at_alloc(cx, size, 1);
    return copy ? memcpy(copy, text, size) : NULL;
}

char *at_format(at_context *cx, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int size = vsnprintf(NULL, 0, format, arguments);
    char *text = size < 0 ? NULL : at_alloc(cx, (size_t)size + 1, 1);
    if (text) vsnprintf(text, (size_t)size + 1, format, again);
    va_end(again);
    va_end(arguments);
    return text;
}

bool at_mul_size(int64_t a, int64_t b, int64_t *out)
{
    return a >= 0 && b >= 0 && !__builtin_mul_overflow(a, b, out);
}

bool at_add_size(int64_t a, int64_t b, int64_t *out)
{
    return a >= 0 && b >= 0 && !__builtin_add_overflow(a, b, out);
}

static size_t read_limit(const char *path)
{
    unsigned long long bytes = 0;
    FILE *f = fopen(path, "re");
    if (!f) return 0;
    if (fscanf(f, "%llu", &bytes) != 1) bytes = 0; /* "max" */
    fclose(f);
    return (size_t)bytes;
}

size_t at_available_memory(void)
{
    static const char *const limits[] = {"/sys/fs/cgroup/memory.max",
                                         "/sys/fs/cgroup/memory/memory.limit_in_bytes"};
    char line[128];
    unsigned long long kilobytes = 0;
    FILE *f = fopen("/proc/meminfo", "re");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "MemAvailable: %llu", &kilobytes) == 1) break;
    if (f) fclose(f);
    size_t bytes = (size_t)kilobytes * 1024;
    for (size_t i = 0; i < AT_COUNT(limits); i++) {
        size_t limit = read_limit(limits[i]);
        if (limit && (!bytes || limit < bytes)) bytes = limit;
    }
    return bytes;
}
