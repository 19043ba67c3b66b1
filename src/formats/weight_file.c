#include "formats/weight_file.h"
#include "base/map.h"
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

at_weight_file *at_weight_file_new(at_context *cx, const char *path)
{
    at_mapping *mapping = at_mapping_open(cx, path);
    at_weight_file *file = mapping ? AT_NEW(cx, at_weight_file) : NULL;
    if (file)
        file->mapping = mapping;
    else
        at_mapping_release(mapping);
    return file;
}

void at_weight_file_free(at_weight_file *file)
{
    if (!file) return;
    for (int64_t i = 0; file->tensors && i < file->count; i++) {
        at_free((char *)(uintptr_t)file->tensors[i].name);
        at_free((at_coding *)(uintptr_t)file->tensors[i].coding);
    }
    at_free(file->tensors);
    cJSON_Delete(file->metadata);
    for (int64_t i = 0; i < file->unpacked_count; i++) at_mapping_release(file->unpacked[i]);
    at_free(file->unpacked);
    at_mapping_release(file->mapping);
    at_free(file);
}

bool at_plain_text(const uint8_t *text, size_t size)
{
    utf8proc_int32_t c;
    for (size_t i = 0; i < size;) {
        utf8proc_ssize_t n = utf8proc_iterate(text + i, (utf8proc_ssize_t)(size - i), &c);
        if (n <= 0 || c == 0) return false;
        i += (size_t)n;
    }
    return true;
}

bool at_weight_size(at_context *cx, const char *path, const at_weight *w, at_dtype dtype,
                    size_t *bytes)
{
    int64_t block = at_dtype_block(dtype), size = (int64_t)at_dtype_block_bytes(dtype);
    int64_t span = size; /* span: strides' limit */
    for (int i = 0; i < w->dims; i++) {
        int64_t n = w->shape[i];
        if (i == w->dims - 1 && n % block)
            return at_fail_false(cx, AT_ERROR_FORMAT,
                                 "%s: tensor \"%.200s\": its rows of %lld are not whole blocks of "
                                 "%s",
                                 path, w->name, (long long)n, at_dtype_name(dtype));
        if (i == w->dims - 1) n /= block;
        if (!at_mul_size(size, n, &size) || !at_mul_size(span, AT_MAX(w->shape[i], 1), &span))
            return at_fail_false(cx, AT_ERROR_FORMAT, "%s: tensor \"%.200s\": its shape overflows",
                                 path, w->name);
    }
    if (block > 1 && w->dims == 0)
        return at_fail_false(cx, AT_ERROR_FORMAT, "%s: tensor \"%.200s\": one value of %s", path,
                             w->name, at_dtype_name(dtype));
    *bytes = (size_t)size;
    return true;
}

static int by_offset(const void *a, const void *b)
{
    const at_weight *x = a, *y = b;
    if (x->offset != y->offset) return x->offset < y->offset ? -1 : 1;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? -1 : 1;
    return strcmp(x->name, y->name);
}

bool at_weight_file_check(at_context *cx, at_weight_file *file)
{
    const at_mapping *mapping = file->mapping;
    at_map *names = at_map_new(cx);
    bool fine = names != NULL;
    int64_t other;
    for (int64_t i = 0; fine && i < file->count; i++) {
        const at_weight *w = &file->tensors[i];
        size_t size = strlen(w->name);
        if (at_map_get(names, w->name, size, &other))
            fine = at_fail_false(cx, AT_ERROR_FORMAT, "%s: two tensors are called \"%.200s\"",
                                 mapping->path, w->name);
        else if (w->offset > w->file->size || w->bytes > w->file->size - w->offset)
            fine = at_fail_false(cx, AT_ERROR_FORMAT,
                                 "%s: tensor \"%.200s\": its data ends behind the file's end (is "
                                 "the file cut short?)",
                                 mapping->path, w->name);
        fine = fine && at_map_set(cx, names, w->name, size, i);
    }
    at_map_free(names);
    if (fine && file->count)
        qsort(file->tensors, (size_t)file->count, sizeof *file->tensors, by_offset);
    return fine;
}

bool at_weight_file_check_overlaps(at_context *cx, const at_weight_file *file)
{
    for (int64_t i = 1; i < file->count; i++) {
        const at_weight *before = &file->tensors[i - 1], *w = before + 1;
        if (w->bytes && w->offset < before->offset + before->bytes)
            return at_fail_false(cx, AT_ERROR_FORMAT,
                                 "%s: tensor \"%.200s\": its data overlaps another tensor's",
                                 file->mapping->path, w->name);
    }
    return true;
}
