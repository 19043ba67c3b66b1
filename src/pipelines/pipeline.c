#include "pipelines/pipeline.h"
#include "base/file.h"
#include "base/threads.h"
#include "formats/weights.h"
#include "pipelines/adapters.h"
#include "pipelines/embeddings.h"
#include "pipelines/parts.h"
#include "tensor/pool.h"
#include "text/tokenizer.h"
#include <string.h>

static const at_pipeline_class *const classes[] = {
    &at_aura_flow_pipeline_class,
    &at_flux_pipeline_class,
    &at_flux_img2img_pipeline_class,
    &at_flux_inpaint_pipeline_class,
    &at_hunyuan_dit_pipeline_class,
    &at_latent_consistency_pipeline_class,
    &at_latent_consistency_img2img_pipeline_class,
    &at_lumina2_pipeline_class,
    &at_lumina2_text2img_pipeline_class,
    &at_stable_diffusion_3_pipeline_class,
    &at_stable_diffusion_3_img2img_pipeline_class,
    &at_stable_diffusion_3_inpaint_pipeline_class,
    &at_stable_diffusion_pipeline_class,
    &at_stable_diffusion_img2img_pipeline_class,
    &at_stable_diffusion_inpaint_pipeline_class,
    &at_stable_diffusion_xl_pipeline_class,
    &at_stable_diffusion_xl_img2img_pipeline_class,
    &at_stable_diffusion_xl_inpaint_pipeline_class,
};

static const at_pipeline_class *class_of(at_context *cx, at_config *index)
{
    const char *name = at_config_text(cx, index, "_class_name", "");
    for (size_t i = 0; i < AT_COUNT(classes); i++)
        if (strcmp(classes[i]->name, name) == 0) return classes[i];
    return at_fail(cx, AT_ERROR_UNSUPPORTED, "%s: the pipeline \"%s\" is not supported",
                   at_config_what(index), name);
}

static void close_component(at_component *c)
{
    at_module_free(c->module);
    at_tokenizer_free(c->tokenizer);
    at_config_free(c->config);
    at_weights_drop(c->weights);
    at_free(c->name);
    at_free(c->class_name);
    at_free(c->folder);
}

static void destroy(void *object)
{
    at_pipeline *p = object;
    for (int i = 0; i < p->count; i++) close_component(&p->components[i]);
    at_adapters_free(p->adapters);
    at_embeddings_free(p->embeddings);
    at_free(p->components);
    at_config_free(p->index);
    cJSON_Delete(p->scheduler);
    at_free(p->folder);
    at_free(p);
}

void at_pipeline_free(at_pipeline *pipeline)
{
    if (!pipeline) return;
    at_disown(pipeline->cx, pipeline);
    destroy(pipeline);
}

/* "text_encoder": ["transformers", "CLIPTextModel"], or [null, null] */
static void read_component(at_pipeline *p, at_component *c, const char *name)
{
    at_context *cx = p->cx;
    const cJSON *entry = at_config_item(p->index, name);
    const cJSON *class_name = cJSON_GetArrayItem(entry, 1);
    c->name = at_copy_text(cx, name);
    c->folder = at_path_join(cx, p->folder, name);
    if (!entry || cJSON_IsNull(class_name)) return;
    if (!cJSON_IsString(class_name)) {
        at_fail(cx, AT_ERROR_FORMAT, "%s: \"%s\" must be a library and a class",
                at_config_what(p->index), name);
        return;
    }
    c->class_name = at_copy_text(cx, class_name->valuestring);
}

/* What model_index.json names must be there, or come from a file. */
static void check_component(at_pipeline *p, const at_component *c)
{
    if (!c->class_name || c->weights || p->scheduler || !c->folder || at_folder_exists(c->folder))
        return;
    at_fail(p->cx, AT_ERROR_FILE, "%s: the folder is missing (model_index.json names it)",
            c->folder);
}

static at_config *read_index(at_context *cx, const char *folder)
{
    char *path = at_path_join(cx, folder, "model_index.json");
    at_config *index = NULL;
    if (path && !at_file_exists(path))
        at_fail(cx, AT_ERROR_FORMAT, "%s: not a Diffusers folder (it has no model_index.json)",
                folder);
    else if (path)
        index = at_config_read(cx, path);
    at_free(path);
    return index;
}

static void read_components(at_pipeline *p)
{
    int count = 0;
    p->class = at_ok(p->cx) ? class_of(p->cx, p->index) : NULL;
    while (p->class && p->class->components[count]) count++;
    p->components = p->class ? AT_NEW_ARRAY(p->cx, at_component, count + 1) : NULL;
    if (!p->components) return;
    p->count = count + 1;
    for (int i = 0; i < count && at_ok(p->cx); i++)
        read_component(p, &p->components[i], p->class->components[i]);
    p->components[count].name = at_copy_text(p->cx, AT_PREVIEW_VAE);
}

at_pipeline *at_pipeline_open_files(at_context *cx, const at_model_files *files)
{
    at_pipeline *p = at_ok(cx) ? AT_NEW(cx, at_pipeline) : NULL;
    if (!p) return NULL;
    p->cx = cx;
    p->folder = at_copy_text(cx, files->model);
    if (!at_own(cx, p, destroy)) return NULL;
    at_layout *layout = NULL;
    if (at_file_exists(files->model) || at_layout_is_folder(cx, files->model))
        p->index = at_parts_index(cx, files->model, &layout);
    else
        p->index = read_index(cx, files->model);
    if (p->index) read_components(p);
    if (layout) at_parts_take_all(p, layout);
    at_parts_take_files(p, files);
    for (int i = 0; i < p->count && at_ok(cx); i++) check_component(p, &p->components[i]);
    at_layout_free(layout);
    if (at_ok(cx)) return p;
    at_pipeline_free(p);
    return NULL;
}

