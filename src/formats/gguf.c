#include "formats/gguf.h"
#include "base/map.h"
#include "base/text.h"
#include "formats/cursor.h"
#include "formats/ggml.h"
#include "formats/gguf_pieces.h"
#include "formats/weight_writer.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    LEAST_TENSOR = 24,     /* bytes that describe a tensor: the name's length, type, offset, ... */
    LEAST_PAIR = 13,       /* bytes of a key and a value */
    LISTED = 16,           /* numbers of a list that are kept */
    DEPTH = 4,             /* lists of lists */
    DEFAULT_ALIGNMENT = 32 /* where general.alignment is missing */
};

enum { U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, LIST, U64, I64, F64, VALUE_TYPES };

static const uint8_t value_bytes[VALUE_TYPES] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

/* ggml's types, by number; those without a codec have a name only. */
static const struct {
    const char *name;
    at_dtype dtype;
} types[] = {
    [0] = {"F32", AT_F32},        [1] = {"F16", AT_F16},         [2] = {"Q4_0", AT_Q4_0},
    [3] = {"Q4_1", AT_Q4_1},      [6] = {"Q5_0", AT_Q5_0},       [7] = {"Q5_1", AT_Q5_1},
    [8] = {"Q8_0", AT_Q8_0},      [9] = {"Q8_1", AT_DTYPES},     [10] = {"Q2_K", AT_Q2_K},
    [11] = {"Q3_K", AT_Q3_K},     [12] = {"Q4_K", AT_Q4_K},      [13] = {"Q5_K", AT_Q5_K},
    [14] = {"Q6_K", AT_Q6_K},     [15] = {"Q8_K", AT_DTYPES},    [16] = {"IQ2_XXS", AT_DTYPES},
    [17] = {"IQ2_XS", AT_DTYPES}, [18] = {"IQ3_XXS", AT_DTYPES}, [19] = {"IQ1_S", AT_DTYPES},
    [20] = {"IQ4_NL", AT_DTYPES}, [21] = {"IQ3_S", AT_DTYPES},   [22] = {"IQ2_S", AT_DTYPES},
    [23] = {"IQ4_XS", AT_DTYPES}, [24] = {"I8", AT_I8},          [25] = {"I16", AT_I16},
    [26] = {"I32", AT_I32},       [27] = {"I64", AT_I64},        [28] = {"F64", AT_F64},
    [29] = {"IQ1_M", AT_DTYPES},  [30] = {"BF16", AT_BF16},      [34] = {"TQ1_0", AT_DTYPES},
    [35] = {"TQ2_0", AT_DTYPES},  [39] = {"MXFP4", AT_DTYPES},
};

typedef struct reader {
    at_context *cx;
    at_weight_file *file;
    const char *path;
    at_cursor cursor;
    uint64_t alignment;
    at_map *keys; /* every metadata key: where the type of its value stands */
} reader;

static bool cut_short(reader *r)
{
    return at_fail_false(r->cx, AT_ERROR_FORMAT, "%s: it ends too early (is the file cut short?)",
                         r->path);
}

/* A length and so many bytes of text, copied; NULL on failure. */
static char *read_text(reader *r, const char *what)
{
    uint64_t size = at_cursor_number(&r->cursor, 8);
    const uint8_t *bytes = at_cursor_take(&r->cursor, size);
    if (!bytes) {
        cut_short(r);
        return NULL;
    }
    if (!at_plain_text(bytes, (size_t)size))
        return at_fail(r->cx, AT_ERROR_FORMAT, "%s: %s is not UTF-8 text", r->path, what);
    char *text = at_alloc(r->cx, (size_t)size + 1, 1);
    if (text) memcpy(text, bytes, (size_t)size);
    return text;
}

/* ---- metadata */

