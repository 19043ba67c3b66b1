#include "adapters/lora.h"
#include "adapters/lora_layer.h"
#include "adapters/targets.h"
#include "adapters/values.h"
#include "base/file.h"
#include "base/json.h"
#include "base/map.h"
#include "tensor/pool.h"
#include <stdio.h>
#include <string.h>

void at_lora_free(at_lora *lora)
{
    if (!lora) return;
    for (int i = 0; i < lora->count; i++) at_free(lora->layers[i].path);
    at_free(lora->layers);
    at_weights_drop(lora->weights);
    cJSON_Delete(lora->settings);
    at_free(lora->path);
    at_free(lora);
}

/* ---- the file */

/* What Diffusers writes into the metadata, or PEFT beside its file. */
static cJSON *read_settings(at_context *cx, const at_lora *lora)
{
    const char *text = at_weights_metadata(lora->weights, "lora_adapter_metadata");
    if (text) return at_json_parse(cx, text, strlen(text), lora->path);
    const char *slash = strrchr(lora->path, '/');
    if (strcmp(slash ? slash + 1 : lora->path, "adapter_model.safetensors") != 0) return NULL;
    char *path = at_format(cx, "%.*sadapter_config.json", slash ? (int)(slash - lora->path) + 1 : 0,
                           lora->path);
    cJSON *json = path && at_file_exists(path) ? at_json_read(cx, path) : NULL;
    at_free(path);
    return json;
}

static at_lora_layer *layer_of(at_lora *lora, at_map *by_path, const at_lora_key *key)
{
    char *name = at_format(lora->cx, "%d:%s", (int)key->part, key->path);
    int64_t index = lora->count;
    at_lora_layer *layer = NULL;
    if (name && at_map_get(by_path, name, strlen(name), &index)) {
        layer = &lora->layers[index];
    } else if (name && at_map_set(lora->cx, by_path, name, strlen(name), index)) {
        layer = &lora->layers[lora->count++];
        layer->part = key->part;
        layer->path = at_copy_text(lora->cx, key->path);
    }
    at_free(name);
    return layer;
}

static bool read_layers(at_lora *lora)
{
    at_context *cx = lora->cx;
    int64_t count = at_weights_count(lora->weights);
    at_map *by_path = at_map_new(cx);
    lora->layers = AT_NEW_ARRAY(cx, at_lora_layer, count);
    bool fine = by_path && lora->layers;
    bool updates = false;
    for (int64_t i = 0; fine && i < count; i++) {
        const at_weight *w = at_weights_at(lora->weights, i);
        at_lora_key key;
        const char *family = at_lora_unread_family(w->name);
        if (family) {
            fine = at_fail_false(cx, AT_ERROR_UNSUPPORTED, "%s: %s is not supported (%.200s)",
                                 lora->path, family, w->name);
            break;
        }
        if (!at_lora_key_of(w->name, &key)) continue;
        at_lora_layer *layer = layer_of(lora, by_path, &key);
        fine = layer && at_values_are_finite(cx, lora->path, lora->weights, w);
        if (fine && layer->tensors[key.role])
            fine =
                at_fail_false(cx, AT_ERROR_FORMAT, "%s: %s and %s are the same tensor of a layer",
                              lora->path, layer->tensors[key.role]->name, w->name);
        if (fine) layer->tensors[key.role] = w;
        updates = updates || key.role != AT_LORA_OTHER;
    }
    at_map_free(by_path);
    if (fine && !updates)
        fine = at_fail_false(cx, AT_ERROR_FORMAT, "%s: not a LoRA (its first tensor is %.200s)",
                             lora->path, count ? at_weights_at(lora->weights, 0)->name : "missing");
    return fine;
}

at_lora *at_lora_open(at_context *cx, const char *path)
{
    at_lora *lora = at_ok(cx) ? AT_NEW(cx, at_lora) : NULL;
    if (!lora) return NULL;
    lora->cx = cx;
    lora->path = at_copy_text(cx, path);
    at_weights *weights = at_weights_open(cx, path);
    if (weights) lora->weights = at_weights_keep(weights);
    at_weights_free(weights);
    bool fine = lora->path && weights && read_layers(lora);
    if (fine) lora->settings = read_settings(cx, lora);
    if (fine && at_ok(cx)) return lora;
    at_lora_free(lora);
    return NULL;
}

