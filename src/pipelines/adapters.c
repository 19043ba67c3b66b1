#include "pipelines/adapters.h"
#include "adapters/lora.h"
#include <string.h>

typedef struct opened {
    at_lora *lora;
    bool used; /* in the present set */
    double weight, text_weight;
} opened;

struct at_adapters {
    opened *items; /* all that were ever used, in the order of the present set where used */
    int count;
    int version; /* of the set: components remember which one they carry */
};

void at_adapters_free(at_adapters *a)
{
    if (!a) return;
    for (int i = 0; i < a->count; i++) at_lora_free(a->items[i].lora);
    at_free(a->items);
    at_free(a);
}

static double text_weight_of(const at_lora_use *use)
{
    return use->has_text_weight ? use->text_weight : use->weight;
}

static bool same(const at_adapters *a, const at_lora_use *loras, int count)
{
    int used = 0;
    for (int i = 0; a && i < a->count; i++) used += a->items[i].used;
    if (used != count) return false;
    for (int i = 0; i < count; i++) {
        const opened *o = &a->items[i];
        if (!o->used || strcmp(o->lora->path, loras[i].path) != 0 || o->weight != loras[i].weight ||
            o->text_weight != text_weight_of(&loras[i]))
            return false;
    }
    return true;
}

/* The file at place i of the set: moved there where it is open already, else opened. */
static bool take(at_pipeline *p, int i, const at_lora_use *use)
{
    at_adapters *a = p->adapters;
    int found = i;
    while (found < a->count && strcmp(a->items[found].lora->path, use->path) != 0) found++;
    if (found == a->count) {
        opened *items = at_resize(p->cx, a->items, (size_t)a->count + 1, sizeof *items);
        if (!items) return false;
        a->items = items;
        at_lora *lora = at_lora_open(p->cx, use->path);
        if (!lora) return false;
        a->items[a->count++] = (opened){.lora = lora};
    }
    opened chosen = a->items[found];
    a->items[found] = a->items[i];
    a->items[i] = (opened){chosen.lora, true, use->weight, text_weight_of(use)};
    return true;
}

static bool is_text(const char *component)
{
    return strncmp(component, "text_encoder", 12) == 0;
}

static bool adaptable(const char *component)
{
    return is_text(component) || strcmp(component, "unet") == 0 ||
           strcmp(component, "transformer") == 0;
}

bool at_adapters_use(at_pipeline *p, const at_lora_use *loras, int count)
{
    at_context *cx = p->cx;
    if (!at_ok(cx)) return false;
    if (same(p->adapters, loras, count) || (!p->adapters && !count)) return true;
    if (!p->adapters) p->adapters = AT_NEW(cx, at_adapters);
    at_adapters *a = p->adapters;
    if (!a) return false;
    a->version++;
    for (int i = 0; i < a->count; i++) a->items[i].used = false;
    bool fine = true;
    for (int i = 0; fine && i < count; i++) fine = take(p, i, &loras[i]);
    for (int i = 0; fine && i < p->count; i++)
        if (count && p->components[i].class_name && adaptable(p->components[i].name))
            fine = at_pipeline_module(p, p->components[i].name, NULL) != NULL;
    for (int i = 0; fine && i < count; i++) fine = at_lora_report(a->items[i].lora);
    return fine;
}

bool at_adapters_apply(at_pipeline *p, at_component *c)
{
    at_adapters *a = p->adapters;
    if (!c->module) return false;
    if (!a || c->adapted == a->version || !adaptable(c->name)) return true;
    at_module_restore(c->module);
    bool fine = true;
    for (int i = 0; fine && i < a->count && a->items[i].used; i++)
        fine = at_lora_attach(a->items[i].lora, c->module, c->name,
                              is_text(c->name) ? a->items[i].text_weight : a->items[i].weight);
    c->adapted = a->version;
    return fine;
}