static void print_value(reader *r, at_text *out, uint32_t type)
{
    uint64_t bits = at_cursor_number(&r->cursor, value_bytes[type]);
    int shift = 64 - 8 * value_bytes[type];
    float single;
    double real;
    switch (type) {
    case BOOL:
        at_text_print(r->cx, out, bits ? "true" : "false");
        return;
    case I8:
    case I16:
    case I32:
    case I64:
        at_text_print(r->cx, out, "%" PRId64, (int64_t)(bits << shift) >> shift);
        return;
    case F32:
        memcpy(&single, &(uint32_t){(uint32_t)bits}, sizeof single);
        at_text_print(r->cx, out, "%.9g", (double)single);
        return;
    case F64:
        memcpy(&real, &bits, sizeof real);
        at_text_print(r->cx, out, "%.17g", real);
        return;
    default:
        at_text_print(r->cx, out, "%" PRIu64, bits);
    }
}

static bool read_list_header(reader *r, uint32_t *type, uint64_t *count)
{
    *type = (uint32_t)at_cursor_number(&r->cursor, 4);
    *count = at_cursor_number(&r->cursor, 8);
    if (r->cursor.failed) return cut_short(r);
    if (*type >= VALUE_TYPES)
        return at_fail_false(r->cx, AT_ERROR_FORMAT, "%s: metadata of the unknown type %u", r->path,
                             *type);
    uint64_t least = *type == STRING ? 8 : *type == LIST ? 12 : value_bytes[*type];
    if (*count > at_cursor_left(&r->cursor) / least) return cut_short(r);
    return true;
}

static bool skip_list(reader *r, int depth)
{
    uint32_t type;
    uint64_t count;
    if (depth == DEPTH)
        return at_fail_false(r->cx, AT_ERROR_FORMAT, "%s: metadata nested too deeply", r->path);
    if (!read_list_header(r, &type, &count)) return false;
    if (type != STRING && type != LIST)
        return at_cursor_take(&r->cursor, count * value_bytes[type]) || count == 0;
    for (uint64_t i = 0; i < count; i++) {
        if (type == LIST && !skip_list(r, depth + 1)) return false;
        if (type == STRING && !at_cursor_take(&r->cursor, at_cursor_number(&r->cursor, 8)))
            return cut_short(r);
    }
    return true;
}

static const char ORIGINAL_SHAPE[] = "comfy.gguf.orig_shape.";

/* Short lists of numbers are printed, others passed over. */
static bool read_list(reader *r, at_text *out)
{
    size_t begin = r->cursor.at;
    uint32_t type;
    uint64_t count;
    if (!read_list_header(r, &type, &count)) return false;
    if (type == STRING || type == LIST || count > LISTED) {
        r->cursor.at = begin;
        return skip_list(r, 0);
    }
    at_text_add(r->cx, out, "[", 1);
    for (uint64_t i = 0; i < count; i++) {
        if (i) at_text_add(r->cx, out, ",", 1);
        print_value(r, out, type);
    }
    at_text_add(r->cx, out, "]", 1);
    return true;
}

static bool read_value(reader *r, const char *key, uint32_t type, at_text *out)
{
    if (type >= VALUE_TYPES)
        return at_fail_false(r->cx, AT_ERROR_FORMAT, "%s: \"%.100s\" is of the unknown type %u",
                             r->path, key, type);
    if (type == LIST) return read_list(r, out);
    if (type == STRING) {
        char *text = read_text(r, "a metadata string");
        if (text) at_text_add(r->cx, out, text, strlen(text));
        at_free(text);
        return text != NULL;
    }
    if (strcmp(key, "general.alignment") == 0) {
        at_cursor ahead = r->cursor;
        r->alignment = at_cursor_number(&ahead, value_bytes[type]);
        if (type != U32 || !r->alignment || (r->alignment & (r->alignment - 1)))
            return at_fail_false(r->cx, AT_ERROR_FORMAT,
                                 "%s: general.alignment must be a power of two (u32)", r->path);
    }
    print_value(r, out, type);
    return !r->cursor.failed || cut_short(r);
}

