/* One file of weights, opened: what each format's reader gives to weights.c. */
#ifndef AT_WEIGHT_FILE_H
#define AT_WEIGHT_FILE_H

#include "base/json.h"
#include "formats/coding.h"

typedef struct at_weight_file {
    at_mapping *mapping;
    at_weight *tensors; /* sorted by offset; the names are owned */
    int64_t count;
    cJSON *metadata;       /* an object of strings, or NULL */
    at_mapping **unpacked; /* other mappings that tensors lie in, kept */
    int64_t unpacked_count;
} at_weight_file;

at_weight_file *at_weight_file_new(at_context *cx, const char *path); /* maps it; no tensors yet */
void at_weight_file_free(at_weight_file *file);                       /* NULL is fine */

/* ---- what every reader checks; all fail with the file's name and give false */

/* UTF-8, without a zero byte. */
bool at_plain_text(const uint8_t *text, size_t size);

/* The bytes that `dtype` and the shape need: AT_ERROR_FORMAT where they overflow, or where rows are
   not whole blocks. */
bool at_weight_size(at_context *cx, const char *path, const at_weight *w, at_dtype dtype,
                    size_t *bytes);

/* Every name once, every tensor inside its mapping. Sorts by offset. */
bool at_weight_file_check(at_context *cx, at_weight_file *file);

/* Tensors share no bytes; call after at_weight_file_check. */
bool at_weight_file_check_overlaps(at_context *cx, const at_weight_file *file);

#endif
