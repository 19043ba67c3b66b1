/* atelier inspect: what is in a file or folder of weights, or how a picture was made. */
#include "base/file.h"
#include "cli/inspect_plan.h"
#include "cli/session.h"
#include "cli/verbs.h"
#include "formats/weights.h"
#include "hub/models.h"
#include "models/layouts/layout.h"
#include <atelier/image.h>
#include <string.h>

enum { PARTS = 16 };

/* A set of weights: a whole file, or one folder of a pipeline. */
typedef struct part {
    char *name; /* "transformer"; "" when there is only one */
    char *kind;
    at_weights *weights; /* NULL: a scheduler, a tokenizer */
    at_layout *layout;   /* of a file without a description, where it is recognised */
    int64_t parameters;
    size_t bytes;
} part;

/* What cannot be made of it is no reason not to show it. */
static at_layout *recognise(at_context *cx, at_weights *weights)
{
    at_layout *layout = at_layout_of(cx, weights);
    if (at_error_status(cx) == AT_ERROR_FORMAT || at_error_status(cx) == AT_ERROR_UNSUPPORTED)
        at_error_clear(cx);
    return layout;
}

static void count_part(part *p)
{
    for (int64_t i = 0; p->weights && i < at_weights_count(p->weights); i++) {
        const at_weight *w = at_weights_at(p->weights, i);
        int64_t elements = 1;
        for (int d = 0; d < w->dims; d++) elements *= w->shape[d];
        p->parameters += elements;
        p->bytes += w->bytes;
    }
}

static void open_part(at_context *cx, part *p, const char *name, const char *kind, const char *path,
                      bool weights)
{
    *p = (part){.name = at_copy_text(cx, name)};
    if (weights) p->weights = at_weights_open(cx, path);
    if (p->weights && !kind) p->layout = recognise(cx, p->weights);
    if (p->layout) kind = p->layout->family;
    p->kind = at_copy_text(cx, kind ? kind : at_weights_kind(p->weights));
    count_part(p);
}

/* The folder of a model's makers: its networks under their classes' names. */
static int open_layout(at_context *cx, const char *path, part *parts)
{
    at_layout *l = at_layout_open(cx, path);
    for (int i = 0; l && i < l->networks; i++) {
        const at_layout_part *own = &l->parts[i];
        parts[i] = (part){.name = at_copy_text(cx, own->name),
                          .kind = at_copy_text(cx, own->class_name),
                          .weights = at_weights_keep(own->weights)};
        count_part(&parts[i]);
    }
    if (l) parts[0].layout = l;
    return l ? l->networks : 0;
}

/* A Diffusers pipeline: an entry [library, class] of model_index.json is a folder; those of
   tokenizers, schedulers and the like have no weights. */
static int open_pipeline(at_context *cx, const char *path, const cJSON *index, part *parts)
{
    int count = 0;
    const cJSON *item;
    cJSON_ArrayForEach(item, index)
    {
        const cJSON *class = cJSON_GetArrayItem(item, 1);
        char *folder = cJSON_IsString(class) ? at_path_join(cx, path, item->string) : NULL;
        if (folder && at_folder_exists(folder) && count < PARTS) {
            char *config = at_path_join(cx, folder, "config.json");
            open_part(cx, &parts[count++], item->string, class->valuestring, folder,
                      at_file_exists(config));
            at_free(config);
        }
        at_free(folder);
    }
    return count;
}

static int open_parts(at_context *cx, const char *path, const char *kind, part *parts)
{
    char *file = at_path_join(cx, path, "model_index.json");
    cJSON *index = at_file_exists(file) ? at_json_read(cx, file) : NULL;
    int count = 0;
    if (index)
        count = open_pipeline(cx, path, index, parts);
    else if (at_ok(cx) && at_layout_is_folder(cx, path))
        count = open_layout(cx, path, parts);
    else if (at_ok(cx))
        open_part(cx, &parts[count++], "", kind, path, true);
    cJSON_Delete(index);
    at_free(file);
    return count;
}

static void free_parts(part *parts, int count)
{
    for (int i = 0; i < count; i++) {
        at_layout_free(parts[i].layout);
        at_weights_free(parts[i].weights);
        at_free(parts[i].name);
        at_free(parts[i].kind);
    }
}

