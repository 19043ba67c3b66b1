#include "formats/torch_file.h"
#include "base/map.h"
#include "base/text.h"
#include "formats/cursor.h"
#include "formats/pickle.h"
#include "formats/zip.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    DEPTH = 16,            /* containers in containers */
    MOST_METADATA = 1000,  /* texts and numbers that are kept */
    MOST_TEXT = 4096,      /* bytes of one of them */
    SMALL_VIEW = 1 << 20,  /* elements of a tensor that is larger than its storage */
    MOST_VISITS = 1 << 20, /* entries of containers, counted each time that one is shared */
};

/* The mapping and place of a storage's bytes; false with the error kept. */
typedef struct reader reader;
typedef bool (*place_function)(reader *r, const at_pickle_storage *s, at_mapping **mapping,
                               size_t *offset, size_t *size);

struct reader {
    at_context *cx;
    at_weight_file *file;
    const char *path;
    place_function place;
    at_zip *zip;
    const char *folder; /* of the pickle in the archive: "archive/" */
    at_map *offsets;    /* of the old form's storages, by key */
    int64_t capacity, visits;
    int metadata;
};

/* ---- one tensor */

static bool is_in_order(const at_pickle_tensor *t)
{
    int64_t step = 1;
    for (int d = t->dims - 1; d >= 0; d--) {
        if (t->shape[d] != 1 && t->stride[d] != step) return false;
        step *= t->shape[d]; /* checked: no overflow */
    }
    return true;
}

/* The elements from the first to behind the last; false where that overflows. */
static bool span_of(const at_pickle_tensor *t, int64_t *span)
{
    int64_t reach;
    *span = 1;
    for (int d = 0; d < t->dims; d++) {
        if (t->shape[d] == 0) {
            *span = 0;
            return true;
        }
        if (!at_mul_size(t->shape[d] - 1, t->stride[d], &reach) || !at_add_size(*span, reach, span))
            return false;
    }
    return true;
}

/* Fills in w of its type and shape. The span lies in the storage, the storage in its bytes. */
static bool place_tensor(reader *r, const at_pickle_tensor *t, at_weight *w)
{
    int64_t span, end, have, count = 1, size = (int64_t)at_dtype_block_bytes(t->dtype);
    size_t offset = 0, room = 0;
    if (!at_weight_size(r->cx, r->path, w, t->dtype, &w->bytes) ||
        !r->place(r, t->storage, &w->file, &offset, &room))
        return false;
    int64_t storage = (int64_t)at_dtype_block_bytes(t->storage->dtype);
    bool fine = at_mul_size(t->storage->count, storage, &have) && (uint64_t)have <= room &&
                span_of(t, &span) && at_add_size(t->offset, span, &end) &&
                at_mul_size(end, size, &end) && end <= have;
    for (int d = 0; d < t->dims; d++) count *= t->shape[d];
    if (!fine || (count > span && count > SMALL_VIEW))
        return at_fail_false(r->cx, AT_ERROR_FORMAT,
                             "%s: tensor \"%.200s\" lies outside its storage", r->path, w->name);
    w->offset = offset + (size_t)(t->offset * size);
    if (is_in_order(t)) return true;
    at_coding *coding = AT_NEW(r->cx, at_coding);
    if (!coding) return false;
    *coding = (at_coding){.name = at_dtype_name(t->dtype), .stored = t->dtype, .has_strides = true};
    memcpy(coding->stride, t->stride, sizeof t->stride);
    w->coding = coding;
    w->bytes = (size_t)(span * size);
    return true;
}

static bool add_tensor(reader *r, const char *name, const at_pickle_tensor *t)
{
    at_weight_file *file = r->file;
    if (!at_plain_text((const uint8_t *)name, strlen(name)))
        return at_fail_false(r->cx, AT_ERROR_FORMAT, "%s: a tensor's name is not UTF-8", r->path);
    if (file->count == r->capacity) {
        int64_t capacity = AT_MAX(256, r->capacity * 2);
        at_weight *more = at_resize(r->cx, file->tensors, (size_t)capacity, sizeof *more);
        if (!more) return false;
        file->tensors = more;
        r->capacity = capacity;
    }
    at_weight *w = &file->tensors[file->count];
    *w = (at_weight){.name = at_copy_text(r->cx, name), .dtype = t->dtype, .dims = t->dims};
    if (!w->name) return false;
    file->count++;
    memcpy(w->shape, t->shape, sizeof w->shape);
    return place_tensor(r, t, w);
}

/* ---- the object */

static bool visit(reader *r, at_text *path, const at_pickle_value *v, int depth);

