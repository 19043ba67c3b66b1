#include "formats/zip.h"
#include "base/map.h"
#include "formats/cursor.h"
#include "formats/weight_file.h"
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum {
    END_BYTES = 22,       /* of the record that ends an archive, without its comment */
    LOCATOR_BYTES = 20,   /* of zip64, right before it */
    MEMBER_BYTES = 30,    /* of a member's own header, without name and extras */
    DIRECTORY_BYTES = 46, /* of an entry in the directory, likewise */
    MOST_COMMENT = 65535,
    MOST_GROWTH = 100,
    SMALL_ARCHIVE = 1 << 20, /* the growth of less than this is not looked at */
};

typedef struct reader {
    at_context *cx;
    at_zip *zip;
    const char *path;
} reader;

static bool damaged(const reader *r, const char *what)
{
    return at_fail_false(r->cx, AT_ERROR_FORMAT, "%s: a damaged zip archive (%s)", r->path, what);
}

static at_cursor cursor_at(const reader *r, uint64_t offset)
{
    const at_mapping *m = r->zip->file;
    bool inside = offset <= m->size;
    return (at_cursor){m->data, m->size, inside ? (size_t)offset : m->size, !inside};
}

/* ---- names */

/* A relative path of plain names. */
static bool name_is_safe(const char *name)
{
    if (!*name || *name == '/' || strchr(name, '\\') || strchr(name, ':')) return false;
    for (const char *part = name; part; part = strchr(part, '/')) {
        part += *part == '/';
        if (part[0] == '.' && part[1] == '.' && (part[2] == '/' || !part[2])) return false;
    }
    return true;
}

static bool check_name(reader *r, at_zip_member *m, const uint8_t *bytes, size_t size)
{
    int64_t other;
    if (!at_plain_text(bytes, size)) return damaged(r, "a member's name is not UTF-8");
    m->name = at_alloc(r->cx, size + 1, 1);
    if (!m->name) return false;
    memcpy(m->name, bytes, size);
    if (!name_is_safe(m->name))
        return at_fail_false(r->cx, AT_ERROR_FORMAT,
                             "%s: the member \"%.200s\" has an absolute or outside path", r->path,
                             m->name);
    if (at_map_get(r->zip->names, m->name, size, &other))
        return at_fail_false(r->cx, AT_ERROR_FORMAT, "%s: two members are called \"%.200s\"",
                             r->path, m->name);
    return at_map_set(r->cx, r->zip->names, m->name, size, m - r->zip->members);
}

/* ---- the directory */

/* Where a 32-bit field says "see zip64", the extra field 1 has the value, in this order. */
static bool read_zip64(reader *r, at_cursor extra, uint64_t *fields[3])
{
    while (at_cursor_left(&extra) >= 4) {
        uint64_t id = at_cursor_number(&extra, 2), size = at_cursor_number(&extra, 2);
        const uint8_t *data = at_cursor_take(&extra, size);
        if (!data || id != 1) continue;
        at_cursor values = {data, (size_t)size, 0, false};
        for (int i = 0; i < 3; i++)
            if (*fields[i] == UINT32_MAX) *fields[i] = at_cursor_number(&values, 8);
        return !values.failed || damaged(r, "its zip64 sizes are cut short");
    }
    return true;
}

/* The member's own header: its name must be the directory's; its data begins behind it. */
static bool find_data(reader *r, at_zip_member *m, uint64_t header)
{
    at_cursor c = cursor_at(r, header);
    const uint8_t *fixed = at_cursor_take(&c, MEMBER_BYTES);
    if (!fixed || memcmp(fixed, "PK\3\4", 4) != 0)
        return damaged(r, "a member is not where the directory says");
    size_t name_size = fixed[26] | (size_t)fixed[27] << 8;
    size_t extra_size = fixed[28] | (size_t)fixed[29] << 8;
    const uint8_t *name = at_cursor_take(&c, name_size);
    if (!name || name_size != strlen(m->name) || memcmp(name, m->name, name_size) != 0)
        return damaged(r, "a member's name is not the directory's");
    if (!at_cursor_take(&c, extra_size) || m->packed > at_cursor_left(&c))
        return damaged(r, "a member ends behind the file's end: is it cut short?");
    m->offset = c.at;
    return true;
}