static cJSON *tensor_json(const part *p, const at_weight *w)
{
    cJSON *json = cJSON_CreateObject();
    if (*p->name) cJSON_AddStringToObject(json, "component", p->name);
    cJSON_AddStringToObject(json, "name", w->name);
    cJSON_AddStringToObject(json, "dtype", at_dtype_name(w->dtype));
    cJSON *shape = cJSON_AddArrayToObject(json, "shape");
    for (int d = 0; d < w->dims; d++)
        cJSON_AddItemToArray(shape, cJSON_CreateNumber((double)w->shape[d]));
    cli_json_add_whole(json, "bytes", w->bytes);
    return json;
}

static cJSON *layout_json(const at_layout *layout)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "by", layout->sign);
    if (layout->pipeline) cJSON_AddStringToObject(json, "pipeline", layout->pipeline);
    if (layout->prediction[0]) cJSON_AddStringToObject(json, "predicts", layout->prediction);
    cJSON *components = cJSON_AddArrayToObject(json, "components");
    for (int i = 0; i < layout->count; i++) {
        cJSON *component = cJSON_CreateObject();
        cJSON_AddStringToObject(component, "name", layout->parts[i].name);
        cJSON_AddStringToObject(component, "kind", layout->parts[i].class_name);
        cJSON_AddItemToObject(component, "config", cJSON_Duplicate(layout->parts[i].config, true));
        cJSON_AddItemToArray(components, component);
    }
    cli_json_add_whole(json, "unused", (uint64_t)layout->unused);
    return json;
}

static void print_layout(const at_layout *layout)
{
    printf("recognised by ");
    cli_print_plain(layout->sign, false);
    if (layout->prediction[0]) printf("; predicts %s", layout->prediction);
    putchar('\n');
    for (int i = 0; i < layout->count; i++)
        printf("  %s: %s, %lld tensors\n", layout->parts[i].name, layout->parts[i].class_name,
               (long long)at_weights_count(layout->parts[i].weights));
    if (layout->unused) printf("  %lld tensors are of none of them\n", (long long)layout->unused);
}

static void print_json(cli_session *s, const char *path, const char *kind, const part *parts,
                       int count)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "path", path);
    cJSON_AddStringToObject(json, "kind", kind);
    cJSON *components = *parts[0].name ? cJSON_AddArrayToObject(json, "components") : NULL;
    cJSON *tensors = cJSON_CreateArray();
    uint64_t parameters = 0, bytes = 0;
    for (const part *p = parts; p < parts + count; p++) {
        if (components) {
            cJSON *component = cJSON_CreateObject();
            cJSON_AddStringToObject(component, "name", p->name);
            cJSON_AddStringToObject(component, "kind", p->kind);
            cli_json_add_whole(component, "parameters", (uint64_t)p->parameters);
            cli_json_add_whole(component, "bytes", p->bytes);
            cJSON_AddItemToArray(components, component);
        }
        for (int64_t i = 0; p->weights && i < at_weights_count(p->weights); i++)
            cJSON_AddItemToArray(tensors, tensor_json(p, at_weights_at(p->weights, i)));
        parameters += (uint64_t)p->parameters;
        bytes += p->bytes;
    }
    cli_json_add_whole(json, "parameters", parameters);
    cli_json_add_whole(json, "bytes", bytes);
    if (parts[0].layout) cJSON_AddItemToObject(json, "recognised", layout_json(parts[0].layout));
    cJSON_AddItemToObject(json, "tensors", tensors);
    cli_print_json(s, json);
}

static void print_tensors(const part *p)
{
    char size[24];
    for (int64_t i = 0; p->weights && i < at_weights_count(p->weights); i++) {
        const at_weight *w = at_weights_at(p->weights, i);
        printf("  %-6s %10s  [", at_dtype_name(w->dtype), cli_size_text(size, w->bytes));
        for (int d = 0; d < w->dims; d++) printf("%s%lld", d ? "," : "", (long long)w->shape[d]);
        printf("]  ");
        cli_print_plain(w->name, false);
        putchar('\n');
    }
}

