#include "adapters/values.h"
#include "tensor/pool.h"

bool at_values_are_finite(at_context *cx, const char *path, const at_weights *weights,
                          const at_weight *w)
{
    enum { ROOM = 4096 };
    float values[ROOM];
    at_scope s = at_scope_begin(cx);
    at_tensor *x = at_weights_get(cx, weights, w->name);
    int64_t count = x ? at_elements(x) : 0, bytes = 0;
    int block = at_dtype_block(w->dtype);
    bool fine = x != NULL;
    if (fine && w->dtype > AT_F64 && block == 1)
        fine = at_fail_false(cx, AT_ERROR_FORMAT, "%s: %.100s cannot be of type %s", path, w->name,
                             at_dtype_name(w->dtype));
    for (int64_t i = 0; fine && i < count; i += ROOM) {
        int64_t n = AT_MIN(ROOM, count - i);
        at_convert(w->dtype, (const char *)x->data + bytes, AT_F32, values, n);
        bytes += n / block * (int64_t)at_dtype_block_bytes(w->dtype);
        float sum = 0;
        for (int64_t k = 0; k < n; k++) sum += values[k] * 0.0f; /* NaN of what is not finite */
        if (sum != 0.0f)
            fine = at_fail_false(cx, AT_ERROR_FORMAT, "%s: %.100s has values that are not finite",
                                 path, w->name);
    }
    at_scope_end(cx, s, NULL);
    return fine;
}
