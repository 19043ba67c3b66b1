#include "base/base.h"
#include "models/module.h"
#include "tensor/pool.h"

/* One change: an update at the end of a layer's list, or another tensor in a parameter's place. */
typedef struct at_module_change {
    at_nn_update update;
    at_nn_update **link; /* what points to the update */
    at_tensor **slot;    /* or the parameter's place, */
    at_tensor *before;   /* what was there, */
    at_tensor *held;     /* and what is there now */
    struct at_module_change *next;
} at_module_change;

static at_module_change *add(at_module *module)
{
    at_module_change *c = AT_NEW(module->cx, at_module_change);
    if (!c) return NULL;
    c->next = module->changes;
    module->changes = c;
    return c;
}

enum { TENSORS = 7 };

static void tensors_of(const at_nn_update *u, at_tensor *out[TENSORS])
{
    at_tensor *all[TENSORS] = {u->down, u->mid,       u->up,       u->factor,
                               u->bias, u->row_scale, u->row_shift};
    for (int i = 0; i < TENSORS; i++) out[i] = all[i];
}

bool at_module_update(at_module *module, at_nn_update **list, const at_nn_update *update)
{
    at_module_change *c = add(module);
    if (!c) return false;
    while (*list) list = &(*list)->next;
    c->update = *update;
    c->update.next = NULL;
    c->link = list;
    *list = &c->update;
    at_tensor *tensors[TENSORS];
    tensors_of(update, tensors);
    for (int i = 0; i < TENSORS; i++) at_tensor_keep(tensors[i]);
    return true;
}

bool at_module_replace(at_module *module, at_tensor **slot, at_tensor *x)
{
    at_module_change *c = x ? add(module) : NULL;
    if (!c) return false;
    c->slot = slot;
    c->before = *slot;
    *slot = c->held = at_tensor_keep(x);
    return true;
}

/* Last made first, so that each finds things as it left them. */
void at_module_restore(at_module *module)
{
    while (module->changes) {
        at_module_change *c = module->changes;
        module->changes = c->next;
        if (c->link) {
            *c->link = NULL;
            at_tensor *tensors[TENSORS];
            tensors_of(&c->update, tensors);
            for (int i = 0; i < TENSORS; i++) at_tensor_release(module->cx, tensors[i]);
        } else if (c->slot) {
            *c->slot = c->before;
            at_tensor_release(module->cx, c->held);
        }
        at_free(c);
    }
}
