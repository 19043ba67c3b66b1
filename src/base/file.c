#include "base/file.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Opens a regular file for reading and gives its size; -1 with the error kept. */
static int open_regular(at_context *cx, const char *path, size_t *size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not block */
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        at_fail(cx, AT_ERROR_FILE, "%s: %s", path, strerror(errno));
    } else if (!S_ISREG(st.st_mode)) {
        at_fail(cx, AT_ERROR_FILE, "%s: not a regular file", path);
    } else {
        *size = (size_t)st.st_size;
        return fd;
    }
    if (fd >= 0) close(fd);
    return -1;
}

/* Takes over `data`, which is mmap's. */
static at_mapping *mapping_of(at_context *cx, const char *path, void *data, size_t size)
{
    at_mapping *mapping = data == MAP_FAILED ? NULL : AT_NEW(cx, at_mapping);
    char *name = mapping ? at_copy_text(cx, path) : NULL;
    if (!name) {
        if (data != MAP_FAILED && data) munmap(data, size);
        at_free(mapping);
        return NULL;
    }
    mapping->data = data;
    mapping->size = size;
    mapping->path = name;
    atomic_init(&mapping->references, 1);
    return mapping;
}

at_mapping *at_mapping_open(at_context *cx, const char *path)
{
    if (!at_ok(cx)) return NULL;
    size_t size;
    int fd = open_regular(cx, path, &size);
    if (fd < 0) return NULL;
    void *data = size ? mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;
    close(fd);
    if (data == MAP_FAILED)
        at_fail(cx, AT_ERROR_FILE, "%s: cannot be mapped: %s", path, strerror(errno));
    at_mapping *mapping = mapping_of(cx, path, data, size);
    if (mapping) mapping->is_file = true;
    return mapping;
}

at_mapping *at_mapping_new(at_context *cx, const char *path, size_t size, uint8_t **data)
{
    if (!at_ok(cx)) return NULL;
    bool room = !at_available_memory() || size < at_available_memory();
    void *memory =
        size && room ? mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
                     : NULL;
    if (memory == MAP_FAILED || !room)
        return at_fail(cx, AT_ERROR_MEMORY, "%s: no memory for %zu bytes of it", path, size);
    *data = memory;
    return mapping_of(cx, path, memory, size);
}

at_mapping *at_mapping_keep(at_mapping *mapping)
{
    if (mapping) atomic_fetch_add(&mapping->references, 1);
    return mapping;
}

void at_mapping_release(at_mapping *mapping)
{
    if (!mapping || atomic_fetch_sub(&mapping->references, 1) != 1) return;
    if (mapping->data) munmap((void *)(uintptr_t)mapping->data, mapping->size);
    at_free(mapping->path);
    at_free(mapping);
}

void at_mapping_forget(const at_mapping *mapping, size_t offset, size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), end = (offset + size) / page * page;
    offset = (offset + page - 1) / page * page;
    if (mapping->is_file && offset < end)
        madvise((void *)(uintptr_t)(mapping->data + offset), end - offset, MADV_DONTNEED);
}

char *at_file_read(at_context *cx, const char *path, size_t limit, size_t *size)
{
    if (!at_ok(cx)) return NULL;
    size_t total = 0, got = 0;
    int fd = open_regular(cx, path, &total);
    if (fd < 0) return NULL;
    char *data = NULL;
    if (total > limit)
        at_fail(cx, AT_ERROR_FORMAT, "%s: %zu bytes is too large (at most %zu)", path, total,
                limit);
    else
        data = at_alloc(cx, total + 1, 1);
    while (data && got < total) {
        ssize_t n = read(fd, data + got, total - got);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            at_fail(cx, AT_ERROR_FILE, "%s: cannot be read: %s", path,
                    n ? strerror(errno) : "it shrank");
            at_free(data);
            data = NULL;
            break;
        }
        got += (size_t)n;
    }
    close(fd);
    if (data && size) *size = total;
    return data;
}

