#include "formats/weights.h"
#include "base/file.h"
#include "base/map.h"
#include "base/text.h"
#include "formats/ctranslate2.h"
#include "formats/ggml.h"
#include "formats/gguf.h"
#include "formats/quantised.h"
#include "formats/safetensors.h"
#include "formats/torch_file.h"
#include "tensor/pool.h"
#include <stdio.h>
#include <string.h>

struct at_weights {
    at_context *cx;
    at_weight_file **files;
    int64_t file_count;
    at_weight *tensors; /* the names belong to the files */
    int64_t count;
    at_map *by_name; /* indices of tensors */
    int references;
    at_weights *source;      /* of a derived set, which owns its names and codings */
    at_quantised *quantised; /* what at_quantised_join has made for its tensors */
    int64_t capacity;
};

void at_weights_drop(at_weights *w)
{
    if (!w || --w->references) return;
    for (int64_t i = 0; i < w->file_count; i++) at_weight_file_free(w->files[i]);
    for (int64_t i = 0; w->source && i < w->count; i++) {
        at_free((char *)(uintptr_t)w->tensors[i].name);
        at_free((at_coding *)(uintptr_t)w->tensors[i].coding);
    }
    at_quantised_free(w->quantised);
    at_free(w->files);
    at_free(w->tensors);
    at_map_free(w->by_name);
    at_weights_drop(w->source);
    at_free(w);
}

static void drop(void *object)
{
    at_weights_drop(object);
}

void at_weights_free(at_weights *weights)
{
    if (!weights) return;
    at_disown(weights->cx, weights);
    at_weights_drop(weights);
}

at_weights *at_weights_keep(at_weights *weights)
{
    if (weights) weights->references++;
    return weights;
}

/* An empty set of one reference, not yet owned by the context. */
static at_weights *new_set(at_context *cx)
{
    at_weights *w = at_ok(cx) ? AT_NEW(cx, at_weights) : NULL;
    if (!w) return NULL;
    w->cx = cx;
    w->references = 1;
    w->by_name = at_map_new(cx);
    if (w->by_name) return w;
    at_weights_drop(w);
    return NULL;
}

/* ---- one file */

static bool begins(const at_mapping *mapping, const char *bytes, size_t size)
{
    return mapping->size >= size && memcmp(mapping->data, bytes, size) == 0;
}

/* By its first bytes, since names lie. */
static at_weight_file *open_file(at_context *cx, const char *path)
{
    at_mapping *mapping = at_mapping_open(cx, path);
    if (!mapping) return NULL;
    bool gguf = begins(mapping, "GGUF", 4),
         zip = begins(mapping, "PK\3\4", 4) || begins(mapping, "PK\5\6", 4);
    bool pickle = at_torch_is_pickle(mapping), ctranslate2 = at_ctranslate2_is(mapping);
    bool ggml = at_ggml_is(mapping);
    bool tar = mapping->size > 262 && memcmp(mapping->data + 257, "ustar", 5) == 0;
    at_mapping_release(mapping);
    if (tar)
        return at_fail(cx, AT_ERROR_UNSUPPORTED,
                       "%s: a tar archive (files of PyTorch before 0.1.10 are not read)", path);
    if (gguf) return at_gguf_open(cx, path);
    if (zip) return at_torch_open_zip(cx, path);
    if (ctranslate2) return at_ctranslate2_open(cx, path);
    if (ggml) return at_ggml_open(cx, path);
    return pickle ? at_torch_open_pickle(cx, path) : at_safetensors_open(cx, path);
}

static bool add_tensor(at_context *cx, at_weights *w, const at_weight *tensor)
{
    w->tensors[w->count] = *tensor;
    return at_map_set(cx, w->by_name, tensor->name, strlen(tensor->name), w->count++);
}

