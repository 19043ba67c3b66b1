#include "cli/inspect_plan.h"
#include "base/file.h"
#include "base/share.h"
#include "hub/models.h"
#include "models/layouts/layout.h"
#include "models/plan.h"
#include <stdio.h>
#include <string.h>

enum { MOST_ROWS = 16, TYPES = 3 };

static const at_dtype types[TYPES] = {AT_F16, AT_Q8_0, AT_Q4_K};

typedef struct row {
    char *name, *kind;
    int64_t parameters, bytes[TYPES];
} row;

typedef struct plan {
    row rows[MOST_ROWS];
    int count;
} plan;

/* What no class is known of (a safety checker) is passed over. */
static void add_row(at_context *cx, plan *p, const char *name, const char *kind, at_config *config)
{
    at_module *module = config ? at_module_make(cx, config, kind, AT_DTYPES, 0) : NULL;
    if (!module && at_error_status(cx) == AT_ERROR_UNSUPPORTED && *name) {
        at_log(cx, AT_LOG_WARNING, "%s: %s", name, at_error_text(cx));
        at_error_clear(cx);
    }
    if (!module || p->count == MOST_ROWS) return at_module_free(module);
    row *r = &p->rows[p->count++];
    r->name = at_copy_text(cx, name);
    r->kind = at_copy_text(cx, module->class->name);
    r->parameters = at_module_parameters(module);
    for (int t = 0; t < TYPES; t++) r->bytes[t] = at_module_planned_bytes(module, types[t]);
    at_module_free(module);
}

static void add_folder(at_context *cx, plan *p, const char *folder, const char *name,
                       const char *kind)
{
    char *path = at_path_join(cx, folder, "config.json");
    at_config *config = path && (at_file_exists(path) || !kind) ? at_config_read(cx, path) : NULL;
    add_row(cx, p, name, kind, config);
    at_config_free(config);
    at_free(path);
}

/* Components are attributes of a Python object. */
static bool is_name(const char *text)
{
    return text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")] ==
           0;
}

/* An entry [library, class] of model_index.json is a folder. */
static void add_pipeline(at_context *cx, plan *p, const char *folder, const cJSON *index)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, index)
    {
        const cJSON *class = cJSON_GetArrayItem(item, 1);
        bool component = cJSON_IsString(class) && is_name(item->string);
        char *part = component ? at_path_join(cx, folder, item->string) : NULL;
        if (part && at_ok(cx)) add_folder(cx, p, part, item->string, class->valuestring);
        at_free(part);
    }
}

static void add_layout(at_context *cx, plan *p, const char *path)
{
    at_layout *layout = at_layout_open(cx, path);
    for (int i = 0; layout && i < layout->count; i++) {
        const at_layout_part *part = &layout->parts[i];
        char *text = part->config ? cJSON_PrintUnformatted(part->config) : NULL;
        at_config *config = text ? at_config_parse(cx, text, strlen(text), path) : NULL;
        if (strncmp(part->name, "tokenizer", 9) != 0)
            add_row(cx, p, part->name, part->class_name, config);
        at_config_free(config);
        cJSON_free(text);
    }
    at_layout_free(layout);
}

static void add_all(at_context *cx, plan *p, const char *path)
{
    char *file = at_path_join(cx, path, "model_index.json");
    cJSON *index = at_file_exists(file) ? at_json_read(cx, file) : NULL;
    if (index)
        add_pipeline(cx, p, path, index);
    else if (at_ok(cx) && at_folder_exists(path) && !at_layout_is_folder(cx, path))
        add_folder(cx, p, path, "", NULL);
    else if (at_ok(cx))
        add_layout(cx, p, path);
    cJSON_Delete(index);
    at_free(file);
}

/* The folder of a published configuration, beside the models where they are installed. */
static char *published(at_context *cx, const char *name)
{
    static const char *const places[] = {"../configs", "../tests/configs"};
    char *found = NULL, *folders[AT_SHARE_FOLDERS];
    int count = at_share_folders(cx, folders);
    for (int i = 0; i < count; i++) {
        for (size_t k = 0; folders[i] && k < AT_COUNT(places); k++) {
            char *path = at_format(cx, "%s/%s/%s", folders[i], places[k], name);
            if (path && !found && at_folder_exists(path))
                found = path;
            else
                at_free(path);
        }
        at_free(folders[i]);
    }
    return found;
}

static row sum_of(const plan *p)
{
    row sum = {.name = "all", .kind = ""};
    for (int i = 0; i < p->count; i++) {
        sum.parameters += p->rows[i].parameters;
        for (int t = 0; t < TYPES; t++) sum.bytes[t] += p->rows[i].bytes[t];
    }
    return sum;
}

static cJSON *row_json(cJSON *json, const row *r)
{
    cli_json_add_whole(json, "parameters", (uint64_t)r->parameters);
    cJSON *bytes = cJSON_AddObjectToObject(json, "bytes");
    for (int t = 0; t < TYPES; t++)
        cli_json_add_whole(bytes, at_dtype_name(types[t]), (uint64_t)r->bytes[t]);
    return json;
}

static void print_json(cli_session *s, const char *path, const plan *p)
{
    cJSON *json = cJSON_CreateObject();
    const row sum = sum_of(p);
    cJSON_AddStringToObject(json, "path", path);
    cJSON *components = cJSON_AddArrayToObject(json, "components");
    for (int i = 0; i < p->count; i++) {
        cJSON *component = cJSON_CreateObject();
        cJSON_AddStringToObject(component, "name", p->rows[i].name);
        cJSON_AddStringToObject(component, "kind", p->rows[i].kind);
        cJSON_AddItemToArray(components, row_json(component, &p->rows[i]));
    }
    cli_print_json(s, row_json(json, &sum));
}

static void print_row(const row *r)
{
    char size[24];
    printf("%-16s %-30s %14lld", r->name, r->kind, (long long)r->parameters);
    for (int t = 0; t < TYPES; t++) printf(" %10s", cli_size_text(size, (uint64_t)r->bytes[t]));
    putchar('\n');
}

static void print_table(const char *path, const plan *p)
{
    printf("%s: memory of the weights\n\n%-16s %-30s %14s", path, "component", "class",
           "parameters");
    for (int t = 0; t < TYPES; t++) printf(" %10s", at_dtype_name(types[t]));
    putchar('\n');
    for (int i = 0; i < p->count; i++) print_row(&p->rows[i]);
    const row sum = sum_of(p);
    if (p->count > 1) print_row(&sum);
}

void cli_inspect_plan(cli_session *s, const char *model)
{
    at_context *cx = s->cx;
    plan p = {0};
    char *path = model ? published(cx, model) : NULL;
    if (!path) path = at_model_find(cx, model);
    if (path) add_all(cx, &p, path);
    if (at_ok(cx) && s->json)
        print_json(s, model ? model : path, &p);
    else if (at_ok(cx))
        print_table(model ? model : path, &p);
    for (int i = 0; i < p.count; i++) {
        at_free(p.rows[i].name);
        at_free(p.rows[i].kind);
    }
    at_free(path);
}
