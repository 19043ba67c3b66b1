#include "formats/ggml.h"
#include "formats/cursor.h"
#include <stdio.h>
#include <string.h>

enum {
    MAGIC = 0x67676d6c,
    BLOCKS_OF = 1000,  /* the type of quantised files counts the version of the blocks in these */
    BLOCKS = 2,        /* that version since May 2023 */
    MOST_TOKEN = 4096, /* bytes; the longest that was published has 128 */
    MOST = 1 << 24,    /* of any number at the beginning */
};

/* In the file's order, by OpenAI's names; the last is the type. */
static const char *const numbers[] = {
    "dims.n_vocab",       "dims.n_audio_ctx", "dims.n_audio_state", "dims.n_audio_head",
    "dims.n_audio_layer", "dims.n_text_ctx",  "dims.n_text_state",  "dims.n_text_head",
    "dims.n_text_layer",  "dims.n_mels",      "ggml.ftype"};

typedef struct reader {
    at_context *cx;
    at_weight_file *file;
    const char *path;
    at_cursor cursor;
    int64_t capacity;
} reader;

bool at_ggml_is(const at_mapping *mapping)
{
    at_cursor c = {mapping->data, mapping->size, 0, false};
    return at_cursor_number(&c, 4) == MAGIC && !c.failed;
}

static bool cut_short(reader *r)
{
    return at_fail_false(r->cx, AT_ERROR_FORMAT, "%s: it ends too early (is the file cut short?)",
                         r->path);
}

static at_weight *new_tensor(reader *r, const char *name, size_t size)
{
    at_weight_file *file = r->file;
    if (file->count == r->capacity) {
        int64_t capacity = AT_MAX(64, 2 * r->capacity);
        at_weight *more = at_resize(r->cx, file->tensors, (size_t)capacity, sizeof *more);
        if (!more) return NULL;
        file->tensors = more;
        r->capacity = capacity;
    }
    char *copy = at_format(r->cx, "%.*s", (int)size, name);
    if (!copy) return NULL;
    at_weight *w = &file->tensors[file->count++];
    *w = (at_weight){.name = copy, .file = file->mapping};
    return w;
}

/* ---- what stands before the tensors */

static bool read_numbers(reader *r)
{
    cJSON *metadata = r->file->metadata = cJSON_CreateObject();
    for (size_t i = 0; i < AT_COUNT(numbers); i++) {
        char text[16];
        uint32_t number = (uint32_t)at_cursor_number(&r->cursor, 4);
        if (r->cursor.failed) return cut_short(r);
        if (number > MOST)
            return at_fail_false(r->cx, AT_ERROR_FORMAT,
                                 "%s: its \"%s\" of %u is out of range (not a Whisper file?)",
                                 r->path, numbers[i], number);
        snprintf(text, sizeof text, "%u", number);
        if (!cJSON_AddStringToObject(metadata, numbers[i], text))
            return at_fail_false(r->cx, AT_ERROR_MEMORY, "out of memory");
        if (i + 1 == AT_COUNT(numbers) && number % BLOCKS_OF > 1 && number / BLOCKS_OF != BLOCKS)
            return at_fail_false(r->cx, AT_ERROR_UNSUPPORTED,
                                 "%s: quantised in blocks of version %u (%d is read: quantise it "
                                 "anew)",
                                 r->path, number / BLOCKS_OF, BLOCKS);
    }
    return true;
}

static bool read_filters(reader *r)
{
    at_weight *w = new_tensor(r, "mel_filters", 11);
    if (!w) return false;
    w->dims = 2;
    for (int d = 0; d < 2; d++) w->shape[d] = (int64_t)at_cursor_number(&r->cursor, 4);
    w->offset = r->cursor.at;
    w->dtype = AT_F32;
    if (!at_weight_size(r->cx, r->path, w, w->dtype, &w->bytes)) return false;
    return at_cursor_take(&r->cursor, w->bytes) || cut_short(r);
}

static bool read_vocabulary(reader *r)
{
    at_weight *w = new_tensor(r, "vocabulary", 10);
    uint64_t count = at_cursor_number(&r->cursor, 4);
    if (!w) return false;
    if (r->cursor.failed) return cut_short(r);
    w->offset = r->cursor.at;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t size = at_cursor_number(&r->cursor, 4);
        if (size > MOST_TOKEN)
            return at_fail_false(r->cx, AT_ERROR_FORMAT, "%s: a token of %llu bytes", r->path,
                                 (unsigned long long)size);
        if (!at_cursor_take(&r->cursor, size)) return cut_short(r);
    }
    w->dtype = AT_I8;
    w->dims = 1;
    w->bytes = r->cursor.at - w->offset;
    w->shape[0] = (int64_t)w->bytes;
    return true;
}

/* ---- tensors */

/* Sizes lie with the fastest dimension first. */
static bool read_tensor(reader *r)
{
    uint32_t dims = (uint32_t)at_cursor_number(&r->cursor, 4);
    uint64_t size = at_cursor_number(&r->cursor, 4);
    uint32_t type = (uint32_t)at_cursor_number(&r->cursor, 4), shape[AT_MAX_DIMS];
    if (dims > AT_MAX_DIMS)
        return at_fail_false(r->cx, AT_ERROR_FORMAT, "%s: a tensor of %u dimensions", r->path,
                             dims);
    for (uint32_t d = 0; d < dims; d++) shape[d] = (uint32_t)at_cursor_number(&r->cursor, 4);
    const uint8_t *name = at_cursor_take(&r->cursor, size);
    if (!name) return cut_short(r);
    if (!size || size > 200 || !at_plain_text(name, (size_t)size))
        return at_fail_false(r->cx, AT_ERROR_FORMAT, "%s: a tensor's name is not UTF-8 text",
                             r->path);
    at_weight *w = new_tensor(r, (const char *)name, (size_t)size);
    if (!w || !at_ggml_dtype(r->cx, r->path, w->name, type, &w->dtype)) return false;
    w->dims = (int)dims;
    for (int d = 0; d < w->dims; d++) w->shape[d] = shape[w->dims - 1 - d];
    if (w->dims == 2 && w->shape[1] == 1) w->dims = 1; /* a convolution's bias */
    if (!at_weight_size(r->cx, r->path, w, w->dtype, &w->bytes)) return false;
    w->offset = r->cursor.at;
    return at_cursor_take(&r->cursor, w->bytes) || cut_short(r);
}

at_weight_file *at_ggml_open(at_context *cx, const char *path)
{
    at_weight_file *file = at_weight_file_new(cx, path);
    if (!file) return NULL;
    reader r = {.cx = cx,
                .file = file,
                .path = file->mapping->path,
                .cursor = {file->mapping->data, file->mapping->size, 4, false}};
    bool fine = read_numbers(&r) && read_filters(&r) && read_vocabulary(&r);
    while (fine && at_cursor_left(&r.cursor)) fine = read_tensor(&r);
    if (fine && at_weight_file_check(cx, file)) return file;
    at_weight_file_free(file);
    return NULL;
}
