#include "formats/safetensors.h"
#include "base/map.h"
#include "base/text.h"
#include "formats/weight_writer.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LENGTH_BYTES = 8, HEADER_LIMIT = 100000000 };

/* In the order of the reference's enum; files have the last first. */
static const struct {
    const char *name;
    at_dtype dtype;
} types[] = {
    {"BOOL", AT_BOOL},       {"U8", AT_U8},   {"I8", AT_I8},   {"F8_E5M2", AT_F8_E5M2},
    {"F8_E4M3", AT_F8_E4M3}, {"I16", AT_I16}, {"U16", AT_U16}, {"F16", AT_F16},
    {"BF16", AT_BF16},       {"I32", AT_I32}, {"U32", AT_U32}, {"F32", AT_F32},
    {"F64", AT_F64},         {"I64", AT_I64}, {"U64", AT_U64},
};

/* ---- reading */

/* A whole number in [0, 2^53]; doubles hold all of them. */
static bool read_size(const cJSON *item, int64_t *out)
{
    double value = cJSON_IsNumber(item) ? item->valuedouble : -1;
    if (!(value >= 0 && value <= 9007199254740992.0) || value != floor(value)) return false;
    *out = (int64_t)value;
    return true;
}

static bool read_dtype(at_context *cx, const char *path, at_weight *w, const cJSON *item)
{
    if (!cJSON_IsString(item))
        return at_fail_false(cx, AT_ERROR_FORMAT, "%s: tensor \"%.200s\": dtype must be a string",
                             path, w->name);
    for (size_t i = 0; i < AT_COUNT(types); i++) {
        if (strcmp(types[i].name, item->valuestring) != 0) continue;
        w->dtype = types[i].dtype;
        return true;
    }
    return at_fail_false(cx, AT_ERROR_UNSUPPORTED,
                         "%s: tensor \"%.200s\": the type %.40s is not supported", path, w->name,
                         item->valuestring);
}

static bool read_shape(at_context *cx, const char *path, at_weight *w, const cJSON *item)
{
    if (!cJSON_IsArray(item))
        return at_fail_false(cx, AT_ERROR_FORMAT, "%s: tensor \"%.200s\": shape must be a list",
                             path, w->name);
    for (const cJSON *size = item->child; size; size = size->next) {
        if (w->dims == AT_MAX_DIMS)
            return at_fail_false(cx, AT_ERROR_UNSUPPORTED,
                                 "%s: tensor \"%.200s\": more than %d dimensions", path, w->name,
                                 AT_MAX_DIMS);
        if (!read_size(size, &w->shape[w->dims++]))
            return at_fail_false(cx, AT_ERROR_FORMAT,
                                 "%s: tensor \"%.200s\": shape must be whole numbers", path,
                                 w->name);
    }
    return true;
}

/* Puts the begin, counted from the end of the header, into w->offset. */
static bool read_offsets(at_context *cx, const char *path, at_weight *w, const cJSON *item)
{
    int64_t begin, end;
    if (!cJSON_IsArray(item) || cJSON_GetArraySize(item) != 2 || !read_size(item->child, &begin) ||
        !read_size(item->child->next, &end))
        return at_fail_false(cx, AT_ERROR_FORMAT,
                             "%s: tensor \"%.200s\": data_offsets must be two whole numbers", path,
                             w->name);
    if (end < begin)
        return at_fail_false(cx, AT_ERROR_FORMAT,
                             "%s: tensor \"%.200s\": its data ends (%lld) before it begins (%lld)",
                             path, w->name, (long long)end, (long long)begin);
    w->offset = (size_t)begin;
    w->bytes = (size_t)(end - begin);
    return true;
}

