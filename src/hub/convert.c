#include "hub/convert.h"
#include "base/file.h"
#include "base/json.h"
#include "base/share.h"
#include "base/text.h"
#include "hub/convert_plan.h"
#include "models/layouts/layout.h"
#include "models/layouts/targets.h"
#include "text/tokenizer.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- a file or a folder of one network to a file */

/* What a file says of itself goes along, but what is of its format. */
static void copy_metadata(at_plan *plan, const at_weights *weights)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, at_weights_all_metadata(weights))
    {
        bool own = strncmp(item->string, "general.", 8) == 0 ||
                   strncmp(item->string, "comfy.gguf.", 11) == 0 ||
                   strcmp(item->string, "format") == 0;
        if (!own) at_plan_add_metadata(plan, item->string, item->valuestring);
    }
}

static char *read_json_text(at_context *cx, const char *path)
{
    cJSON *json = at_json_read(cx, path);
    char *printed = json ? cJSON_PrintUnformatted(json) : NULL;
    char *text = printed ? at_copy_text(cx, printed) : NULL;
    cJSON_free(printed);
    cJSON_Delete(json);
    return text;
}

static bool convert_network(at_context *cx, const char *in, const char *out,
                            const at_convert_options *options)
{
    at_plan plan;
    at_weights *weights = at_weights_open(cx, in);
    at_layout *layout = weights ? at_layout_of(cx, weights) : NULL;
    if (at_error_status(cx) == AT_ERROR_FORMAT && weights) at_error_clear(cx);
    const char *kind = !layout ? "" : layout->pipeline ? layout->pipeline : layout->family;
    const char *own = at_weights_metadata(weights, "general.architecture");
    if (at_plan_begin(cx, &plan, options) && at_plan_add_all(&plan, weights)) {
        copy_metadata(&plan, weights);
        at_plan_write(&plan, out, own ? own : at_layout_architecture(kind));
    }
    at_plan_end(&plan);
    at_layout_free(layout);
    at_weights_free(weights);
    return at_ok(cx);
}

/* ---- a folder of a whole model to a file */

typedef struct packer {
    at_context *cx;
    at_plan *plan;
    const char *folder;
    const cJSON *index;
    const char *pipeline;
    at_weights *kept[16]; /* alive until all is written */
    int kept_count;
} packer;

static const char *class_in(const cJSON *index, const char *component)
{
    const cJSON *entry = cJSON_GetObjectItemCaseSensitive(index, component);
    const cJSON *name = cJSON_GetArrayItem(entry, 1);
    return cJSON_IsString(name) ? name->valuestring : NULL;
}

/* `set` stays until all is written. */
static bool keep(packer *p, at_weights *set)
{
    if (p->kept_count == (int)AT_COUNT(p->kept))
        return at_fail_false(p->cx, AT_ERROR_UNSUPPORTED, "%s: more than %zu parts", p->folder,
                             AT_COUNT(p->kept));
    p->kept[p->kept_count++] = at_weights_keep(set);
    return true;
}

/* Each tensor under its name in the file; what the layout has no place for is passed over. */
static bool pack_tensors(packer *p, at_weights *weights, const at_layout_target *target)
{
    at_names names = {0};
    const at_part_form *form = at_layout_target_form(target);
    form->names(p->cx, &names, weights, target->open_clip ? target->prefix : "", true);
    for (int64_t i = 0; i < at_weights_count(weights) && at_ok(p->cx); i++) {
        const at_weight *w = at_weights_at(weights, i);
        const at_name_rule *rule = NULL;
        char *name = NULL;
        if (!at_names_reverse(p->cx, &names, w->name, &name, &rule)) {
            at_log(p->cx, AT_LOG_WARNING, "%s: %s has no place in a single file", w->file->path,
                   w->name);
            continue;
        }
        at_plan_add(p->plan, at_format(p->cx, "%s%s", target->prefix, name), weights, w, rule);
        at_free(name);
    }
    at_names_free(&names);
    return at_ok(p->cx);
}

/* A network under its class's names, with its configuration as text. */
static void pack_network(packer *p, const char *component, at_weights *weights, const char *config)
{
    at_context *cx = p->cx;
    char *key = at_format(cx, "atelier.%s", component);
    bool open_clip = strstr(config, "\"hidden_act\":\"gelu\"");
    bool alone = !class_in(p->index, "text_encoder");
    const at_layout_target *target = at_layout_target_of(p->pipeline, component, open_clip, alone);
    if (!target)
        at_fail(cx, AT_ERROR_UNSUPPORTED, "%s: %s has no single-file layout that atelier writes",
                p->folder, p->pipeline);
    if (at_ok(cx) && keep(p, weights)) {
        at_plan_add_metadata(p->plan, key, config);
        pack_tensors(p, weights, target);
    }
    at_free(key);
}

