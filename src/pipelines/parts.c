#include "pipelines/parts.h"
#include "base/file.h"
#include "base/share.h"
#include <string.h>

static at_config *config_of(at_context *cx, const cJSON *json, const char *what)
{
    char *text = cJSON_PrintUnformatted(json);
    at_config *config = text ? at_config_parse(cx, text, strlen(text), what) : NULL;
    if (!text) at_fail(cx, AT_ERROR_MEMORY, "out of memory");
    cJSON_free(text);
    return config;
}

at_config *at_parts_index(at_context *cx, const char *path, at_layout **layout)
{
    *layout = at_layout_open(cx, path);
    if (!*layout) return NULL;
    if (!(*layout)->pipeline)
        return at_fail(cx, AT_ERROR_FORMAT,
                       "%s: holds %s, not a whole model (give it with -m MODEL and --%s)", path,
                       (*layout)->family, at_parts_option((*layout)->parts[0].name));
    return config_of(cx, (*layout)->index, path);
}

/* Diffusers' class, or what transformers calls the kind of network; mT5 is T5. */
static const char *kind_of(const cJSON *config)
{
    static const char *const keys[] = {"_class_name", "model_type"};
    const char *kind = NULL;
    for (size_t i = 0; i < AT_COUNT(keys) && !kind; i++)
        kind = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(config, keys[i]));
    return kind && strcmp(kind, "mt5") == 0 ? "t5" : kind;
}

/* The configuration in a folder, where it is of this network: it says what shapes do not. */
static at_config *config_in(at_context *cx, const char *folder, const at_layout_part *part,
                            const char *class_name)
{
    char *path = at_path_join(cx, folder, "config.json");
    bool there = path && at_file_exists(path);
    at_config *config = there ? at_config_read(cx, path) : NULL;
    const char *own = config ? kind_of(at_config_json(config)) : NULL;
    const char *wanted = kind_of(part->config);
    bool fits = own && wanted && strcmp(own, wanted) == 0 &&
                at_module_fits(cx, config, part->weights, class_name);
    at_free(path);
    if (fits) return config;
    at_config_free(config);
    return NULL;
}

/* Of a lone file: as its metadata say, or what lies beside it, or what it comes in the place of. */
static at_config *config_around(at_context *cx, const char *file, const at_component *c,
                                const at_layout_part *part)
{
    if (!part->inferred) return NULL;
    const char *slash = strrchr(file, '/');
    char *folder =
        slash ? at_format(cx, "%.*s", (int)(slash - file + 1), file) : at_copy_text(cx, ".");
    at_config *config = folder ? config_in(cx, folder, part, c->class_name) : NULL;
    if (!config && !c->config && c->folder && at_ok(cx))
        config = config_in(cx, c->folder, part, c->class_name);
    at_free(folder);
    return config;
}

static void replace_text(at_context *cx, char **text, const char *with)
{
    at_free(*text);
    *text = at_copy_text(cx, with);
}

/* Any autoencoder can stand in for the model's. */
static bool is_vae(const at_component *c)
{
    return strcmp(c->name, "vae") == 0 || strcmp(c->name, AT_PREVIEW_VAE) == 0;
}

static bool is_tokenizer(const char *component)
{
    return strncmp(component, "tokenizer", 9) == 0;
}

/* The class that a folder names for a component that the model itself says nothing of, or that can
   be of several. */
static void take_class(at_context *cx, at_component *c, const char *folder)
{
    bool tokenizer = is_tokenizer(c->name);
    char *path = at_path_join(cx, folder, tokenizer ? "tokenizer_config.json" : "config.json");
    cJSON *json = path && at_file_exists(path) ? at_json_read(cx, path) : NULL;
    const cJSON *name =
        cJSON_GetObjectItemCaseSensitive(json, tokenizer ? "tokenizer_class" : "_class_name");
    if (!name && !tokenizer)
        name = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(json, "architectures"), 0);
    if (cJSON_IsString(name)) replace_text(cx, &c->class_name, name->valuestring);
    cJSON_Delete(json);
    at_free(path);
}

static void take_folder(at_pipeline *p, at_component *c, const char *path)
{
    if (!c->class_name || is_vae(c) || is_tokenizer(c->name)) take_class(p->cx, c, path);
    at_config_free(c->config);
    at_weights_drop(c->weights);
    c->config = NULL;
    c->weights = NULL;
    replace_text(p->cx, &c->folder, path);
}