/* A set of one file, which it takes over. */
static bool add_single(at_context *cx, at_weights *w, at_weight_file *file)
{
    if (!file) return false;
    w->files = AT_NEW(cx, at_weight_file *);
    if (!w->files) {
        at_weight_file_free(file);
        return false;
    }
    w->files[w->file_count++] = file;
    w->tensors = AT_NEW_ARRAY(cx, at_weight, file->count);
    bool fine = w->tensors != NULL;
    for (int64_t i = 0; fine && i < file->count; i++) fine = add_tensor(cx, w, &file->tensors[i]);
    return fine;
}

/* ---- shards */

/* Which shard each name is in, as the index says; opens the shards on the way. */
static bool read_weight_map(at_context *cx, at_weights *w, const char *path, const cJSON *list,
                            at_map *wanted)
{
    const char *slash = strrchr(path, '/');
    int folder = slash ? (int)(slash - path) + 1 : 0;
    at_map *shards = at_map_new(cx);
    bool fine = shards != NULL;
    for (const cJSON *item = list->child; fine && item; item = item->next) {
        const char *shard = cJSON_IsString(item) ? item->valuestring : "";
        int64_t index = w->file_count;
        if (!shard[0] || strchr(shard, '/') || strchr(shard, '\\') || shard[0] == '.')
            fine = at_fail_false(cx, AT_ERROR_FORMAT,
                                 "%s: \"%.200s\": the shard \"%.200s\" is not a plain file name",
                                 path, item->string, shard);
        else if (at_map_get(wanted, item->string, strlen(item->string), &index))
            fine = at_fail_false(cx, AT_ERROR_FORMAT, "%s: \"%.200s\" is listed twice", path,
                                 item->string);
        else if (!at_map_get(shards, shard, strlen(shard), &index)) {
            char *full = at_format(cx, "%.*s%s", folder, path, shard);
            if (full && !at_file_exists(full) && !at_folder_exists(full))
                at_fail(cx, AT_ERROR_FILE, "%s: its shard %.200s is not there", path, shard);
            at_weight_file *file = at_ok(cx) ? open_file(cx, full) : NULL;
            at_free(full);
            if (file) w->files[w->file_count++] = file;
            fine = file && at_map_set(cx, shards, shard, strlen(shard), index);
        }
        fine = fine && at_map_set(cx, wanted, item->string, strlen(item->string), index);
    }
    at_map_free(shards);
    return fine;
}

/* Takes what the index lists, each from its shard; what else a shard has is passed over. */
static bool collect_shards(at_context *cx, at_weights *w, const char *path, const cJSON *list,
                           const at_map *wanted)
{
    int64_t shard;
    w->tensors = AT_NEW_ARRAY(cx, at_weight, at_map_count(wanted));
    bool fine = w->tensors != NULL;
    for (int64_t f = 0; fine && f < w->file_count; f++)
        for (int64_t i = 0; fine && i < w->files[f]->count; i++) {
            const at_weight *t = &w->files[f]->tensors[i];
            if (at_map_get(wanted, t->name, strlen(t->name), &shard) && shard == f)
                fine = add_tensor(cx, w, t);
        }
    for (const cJSON *item = list->child; fine && item; item = item->next)
        if (!at_weights_find(w, item->string))
            fine =
                at_fail_false(cx, AT_ERROR_FORMAT, "%s: the shard %.200s has no tensor \"%.200s\"",
                              path, item->valuestring, item->string);
    return fine;
}

/* Published totals are not always right, so another size is only worth a warning. */
static void check_total(at_context *cx, const at_weights *w, const char *path, const cJSON *index)
{
    const cJSON *metadata = cJSON_GetObjectItemCaseSensitive(index, "metadata");
    const cJSON *total = cJSON_GetObjectItemCaseSensitive(metadata, "total_size");
    double bytes = 0;
    for (int64_t i = 0; i < w->count; i++) bytes += (double)w->tensors[i].bytes;
    if (cJSON_IsNumber(total) && total->valuedouble != bytes)
        at_log(cx, AT_LOG_WARNING, "%s: says %.0f bytes in all, the shards have %.0f", path,
               total->valuedouble, bytes);
}

