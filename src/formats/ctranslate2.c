#include "formats/ctranslate2.h"
#include "base/map.h"
#include "base/text.h"
#include "formats/cursor.h"
#include <stdio.h>
#include <string.h>

enum {
    VERSION = 6,
    LEAST_VARIABLE = 9, /* bytes that describe one: the name's length, rank, type, size, ... */
};

static const at_dtype types[] = {AT_F32, AT_I8, AT_I16, AT_I32, AT_F16, AT_BF16};

typedef struct reader {
    at_context *cx;
    at_weight_file *file;
    const char *path;
    at_cursor cursor;
} reader;

bool at_ctranslate2_is(const at_mapping *mapping)
{
    at_cursor c = {mapping->data, mapping->size, 0, false};
    uint64_t version = at_cursor_number(&c, 4), size = at_cursor_number(&c, 2);
    const uint8_t *name = size > 4 && size < 64 ? at_cursor_take(&c, size) : NULL;
    return name && version < 100 && memcmp(name + size - 5, "Spec", 5) == 0;
}

static bool cut_short(reader *r)
{
    return at_fail_false(r->cx, AT_ERROR_FORMAT, "%s: it ends too early (is the file cut short?)",
                         r->path);
}

/* A length, which counts the zero byte, and so many bytes, copied; NULL on failure. */
static char *read_text(reader *r)
{
    uint64_t size = at_cursor_number(&r->cursor, 2);
    const uint8_t *bytes = at_cursor_take(&r->cursor, size);
    if (!bytes) {
        cut_short(r);
        return NULL;
    }
    if (size < 2 || bytes[size - 1] || !at_plain_text(bytes, (size_t)size - 1))
        return at_fail(r->cx, AT_ERROR_FORMAT, "%s: a name is not UTF-8 text", r->path);
    return at_copy_text(r->cx, (const char *)bytes);
}

static bool read_variable(reader *r, at_weight *w)
{
    w->name = read_text(r);
    if (!w->name) return false;
    w->file = r->file->mapping;
    uint64_t dims = at_cursor_number(&r->cursor, 1);
    if (dims > AT_MAX_DIMS)
        return at_fail_false(r->cx, AT_ERROR_UNSUPPORTED,
                             "%s: variable \"%.200s\": more than %d dimensions", r->path, w->name,
                             AT_MAX_DIMS);
    w->dims = (int)dims;
    for (int d = 0; d < w->dims; d++) w->shape[d] = (int64_t)at_cursor_number(&r->cursor, 4);
    uint64_t type = at_cursor_number(&r->cursor, 1), bytes = at_cursor_number(&r->cursor, 4);
    if (r->cursor.failed) return cut_short(r);
    if (type >= AT_COUNT(types))
        return at_fail_false(r->cx, AT_ERROR_UNSUPPORTED,
                             "%s: variable \"%.200s\": the type number %d is not known", r->path,
                             w->name, (int)type);
    w->dtype = types[type];
    if (!at_weight_size(r->cx, r->path, w, w->dtype, &w->bytes)) return false;
    if (w->bytes != bytes)
        return at_fail_false(r->cx, AT_ERROR_FORMAT,
                             "%s: variable \"%.200s\": its size is not its shape's", r->path,
                             w->name);
    w->offset = r->cursor.at;
    return at_cursor_take(&r->cursor, bytes) || cut_short(r);
}

static bool read_variables(reader *r, uint64_t count)
{
    at_weight_file *file = r->file;
    if (count > at_cursor_left(&r->cursor) / LEAST_VARIABLE) return cut_short(r);
    file->tensors = AT_NEW_ARRAY(r->cx, at_weight, count);
    if (!file->tensors) return false;
    for (uint64_t i = 0; i < count; i++)
        if (!read_variable(r, &file->tensors[file->count++])) return false;
    return true;
}

/* Other names of variables, which no network here needs: only what they say must be there. */
static bool skip_aliases(reader *r)
{
    uint64_t count = at_cursor_number(&r->cursor, 4);
    for (uint64_t i = 0; i < 2 * count && !r->cursor.failed; i++)
        at_cursor_take(&r->cursor, at_cursor_number(&r->cursor, 2));
    return !r->cursor.failed || cut_short(r);
}