/* What latents are scaled by, the shapes of a lone autoencoder do not tell: as the one says in
   whose place it comes, or as the family has it. */
static void take_scaling(at_pipeline *p, cJSON *config)
{
    static const char *const keys[] = {"scaling_factor", "shift_factor", "latents_mean",
                                       "latents_std"};
    at_context *cx = p->cx;
    const at_component *vae = at_pipeline_component(p, "vae");
    char *path = at_path_join(cx, vae->folder, "config.json");
    cJSON *file = !vae->config && path && at_file_exists(path) ? at_json_read(cx, path) : NULL;
    const cJSON *own = vae->config ? at_config_json(vae->config) : file;
    if (!own) at_layout_set_scaling(config, p->class->name);
    for (size_t i = 0; own && i < AT_COUNT(keys); i++) {
        cJSON_DeleteItemFromObjectCaseSensitive(config, keys[i]);
        const cJSON *item = cJSON_GetObjectItemCaseSensitive(own, keys[i]);
        if (item) cJSON_AddItemToObject(config, keys[i], cJSON_Duplicate(item, true));
    }
    cJSON_Delete(file);
    at_free(path);
}

/* Whether two classes are of one network, with another end. */
static bool both(const char *a, const char *b, const char *with)
{
    return strncmp(a, with, strlen(with)) == 0 && strncmp(b, with, strlen(with)) == 0;
}

static bool can_be(const at_layout_part *part, const char *class_name)
{
    const char *own = part->class_name;
    return strcmp(own, class_name) == 0 || both(own, class_name, "CLIPText") ||
           both(own, class_name, "Gemma2") ||
           (strcmp(own, "T5EncoderModel") == 0 && strcmp(class_name, "MT5EncoderModel") == 0);
}

static void take(at_pipeline *p, at_component *c, at_layout_part *part, const char *path,
                 bool alone)
{
    at_context *cx = p->cx;
    if (part->folder) {
        take_folder(p, c, part->folder);
        return;
    }
    if (!c->class_name || is_vae(c) || both(c->class_name, part->class_name, "Gemma2"))
        replace_text(cx, &c->class_name, part->class_name);
    at_config *around = alone ? config_around(cx, path, c, part) : NULL;
    if (alone && !around && part->inferred && strcmp(part->class_name, "AutoencoderKL") == 0)
        take_scaling(p, part->config);
    at_config_free(c->config);
    at_weights_drop(c->weights);
    c->config = around;
    if (!c->config && at_ok(cx)) c->config = config_of(cx, part->config, path);
    c->weights = at_weights_keep(part->weights);
    replace_text(cx, &c->folder, path);
}

static void take_tokenizer(at_pipeline *p, const char *name, const char *shared)
{
    at_component *c = at_pipeline_component(p, name);
    char *folder = c && shared ? at_share_find(p->cx, shared) : NULL;
    if (folder) replace_text(p->cx, &c->folder, folder);
    at_free(folder);
}

void at_parts_take_all(at_pipeline *p, at_layout *layout)
{
    static const char *const tokenizers[] = {"tokenizer", "tokenizer_2"};
    for (int i = 0; i < layout->count && at_ok(p->cx); i++) {
        at_component *c = at_pipeline_component(p, layout->parts[i].name);
        if (c) take(p, c, &layout->parts[i], p->folder, layout->networks == 1);
    }
    for (int i = 0; i < 2 && at_ok(p->cx); i++)
        take_tokenizer(p, tokenizers[i], layout->tokenizers[i]);
    p->scheduler = cJSON_Duplicate(layout->scheduler, true);
    if (!p->scheduler && at_ok(p->cx)) at_fail(p->cx, AT_ERROR_MEMORY, "out of memory");
}

/* ---- files of single components */

static bool is_text_encoder(const char *name)
{
    return strncmp(name, "text_encoder", 12) == 0;
}

/* The part of the file that can be this component: of its name, or of its class, or a lone text
   encoder in the place of one that was left out. */