static bool check_bytes(at_context *cx, const char *path, const at_weight *w)
{
    int64_t bytes = (int64_t)at_dtype_block_bytes(w->dtype),
            span = bytes; /* span: strides' limit */
    for (int i = 0; i < w->dims; i++)
        if (!at_mul_size(bytes, w->shape[i], &bytes) ||
            !at_mul_size(span, AT_MAX(w->shape[i], 1), &span))
            return at_fail_false(cx, AT_ERROR_FORMAT, "%s: tensor \"%.200s\": its shape overflows",
                                 path, w->name);
    if ((size_t)bytes != w->bytes)
        return at_fail_false(cx, AT_ERROR_FORMAT,
                             "%s: tensor \"%.200s\": its shape needs %lld bytes, its data has %zu",
                             path, w->name, (long long)bytes, w->bytes);
    return true;
}

static bool read_tensor(at_context *cx, const char *path, const cJSON *item, at_weight *w)
{
    static const struct {
        const char *key;
        bool (*read)(at_context *cx, const char *path, at_weight *w, const cJSON *item);
    } fields[] = {{"dtype", read_dtype}, {"shape", read_shape}, {"data_offsets", read_offsets}};
    int seen[AT_COUNT(fields)] = {0};
    w->name = at_copy_text(cx, item->string);
    if (!w->name) return false;
    if (!cJSON_IsObject(item))
        return at_fail_false(cx, AT_ERROR_FORMAT, "%s: tensor \"%.200s\" is not an object", path,
                             w->name);
    for (const cJSON *field = item->child; field; field = field->next)
        for (size_t i = 0; i < AT_COUNT(fields); i++) {
            if (strcmp(field->string, fields[i].key) != 0) continue;
            if (seen[i]++)
                return at_fail_false(cx, AT_ERROR_FORMAT, "%s: tensor \"%.200s\": two values of %s",
                                     path, w->name, fields[i].key);
            if (!fields[i].read(cx, path, w, field)) return false;
        }
    for (size_t i = 0; i < AT_COUNT(fields); i++)
        if (!seen[i])
            return at_fail_false(cx, AT_ERROR_FORMAT, "%s: tensor \"%.200s\": no %s", path, w->name,
                                 fields[i].key);
    return check_bytes(cx, path, w);
}

static bool take_metadata(at_context *cx, at_weight_file *file, cJSON *header)
{
    cJSON *item = cJSON_DetachItemFromObjectCaseSensitive(header, "__metadata__");
    file->metadata = item;
    if (!item || cJSON_IsNull(item)) return true;
    bool fine = cJSON_IsObject(item);
    for (const cJSON *value = item->child; value; value = value->next)
        fine = fine && cJSON_IsString(value);
    return fine || at_fail_false(cx, AT_ERROR_FORMAT, "%s: __metadata__ must be strings by name",
                                 file->mapping->path);
}