static bool read_member(reader *r, at_cursor *directory, at_zip_member *m)
{
    const uint8_t *fixed = at_cursor_take(directory, DIRECTORY_BYTES);
    if (!fixed || memcmp(fixed, "PK\1\2", 4) != 0) return damaged(r, "its directory is cut short");
    at_cursor c = {fixed, DIRECTORY_BYTES, 8, false};
    uint64_t flags = at_cursor_number(&c, 2), method = at_cursor_number(&c, 2);
    at_cursor_number(&c, 4); /* time */
    m->crc = (uint32_t)at_cursor_number(&c, 4);
    uint64_t packed = at_cursor_number(&c, 4), size = at_cursor_number(&c, 4);
    uint64_t name_size = at_cursor_number(&c, 2), extra_size = at_cursor_number(&c, 2);
    uint64_t comment_size = at_cursor_number(&c, 2);
    at_cursor_number(&c, 8); /* disk and attributes */
    uint64_t header = at_cursor_number(&c, 4);
    const uint8_t *name = at_cursor_take(directory, name_size);
    const uint8_t *extra = at_cursor_take(directory, extra_size);
    if (!name || !extra || !at_cursor_take(directory, comment_size))
        return damaged(r, "its directory is cut short");
    if (!check_name(r, m, name, (size_t)name_size)) return false;
    if (!read_zip64(r, (at_cursor){extra, (size_t)extra_size, 0, false},
                    (uint64_t *[]){&size, &packed, &header}))
        return false;
    if (flags & 1)
        return at_fail_false(r->cx, AT_ERROR_UNSUPPORTED, "%s: an encrypted archive", r->path);
    if (method != 0 && method != 8)
        return at_fail_false(r->cx, AT_ERROR_UNSUPPORTED,
                             "%s: the member \"%.200s\" is packed by method %llu (store and "
                             "deflate are read)",
                             r->path, m->name, (unsigned long long)method);
    m->deflated = method == 8;
    m->packed = (size_t)packed;
    m->size = (size_t)size;
    if (!m->deflated && packed != size) return damaged(r, "a stored member has two sizes");
    return find_data(r, m, header);
}

/* ---- the end of the file, which says where the directory is */

static bool find_end(reader *r, uint64_t *at)
{
    const at_mapping *m = r->zip->file;
    size_t least = m->size > MOST_COMMENT + END_BYTES ? m->size - MOST_COMMENT - END_BYTES : 0;
    for (size_t i = m->size < END_BYTES ? 0 : m->size - END_BYTES + 1; i-- > least;) {
        const uint8_t *p = m->data + i;
        if (memcmp(p, "PK\5\6", 4) != 0) continue;
        if ((p[20] | (size_t)p[21] << 8) > m->size - END_BYTES - i) continue;
        *at = i;
        return true;
    }
    return damaged(r, "it has no directory: is the file cut short?");
}

static bool find_directory(reader *r, uint64_t *count, uint64_t *size, uint64_t *offset)
{
    uint64_t end;
    if (!find_end(r, &end)) return false;
    at_cursor c = cursor_at(r, end + 4);
    uint64_t disks = at_cursor_number(&c, 2) | at_cursor_number(&c, 2);
    at_cursor_number(&c, 2);
    *count = at_cursor_number(&c, 2);
    *size = at_cursor_number(&c, 4);
    *offset = at_cursor_number(&c, 4);
    if (*count == UINT16_MAX || *size == UINT32_MAX || *offset == UINT32_MAX) {
        c = cursor_at(r, end < LOCATOR_BYTES ? UINT64_MAX : end - LOCATOR_BYTES);
        const uint8_t *locator = at_cursor_take(&c, 8);
        if (!locator || memcmp(locator, "PK\6\7", 4) != 0)
            return damaged(r, "its zip64 directory is missing");
        c = cursor_at(r, at_cursor_number(&c, 8));
        const uint8_t *fixed = at_cursor_take(&c, 24);
        if (!fixed || memcmp(fixed, "PK\6\6", 4) != 0)
            return damaged(r, "its zip64 directory is missing");
        at_cursor_number(&c, 8);
        *count = at_cursor_number(&c, 8);
        *size = at_cursor_number(&c, 8);
        *offset = at_cursor_number(&c, 8);
        if (c.failed) return damaged(r, "its zip64 directory is missing");
    }
    if (disks && disks != UINT16_MAX)
        return at_fail_false(r->cx, AT_ERROR_UNSUPPORTED, "%s: an archive in several files",
                             r->path);
    return true;
}

/* ---- the whole */

static int by_offset(const void *a, const void *b)
{
    const at_zip_member *const *x = a, *const *y = b;
    return (*x)->offset < (*y)->offset ? -1 : (*x)->offset > (*y)->offset;
}

/* Members share no bytes (their headers may: data behind the next header is looked at), and do not
   unpack to absurd sizes. */