static bool read_pair(reader *r)
{
    int64_t other;
    char *key = read_text(r, "a metadata key");
    if (!key) return false;
    at_text value = {0};
    bool fine = true;
    if (at_map_get(r->keys, key, strlen(key), &other))
        fine = at_fail_false(r->cx, AT_ERROR_FORMAT, "%s: two values of \"%.100s\"", r->path, key);
    fine = fine && at_map_set(r->cx, r->keys, key, strlen(key), (int64_t)r->cursor.at);
    uint32_t type = (uint32_t)at_cursor_number(&r->cursor, 4);
    fine = fine && read_value(r, key, type, &value) && at_ok(r->cx);
    bool kept = fine && (value.data || type == STRING);
    if (kept && !cJSON_AddStringToObject(r->file->metadata, key, value.data ? value.data : ""))
        fine = at_fail_false(r->cx, AT_ERROR_MEMORY, "out of memory");
    at_text_free(&value);
    at_free(key);
    return fine;
}

static bool read_metadata(reader *r, uint64_t count)
{
    if (count > at_cursor_left(&r->cursor) / LEAST_PAIR) return cut_short(r);
    r->file->metadata = cJSON_CreateObject();
    bool fine = r->file->metadata != NULL;
    if (!fine) at_fail(r->cx, AT_ERROR_MEMORY, "out of memory");
    for (uint64_t i = 0; fine && i < count; i++) fine = read_pair(r);
    return fine;
}

/* A list that was read before; of no values where there is none of this name. */
static at_gguf_list find_list(const reader *r, const char *key)
{
    at_gguf_list list = {.values = r->cursor};
    int64_t at;
    if (!at_map_get(r->keys, key, strlen(key), &at)) return list;
    list.values.at = (size_t)at;
    if (at_cursor_number(&list.values, 4) != LIST) return list;
    list.type = (uint32_t)at_cursor_number(&list.values, 4);
    list.count = at_cursor_number(&list.values, 8);
    return list;
}

/* ---- tensors */

bool at_ggml_dtype(at_context *cx, const char *path, const char *tensor, uint32_t number,
                   at_dtype *dtype)
{
    if (number >= AT_COUNT(types) || !types[number].name)
        return at_fail_false(cx, AT_ERROR_UNSUPPORTED,
                             "%s: tensor \"%.200s\": the type number %u is not known", path, tensor,
                             number);
    if (types[number].dtype == AT_DTYPES)
        return at_fail_false(cx, AT_ERROR_UNSUPPORTED,
                             "%s: tensor \"%.200s\": the type %s is not supported", path, tensor,
                             types[number].name);
    *dtype = types[number].dtype;
    return true;
}

/* Sizes lie with the fastest dimension first. */
static bool read_shape(reader *r, at_weight *w)
{
    uint32_t dims = (uint32_t)at_cursor_number(&r->cursor, 4);
    if (dims > AT_MAX_DIMS)
        return at_fail_false(r->cx, AT_ERROR_UNSUPPORTED,
                             "%s: tensor \"%.200s\": more than %d dimensions", r->path, w->name,
                             AT_MAX_DIMS);
    w->dims = (int)dims;
    for (int d = w->dims - 1; d >= 0; d--) {
        uint64_t size = at_cursor_number(&r->cursor, 8);
        if (size > INT64_MAX)
            return at_fail_false(r->cx, AT_ERROR_FORMAT,
                                 "%s: tensor \"%.200s\": its shape overflows", r->path, w->name);
        w->shape[d] = (int64_t)size;
    }
    return true;
}

