#include "hub/models.h"
#include "base/file.h"
#include "base/json.h"
#include "base/share.h"
#include "hub/cache.h"
#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void free_all(char **texts, int count)
{
    for (int i = 0; i < count; i++) at_free(texts[i]);
}

/* True for what can be opened as a model: a folder with a description. */
static bool is_model(at_context *cx, const char *folder)
{
    return at_file_exists_in(cx, folder, "model_index.json") ||
           at_file_exists_in(cx, folder, "config.json");
}

char *at_model_find(at_context *cx, const char *model)
{
    if (!at_ok(cx)) return NULL;
    const char *name = model ? model : AT_DEFAULT_MODEL;
    if (model && (at_file_exists(model) || at_folder_exists(model))) return at_copy_text(cx, model);
    char *found = NULL, *folders[AT_SHARE_FOLDERS];
    int count = strchr(name, '/') || !*name ? 0 : at_share_folders(cx, folders);
    for (int i = 0; i < count && !found; i++) {
        char *path = folders[i] ? at_path_join(cx, folders[i], name) : NULL;
        if (path && is_model(cx, path))
            found = path;
        else
            at_free(path);
    }
    free_all(folders, count);
    at_hub_name hub;
    if (!found && at_hub_name_read(&hub, name)) found = at_hub_find(cx, &hub);
    if (found || at_failed(cx)) return found;
    if (!model)
        return at_fail(cx, AT_ERROR_FILE,
                       "%s: the embedded model is not where it was installed (give a model)", name);
    return at_fail(cx, AT_ERROR_FILE,
                   "%s: no such file, folder or model (see atelier list and atelier pull)", model);
}

char *at_model_find_default(at_context *cx, const char *model, const char *const *names,
                            const char *command)
{
    if (model || !at_ok(cx)) return at_model_find(cx, model);
    for (const char *const *name = names; *name; name++) {
        char *path = at_model_find(cx, *name);
        if (path || at_error_status(cx) != AT_ERROR_FILE) return path;
        at_error_clear(cx);
    }
    return at_fail(cx, AT_ERROR_FILE, "%s: not here (fetch it with %s, or give another model)",
                   names[0], command);
}

char *at_model_kind(at_context *cx, const char *folder)
{
    static const struct {
        const char *file, *key, *meaning; /* NULL: the value says it */
    } places[] = {{"model_index.json", "_class_name", NULL},
                  {"config.json", "_class_name", NULL},
                  {"config.json", "architectures", NULL},
                  {"config.json", "alignment_heads", "WhisperForConditionalGeneration"}};
    for (size_t i = 0; i < AT_COUNT(places); i++) {
        char *file = at_path_join(cx, folder, places[i].file);
        cJSON *json = at_file_exists(file) ? at_json_read(cx, file) : NULL;
        const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, places[i].key);
        if (cJSON_IsArray(item)) item = item->child;
        const char *said =
            item && places[i].meaning ? places[i].meaning : cJSON_GetStringValue(item);
        char *kind = said ? at_copy_text(cx, said) : NULL;
        cJSON_Delete(json);
        at_free(file);
        if (kind || at_failed(cx)) return kind;
    }
    return at_copy_text(cx, "unknown");
}

const char *at_weights_kind(const at_weights *weights)
{
    static const struct {
        const char *part, *kind;
    } signs[] = {
        {".lora_", "LoRA"},
        {"lora_unet_", "LoRA"},
        {"single_transformer_blocks.", "FluxTransformer2DModel"},
        {"decoder.mid_block.attentions.", "AutoencoderKL"},
        {"encoder.block.0.layer.0.SelfAttention.", "T5EncoderModel"},
        {"encoder.layers.0.self_attn.", "CLIPTextModel"},
    };
    for (size_t s = 0; s < AT_COUNT(signs); s++)
        for (int64_t i = 0; i < at_weights_count(weights); i++)
            if (strstr(at_weights_at(weights, i)->name, signs[s].part)) return signs[s].kind;
    return "unknown";
}

static _Thread_local size_t walked_bytes;

static int add_bytes(const char *path, const struct stat *st, int type, struct FTW *walk)
{
    (void)path;
    (void)walk;
    if (type == FTW_F) walked_bytes += (size_t)st->st_size;
    return 0;
}

size_t at_model_bytes(const char *path)
{
    walked_bytes = 0;
    nftw(path, add_bytes, 16, 0);
    return walked_bytes;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const at_model_entry *)a)->name, ((const at_model_entry *)b)->name);
}

static bool listed(const at_model_entry *entries, int count, const char *name)
{
    for (int i = 0; i < count; i++)
        if (strcmp(entries[i].name, name) == 0) return true;
    return false;
}

typedef struct model_list {
    at_model_entry *entries;
    int count;
} model_list;

/* Appends one. A damaged one is listed as what can be said of it. */
static void list_model(at_context *cx, void *user, const char *name, const char *path)
{
    model_list *l = user;
    at_model_entry *more = listed(l->entries, l->count, name)
                               ? NULL
                               : at_resize(cx, l->entries, (size_t)l->count + 1, sizeof *more);
    if (!more) return;
    l->entries = more;
    char *kind = at_model_kind(cx, path);
    if (at_error_status(cx) == AT_ERROR_FORMAT) at_error_clear(cx);
    more[l->count++] =
        (at_model_entry){at_copy_text(cx, name), at_copy_text(cx, path),
                         kind ? kind : at_copy_text(cx, "damaged"), at_model_bytes(path)};
}

static void list_folder(at_context *cx, const char *folder, model_list *list)
{
    DIR *directory = opendir(folder);
    for (struct dirent *d; directory && (d = readdir(directory));) {
        if (d->d_name[0] == '.') continue;
        char *path = at_path_join(cx, folder, d->d_name);
        char *real = path && is_model(cx, path) ? realpath(path, NULL) : NULL;
        if (real) list_model(cx, list, d->d_name, real);
        free(real);
        at_free(path);
    }
    if (directory) closedir(directory);
}

int at_models_list(at_context *cx, at_model_entry **entries)
{
    *entries = NULL;
    if (!at_ok(cx)) return 0;
    model_list list = {0};
    char *folders[AT_SHARE_FOLDERS];
    int folder_count = at_share_folders(cx, folders);
    for (int i = 0; i < folder_count && at_ok(cx); i++) list_folder(cx, folders[i], &list);
    free_all(folders, folder_count);
    at_hub_list(cx, list_model, &list);
    if (at_failed(cx)) {
        at_models_list_free(list.entries, list.count);
        return 0;
    }
    if (list.count) qsort(list.entries, (size_t)list.count, sizeof *list.entries, by_name);
    *entries = list.entries;
    return list.count;
}

void at_models_list_free(at_model_entry *entries, int count)
{
    for (int i = 0; i < count; i++) {
        at_free(entries[i].name);
        at_free(entries[i].path);
        at_free(entries[i].kind);
    }
    at_free(entries);
}