static bool check_sizes(reader *r)
{
    at_zip *z = r->zip;
    at_zip_member **order = AT_NEW_ARRAY(r->cx, at_zip_member *, z->count);
    bool fine = order != NULL;
    double unpacked = 0;
    for (int64_t i = 0; fine && i < z->count; i++) {
        order[i] = &z->members[i];
        if (z->members[i].deflated) unpacked += (double)z->members[i].size;
    }
    if (fine && z->count) qsort(order, (size_t)z->count, sizeof *order, by_offset);
    for (int64_t i = 1; fine && i < z->count; i++)
        if (order[i]->offset - MEMBER_BYTES < order[i - 1]->offset + order[i - 1]->packed)
            fine = at_fail_false(r->cx, AT_ERROR_FORMAT,
                                 "%s: the members \"%.200s\" and \"%.200s\" share bytes", r->path,
                                 order[i - 1]->name, order[i]->name);
    at_free(order);
    if (fine && unpacked > SMALL_ARCHIVE && unpacked / MOST_GROWTH > (double)z->file->size)
        fine = at_fail_false(r->cx, AT_ERROR_FORMAT,
                             "%s: %zu bytes that unpack to %.0f: refused as a zip bomb", r->path,
                             z->file->size, unpacked);
    return fine;
}

static bool read_archive(reader *r)
{
    uint64_t count, size, offset;
    if (!find_directory(r, &count, &size, &offset)) return false;
    at_cursor directory = cursor_at(r, offset);
    if (size > at_cursor_left(&directory) || count > size / DIRECTORY_BYTES)
        return damaged(r, "its directory is cut short");
    r->zip->members = AT_NEW_ARRAY(r->cx, at_zip_member, count);
    if (!r->zip->members) return false;
    for (uint64_t i = 0; i < count; i++)
        if (!read_member(r, &directory, &r->zip->members[r->zip->count++])) return false;
    return check_sizes(r);
}

at_zip *at_zip_open(at_context *cx, const char *path)
{
    at_zip *zip = at_ok(cx) ? AT_NEW(cx, at_zip) : NULL;
    if (!zip) return NULL;
    zip->file = at_mapping_open(cx, path);
    zip->names = at_map_new(cx);
    reader r = {cx, zip, path};
    if (zip->file && zip->names && read_archive(&r)) return zip;
    at_zip_free(zip);
    return NULL;
}

void at_zip_free(at_zip *zip)
{
    if (!zip) return;
    for (int64_t i = 0; i < zip->count; i++) {
        at_free(zip->members[i].name);
        at_mapping_release(zip->members[i].unpacked);
    }
    at_free(zip->members);
    at_map_free(zip->names);
    at_mapping_release(zip->file);
    at_free(zip);
}

at_zip_member *at_zip_find(const at_zip *zip, const char *name)
{
    int64_t i;
    return at_map_get(zip->names, name, strlen(name), &i) ? &zip->members[i] : NULL;
}

/* ---- deflated members */

/* zlib counts in 32 bits. */
static bool inflate_all(z_stream *z, size_t packed, size_t size)
{
    enum { MOST = 1 << 30 };
    int status = inflateInit2(z, -15);
    while (status == Z_OK) {
        uInt in = (uInt)AT_MIN(packed, (size_t)MOST), out = (uInt)AT_MIN(size, (size_t)MOST);
        z->avail_in = in;
        z->avail_out = out;
        status = inflate(z, Z_NO_FLUSH);
        packed -= in - z->avail_in;
        size -= out - z->avail_out;
        if (in == z->avail_in && out == z->avail_out) break;
    }
    inflateEnd(z);
    return status == Z_STREAM_END && size == 0;
}

static uint32_t crc_of(const uint8_t *data, size_t size)
{
    return (uint32_t)crc32_z(crc32_z(0, NULL, 0), data, size);
}

static at_mapping *unpack(at_context *cx, at_zip *zip, const at_zip_member *m)
{
    uint8_t *to;
    at_mapping *mapping = at_mapping_new(cx, zip->file->path, m->size, &to);
    if (!mapping) return NULL;
    z_stream z = {.next_in = (Bytef *)(uintptr_t)(zip->file->data + m->offset), .next_out = to};
    if (inflate_all(&z, m->packed, m->size) && crc_of(to, m->size) == m->crc) return mapping;
    at_mapping_release(mapping);
    return at_fail(cx, AT_ERROR_FORMAT, "%s: the member \"%.200s\" is damaged", zip->file->path,
                   m->name);
}

at_mapping *at_zip_data(at_context *cx, at_zip *zip, at_zip_member *member, size_t *offset)
{
    *offset = member->deflated ? 0 : member->offset;
    if (!member->deflated) return zip->file;
    if (!member->unpacked) member->unpacked = unpack(cx, zip, member);
    return member->unpacked;
}