/* path + "." + key, for the time of a visit. Keys that are no text or number have no name. */
static bool visit_item(reader *r, at_text *path, const at_pickle_value *key, int64_t index,
                       const at_pickle_value *v, int depth)
{
    size_t before = path->size;
    if (before) at_text_add(r->cx, path, ".", 1);
    if (key && key->kind == AT_PICKLE_TEXT)
        at_text_add(r->cx, path, key->text.bytes, key->text.size);
    else
        at_text_print(r->cx, path, "%" PRId64,
                      key && key->kind == AT_PICKLE_WHOLE ? key->whole : index);
    bool fine = at_ok(r->cx) && visit(r, path, v, depth + 1);
    path->size = before;
    if (path->data) path->data[before] = 0;
    return fine;
}

static bool visit_all(reader *r, at_text *path, const at_pickle_value *v, int depth)
{
    bool dict = v->kind == AT_PICKLE_DICT;
    if (depth == DEPTH)
        return at_fail_false(r->cx, AT_ERROR_FORMAT,
                             "%s: containers nested too deeply (at \"%.200s\")", r->path,
                             path->data ? path->data : "");
    for (int64_t i = 0; i < v->list.count; i += 1 + dict) {
        const at_pickle_value *key = dict ? v->list.items[i] : NULL;
        if (r->visits++ == MOST_VISITS)
            return at_fail_false(r->cx, AT_ERROR_FORMAT, "%s: containers shared too often",
                                 r->path);
        if (!visit_item(r, path, key, i, v->list.items[i + dict], depth)) return false;
    }
    return true;
}

static bool add_metadata(reader *r, const char *name, const at_pickle_value *v)
{
    at_text text = {0};
    if (r->metadata == MOST_METADATA || !at_plain_text((const uint8_t *)name, strlen(name)))
        return true;
    if (v->kind == AT_PICKLE_TEXT && v->text.size <= MOST_TEXT &&
        at_plain_text((const uint8_t *)v->text.bytes, v->text.size))
        at_text_add(r->cx, &text, v->text.bytes, v->text.size);
    else if (v->kind == AT_PICKLE_WHOLE)
        at_text_print(r->cx, &text, "%" PRId64, v->whole);
    else if (v->kind == AT_PICKLE_REAL)
        at_text_print(r->cx, &text, "%.17g", v->real);
    if (text.data && !cJSON_GetObjectItemCaseSensitive(r->file->metadata, name)) {
        r->metadata++;
        if (!cJSON_AddStringToObject(r->file->metadata, name, text.data))
            at_fail(r->cx, AT_ERROR_MEMORY, "out of memory");
    }
    at_text_free(&text);
    return at_ok(r->cx);
}

static bool visit(reader *r, at_text *path, const at_pickle_value *v, int depth)
{
    const char *name = path->size ? path->data : "tensor";
    switch (v->kind) {
    case AT_PICKLE_TENSOR:
        return add_tensor(r, name, v->tensor);
    case AT_PICKLE_LIST:
    case AT_PICKLE_DICT:
        return visit_all(r, path, v, depth);
    default:
        return add_metadata(r, name, v);
    }
}

/* A checkpoint of a training run has its weights under "state_dict", OpenAI's Whisper under
   "model_state_dict". */
static const at_pickle_value *state_of(const at_pickle_value *root)
{
    const at_pickle_value *state = at_pickle_item(root, "state_dict");
    return state ? state : at_pickle_item(root, "model_state_dict");
}

/* What stands beside the weights stays as metadata where it is plain; the other tensors (the
   optimiser's) do not matter. */
static bool tell(reader *r, at_text *path, const at_pickle_value *dict)
{
    bool fine = true;
    for (int64_t i = 0; fine && i + 1 < dict->list.count; i += 2) {
        const at_pickle_value *v = dict->list.items[i + 1];
        if (v->kind == AT_PICKLE_TEXT || v->kind == AT_PICKLE_WHOLE || v->kind == AT_PICKLE_REAL)
            fine = visit_item(r, path, dict->list.items[i], i, v, 0);
    }
    return fine;
}

static bool read_object(reader *r, const at_pickle_value *root)
{
    const at_pickle_value *inner;
    at_text path = {0};
    bool fine = true;
    r->file->metadata = cJSON_CreateObject();
    if (!r->file->metadata) return at_fail_false(r->cx, AT_ERROR_MEMORY, "out of memory");
    for (int depth = 0; fine && depth < DEPTH && (inner = state_of(root)); depth++) {
        const at_pickle_value *dims = at_pickle_item(root, "dims"); /* Whisper's */
        fine = tell(r, &path, root);
        if (fine && dims && dims->kind == AT_PICKLE_DICT) {
            at_text_print(r->cx, &path, "dims");
            fine = at_ok(r->cx) && tell(r, &path, dims);
            path.size = 0;
        }
        root = inner;
    }
    fine = fine && visit(r, &path, root, 0);
    at_text_free(&path);
    return fine && at_weight_file_check(r->cx, r->file);
}