struct at_file_writer {
    int fd;
    char *path;
    char *temporary; /* NULL for a device or a pipe, which is written as it is */
};

/* A device, a pipe or a socket: a file renamed over it would put an end to it. */
static bool is_special(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode);
}

at_file_writer *at_file_writer_open(at_context *cx, const char *path)
{
    if (!at_ok(cx)) return NULL;
    at_file_writer *writer = AT_NEW(cx, at_file_writer);
    if (!writer) return NULL;
    writer->fd = -1;
    writer->path = at_copy_text(cx, path);
    bool special = is_special(path);
    if (!special) writer->temporary = at_format(cx, "%s.part-%ld", path, (long)getpid());
    if (writer->path && (special || writer->temporary)) {
        writer->fd = open(special ? path : writer->temporary,
                          O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
        if (writer->fd >= 0) return writer;
        at_fail(cx, AT_ERROR_FILE, "%s: cannot be written: %s", path, strerror(errno));
        at_free(writer->temporary); /* not ours to remove */
        writer->temporary = NULL;
    }
    at_file_writer_abandon(writer);
    return NULL;
}

bool at_file_writer_write(at_context *cx, at_file_writer *writer, const void *data, size_t size)
{
    if (!writer || !at_ok(cx)) return false;
    for (const char *at = data; size;) {
        ssize_t n = write(writer->fd, at, size);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0)
            return at_fail_false(cx, AT_ERROR_FILE, "%s: cannot be written: %s", writer->path,
                                 strerror(errno));
        at += n;
        size -= (size_t)n;
    }
    return true;
}

int at_file_writer_descriptor(const at_file_writer *writer)
{
    return writer->fd;
}

bool at_file_writer_commit(at_context *cx, at_file_writer *writer)
{
    if (!writer) return false;
    int fd = writer->fd;
    bool fine = at_ok(cx);
    writer->fd = -1;
    if (close(fd) != 0 && fine)
        fine = at_fail_false(cx, AT_ERROR_FILE, "%s: cannot be written: %s", writer->path,
                             strerror(errno));
    if (fine && writer->temporary && rename(writer->temporary, writer->path) != 0)
        fine = at_fail_false(cx, AT_ERROR_FILE, "%s: cannot be written: %s", writer->path,
                             strerror(errno));
    if (fine) {
        at_free(writer->temporary);
        writer->temporary = NULL;
    }
    at_file_writer_abandon(writer);
    return fine;
}

void at_file_writer_abandon(at_file_writer *writer)
{
    if (!writer) return;
    if (writer->fd >= 0) close(writer->fd);
    if (writer->temporary) unlink(writer->temporary);
    at_free(writer->temporary);
    at_free(writer->path);
    at_free(writer);
}

bool at_file_write(at_context *cx, const char *path, const void *data, size_t size)
{
    at_file_writer *writer = at_file_writer_open(cx, path);
    return writer &&
           (at_file_writer_write(cx, writer, data, size), at_file_writer_commit(cx, writer));
}

bool at_file_copy(at_context *cx, const char *from, const char *to)
{
    at_mapping *file = at_mapping_open(cx, from);
    bool fine = file && at_file_write(cx, to, file->data, file->size);
    at_mapping_release(file);
    return fine;
}

bool at_file_exists(const char *path)
{
    struct stat st;
    return path && stat(path, &st) == 0 && !S_ISDIR(st.st_mode);
}

bool at_file_exists_in(at_context *cx, const char *folder, const char *name)
{
    char *path = at_path_join(cx, folder, name);
    bool there = at_file_exists(path);
    at_free(path);
    return there;
}

bool at_folder_exists(const char *path)
{
    struct stat st;
    return path && stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

char *at_path_join(at_context *cx, const char *folder, const char *name)
{
    size_t n = strlen(folder);
    return at_format(cx, n && folder[n - 1] == '/' ? "%s%s" : "%s/%s", folder, name);
}