static void pack_component(packer *p, const char *component, const char *folder, const char *config)
{
    at_context *cx = p->cx;
    char *text = read_json_text(cx, config);
    at_weights *weights = text ? at_weights_open(cx, folder) : NULL;
    at_layout *layout = weights ? at_layout_of(cx, weights) : NULL; /* older names become today's */
    if (weights && at_ok(cx) && !layout)
        at_fail(cx, AT_ERROR_UNSUPPORTED, "%s: not recognised as a network", folder);
    if (layout && at_ok(cx)) pack_network(p, component, layout->parts[0].weights, text);
    at_layout_free(layout);
    at_weights_free(weights);
    at_free(text);
}

/* Sentencepiece's file goes along where the layout has a place for it and the folder has it. */
static void pack_pieces(packer *p, const char *component, const char *folder)
{
    at_context *cx = p->cx;
    const at_layout_pieces *target = at_layout_pieces_of(p->pipeline, component);
    char *path = target ? at_path_join(cx, folder, target->file) : NULL;
    if (path && at_file_exists(path)) {
        at_weights *set = at_weights_of_bytes(cx, path, target->name);
        if (set && keep(p, set))
            at_plan_add(p->plan, at_copy_text(cx, target->name), set, at_weights_at(set, 0), NULL);
        at_weights_free(set);
    }
    at_free(path);
}

static void pack_all(packer *p)
{
    static const char *const skipped[] = {"safety_checker", "image_encoder", "feature_extractor"};
    at_context *cx = p->cx;
    const cJSON *item;
    cJSON_ArrayForEach(item, p->index)
    {
        bool skip = !class_in(p->index, item->string) || !at_ok(cx);
        for (size_t i = 0; i < AT_COUNT(skipped); i++)
            skip = skip || strcmp(item->string, skipped[i]) == 0;
        if (skip) continue;
        char *folder = at_path_join(cx, p->folder, item->string);
        char *config = folder ? at_path_join(cx, folder, "config.json") : NULL;
        if (config && at_file_exists(config)) pack_component(p, item->string, folder, config);
        if (folder) pack_pieces(p, item->string, folder);
        at_free(config);
        at_free(folder);
    }
}

static void pack_texts(packer *p)
{
    static const char *const files[][2] = {
        {"atelier.model_index", "model_index.json"},
        {"atelier.scheduler", "scheduler/scheduler_config.json"},
    };
    for (size_t i = 0; i < AT_COUNT(files) && at_ok(p->cx); i++) {
        char *path = at_path_join(p->cx, p->folder, files[i][1]);
        char *text = path && at_file_exists(path) ? read_json_text(p->cx, path) : NULL;
        at_plan_add_metadata(p->plan, files[i][0], text);
        at_free(text);
        at_free(path);
    }
}

static void drop_kept(packer *p)
{
    for (int i = 0; i < p->kept_count; i++) at_weights_drop(p->kept[i]);
}

static bool convert_folder(at_context *cx, const char *in, cJSON *index, const char *out,
                           const at_convert_options *options)
{
    at_plan plan;
    const cJSON *class = cJSON_GetObjectItemCaseSensitive(index, "_class_name");
    packer p = {.cx = cx,
                .plan = &plan,
                .folder = in,
                .index = index,
                .pipeline = cJSON_IsString(class) ? class->valuestring : ""};
    if (at_plan_begin(cx, &plan, options)) {
        pack_all(&p);
        if (at_ok(cx) && !plan.count)
            at_fail(cx, AT_ERROR_FORMAT, "%s: no network is here that its model_index.json names",
                    in);
        pack_texts(&p);
        if (at_ok(cx)) at_plan_write(&plan, out, at_layout_architecture(p.pipeline));
    }
    at_plan_end(&plan);
    drop_kept(&p);
    return at_ok(cx);
}