/* Where the metadata say so: the shape before the tensor was flattened to whole blocks. */
static bool restore_shape(reader *r, at_weight *w, at_dtype stored)
{
    int64_t before = 1, after = 1;
    char *key = at_format(r->cx, "%s%s", ORIGINAL_SHAPE, w->name);
    at_gguf_list list = key ? find_list(r, key) : (at_gguf_list){0};
    uint32_t type = list.type;
    at_free(key);
    if (!key || !list.count) return at_ok(r->cx);
    for (int d = 0; d < w->dims; d++) before *= w->shape[d]; /* checked: it did not overflow */
    bool fine =
        (type == I32 || type == U32 || type == I64 || type == U64) && list.count <= AT_MAX_DIMS;
    w->dims = fine ? (int)list.count : 0;
    for (int d = 0; d < w->dims; d++) {
        w->shape[d] = (int64_t)at_cursor_number(&list.values, value_bytes[type]);
        fine = fine && at_mul_size(after, w->shape[d], &after);
    }
    if (!fine || before != after)
        return at_fail_false(r->cx, AT_ERROR_FORMAT,
                             "%s: tensor \"%.200s\": its original shape does not fit", r->path,
                             w->name);
    int64_t block = at_dtype_block(stored);
    int64_t row = w->dims ? w->shape[w->dims - 1] : 0;
    if (w->dims == 4 && row * w->shape[2] == 1) row = w->shape[1];
    if (block == 1 || (w->dims && row % block == 0) || (w->dims == 4 && row != w->shape[1]))
        return true;
    at_coding *coding = AT_NEW(r->cx, at_coding);
    if (!coding) return false;
    *coding = (at_coding){.name = at_dtype_name(stored), .stored = stored};
    w->coding = coding;
    w->dtype = AT_F16;
    return true;
}

static bool read_tensor(reader *r, at_weight *w)
{
    at_dtype stored = AT_F32;
    w->name = read_text(r, "a tensor's name");
    w->file = r->file->mapping;
    if (!w->name || !read_shape(r, w) ||
        !at_ggml_dtype(r->cx, r->path, w->name, (uint32_t)at_cursor_number(&r->cursor, 4), &stored))
        return false;
    uint64_t offset = at_cursor_number(&r->cursor, 8);
    if (r->cursor.failed) return cut_short(r);
    if (offset % r->alignment)
        return at_fail_false(r->cx, AT_ERROR_FORMAT,
                             "%s: tensor \"%.200s\": its data is not aligned", r->path, w->name);
    if (offset > r->cursor.size) return cut_short(r);
    w->offset = (size_t)offset;
    w->dtype = stored;
    return at_weight_size(r->cx, r->path, w, stored, &w->bytes) && restore_shape(r, w, stored);
}

static bool read_tensors(reader *r, uint64_t count)
{
    at_weight_file *file = r->file;
    if (count > at_cursor_left(&r->cursor) / LEAST_TENSOR) return cut_short(r);
    file->tensors = AT_NEW_ARRAY(r->cx, at_weight, count + 1); /* and the tokenizer's */
    if (!file->tensors) return false;
    for (uint64_t i = 0; i < count; i++)
        if (!read_tensor(r, &file->tensors[file->count++])) return false;
    uint64_t start = (r->cursor.at + r->alignment - 1) & ~(r->alignment - 1);
    for (int64_t i = 0; i < file->count; i++) file->tensors[i].offset += (size_t)start;
    return at_weight_file_check(r->cx, file) && at_weight_file_check_overlaps(r->cx, file);
}

/* The tokenizer of a text encoder as one more tensor: sentencepiece's file, as ComfyUI's
   checkpoints have it. */
static bool add_tokenizer(reader *r)
{
    static const char name[] = "spiece_model";
    at_weight_file *file = r->file;
    at_gguf_vocabulary v = {.tokens = find_list(r, "tokenizer.ggml.tokens"),
                            .scores = find_list(r, "tokenizer.ggml.scores"),
                            .types = find_list(r, "tokenizer.ggml.token_type"),
                            .charsmap = find_list(r, "tokenizer.ggml.precompiled_charsmap")};
    at_text pieces = {0};
    uint8_t *data = NULL;
    for (int64_t i = 0; i < file->count; i++)
        if (strcmp(file->tensors[i].name, name) == 0) return true;
    if (v.tokens.count && at_gguf_write_pieces(r->cx, &v, file->metadata, &pieces)) {
        at_mapping *mapping = at_mapping_new(r->cx, r->path, pieces.size, &data);
        file->unpacked = mapping ? AT_NEW(r->cx, at_mapping *) : NULL;
        if (data) memcpy(data, pieces.data, pieces.size);
        if (file->unpacked) file->unpacked[file->unpacked_count++] = mapping;
        if (file->unpacked)
            file->tensors[file->count++] = (at_weight){.name = at_copy_text(r->cx, name),
                                                       .file = mapping,
                                                       .dtype = AT_U8,
                                                       .dims = 1,
                                                       .shape = {(int64_t)pieces.size},
                                                       .bytes = pieces.size};
        else
            at_mapping_release(mapping);
    }
    at_text_free(&pieces);
    return at_ok(r->cx);
}

