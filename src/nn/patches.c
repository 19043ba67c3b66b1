#include "nn/patches.h"
#include "base/base.h"

at_tensor *at_patchify(at_context *cx, at_tensor *x, int64_t p)
{
    int64_t B = at_dim(x, 0), h = at_dim(x, 1) / p, w = at_dim(x, 2) / p, C = at_dim(x, 3);
    at_tensor *squares = at_view(cx, x, B, h, p, w, p, C); /* B y dy x dx c */
    return at_view(cx, at_transpose(cx, squares, 0, 1, 3, 5, 2, 4), B, h * w, C * p * p);
}

at_tensor *at_unpatchify(at_context *cx, at_tensor *x, int64_t rows, int64_t columns, int64_t p)
{
    int64_t B = at_dim(x, 0), C = at_dim(x, 2) / (p * p);
    at_tensor *squares = at_view(cx, x, B, rows, columns, p, p, C); /* B y x dy dx c */
    return at_view(cx, at_transpose(cx, squares, 0, 1, 3, 2, 4, 5), B, rows * p, columns * p, C);
}

at_tensor *at_positions_crop(at_context *cx, at_tensor *table, int64_t most, int64_t top,
                             int64_t left, int64_t rows, int64_t columns)
{
    if (!at_ok(cx)) return NULL;
    if (top < 0 || left < 0 || rows > most - top || columns > most - left)
        return at_fail(cx, AT_ERROR_ARGUMENT,
                       "size: %lld x %lld patches, the model has positions for %lld a side",
                       (long long)columns, (long long)rows, (long long)most);
    at_tensor *ids = at_new(cx, AT_I32, rows * columns);
    for (int64_t i = 0; ids && i < rows * columns; i++)
        ((int32_t *)ids->data)[i] = (int32_t)((top + i / columns) * most + left + i % columns);
    return at_embedding(cx, at_view(cx, table, at_dim(table, 1), at_dim(table, 2)), ids);
}