at_pipeline *at_pipeline_open(at_context *cx, const char *path)
{
    return at_pipeline_open_files(cx, &(at_model_files){.model = path});
}

at_component *at_pipeline_component(const at_pipeline *p, const char *name)
{
    for (int i = 0; i < p->count; i++)
        if (strcmp(p->components[i].name, name) == 0) return &p->components[i];
    return NULL;
}

static at_component *needed(at_pipeline *p, const char *name)
{
    at_component *c = at_ok(p->cx) ? at_pipeline_component(p, name) : NULL;
    if (c && c->class_name) return c;
    return at_fail(p->cx, AT_ERROR_FORMAT, "%s: model_index.json has no \"%s\", which %s needs",
                   p->folder, name, p->class->name);
}

/* Of the files, without reading them: only when there is a budget to keep. */
static size_t weight_bytes(at_context *cx, at_component *c)
{
    if (c->bytes || !at_pool_budget(cx)) return c->bytes;
    at_weights *weights = c->weights ? c->weights : at_weights_open(cx, c->folder);
    for (int64_t i = 0; i < at_weights_count(weights); i++)
        c->bytes += at_weights_at(weights, i)->bytes;
    if (!c->weights) at_weights_free(weights);
    return c->bytes;
}

/* Lets go of the longest unused modules until `bytes` more fit into the budget, as far as that
 * helps. */
static void make_room(at_pipeline *p, size_t bytes)
{
    size_t budget = at_pool_budget(p->cx);
    while (budget) {
        size_t held = at_memory_used(p->cx);
        at_component *oldest = NULL;
        for (int i = 0; i < p->count; i++) {
            at_component *c = &p->components[i];
            if (!c->module) continue;
            held += c->bytes;
            if (!oldest || c->used < oldest->used) oldest = c;
        }
        if (!oldest || held + bytes <= budget) return;
        at_log(p->cx, AT_LOG_INFO, "%s: let go of, for the memory budget", oldest->name);
        at_module_free(oldest->module);
        oldest->module = NULL;
    }
}

static at_module *load(at_pipeline *p, const at_component *c, const char *class_name)
{
    if (!c->weights) return at_module_load(p->cx, c->folder, class_name);
    return at_module_load_weights(p->cx, c->config, c->weights, c->folder, class_name);
}

at_module *at_pipeline_module(at_pipeline *p, const char *component, const char *class_name)
{
    at_component *c = needed(p, component);
    if (!c) return NULL;
    if (p->scheduler && !c->weights && !at_folder_exists(c->folder))
        return at_fail(p->cx, AT_ERROR_FORMAT, "%s: it holds no %s (give one by --%s)", p->folder,
                       c->name, at_parts_option(c->name));
    if (!c->module) {
        double start = at_clock();
        make_room(p, weight_bytes(p->cx, c));
        c->module = load(p, c, class_name ? class_name : c->class_name);
        c->adapted = 0;
        p->load_seconds += at_clock() - start;
    }
    c->used = ++p->uses;
    return at_adapters_apply(p, c) ? c->module : NULL;
}

at_module *at_pipeline_module_of(at_pipeline *p, const char *component,
                                 const char *const *class_names)
{
    const at_component *c = needed(p, component);
    if (!c) return NULL;
    for (const char *const *name = class_names; *name; name++)
        if (strcmp(*name, c->class_name) == 0) return at_pipeline_module(p, component, *name);
    return at_fail(p->cx, AT_ERROR_UNSUPPORTED, "%s: %s of class %s is not supported", p->folder,
                   component, c->class_name);
}

/* Of a single file that keeps sentencepiece's among its tensors. */
static at_tokenizer *tokenizer_inside(at_context *cx, const at_component *c)
{
    const at_weight *w = at_weights_find(c->weights, AT_LAYOUT_PIECES);
    return at_tokenizer_of_pieces(cx, w->file->data + w->offset, w->bytes,
                                  at_config_json(c->config), c->folder);
}

at_tokenizer *at_pipeline_tokenizer(at_pipeline *p, const char *component)
{
    at_component *c = needed(p, component);
    if (c && !c->tokenizer && !c->weights && !at_folder_exists(c->folder))
        return at_fail(p->cx, AT_ERROR_FORMAT,
                       "%s: a single file brings no %s (give its folder by --%s)", p->folder,
                       c->class_name, at_parts_option(c->name));
    if (c && !c->tokenizer) {
        double start = at_clock();
        c->tokenizer = c->weights ? tokenizer_inside(p->cx, c)
                                  : at_tokenizer_open_as(p->cx, c->folder, c->class_name);
        p->load_seconds += at_clock() - start;
    }
    return c ? c->tokenizer : NULL;
}

at_scheduler *at_pipeline_scheduler(at_pipeline *p, const char *sampler, const char *schedule)
{
    at_component *c = needed(p, "scheduler");
    at_scheduler *s = NULL;
    if (c && p->scheduler) {
        s = at_scheduler_make(p->cx, p->scheduler, p->folder, sampler, schedule);
    } else if (c) {
        char *path = at_path_join(p->cx, c->folder, "scheduler_config.json");
        s = path ? at_scheduler_load(p->cx, path, sampler, schedule) : NULL;
        at_free(path);
    }
    if (s) s->model = p->class->name;
    return s;
}

void at_pipeline_rest(at_pipeline *p)
{
    for (int i = 0; i < p->count; i++)
        if (p->components[i].module) at_weights_rest(p->components[i].module->weights);
    at_pool_rest(p->cx);
}

double at_pipeline_take_load_seconds(at_pipeline *p)
{
    double seconds = p->load_seconds;
    p->load_seconds = 0;
    return seconds;
}