static bool read_file(reader *r)
{
    const uint8_t *magic = at_cursor_take(&r->cursor, 4);
    if (!magic || memcmp(magic, "GGUF", 4) != 0)
        return at_fail_false(r->cx, AT_ERROR_FORMAT, "%s: not a GGUF file", r->path);
    uint32_t version = (uint32_t)at_cursor_number(&r->cursor, 4);
    if (version != 2 && version != 3)
        return at_fail_false(r->cx, AT_ERROR_UNSUPPORTED, "%s: GGUF of version %u%s", r->path,
                             version & 0xffff ? version : version >> 24,
                             version & 0xffff ? " (2 and 3 are read)" : ", big-endian");
    uint64_t tensors = at_cursor_number(&r->cursor, 8), pairs = at_cursor_number(&r->cursor, 8);
    if (r->cursor.failed) return cut_short(r);
    return read_metadata(r, pairs) && read_tensors(r, tensors) && add_tokenizer(r);
}

at_weight_file *at_gguf_open(at_context *cx, const char *path)
{
    at_weight_file *file = at_weight_file_new(cx, path);
    if (!file) return NULL;
    reader r = {.cx = cx,
                .file = file,
                .path = file->mapping->path,
                .cursor = {file->mapping->data, file->mapping->size, 0, false},
                .alignment = DEFAULT_ALIGNMENT,
                .keys = at_map_new(cx)};
    bool fine = r.keys && read_file(&r);
    at_map_free(r.keys);
    if (fine) return file;
    at_weight_file_free(file);
    return NULL;
}

/* ---- writing */

static int type_number(at_dtype dtype)
{
    for (size_t i = 0; i < AT_COUNT(types); i++)
        if (types[i].name && types[i].dtype == dtype) return (int)i;
    return -1;
}

bool at_gguf_has(at_dtype dtype)
{
    return dtype != AT_DTYPES && type_number(dtype) >= 0;
}

static void add_number(at_context *cx, at_text *out, uint64_t value, int bytes)
{
    uint8_t data[8];
    for (int i = 0; i < bytes; i++) data[i] = (uint8_t)(value >> (8 * i) & 255);
    at_text_add(cx, out, data, (size_t)bytes);
}

static void add_text(at_context *cx, at_text *out, const char *text)
{
    add_number(cx, out, strlen(text), 8);
    at_text_add(cx, out, text, strlen(text));
}

/* Of a block type whose rows are no whole blocks: a kernel, which lies as a matrix. */
static bool is_flattened(const at_weight_entry *e)
{
    return e->dims == 4 && e->shape[3] % at_dtype_block(e->dtype);
}

static void add_pairs(at_context *cx, at_text *out, const char *const *metadata)
{
    add_text(cx, out, "general.quantization_version");
    add_number(cx, out, U32, 4);
    add_number(cx, out, 2, 4);
    for (; metadata && metadata[0] && metadata[1]; metadata += 2) {
        add_text(cx, out, metadata[0]);
        add_number(cx, out, STRING, 4);
        add_text(cx, out, metadata[1]);
    }
}

/* The shape of what is flattened, as ComfyUI-GGUF has it. */
static void add_shape(at_context *cx, at_text *out, const at_weight_entry *e)
{
    at_text key = {0};
    at_text_print(cx, &key, "%s%s", ORIGINAL_SHAPE, e->name);
    add_text(cx, out, key.data ? key.data : "");
    at_text_free(&key);
    add_number(cx, out, LIST, 4);
    add_number(cx, out, I32, 4);
    add_number(cx, out, (uint64_t)e->dims, 8);
    for (int d = 0; d < e->dims; d++) add_number(cx, out, (uint64_t)e->shape[d], 4);
}