/* The folder of its makers to a file. */
static bool convert_layout(at_context *cx, const char *in, const char *out,
                           const at_convert_options *options)
{
    at_plan plan;
    at_layout *l = at_layout_open(cx, in);
    packer p = {.cx = cx, .plan = &plan, .folder = in};
    if (at_plan_begin(cx, &plan, options) && l) {
        p.index = l->index;
        p.pipeline = l->pipeline;
        for (int i = 0; i < l->count && at_ok(cx); i++) {
            const at_layout_part *part = &l->parts[i];
            char *text = cJSON_PrintUnformatted(part->config);
            if (part->weights && text) pack_network(&p, part->name, part->weights, text);
            if (part->folder) pack_pieces(&p, part->name, part->folder);
            cJSON_free(text);
        }
        if (at_ok(cx)) at_plan_write(&plan, out, at_layout_architecture(p.pipeline));
    }
    at_plan_end(&plan);
    drop_kept(&p);
    at_layout_free(l);
    return at_ok(cx);
}

/* ---- a single file, or the folder of its makers, to a Diffusers folder */

static bool make_folder(at_context *cx, const char *path)
{
    if (mkdir(path, 0777) == 0 || errno == EEXIST) return true;
    return at_fail_false(cx, AT_ERROR_FILE, "%s: cannot be made: %s", path, strerror(errno));
}

static bool write_json(at_context *cx, const char *folder, const char *name, const cJSON *json)
{
    char *text = cJSON_Print(json), *path = at_path_join(cx, folder, name);
    bool fine = text && path && at_file_write(cx, path, text, strlen(text));
    cJSON_free(text);
    at_free(path);
    return fine;
}

static bool unpack_part(at_context *cx, const char *folder, const at_layout_part *part,
                        const at_convert_options *options)
{
    at_plan plan;
    bool diffusers = cJSON_GetObjectItemCaseSensitive(part->config, "_class_name");
    char *path = at_path_join(cx, folder, part->name);
    char *file =
        path ? at_path_join(cx, path,
                            diffusers ? "diffusion_pytorch_model.safetensors" : "model.safetensors")
             : NULL;
    cJSON *config = cJSON_Duplicate(part->config, true);
    if (config && !diffusers && !cJSON_GetObjectItemCaseSensitive(config, "architectures"))
        cJSON_AddItemToObject(config, "architectures",
                              cJSON_CreateStringArray(&part->class_name, 1));
    if (at_plan_begin(cx, &plan, options) && file && make_folder(cx, path) &&
        write_json(cx, path, "config.json", config) && at_plan_add_all(&plan, part->weights))
        at_plan_write(&plan, file, "");
    at_plan_end(&plan);
    cJSON_Delete(config);
    at_free(file);
    at_free(path);
    return at_ok(cx);
}

static bool copy_file(at_context *cx, const char *from, const char *to, const char *name)
{
    char *source = at_path_join(cx, from, name), *target = at_path_join(cx, to, name);
    bool fine = source && target && at_file_copy(cx, source, target);
    at_free(source);
    at_free(target);
    return fine;
}

/* atelier's own CLIP tokenizer, with the vocabulary that others want to see written out. */
static bool unpack_tokenizer(at_context *cx, const char *folder, const char *name,
                             const char *shared)
{
    char *from = at_share_find(cx, shared), *to = at_path_join(cx, folder, name);
    at_tokenizer *t = from && to && make_folder(cx, to) ? at_tokenizer_open(cx, from) : NULL;
    at_text text = {0};
    size_t size;
    const char *token;
    for (int32_t id = 0; t && at_ok(cx) && (token = at_tokenizer_token(t, id, &size)); id++) {
        char *plain = at_format(cx, "%.*s", (int)size, token);
        at_text_print(cx, &text, id ? ",\n" : "{");
        if (plain) at_text_add_quoted(cx, &text, plain);
        at_text_print(cx, &text, ":%d", (int)id);
        at_free(plain);
    }
    at_text_print(cx, &text, "}\n");
    char *path = to ? at_path_join(cx, to, "vocab.json") : NULL;
    bool fine = t && at_ok(cx) && path && at_file_write(cx, path, text.data, text.size) &&
                copy_file(cx, from, to, "merges.txt") &&
                copy_file(cx, from, to, "tokenizer_config.json");
    at_text_free(&text);
    at_tokenizer_free(t);
    at_free(path);
    at_free(from);
    at_free(to);
    return fine;
}