static at_layout_part *part_for(at_layout *layout, const at_component *c)
{
    at_layout_part *named = at_layout_find(layout, is_vae(c) ? "vae" : c->name);
    const char *class_name = c->class_name;
    if (named && (!class_name || is_vae(c) || can_be(named, class_name))) return named;
    if (!class_name && layout->networks == 1 && is_text_encoder(c->name) &&
        is_text_encoder(layout->parts[0].name))
        return &layout->parts[0];
    for (int i = 0; class_name && i < layout->count; i++)
        if (can_be(&layout->parts[i], class_name)) return &layout->parts[i];
    return NULL;
}

/* A lone text encoder may bring the tokenizer that a single file has not. */
static void take_missing_tokenizer(at_pipeline *p, const at_component *encoder, at_layout *layout,
                                   const char *path)
{
    if (!is_text_encoder(encoder->name) || layout->count == layout->networks) return;
    char *name = at_format(p->cx, "tokenizer%s", encoder->name + strlen("text_encoder"));
    at_component *c = name ? at_pipeline_component(p, name) : NULL;
    if (c && !c->weights && !at_folder_exists(c->folder))
        take(p, c, &layout->parts[layout->networks], path, false);
    at_free(name);
}

static void take_file(at_pipeline *p, at_component *c, const char *path)
{
    at_layout *layout = at_layout_open(p->cx, path);
    at_layout_part *part = layout ? part_for(layout, c) : NULL;
    if (part) {
        take(p, c, part, path, layout->networks == 1);
        take_missing_tokenizer(p, c, layout, path);
    } else if (layout)
        at_fail(p->cx, AT_ERROR_FORMAT, "%s: holds %s, and no %s for --%s", path, layout->family,
                c->class_name ? c->class_name : c->name, at_parts_option(c->name));
    at_layout_free(layout);
}

static void take_path(at_pipeline *p, const char *name, const char *path)
{
    at_component *c = path && at_ok(p->cx) ? at_pipeline_component(p, name) : NULL;
    if (!path || !at_ok(p->cx)) return;
    if (!c)
        at_fail(p->cx, AT_ERROR_ARGUMENT, "--%s: %s has none", at_parts_option(name),
                p->class->name);
    else if (at_folder_exists(path))
        take_folder(p, c, path);
    else if (is_tokenizer(name))
        at_fail(p->cx, AT_ERROR_FILE, "%s: no such folder (a tokenizer is one)", path);
    else
        take_file(p, c, path);
}

static const struct {
    const char *component, *option;
} options[] = {
    {"unet", "transformer"},
    {"transformer", "transformer"},
    {"vae", "vae"},
    {AT_PREVIEW_VAE, "preview-vae"},
    {"text_encoder", "text-encoder"},
    {"text_encoder_2", "text-encoder-2"},
    {"text_encoder_3", "text-encoder-3"},
    {"tokenizer", "tokenizer"},
    {"tokenizer_2", "tokenizer-2"},
    {"tokenizer_3", "tokenizer-3"},
};

const char *at_parts_option(const char *component)
{
    for (size_t i = 0; i < AT_COUNT(options); i++)
        if (strcmp(options[i].component, component) == 0) return options[i].option;
    return component;
}

bool at_parts_take_preview(at_pipeline *p, const char *path)
{
    at_component *c = at_pipeline_component(p, AT_PREVIEW_VAE);
    if (!c || (c->folder && strcmp(c->folder, path) == 0)) return at_ok(p->cx);
    at_module_free(c->module);
    c->module = NULL;
    c->bytes = 0;
    take_path(p, AT_PREVIEW_VAE, path);
    return at_ok(p->cx);
}

void at_parts_take_files(at_pipeline *p, const at_model_files *files)
{
    if (!p->count || !at_ok(p->cx)) return;
    bool unet = at_pipeline_component(p, "unet") != NULL;
    take_path(p, unet ? "unet" : "transformer", files->transformer);
    take_path(p, "vae", files->vae);
    take_path(p, "text_encoder", files->text_encoder);
    take_path(p, "text_encoder_2", files->text_encoder_2);
    take_path(p, "text_encoder_3", files->text_encoder_3);
    take_path(p, "tokenizer", files->tokenizer);
    take_path(p, "tokenizer_2", files->tokenizer_2);
    take_path(p, "tokenizer_3", files->tokenizer_3);
}
