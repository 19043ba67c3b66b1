#include "tensor/scope.h"

bool at_scopes_add(at_context *cx, at_tensor *x)
{
    at_scopes *scopes = at_scopes_of(cx);
    if (scopes->count == scopes->capacity) {
        int64_t capacity = AT_MAX(64, scopes->capacity * 2);
        at_tensor **made = at_resize(cx, scopes->made, (size_t)capacity, sizeof *made);
        if (!made) return false;
        scopes->made = made;
        scopes->capacity = capacity;
    }
    scopes->made[scopes->count++] = x;
    return true;
}

void at_scopes_free(at_context *cx)
{
    at_scopes *scopes = at_scopes_of(cx);
    while (scopes->count) at_tensor_release(cx, scopes->made[--scopes->count]);
    at_free(scopes->made);
    *scopes = (at_scopes){0};
}

at_scope at_scope_begin(at_context *cx)
{
    return (at_scope){cx ? at_scopes_of(cx)->count : 0};
}

void at_scope_end(at_context *cx, at_scope scope, ...)
{
    if (!cx) return;
    at_scopes *scopes = at_scopes_of(cx);
    bool failed = at_failed(cx);
    va_list slots;
    int64_t end = scopes->count, kept = scope.mark;
    for (int64_t i = scope.mark; i < end; i++) {
        at_tensor *x = scopes->made[i];
        bool keeps = false;
        va_start(slots, scope);
        for (at_tensor **slot; (slot = va_arg(slots, at_tensor **));)
            keeps |= *slot == x && !failed;
        va_end(slots);
        if (keeps)
            scopes->made[kept++] = x;
        else
            at_tensor_release(cx, x);
    }
    scopes->count = kept;
    if (!failed) return;
    va_start(slots, scope);
    for (at_tensor **slot; (slot = va_arg(slots, at_tensor **));) *slot = NULL;
    va_end(slots);
}