/* The tokenizer that a model brings: its folder's files, or sentencepiece's. */
static bool unpack_own_tokenizer(at_context *cx, const char *folder, const at_layout *layout,
                                 const at_layout_part *part)
{
    static const char *const files[] = {
        "tokenizer_config.json", "tokenizer.json", "special_tokens_map.json",
        "added_tokens.json",     "vocab.txt",      "spiece.model",
        "tokenizer.model"};
    const at_layout_pieces *pieces = at_layout_pieces_of(layout->pipeline, part->name);
    char *to = at_path_join(cx, folder, part->name);
    bool fine = to && make_folder(cx, to);
    for (size_t i = 0; fine && part->folder && i < AT_COUNT(files); i++)
        if (at_file_exists_in(cx, part->folder, files[i]))
            fine = copy_file(cx, part->folder, to, files[i]);
    if (fine && part->weights && pieces) {
        const at_weight *w = at_weights_at(part->weights, 0);
        char *path = at_path_join(cx, to, pieces->file);
        fine = path && at_file_write(cx, path, w->file->data + w->offset, w->bytes) &&
               write_json(cx, to, "tokenizer_config.json", part->config);
        at_free(path);
    }
    at_free(to);
    return fine;
}

static bool unpack_all(at_context *cx, at_layout *layout, const char *folder,
                       const at_convert_options *options)
{
    static const char *const tokenizers[] = {"tokenizer", "tokenizer_2"};
    char *scheduler = at_path_join(cx, folder, "scheduler");
    bool fine = scheduler && make_folder(cx, scheduler) &&
                write_json(cx, scheduler, "scheduler_config.json", layout->scheduler) &&
                write_json(cx, folder, "model_index.json", layout->index);
    for (int i = 0; fine && i < layout->count; i++)
        fine = i < layout->networks ? unpack_part(cx, folder, &layout->parts[i], options)
                                    : unpack_own_tokenizer(cx, folder, layout, &layout->parts[i]);
    for (int i = 0; fine && i < 2; i++)
        if (layout->tokenizers[i])
            fine = unpack_tokenizer(cx, folder, tokenizers[i], layout->tokenizers[i]);
    at_free(scheduler);
    return fine;
}

/* Of a folder that was not completed: two levels deep, all of it ours. */
static void remove_folder(at_context *cx, const char *path)
{
    DIR *directory = opendir(path);
    for (struct dirent *d; directory && (d = readdir(directory));) {
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0) continue;
        char inner[4096];
        int n = snprintf(inner, sizeof inner, "%s/%s", path, d->d_name);
        if (n < 0 || (size_t)n >= sizeof inner) continue;
        if (unlink(inner) != 0) remove_folder(cx, inner);
    }
    if (directory) closedir(directory);
    rmdir(path);
}

static bool convert_file(at_context *cx, const char *in, const char *out,
                         const at_convert_options *options)
{
    at_layout *layout = at_layout_open(cx, in);
    char *part = at_format(cx, "%s.part-%ld", out, (long)getpid());
    if (layout && !layout->pipeline)
        at_fail(cx, AT_ERROR_UNSUPPORTED,
                "%s: not a whole model, which a folder could be made of "
                "(give OUT the suffix .safetensors or .gguf)",
                in);
    if (layout && at_ok(cx) && part && make_folder(cx, part) &&
        unpack_all(cx, layout, part, options) && rename(part, out) != 0)
        at_fail(cx, AT_ERROR_FILE, "%s: cannot be written: %s", out, strerror(errno));
    if (part && !at_ok(cx)) remove_folder(cx, part);
    at_free(part);
    at_layout_free(layout);
    return at_ok(cx);
}

bool at_convert_weights(at_context *cx, const char *in, const char *out,
                        const at_convert_options *options)
{
    if (!at_ok(cx)) return false;
    bool file = at_has_suffix(out, ".safetensors") || at_has_suffix(out, ".gguf");
    char *path = at_path_join(cx, in, "model_index.json");
    cJSON *index = path && at_file_exists(path) ? at_json_read(cx, path) : NULL;
    if (!at_ok(cx))
        ;
    else if (file && at_layout_is_folder(cx, in))
        convert_layout(cx, in, out, options);
    else if (!file && at_folder_exists(in) && !at_layout_is_folder(cx, in))
        at_fail(cx, AT_ERROR_UNSUPPORTED,
                "%s: a folder becomes a file (give OUT the suffix .safetensors or .gguf)", out);
    else if (!file)
        convert_file(cx, in, out, options);
    else if (index)
        convert_folder(cx, in, index, out, options);
    else
        convert_network(cx, in, out, options);
    cJSON_Delete(index);
    at_free(path);
    return at_ok(cx);
}
