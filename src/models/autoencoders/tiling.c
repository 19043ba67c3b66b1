#include "models/autoencoders/tiling.h"

/* The first `extent` rows (dim 1) or columns (dim 2) of b fade over from the last ones of a. All
   tiles are contiguous [B,h,w,C]; b is changed in place, as the reference does, so that a tile
   blends with blended ones. */
static void blend(const at_tensor *a, at_tensor *b, int dim, int64_t extent)
{
    extent = AT_MIN(extent, AT_MIN(a->shape[dim], b->shape[dim]));
    int other = 3 - dim;
    int64_t n = AT_MIN(a->shape[other], b->shape[other]), C = b->shape[3];
    for (int64_t batch = 0; batch < b->shape[0]; batch++) {
        for (int64_t i = 0; i < extent; i++) {
            float t = (float)i / (float)extent;
            const float *from = (const float *)a->data + batch * a->stride[0] +
                                (a->shape[dim] - extent + i) * a->stride[dim];
            float *to = (float *)b->data + batch * b->stride[0] + i * b->stride[dim];
            for (int64_t k = 0; k < n; k++)
                for (int64_t c = 0; c < C; c++) {
                    float *y = to + k * b->stride[other] + c;
                    *y = from[k * a->stride[other] + c] * (1.0f - t) + *y * t;
                }
        }
    }
}

/* One row of tiles, from y on: at most `in` rows of x. tiles[j] [B,h,w,C']. */
static void make_row(at_context *cx, const at_module *module, at_tensor *x, at_tile_function f,
                     int64_t in, int64_t step, int64_t y, at_tensor **tiles)
{
    int64_t H = x->shape[1], W = x->shape[2];
    at_tensor *row = at_slice(cx, x, 1, y, AT_MIN(in, H - y));
    for (int64_t j = 0; j * step < W; j++) {
        at_tensor *tile = at_slice(cx, row, 2, j * step, AT_MIN(in, W - j * step));
        tiles[j] = at_contiguous(cx, f(cx, module, at_contiguous(cx, tile)));
    }
}

at_tensor *at_tiled(at_context *cx, const at_module *module, at_tensor *x, at_tile_function f,
                    int64_t in, int64_t out, double overlap)
{
    int64_t step = (int64_t)((double)in * (1.0 - overlap)),
            extent = (int64_t)((double)out * overlap);
    int64_t limit = out - extent;
    if (!at_ok(cx) || !x) return NULL;
    if ((x->shape[1] <= in && x->shape[2] <= in) || step < 1 || limit < 1) return f(cx, module, x);
    int64_t rows = (x->shape[1] + step - 1) / step, columns = (x->shape[2] + step - 1) / step;
    at_tensor **tiles = AT_NEW_ARRAY(cx, at_tensor *, rows * columns + rows + columns);
    if (!tiles) return NULL;
    at_tensor **joined = tiles + rows * columns, **parts = joined + rows, *whole = NULL;
    at_scope s = at_scope_begin(cx);
    for (int64_t i = 0; i < rows; i++)
        make_row(cx, module, x, f, in, step, i * step, tiles + i * columns);
    for (int64_t i = 0; i < rows && at_ok(cx); i++) {
        at_tensor **row = tiles + i * columns;
        for (int64_t j = 0; j < columns; j++) {
            if (i > 0) blend(row[j - columns], row[j], 1, extent);
            if (j > 0) blend(row[j - 1], row[j], 2, extent);
            at_tensor *cut = at_slice(cx, row[j], 1, 0, AT_MIN(limit, at_dim(row[j], 1)));
            parts[j] = at_slice(cx, cut, 2, 0, AT_MIN(limit, at_dim(row[j], 2)));
        }
        joined[i] = at_concat(cx, 2, (int)columns, parts);
    }
    whole = at_concat(cx, 1, (int)rows, joined);
    at_scope_end(cx, s, &whole, NULL);
    at_free(tiles);
    return whole;
}