/* ---- integers and their scales */

static bool join_scale(reader *r, at_weight *w, const at_weight *scale)
{
    int64_t count = scale->dims ? scale->shape[0] : 1;
    bool fits = scale->dtype == AT_F32 && scale->dims < 2 && w->dims &&
                (count == 1 || count == w->shape[0]);
    if (!fits)
        return at_fail_false(r->cx, AT_ERROR_FORMAT,
                             "%s: \"%.200s\" is not one scale, or one a row", r->path, scale->name);
    at_coding *coding = AT_NEW(r->cx, at_coding);
    if (!coding) return false;
    *coding = (at_coding){.name = "scaled",
                          .stored = w->dtype,
                          .scales = {scale->file->data + scale->offset, AT_F32, count, true}};
    w->coding = coding;
    bool blocks = w->dtype == AT_I8 && w->dims == 2 && w->shape[1] % 32 == 0;
    w->dtype = blocks ? AT_Q8_0 : AT_F32;
    return true;
}

/* Leaves out what is in the codings now. */
static void drop_scales(at_weight_file *file)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < file->count; i++) {
        at_weight *w = &file->tensors[i];
        if (at_has_suffix(w->name, "_scale"))
            at_free((char *)(uintptr_t)w->name);
        else
            file->tensors[kept++] = *w;
    }
    file->count = kept;
}

static bool join_scales(reader *r)
{
    at_weight_file *file = r->file;
    at_map *names = at_map_new(r->cx);
    bool fine = names != NULL;
    for (int64_t i = 0; fine && i < file->count; i++)
        fine = at_map_set(r->cx, names, file->tensors[i].name, strlen(file->tensors[i].name), i);
    for (int64_t i = 0; fine && i < file->count; i++) {
        at_weight *w = &file->tensors[i];
        char name[1 << 9];
        int64_t scale;
        int n = snprintf(name, sizeof name, "%s_scale", w->name);
        if ((w->dtype == AT_I8 || w->dtype == AT_I16) && n > 0 && (size_t)n < sizeof name &&
            at_map_get(names, name, (size_t)n, &scale))
            fine = join_scale(r, w, &file->tensors[scale]);
    }
    at_map_free(names);
    if (fine) drop_scales(r->file);
    return fine;
}

/* ---- the file */

static bool read_metadata(reader *r, uint64_t *variables)
{
    uint64_t version = at_cursor_number(&r->cursor, 4);
    if (version != VERSION)
        return at_fail_false(
            r->cx, AT_ERROR_UNSUPPORTED,
            "%s: CTranslate2's format of version %d (%d is read: convert the model "
            "anew)",
            r->path, (int)version, VERSION);
    char *spec = read_text(r), revision[24];
    if (!spec) return false;
    snprintf(revision, sizeof revision, "%u", (unsigned)at_cursor_number(&r->cursor, 4));
    *variables = at_cursor_number(&r->cursor, 4);
    cJSON *metadata = r->file->metadata = cJSON_CreateObject();
    bool fine = cJSON_AddStringToObject(metadata, "ctranslate2.spec", spec) &&
                cJSON_AddStringToObject(metadata, "ctranslate2.revision", revision);
    at_free(spec);
    if (!fine) return at_fail_false(r->cx, AT_ERROR_MEMORY, "out of memory");
    return !r->cursor.failed || cut_short(r);
}

at_weight_file *at_ctranslate2_open(at_context *cx, const char *path)
{
    at_weight_file *file = at_weight_file_new(cx, path);
    if (!file) return NULL;
    reader r = {.cx = cx,
                .file = file,
                .path = file->mapping->path,
                .cursor = {file->mapping->data, file->mapping->size, 0, false}};
    uint64_t variables;
    if (read_metadata(&r, &variables) && read_variables(&r, variables) && skip_aliases(&r) &&
        join_scales(&r) && at_weight_file_check(cx, file))
        return file;
    at_weight_file_free(file);
    return NULL;
}
