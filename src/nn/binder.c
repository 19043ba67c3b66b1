#include "nn/binder.h"
#include "base/base.h"
#include <stdio.h>
#include <string.h>

static size_t enter(at_binder *b, const char *name, int index)
{
    size_t before = b->length, room = sizeof b->prefix - before;
    int n = index < 0 ? snprintf(b->prefix + before, room, "%s.", name)
                      : snprintf(b->prefix + before, room, "%s.%d.", name, index);
    if (n < 0 || (size_t)n >= room)
        at_fail(b->cx, AT_ERROR_UNSUPPORTED, "parameter names are too long: %s", b->prefix);
    else
        b->length += (size_t)n;
    return before;
}

size_t at_bind_enter(at_binder *b, const char *name)
{
    return enter(b, name, -1);
}

size_t at_bind_enter_item(at_binder *b, const char *name, int index)
{
    return enter(b, name, index);
}

void at_bind_leave(at_binder *b, size_t before)
{
    b->length = before;
    b->prefix[before] = 0;
}

static void visit(at_binder *b, const char *name, at_tensor **slot, at_parameter_kind kind,
                  int dims, const int64_t *shape, struct at_nn_update **updates, bool optional)
{
    if (at_failed(b->cx)) return;
    char full[512];
    snprintf(full, sizeof full, "%s%s", b->prefix, name);
    at_parameter parameter = {full, slot, kind, dims, {0}, updates, optional};
    memcpy(parameter.shape, shape, (size_t)dims * sizeof *shape);
    b->visit(b, &parameter);
}

void at_bind_parameter(at_binder *b, const char *name, at_tensor **slot, at_parameter_kind kind,
                       int dims, const int64_t *shape)
{
    visit(b, name, slot, kind, dims, shape, NULL, false);
}

void at_bind_optional(at_binder *b, const char *name, at_tensor **slot, at_parameter_kind kind,
                      int dims, const int64_t *shape)
{
    visit(b, name, slot, kind, dims, shape, NULL, true);
}

void at_bind_weight(at_binder *b, at_tensor **slot, at_parameter_kind kind, int dims,
                    const int64_t *shape, struct at_nn_update **updates)
{
    visit(b, "weight", slot, kind, dims, shape, updates, false);
}