/* ---- networks */

static bool belongs(at_lora_part part, const at_module *module, const char *component)
{
    bool t5 = strstr(module->class->name, "T5Encoder") != NULL;
    switch (part) {
    case AT_LORA_CLIP:
        return strcmp(component, "text_encoder") == 0;
    case AT_LORA_CLIP_2:
        return strcmp(component, "text_encoder_2") == 0;
    case AT_LORA_T5:
        return t5 || strcmp(component, "text_encoder_3") == 0;
    default:
        return strcmp(component, "unet") == 0 || strcmp(component, "transformer") == 0;
    }
}

/* The parts of one name, one after the other. */
static bool attach_parts(at_lora *lora, at_lora_layer *layer, at_module *module,
                         const at_targets *targets, int found, at_lora_role role, double weight)
{
    at_lora_slice slice = {0};
    for (int i = found; i >= 0; i = targets->parts[i].next)
        slice.total += targets->parts[i].target->shape[0];
    bool fine = true;
    for (int i = found; fine && i >= 0; i = targets->parts[i].next) {
        slice.target = targets->parts[i].target;
        slice.swapped = targets->parts[i].swapped;
        bool layer_alone = slice.target->updates && role == AT_LORA_OTHER; /* no update */
        layer->matched = layer->matched || !layer_alone;
        if (weight != 0 && !layer_alone)
            fine = at_lora_attach_layer(lora, layer, module, &slice, role, weight);
        slice.first += slice.target->shape[0];
    }
    return fine;
}

/* A layer by its name, or a norm, whose parameters have names of their own. */
static bool attach(at_lora *lora, at_lora_layer *layer, at_module *module,
                   const at_targets *targets, double weight)
{
    static const struct {
        at_lora_role role;
        const char *tail;
    } norms[] = {{AT_LORA_DIFF, "_weight"}, {AT_LORA_DIFF_BIAS, "_bias"}};
    int found = at_targets_find(targets, layer->path);
    at_lora_role role = layer->tensors[AT_LORA_OTHER] ? AT_LORA_OTHER : AT_LORA_DIFF;
    if (found >= 0) return attach_parts(lora, layer, module, targets, found, role, weight);
    bool fine = true;
    for (size_t i = 0; fine && i < AT_COUNT(norms); i++) {
        char name[520];
        snprintf(name, sizeof name, "%s%s", layer->path, norms[i].tail);
        found = layer->tensors[norms[i].role] ? at_targets_find(targets, name) : -1;
        if (found >= 0)
            fine = attach_parts(lora, layer, module, targets, found, norms[i].role, weight);
    }
    return fine;
}

bool at_lora_attach(at_lora *lora, at_module *module, const char *component, double weight)
{
    at_targets targets;
    if (!module || !at_ok(lora->cx) || !at_targets_of(module, &targets)) return false;
    bool fine = true;
    for (int i = 0; fine && i < lora->count; i++)
        if (belongs(lora->layers[i].part, module, component))
            fine = attach(lora, &lora->layers[i], module, &targets, weight);
    at_targets_free(&targets);
    return fine;
}

static const char *key_of(const at_lora_layer *layer)
{
    for (int r = 0; r < AT_LORA_ROLES; r++)
        if (layer->tensors[r]) return layer->tensors[r]->name;
    return "";
}

bool at_lora_report(const at_lora *lora)
{
    int matched = 0, others = 0;
    const char *keys[3] = {"", "", ""};
    for (int i = 0; i < lora->count; i++) {
        if (lora->layers[i].matched)
            matched++;
        else if (others < 3)
            keys[others++] = key_of(&lora->layers[i]);
    }
    if (!matched)
        return at_fail_false(
            lora->cx, AT_ERROR_FORMAT,
            "%s: no layer of this model has any of its names (%.120s%s%.120s%s%.120s)", lora->path,
            keys[0], others > 1 ? ", " : "", keys[1], others > 2 ? ", " : "", keys[2]);
    if (matched < lora->count)
        at_log(lora->cx, AT_LOG_WARNING, "%s: %d of its %d layers match this model (not %.120s%s)",
               lora->path, matched, lora->count, keys[0], others > 1 ? ", ..." : "");
    return true;
}
