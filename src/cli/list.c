/* atelier list: the models that have a name. */
#include "cli/session.h"
#include "cli/verbs.h"
#include "hub/models.h"
#include <string.h>

static void print_json(cli_session *s, const at_model_entry *entries, int count)
{
    cJSON *json = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(json, "models");
    for (int i = 0; i < count; i++) {
        cJSON *model = cJSON_CreateObject();
        cJSON_AddStringToObject(model, "name", entries[i].name);
        cJSON_AddStringToObject(model, "kind", entries[i].kind);
        cli_json_add_whole(model, "bytes", entries[i].bytes);
        cJSON_AddStringToObject(model, "path", entries[i].path);
        cJSON_AddBoolToObject(model, "default", strcmp(entries[i].name, AT_DEFAULT_MODEL) == 0);
        cJSON_AddItemToArray(list, model);
    }
    cli_print_json(s, json);
}

static void print_table(const at_model_entry *entries, int count)
{
    int width = 4;
    char size[24];
    for (int i = 0; i < count; i++) width = AT_MAX(width, (int)strlen(entries[i].name));
    for (int i = 0; i < count; i++) {
        printf("%-*s  %10s  ", width, entries[i].name, cli_size_text(size, entries[i].bytes));
        cli_print_plain(entries[i].kind, false);
        printf("  %s%s\n", entries[i].path,
               strcmp(entries[i].name, AT_DEFAULT_MODEL) == 0 ? "  (the default)" : "");
    }
}

static int run(const cli_arguments *arguments)
{
    cli_session s;
    at_model_entry *entries = NULL;
    cli_session_begin(&s, arguments);
    int count = at_models_list(s.cx, &entries);
    if (!at_ok(s.cx))
        ;
    else if (s.json)
        print_json(&s, entries, count);
    else
        print_table(entries, count);
    at_models_list_free(entries, count);
    return cli_session_end(&s);
}

const cli_verb cli_list = {
    .name = "list",
    .operands = "",
    .summary = "the models that have a name",
    .text = "Lists the models that -m NAME finds: the embedded default, the folders in "
            "${ATELIER_HOME:-~/.cache/atelier} and in its folder models, and what atelier pull, or "
            "Python, fetched from the hub.",
    .groups = {{"Options", cli_everywhere}},
    .run = run,
};