static int by_offset(const void *a, const void *b)
{
    const at_weight *x = a, *y = b;
    if (x->offset != y->offset) return x->offset < y->offset ? -1 : 1;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* Every byte behind the header belongs to exactly one tensor. Makes offsets count from the file's
   start. */
static bool check_layout(at_context *cx, at_weight_file *file, size_t header_end)
{
    const char *path = file->mapping->path;
    size_t end = 0, size = file->mapping->size - header_end;
    if (file->count) qsort(file->tensors, (size_t)file->count, sizeof *file->tensors, by_offset);
    for (int64_t i = 0; i < file->count; i++) {
        at_weight *w = &file->tensors[i];
        if (w->offset != end)
            return at_fail_false(
                cx, AT_ERROR_FORMAT, "%s: tensor \"%.200s\": its data %s (at %zu, expected %zu)",
                path, w->name,
                w->offset < end ? "overlaps another tensor's" : "leaves a hole before it",
                w->offset, end);
        if (w->bytes > size - end)
            return at_fail_false(cx, AT_ERROR_FORMAT,
                                 "%s: tensor \"%.200s\": its data ends behind the file's end (is "
                                 "the file cut short?)",
                                 path, w->name);
        end += w->bytes;
        w->offset += header_end;
        w->file = file->mapping;
    }
    if (end != size)
        return at_fail_false(cx, AT_ERROR_FORMAT, "%s: %zu bytes at the end belong to no tensor",
                             path, size - end);
    return true;
}

static bool read_tensors(at_context *cx, at_weight_file *file, const cJSON *header)
{
    int64_t count = cJSON_GetArraySize(header), other;
    at_map *names = at_map_new(cx);
    file->tensors = AT_NEW_ARRAY(cx, at_weight, count);
    bool fine = names && file->tensors;
    for (const cJSON *item = header->child; fine && item; item = item->next) {
        size_t size = strlen(item->string);
        fine = read_tensor(cx, file->mapping->path, item, &file->tensors[file->count++]);
        if (fine && at_map_get(names, item->string, size, &other))
            fine = at_fail_false(cx, AT_ERROR_FORMAT, "%s: two tensors are called \"%.200s\"",
                                 file->mapping->path, item->string);
        fine = fine && at_map_set(cx, names, item->string, size, file->count);
    }
    at_map_free(names);
    return fine;
}

/* The parsed header of a mapped file and where it ends. */
static cJSON *read_header(at_context *cx, const at_mapping *mapping, size_t *header_end)
{
    const char *path = mapping->path;
    if (mapping->size < LENGTH_BYTES)
        return at_fail(cx, AT_ERROR_FORMAT, "%s: too short for a safetensors file (%zu bytes)",
                       path, mapping->size);
    uint64_t length = 0;
    for (int i = LENGTH_BYTES - 1; i >= 0; i--) length = length << 8 | mapping->data[i];
    if (length > HEADER_LIMIT)
        return at_fail(cx, AT_ERROR_FORMAT,
                       "%s: not a safetensors file (a header of %llu bytes; at most %d)", path,
                       (unsigned long long)length, HEADER_LIMIT);
    if (length > mapping->size - LENGTH_BYTES)
        return at_fail(cx, AT_ERROR_FORMAT,
                       "%s: the header ends behind the file's end (is the file cut short?)", path);
    const uint8_t *text = mapping->data + LENGTH_BYTES;
    if (length == 0 || text[0] != '{')
        return at_fail(cx, AT_ERROR_FORMAT,
                       "%s: not a safetensors file (its header must begin with {)", path);
    if (!at_plain_text(text, length))
        return at_fail(cx, AT_ERROR_FORMAT, "%s: the header is not UTF-8", path);
    *header_end = LENGTH_BYTES + length;
    return at_json_parse(cx, (const char *)text, length, path);
}

at_weight_file *at_safetensors_open(at_context *cx, const char *path)
{
    at_weight_file *file = at_weight_file_new(cx, path);
    if (!file) return NULL;
    size_t header_end = 0;
    cJSON *header = read_header(cx, file->mapping, &header_end);
    bool fine = header && take_metadata(cx, file, header) && read_tensors(cx, file, header) &&
                check_layout(cx, file, header_end);
    cJSON_Delete(header);
    if (fine) return file;
    at_weight_file_free(file);
    return NULL;
}

/* ---- writing */

static int type_of(at_dtype dtype)
{
    for (size_t i = 0; i < AT_COUNT(types); i++)
        if (types[i].dtype == dtype) return (int)i;
    return -1;
}

bool at_safetensors_has(at_dtype dtype)
{
    return type_of(dtype) >= 0;
}

static int in_file_order(const void *a, const void *b)
{
    const at_weight_entry *x = a, *y = b;
    int order = type_of(y->dtype) - type_of(x->dtype);
    return order ? order : strcmp(x->name, y->name);
}

static bool check_entry(at_context *cx, const char *path, const at_weight_entry *e)
{
    if (!e->name) return at_fail_false(cx, AT_ERROR_ARGUMENT, "%s: a name is missing", path);
    if (type_of(e->dtype) >= 0) return true;
    return at_fail_false(cx, AT_ERROR_UNSUPPORTED, "%s: safetensors has no type for %s (%s)", path,
                         at_dtype_name(e->dtype), e->name);
}

static void print_metadata(at_context *cx, at_text *text, const char *const *metadata)
{
    const char *separator = "";
    at_text_print(cx, text, "\"__metadata__\":{");
    for (; metadata[0] && metadata[1]; metadata += 2, separator = ",") {
        at_text_print(cx, text, "%s", separator);
        at_text_add_quoted(cx, text, metadata[0]);
        at_text_print(cx, text, ":");
        at_text_add_quoted(cx, text, metadata[1]);
    }
    at_text_print(cx, text, "}");
}

static size_t bytes_of(const at_weight_entry *e)
{
    size_t bytes = at_dtype_block_bytes(e->dtype);
    for (int d = 0; d < e->dims; d++) bytes *= (size_t)e->shape[d];
    return bytes;
}

static void print_header(at_context *cx, at_text *text, int64_t count,
                         const at_weight_entry *entries, const char *const *metadata)
{
    bool has_metadata = metadata && metadata[0];
    size_t begin = 0;
    at_text_print(cx, text, "{");
    if (has_metadata) print_metadata(cx, text, metadata);
    for (int64_t i = 0; i < count; i++) {
        const at_weight_entry *e = &entries[i];
        size_t end = begin + bytes_of(e);
        if (i || has_metadata) at_text_print(cx, text, ",");
        at_text_add_quoted(cx, text, e->name);
        at_text_print(cx, text, ":{\"dtype\":\"%s\",\"shape\":[", types[type_of(e->dtype)].name);
        for (int d = 0; d < e->dims; d++)
            at_text_print(cx, text, d ? ",%lld" : "%lld", (long long)e->shape[d]);
        at_text_print(cx, text, "],\"data_offsets\":[%zu,%zu]}", begin, end);
        begin = end;
    }
    at_text_print(cx, text, "}");
    while (at_ok(cx) && text->size % LENGTH_BYTES) at_text_add(cx, text, " ", 1);
}

bool at_safetensors_stream(at_context *cx, const char *path, int64_t count,
                           at_weight_entry *entries, const char *const *metadata,
                           at_weight_source write, void *user)
{
    at_text header = {0};
    bool fine = at_ok(cx);
    for (int64_t i = 0; fine && i < count; i++) fine = check_entry(cx, path, &entries[i]);
    if (!fine) return false;
    if (count) qsort(entries, (size_t)count, sizeof *entries, in_file_order);
    print_header(cx, &header, count, entries, metadata);

    uint8_t length[LENGTH_BYTES];
    for (int i = 0; i < LENGTH_BYTES; i++)
        length[i] = (uint8_t)((uint64_t)header.size >> (8 * i) & 255);
    at_file_writer *writer = at_file_writer_open(cx, path);
    fine = at_file_writer_write(cx, writer, length, sizeof length) &&
           at_file_writer_write(cx, writer, header.data, header.size);
    for (int64_t i = 0; fine && i < count; i++) fine = write(cx, &entries[i], writer, user);
    fine = at_file_writer_commit(cx, writer);
    at_text_free(&header);
    return fine;
}

static bool write_tensor(at_context *cx, const at_weight_entry *entry, at_file_writer *writer,
                         void *user)
{
    const at_tensor *x = entry->source;
    (void)user;
    return at_file_writer_write(cx, writer, x->data, at_bytes(x));
}

bool at_safetensors_write(at_context *cx, const char *path, int64_t count, const char *const *names,
                          at_tensor *const *tensors, const char *const *metadata)
{
    at_weight_entry *entries = at_ok(cx) ? AT_NEW_ARRAY(cx, at_weight_entry, count) : NULL;
    bool fine = entries != NULL;
    for (int64_t i = 0; fine && i < count; i++) {
        const at_tensor *x = tensors[i];
        if (!names[i] || !x)
            fine = at_fail_false(cx, AT_ERROR_ARGUMENT, "%s: a tensor to write is missing", path);
        else if (!at_is_contiguous(x))
            fine = at_fail_false(cx, AT_ERROR_ARGUMENT, "%s: tensor \"%s\" is not contiguous", path,
                                 names[i]);
        if (!fine) break;
        entries[i] =
            (at_weight_entry){.name = names[i], .dtype = x->dtype, .dims = x->dims, .source = x};
        memcpy(entries[i].shape, x->shape, sizeof x->shape);
    }
    fine = fine && at_safetensors_stream(cx, path, count, entries, metadata, write_tensor, NULL);
    at_free(entries);
    return fine;
}