static bool add_index(at_context *cx, at_weights *w, const char *path)
{
    cJSON *index = at_json_read(cx, path);
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(index, "weight_map");
    at_map *wanted = at_map_new(cx);
    bool fine = index && wanted;
    if (fine && !cJSON_IsObject(list))
        fine =
            at_fail_false(cx, AT_ERROR_FORMAT, "%s: no weight_map (not an index of shards)", path);
    if (fine) w->files = AT_NEW_ARRAY(cx, at_weight_file *, cJSON_GetArraySize(list));
    fine = fine && w->files && read_weight_map(cx, w, path, list, wanted) &&
           collect_shards(cx, w, path, list, wanted);
    if (fine) check_total(cx, w, path, index);
    at_map_free(wanted);
    cJSON_Delete(index);
    return fine;
}

/* ---- folders */

/* The first of these that exists; %s is the variant with a dot before it. */
static char *find_in_folder(at_context *cx, const char *folder)
{
    static const char *const variants[] = {"", ".fp16", ".bf16", ".fp32", ".ema", ".non_ema"};
    static const char *const bases[][2] = {{"diffusion_pytorch_model", "model"},
                                           {"diffusion_pytorch_model", "pytorch_model"}};
    static const char *const forms[][3] = {
        {"%s/%s%s.safetensors", "%s/%s.safetensors.index%s.json", "%s/%s%s.safetensors.index.json"},
        {"%s/%s%s.bin", "%s/%s.bin.index%s.json", "%s/%s%s.bin.index.json"}};
    for (size_t kind = 0; kind < AT_COUNT(forms); kind++)
        for (size_t v = 0; v < AT_COUNT(variants); v++)
            for (size_t i = 0; i < AT_COUNT(bases[0]) * AT_COUNT(forms[0]); i++) {
                char *path =
                    at_format(cx, forms[kind][i % 3], folder, bases[kind][i / 3], variants[v]);
                if (!path || at_file_exists(path)) return path;
                at_free(path);
            }
    char *ctranslate2 = at_path_join(cx, folder, "model.bin");
    if (!ctranslate2 || at_file_exists(ctranslate2)) return ctranslate2;
    at_free(ctranslate2);
    return NULL;
}

static bool fill(at_context *cx, at_weights *w, const char *path)
{
    return at_ends_with(path, ".json") ? add_index(cx, w, path)
                                       : add_single(cx, w, open_file(cx, path));
}

/* Tensors that several of the file make up become one; the set has them and the rest. */
static bool join(at_context *cx, at_weights *w)
{
    if (!at_quantised_join(cx, w, w->tensors, &w->count, &w->quantised)) return false;
    if (!w->quantised) return true;
    at_map_free(w->by_name);
    w->by_name = at_map_new(cx);
    for (int64_t i = 0; w->by_name && i < w->count; i++)
        at_map_set(cx, w->by_name, w->tensors[i].name, strlen(w->tensors[i].name), i);
    return at_ok(cx);
}

at_weights *at_weights_open(at_context *cx, const char *path)
{
    at_weights *w = new_set(cx);
    bool fine = w != NULL;
    if (fine && at_folder_exists(path)) {
        char *inside = find_in_folder(cx, path);
        fine = inside && fill(cx, w, inside);
        if (!inside)
            at_fail(cx, AT_ERROR_FILE,
                    "%s: no weights here (expected diffusion_pytorch_model.safetensors, "
                    "model.safetensors, pytorch_model.bin or the index of their shards, or "
                    "CTranslate2's model.bin)",
                    path);
        at_free(inside);
    } else if (fine) {
        fine = fill(cx, w, path);
    }
    if (fine && join(cx, w)) return at_own(cx, w, drop) ? w : NULL;
    at_weights_drop(w);
    return NULL;
}