static uint64_t bytes_of(const at_weight_entry *e)
{
    uint64_t count = 1;
    for (int d = 0; d < e->dims; d++) count *= (uint64_t)e->shape[d];
    return count / (uint64_t)at_dtype_block(e->dtype) * at_dtype_block_bytes(e->dtype);
}

static uint64_t aligned(uint64_t size)
{
    return (size + DEFAULT_ALIGNMENT - 1) / DEFAULT_ALIGNMENT * DEFAULT_ALIGNMENT;
}

/* Sizes lie with the fastest first; a single value is a list of one. */
static void add_entries(at_context *cx, at_text *out, int64_t count, const at_weight_entry *entries)
{
    uint64_t offset = 0;
    for (int64_t i = 0; i < count; i++) {
        const at_weight_entry *e = &entries[i];
        add_text(cx, out, e->name);
        add_number(cx, out, is_flattened(e) ? 2 : (uint64_t)AT_MAX(e->dims, 1), 4);
        if (!e->dims) add_number(cx, out, 1, 8);
        if (is_flattened(e))
            add_number(cx, out, (uint64_t)(e->shape[1] * e->shape[2] * e->shape[3]), 8);
        for (int d = is_flattened(e) ? 0 : e->dims - 1; d >= 0; d--)
            add_number(cx, out, (uint64_t)e->shape[d], 8);
        add_number(cx, out, (uint64_t)type_number(e->dtype), 4);
        add_number(cx, out, offset, 8);
        offset += aligned(bytes_of(e));
    }
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const at_weight_entry *)a)->name, ((const at_weight_entry *)b)->name);
}

static bool check_entry(at_context *cx, const char *path, const at_weight_entry *e)
{
    if (!at_gguf_has(e->dtype))
        return at_fail_false(cx, AT_ERROR_UNSUPPORTED, "%s: GGUF has no type for %s (%s)", path,
                             at_dtype_name(e->dtype), e->name);
    if (e->dims > 4)
        return at_fail_false(cx, AT_ERROR_UNSUPPORTED, "%s: %s has more than 4 dimensions", path,
                             e->name);
    return true;
}

bool at_gguf_stream(at_context *cx, const char *path, int64_t count, at_weight_entry *entries,
                    const char *const *metadata, at_weight_source write, void *user)
{
    static const uint8_t zeros[DEFAULT_ALIGNMENT] = {0};
    at_text header = {0};
    uint64_t pairs = 1;
    bool fine = at_ok(cx);
    for (int64_t i = 0; fine && i < count; i++) fine = check_entry(cx, path, &entries[i]);
    if (!fine) return false;
    if (count) qsort(entries, (size_t)count, sizeof *entries, by_name);
    for (const char *const *m = metadata; m && m[0] && m[1]; m += 2) pairs++;
    for (int64_t i = 0; i < count; i++) pairs += is_flattened(&entries[i]);
    at_text_add(cx, &header, "GGUF", 4);
    add_number(cx, &header, 3, 4);
    add_number(cx, &header, (uint64_t)count, 8);
    add_number(cx, &header, pairs, 8);
    add_pairs(cx, &header, metadata);
    for (int64_t i = 0; i < count; i++)
        if (is_flattened(&entries[i])) add_shape(cx, &header, &entries[i]);
    add_entries(cx, &header, count, entries);
    at_text_add(cx, &header, zeros, (size_t)(aligned(header.size) - header.size));

    at_file_writer *writer = at_file_writer_open(cx, path);
    fine = at_file_writer_write(cx, writer, header.data, header.size);
    for (int64_t i = 0; fine && i < count; i++) {
        uint64_t bytes = bytes_of(&entries[i]);
        fine = write(cx, &entries[i], writer, user) &&
               at_file_writer_write(cx, writer, zeros, (size_t)(aligned(bytes) - bytes));
    }
    fine = at_file_writer_commit(cx, writer);
    at_text_free(&header);
    return fine;
}