/* ---- the archive */

static bool place_in_zip(reader *r, const at_pickle_storage *s, at_mapping **mapping,
                         size_t *offset, size_t *size)
{
    char *name =
        at_format(r->cx, "%sdata/%.*s", r->folder, (int)AT_MIN(s->key.size, 255), s->key.bytes);
    at_zip_member *m = name ? at_zip_find(r->zip, name) : NULL;
    if (name && !m)
        at_fail(r->cx, AT_ERROR_FORMAT, "%s: the storage \"%.200s\" is missing", r->path, name);
    at_free(name);
    *mapping = m ? at_zip_data(r->cx, r->zip, m, offset) : NULL;
    *size = m ? m->size : 0;
    return *mapping != NULL;
}

/* "archive/" of the one member "archive/data.pkl"; the caller frees it. */
static char *find_folder(reader *r)
{
    static const char suffix[] = "data.pkl";
    for (int64_t i = 0; i < r->zip->count; i++) {
        const char *name = r->zip->members[i].name, *slash = strrchr(name, '/');
        const char *last = slash ? slash + 1 : name;
        if (strcmp(last, suffix) == 0 && strchr(name, '/') == slash)
            return at_format(r->cx, "%.*s", (int)(last - name), name);
    }
    return at_fail(r->cx, AT_ERROR_FORMAT,
                   "%s: a zip archive, but none of PyTorch's (it has no data.pkl)", r->path);
}

static at_zip_member *member_of(reader *r, const char *name)
{
    char *full = at_format(r->cx, "%s%s", r->folder, name);
    at_zip_member *m = full ? at_zip_find(r->zip, full) : NULL;
    at_free(full);
    return m;
}

static bool check_byte_order(reader *r)
{
    size_t offset;
    at_zip_member *m = member_of(r, "byteorder");
    at_mapping *in = m ? at_zip_data(r->cx, r->zip, m, &offset) : NULL;
    if (!m) return true; /* before torch 2.1 */
    if (!in) return false;
    if (m->size == 6 && memcmp(in->data + offset, "little", 6) == 0) return true;
    return at_fail_false(r->cx, AT_ERROR_UNSUPPORTED, "%s: its numbers are big-endian", r->path);
}

static bool read_zip_pickle(reader *r)
{
    size_t offset, at = 0;
    at_zip_member *m = member_of(r, "data.pkl");
    at_mapping *in = m ? at_zip_data(r->cx, r->zip, m, &offset) : NULL;
    if (!in) return false;
    if (member_of(r, "constants.pkl"))
        return at_fail_false(r->cx, AT_ERROR_UNSUPPORTED,
                             "%s: a TorchScript program, not a file of weights", r->path);
    at_pickle *p = at_pickle_read(r->cx, r->path, in->data + offset, m->size, &at);
    bool fine = p && read_object(r, at_pickle_root(p));
    at_pickle_free(p);
    return fine;
}

/* The file keeps what was unpacked for its tensors. */
static bool keep_unpacked(reader *r)
{
    at_weight_file *file = r->file;
    file->unpacked = AT_NEW_ARRAY(r->cx, at_mapping *, r->zip->count);
    for (int64_t i = 0; file->unpacked && i < r->zip->count; i++)
        if (r->zip->members[i].unpacked)
            file->unpacked[file->unpacked_count++] = at_mapping_keep(r->zip->members[i].unpacked);
    return file->unpacked != NULL;
}

at_weight_file *at_torch_open_zip(at_context *cx, const char *path)
{
    at_zip *zip = at_zip_open(cx, path);
    at_weight_file *file = zip ? AT_NEW(cx, at_weight_file) : NULL;
    if (file) file->mapping = at_mapping_keep(zip->file);
    reader r = {.cx = cx, .file = file, .path = path, .place = place_in_zip, .zip = zip};
    char *folder = file ? find_folder(&r) : NULL;
    r.folder = folder;
    bool fine = folder && check_byte_order(&r) && read_zip_pickle(&r) && keep_unpacked(&r);
    at_free(folder);
    at_zip_free(zip);
    if (fine) return file;
    at_weight_file_free(file);
    return NULL;
}

/* ---- before torch 1.6 */

static const uint8_t magic[] = {0x80, 2,    0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46,
                                0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, '.'};

/* Also a pickle that is not torch's, to say what is in it; but a safetensors header may be as long
   as the first two bytes of a pickle say. */