at_weights *at_weights_of_bytes(at_context *cx, const char *path, const char *name)
{
    at_weights *w = new_set(cx);
    at_weight_file *file = w ? at_weight_file_new(cx, path) : NULL;
    at_weight *bytes = file ? AT_NEW(cx, at_weight) : NULL;
    if (bytes) {
        size_t size = file->mapping->size;
        *bytes = (at_weight){.name = at_copy_text(cx, name),
                             .dtype = AT_U8,
                             .dims = 1,
                             .shape = {(int64_t)size},
                             .file = file->mapping,
                             .bytes = size};
        file->tensors = bytes;
        file->count = 1;
    }
    if (at_ok(cx) && add_single(cx, w, file)) return at_own(cx, w, drop) ? w : NULL;
    if (w && !w->file_count) at_weight_file_free(file);
    at_weights_drop(w);
    return NULL;
}

/* ---- derived sets */

at_weights *at_weights_derive(at_context *cx, at_weights *source)
{
    at_weights *w = source ? new_set(cx) : NULL;
    if (!w) return NULL;
    w->source = at_weights_keep(source);
    return at_own(cx, w, drop) ? w : NULL;
}

bool at_weights_add(at_context *cx, at_weights *set, const char *name, const at_weight *from,
                    const at_weight_view *view)
{
    static const at_weight_view whole = {0};
    if (!at_ok(cx) || !set) return false;
    if (at_weights_find(set, name))
        return at_fail_false(cx, AT_ERROR_FORMAT, "%s: two tensors mean \"%.200s\"",
                             from->file->path, name);
    if (set->count == set->capacity) {
        int64_t capacity = AT_MAX(64, set->capacity * 2);
        at_weight *more = at_resize(cx, set->tensors, (size_t)capacity, sizeof *more);
        if (!more) return false;
        set->tensors = more;
        set->capacity = capacity;
    }
    at_weight *w = &set->tensors[set->count];
    if (!at_weight_view_of(cx, from, view ? view : &whole, w)) return false;
    w->name = at_copy_text(cx, name);
    if (w->name && at_map_set(cx, set->by_name, name, strlen(name), set->count)) {
        set->count++;
        return true;
    }
    at_free((char *)(uintptr_t)w->name);
    at_free((at_coding *)(uintptr_t)w->coding);
    return false;
}

/* ---- asking */

int64_t at_weights_count(const at_weights *weights)
{
    return weights ? weights->count : 0;
}

const at_weight *at_weights_at(const at_weights *weights, int64_t i)
{
    return weights && i >= 0 && i < weights->count ? &weights->tensors[i] : NULL;
}

const at_weight *at_weights_find(const at_weights *weights, const char *name)
{
    int64_t i;
    return weights && at_map_get(weights->by_name, name, strlen(name), &i) ? &weights->tensors[i]
                                                                           : NULL;
}

at_tensor *at_weights_get(at_context *cx, const at_weights *weights, const char *name)
{
    const at_weight *w = at_ok(cx) ? at_weights_find(weights, name) : NULL;
    if (!w) return NULL;
    if (w->coding) return at_decode(cx, w);
    const uint8_t *data = w->file->data + w->offset;
    size_t alignment = at_dtype_block(w->dtype) == 1 ? at_dtype_block_bytes(w->dtype) : 2;
    if (w->bytes && (uintptr_t)data % alignment == 0)
        return at_tensor_mapped(cx, w->dtype, w->dims, w->shape, w->file, data);
    return at_from(cx, w->dtype, w->dims, w->shape, data);
}

void at_weights_rest(const at_weights *weights)
{
    const at_mapping *last = NULL;
    for (int64_t i = 0; i < at_weights_count(weights); i++) {
        const at_mapping *file = weights->tensors[i].file;
        if (file != last) at_mapping_forget(file, 0, file->size);
        last = file;
    }
}

const char *at_weights_metadata(const at_weights *weights, const char *key)
{
    for (int64_t i = 0; weights && i < weights->file_count; i++) {
        const cJSON *item = cJSON_GetObjectItemCaseSensitive(weights->files[i]->metadata, key);
        if (item) return item->valuestring;
    }
    return NULL;
}

const cJSON *at_weights_all_metadata(const at_weights *weights)
{
    return weights && weights->file_count ? weights->files[0]->metadata : NULL;
}
