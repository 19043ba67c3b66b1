/* The stack of all tensors made, scope over scope. */
#ifndef AT_SCOPE_H
#define AT_SCOPE_H

#include "tensor/pool.h"

typedef struct at_scopes {
    at_tensor **made; /* one reference each */
    int64_t count, capacity;
} at_scopes;

at_scopes *at_scopes_of(at_context *cx);
bool at_scopes_add(at_context *cx, at_tensor *x); /* false: no memory */
void at_scopes_free(at_context *cx);

#endif