bool at_torch_is_pickle(const at_mapping *m)
{
    static const uint8_t zeros[5] = {0};
    if (m->size < 3 || m->data[0] != 0x80 || m->data[1] < 2 || m->data[1] > 5) return false;
    return m->size < 9 || memcmp(m->data + 3, zeros, 5) != 0;
}

static bool place_in_stream(reader *r, const at_pickle_storage *s, at_mapping **mapping,
                            size_t *offset, size_t *size)
{
    int64_t at;
    if (!at_map_get(r->offsets, s->key.bytes, s->key.size, &at))
        return at_fail_false(r->cx, AT_ERROR_FORMAT, "%s: the storage \"%.*s\" is missing", r->path,
                             (int)AT_MIN(s->key.size, 100), s->key.bytes);
    *mapping = r->file->mapping;
    at_cursor c = {r->file->mapping->data, r->file->mapping->size, (size_t)at, false};
    uint64_t count = at_cursor_number(&c, 8), element = at_dtype_block_bytes(s->dtype);
    *offset = c.at;
    *size = count > at_cursor_left(&c) / element ? 0 : (size_t)(count * element);
    return true;
}

/* The keys of the storages, in the order of their bytes, each with its length before it. The sizes
   of elements are only known to those who use a storage: `types`, by key. */
static bool find_storages(reader *r, const at_pickle_value *keys, const at_map *types, size_t at)
{
    at_cursor c = {r->file->mapping->data, r->file->mapping->size, at, false};
    if (keys->kind != AT_PICKLE_LIST)
        return at_fail_false(r->cx, AT_ERROR_FORMAT, "%s: its list of storages is damaged",
                             r->path);
    for (int64_t i = 0; i < keys->list.count; i++) {
        const at_pickle_value *key = keys->list.items[i];
        int64_t element, other;
        if (key->kind != AT_PICKLE_TEXT ||
            !at_map_get(types, key->text.bytes, key->text.size, &element) ||
            at_map_get(r->offsets, key->text.bytes, key->text.size, &other))
            return at_fail_false(r->cx, AT_ERROR_FORMAT, "%s: its list of storages is damaged",
                                 r->path);
        int64_t begin = (int64_t)c.at;
        uint64_t count = at_cursor_number(&c, 8);
        if (count > at_cursor_left(&c) / (uint64_t)element ||
            (!at_cursor_take(&c, count * (uint64_t)element) && count))
            return at_fail_false(r->cx, AT_ERROR_FORMAT,
                                 "%s: it ends too early (is the file cut short?)", r->path);
        if (!at_map_set(r->cx, r->offsets, key->text.bytes, key->text.size, begin)) return false;
    }
    return true;
}

static bool check_system(reader *r, const at_pickle_value *system)
{
    const at_pickle_value *little = at_pickle_item(system, "little_endian");
    if (!little || little->kind != AT_PICKLE_BOOL || little->whole) return true;
    return at_fail_false(r->cx, AT_ERROR_UNSUPPORTED, "%s: its numbers are big-endian", r->path);
}

static bool read_stream(reader *r)
{
    const at_mapping *m = r->file->mapping;
    at_pickle *parts[5] = {0}; /* magic number, version, system, object, keys */
    size_t at = 0;
    bool fine = true;
    for (int i = 0; fine && i < 5; i++) {
        parts[i] = at_pickle_read(r->cx, r->path, m->data, m->size, &at);
        fine = parts[i] != NULL;
        if (fine && i == 0 && (m->size < sizeof magic || memcmp(m->data, magic, sizeof magic) != 0))
            fine = at_fail_false(r->cx, AT_ERROR_FORMAT,
                                 "%s: a pickle, but not a file of torch.save", r->path);
        if (fine && i == 2) fine = check_system(r, at_pickle_root(parts[2]));
    }
    at_map *types = fine ? at_map_new(r->cx) : NULL;
    fine = types && at_pickle_each_storage(r->cx, parts[3], types) &&
           find_storages(r, at_pickle_root(parts[4]), types, at) &&
           read_object(r, at_pickle_root(parts[3]));
    at_map_free(types);
    for (int i = 0; i < 5; i++) at_pickle_free(parts[i]);
    return fine;
}

at_weight_file *at_torch_open_pickle(at_context *cx, const char *path)
{
    at_weight_file *file = at_weight_file_new(cx, path);
    reader r = {
        .cx = cx, .file = file, .path = path, .place = place_in_stream, .offsets = at_map_new(cx)};
    bool fine = file && r.offsets && read_stream(&r);
    at_map_free(r.offsets);
    if (fine) return file;
    at_weight_file_free(file);
    return NULL;
}