static void print_table(const char *path, const char *kind, const part *parts, int count)
{
    char size[24];
    printf("%s: ", path);
    cli_print_plain(kind, false);
    putchar('\n');
    for (const part *p = parts; p < parts + count; p++) {
        if (*p->name) {
            putchar('\n');
            cli_print_plain(p->name, false);
            printf(": ");
            cli_print_plain(p->kind, false);
            putchar('\n');
        }
        if (p->layout) print_layout(p->layout);
        if (p->weights)
            printf("%lld tensors, %lld parameters, %s\n", (long long)at_weights_count(p->weights),
                   (long long)p->parameters, cli_size_text(size, p->bytes));
        print_tensors(p);
    }
}

/* A picture: its size, and how it was made when it says so. */
static void inspect_picture(cli_session *s, const char *path)
{
    static const char *const keys[] = {"parameters", "atelier"};
    at_image *image = at_image_load(s->cx, path);
    if (!image) return;
    const char *texts[] = {at_image_text(image, keys[0]), at_image_text(image, keys[1])};
    if (!s->json) {
        printf("%s: picture, %d x %d, %d channels of %d bits\n", path, image->width, image->height,
               image->channels, image->depth);
        for (int i = 0; i < 2; i++)
            if (texts[i]) {
                printf("\n%s:\n", keys[i]);
                cli_print_plain(texts[i], true);
                putchar('\n');
            }
        return;
    }
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "path", path);
    cJSON_AddStringToObject(json, "kind", "picture");
    cJSON_AddNumberToObject(json, "width", image->width);
    cJSON_AddNumberToObject(json, "height", image->height);
    cJSON_AddNumberToObject(json, "channels", image->channels);
    cJSON_AddNumberToObject(json, "depth", image->depth);
    for (int i = 0; i < 2; i++)
        if (texts[i]) cJSON_AddStringToObject(json, keys[i], texts[i]);
    cli_print_json(s, json);
}

static void inspect_weights(cli_session *s, const char *path)
{
    part parts[PARTS];
    char *kind = at_folder_exists(path) ? at_model_kind(s->cx, path) : NULL;
    if (kind && strcmp(kind, "unknown") == 0) { /* the tensors may tell */
        at_free(kind);
        kind = NULL;
    }
    int count = open_parts(s->cx, path, kind, parts);
    const char *what = kind || !count    ? kind
                       : parts[0].layout ? parts[0].layout->family
                                         : parts[0].kind;
    if (at_ok(s->cx) && s->json)
        print_json(s, path, what, parts, count);
    else if (at_ok(s->cx))
        print_table(path, what, parts, count);
    free_parts(parts, count);
    at_free(kind);
}

static int run(const cli_arguments *arguments)
{
    cli_session s;
    const char *const *operands;
    cli_session_begin(&s, arguments);
    const char *model =
        cli_operands(arguments, &operands) ? operands[0] : cli_text(arguments, "model", NULL);
    bool plan = cli_given(arguments, "plan");
    char *path = plan ? NULL : at_model_find(s.cx, model);
    if (plan)
        cli_inspect_plan(&s, model);
    else if (path && at_file_exists(path) && at_image_can_save(path))
        inspect_picture(&s, path);
    else if (path)
        inspect_weights(&s, path);
    at_free(path);
    return cli_session_end(&s);
}

static const char *const examples[] = {
    "the embedded model's parts and tensors",
    "atelier inspect",
    "one file, for a program to read",
    "atelier inspect --json model.safetensors",
    "the memory that a published model takes",
    "atelier inspect --plan stable-diffusion-3.5-large",
    "how a picture was made",
    "atelier inspect heart.png",
    NULL,
};

static const cli_option inspect_options[] = {
    {"plan", 0, CLI_FLAG, NULL,
     "the memory of each part in f16, q8_0 and q4_K instead: of a file, of a folder (its "
     "configurations are enough) or of a published model by name"},
    {0},
};

const cli_verb cli_inspect = {
    .name = "inspect",
    .operands = "[FILE|FOLDER]",
    .operand_kind = CLI_FILE,
    .most = 1,
    .summary = "what is in a file or folder of weights, or how a picture was made",
    .text = "Shows what a file or folder is recognised as, and its tensors with their types, "
            "shapes and sizes; of a picture, the settings that it was made with. Left out, the "
            "model that -m names.",
    .examples = examples,
    .groups = {{"What to show", inspect_options},
               {"Model", cli_model_options},
               {"Everywhere", cli_everywhere}},
    .run = run,
};
