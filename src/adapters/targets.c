#include "adapters/targets.h"
#include "adapters/lora_keys.h"
#include <stdio.h>
#include <string.h>

static bool ends(const char *text, const char *with)
{
    size_t n = strlen(text), m = strlen(with);
    return n >= m && strcmp(text + n - m, with) == 0;
}

static at_target *add(at_context *cx, at_targets *t)
{
    if (t->count == t->capacity) {
        int capacity = AT_MAX(256, 2 * t->capacity);
        at_target *items = at_resize(cx, t->items, (size_t)capacity, sizeof *items);
        if (!items) return NULL;
        t->items = items;
        t->capacity = capacity;
    }
    t->items[t->count] = (at_target){0};
    return &t->items[t->count++];
}

/* A layer's weight, the bias that belongs to the layer before, or a parameter on its own. */
static void visit(at_binder *b, const at_parameter *p)
{
    at_targets *t = b->user;
    at_target *last = t->count ? &t->items[t->count - 1] : NULL;
    size_t layer = last && last->updates ? strlen(last->name) : 0;
    if (layer && strncmp(p->name, last->name, layer) == 0 &&
        strcmp(p->name + layer, ".bias") == 0) {
        last->bias = p->slot;
        return;
    }
    at_target *one = add(b->cx, t);
    if (!one) return;
    int length = (int)strlen(p->name) - (p->updates && ends(p->name, ".weight") ? 7 : 0);
    one->name = at_format(b->cx, "%.*s", length, p->name);
    one->dims = p->dims;
    memcpy(one->shape, p->shape, sizeof one->shape);
    one->weight = p->slot;
    one->updates = p->updates;
}

bool at_targets_add_name(at_context *cx, at_targets *t, at_target *target, const char *name,
                         int order, bool swapped)
{
    char plain[512];
    if (!at_lora_plain(name, plain, sizeof plain)) return true;
    if (t->part_count == t->part_capacity) {
        int capacity = AT_MAX(512, 2 * t->part_capacity);
        at_target_part *parts = at_resize(cx, t->parts, (size_t)capacity, sizeof *parts);
        if (!parts) return false;
        t->parts = parts;
        t->part_capacity = capacity;
    }
    int64_t first = -1;
    at_map_get(t->by_name, plain, strlen(plain), &first);
    int index = t->part_count++, *link = NULL;
    t->parts[index] = (at_target_part){target, swapped, order, (int)first};
    for (int i = (int)first; i >= 0 && t->parts[i].order < order; i = t->parts[i].next)
        link = &t->parts[i].next;
    if (!link) return at_map_set(cx, t->by_name, plain, strlen(plain), index);
    t->parts[index].next = *link;
    *link = index;
    return true;
}

int at_targets_find(const at_targets *t, const char *path)
{
    int64_t index = -1;
    char item[520]; /* to_out is to_out.0 */
    if (at_map_get(t->by_name, path, strlen(path), &index)) return (int)index;
    snprintf(item, sizeof item, "%s_0", path);
    at_map_get(t->by_name, item, strlen(item), &index);
    return (int)index;
}

bool at_targets_of(at_module *module, at_targets *t)
{
    at_context *cx = module->cx;
    *t = (at_targets){.by_name = at_map_new(cx)};
    if (!t->by_name) return false;
    at_module_walk(module, visit, t);
    bool fine = at_ok(cx);
    for (int i = 0; fine && i < t->count; i++)
        fine = at_targets_add_name(cx, t, &t->items[i], t->items[i].name, 0, false);
    fine = fine && at_targets_add_layouts(module, t);
    if (!fine) at_targets_free(t);
    return fine;
}

void at_targets_free(at_targets *t)
{
    for (int i = 0; i < t->count; i++) at_free(t->items[i].name);
    at_free(t->items);
    at_free(t->parts);
    at_map_free(t->by_name);
    *t = (at_targets){0};
}
