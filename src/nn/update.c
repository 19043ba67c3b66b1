#include "nn/update.h"

/* One weight of an update: a matrix over the last dimension, or a kernel that steps as the layer.
 */
static at_tensor *apply(at_context *cx, at_tensor *weight, at_tensor *x, const at_conv_options *o)
{
    return weight->dims == 4 ? at_conv2d(cx, x, weight, NULL, o)
                             : at_linear(cx, x, weight, NULL, AT_IDENTITY);
}

/* x [B,H,W,i*c] through a kernel that is the same for all i groups -> [B,H',W',i,d] */
static at_tensor *convolve_groups(at_context *cx, at_tensor *kernel, at_tensor *x, int64_t i,
                                  const at_conv_options *o)
{
    int64_t B = at_dim(x, 0), H = at_dim(x, 1), W = at_dim(x, 2), c = at_dim(x, 3) / i;
    x = at_transpose(cx, at_view(cx, x, B, H, W, i, c), 0, 3, 1, 2, 4);
    x = at_conv2d(cx, at_view(cx, x, B * i, H, W, c), kernel, NULL, o);
    x = at_view(cx, x, B, i, at_dim(x, 1), at_dim(x, 2), at_dim(x, 3));
    return at_transpose(cx, x, 0, 2, 3, 1, 4);
}

/* (factor (x) down) x: with x as [i,I/i], down over its rows and factor over its columns. */
static at_tensor *kronecker(at_context *cx, const at_nn_update *u, at_tensor *x, const at_tensor *y,
                            const at_conv_options *o)
{
    int64_t i = at_dim(u->factor, 1), c = at_dim(u->down, 1), d = at_dim(u->down, 0);
    at_tensor *t = u->down->dims == 4
                       ? convolve_groups(cx, u->down, x, i, o)
                       : at_linear(cx, at_view(cx, x, -1, i, c), u->down, NULL, AT_IDENTITY);
    t = at_transpose(cx, at_view(cx, t, -1, i, d), 0, 2, 1); /* [N,d,i] */
    t = at_linear(cx, t, u->factor, NULL, AT_IDENTITY);      /* [N,d,o] */
    return at_reshape(cx, at_transpose(cx, t, 0, 2, 1), y->dims, y->shape);
}

/* scale * update(x) */
static at_tensor *product(at_context *cx, const at_nn_update *u, at_tensor *x, const at_tensor *y,
                          const at_conv_options *o)
{
    if (u->factor) return at_affine(cx, kronecker(cx, u, x, y, o), u->scale, 0.0f);
    at_tensor *t = apply(cx, u->down, x, o);
    if (u->mid) t = apply(cx, u->mid, t, o);
    t = at_affine(cx, t, u->scale, 0.0f);
    return u->up ? apply(cx, u->up, t, o) : t;
}

at_tensor *at_update_conv2d(at_context *cx, const at_nn_update *updates, at_tensor *x, at_tensor *y,
                            const at_conv_options *options)
{
    if (!x || !y) return NULL;
    at_scope s = at_scope_begin(cx);
    for (const at_nn_update *u = updates; u && y; u = u->next) {
        if (u->down) y = at_add(cx, y, product(cx, u, x, y, options));
        if (u->bias) y = at_add(cx, y, u->bias);
        if (u->row_scale) y = at_mul(cx, y, u->row_scale);
        if (u->row_shift) y = at_add(cx, y, u->row_shift);
        at_scope_keep(cx, s, &y, NULL);
    }
    at_scope_end(cx, s, &y, NULL);
    return y;
}

at_tensor *at_update_linear(at_context *cx, const at_nn_update *updates, at_tensor *x, at_tensor *y)
{
    return at_update_conv2d(cx, updates, x, y, NULL);
}
