#include "ops/products.h"

enum { MOST = 1 << 20 }; /* of any of a convolution's settings: sums stay far from overflow */

/* Fills in defaults; false and an error for what no convolution can be. */
static bool settle(at_context *cx, const at_tensor *x, const at_tensor *weight,
                   const at_conv_options *given, at_conv_options *o)
{
    *o = given ? *given : (at_conv_options){0};
    if (o->groups == 0) o->groups = 1;
    bool fits = o->groups > 0;
    for (int i = 0; i < 2; i++) {
        if (o->stride[i] == 0) o->stride[i] = 1;
        if (o->dilation[i] == 0) o->dilation[i] = 1;
        fits = fits && o->stride[i] > 0 && o->dilation[i] > 0 && o->stride[i] <= MOST &&
               o->dilation[i] <= MOST;
    }
    for (int i = 0; i < 4; i++) fits = fits && o->padding[i] >= 0 && o->padding[i] <= MOST;
    if (!fits)
        return at_fail_false(cx, AT_ERROR_ARGUMENT,
                             "conv2d: stride %d,%d dilation %d,%d groups %d padding %d,%d,%d,%d: "
                             "out of range",
                             o->stride[0], o->stride[1], o->dilation[0], o->dilation[1], o->groups,
                             o->padding[0], o->padding[1], o->padding[2], o->padding[3]);
    if (x->dims != 4 || weight->dims != 4 || weight->shape[1] * o->groups != x->shape[3] ||
        weight->shape[0] % o->groups || weight->shape[2] < 1 || weight->shape[2] > MOST ||
        weight->shape[3] < 1 || weight->shape[3] > MOST)
        return at_fail_false(cx, AT_ERROR_SHAPE, "conv2d: x %s does not fit weight %s in %d groups",
                             at_shape_text(x), at_shape_text(weight), o->groups);
    return true;
}

/* Of one dimension; below 1 when the kernel does not fit. */
static int64_t out_size(int64_t size, int64_t kernel, int before, int after, int dilation,
                        int stride)
{
    int64_t room = size + before + after - dilation * (kernel - 1) - 1;
    return room < 0 ? 0 : room / stride + 1;
}

at_tensor *at_conv2d(at_context *cx, at_tensor *x, at_tensor *weight, at_tensor *bias,
                     const at_conv_options *options)
{
    if (!at_inputs(cx, x, weight)) return NULL;
    at_conv_options o;
    if (!settle(cx, x, weight, options, &o)) return NULL;
    x = at_dense(cx, "conv2d", x);
    weight = at_weight(cx, "conv2d", weight);
    weight = weight ? at_contiguous(cx, weight) : NULL;
    bias = at_channels(cx, "conv2d", bias, weight ? weight->shape[0] : 0);
    if (!x || !weight || !at_ok(cx)) return NULL;
    int64_t height = out_size(x->shape[1], weight->shape[2], o.padding[0], o.padding[1],
                              o.dilation[0], o.stride[0]);
    int64_t width = out_size(x->shape[2], weight->shape[3], o.padding[2], o.padding[3],
                             o.dilation[1], o.stride[1]);
    if (height < 1 || width < 1)
        return at_fail(cx, AT_ERROR_SHAPE, "conv2d: kernel %s is larger than the padded x %s",
                       at_shape_text(weight), at_shape_text(x));
    at_tensor *y = at_new(cx, AT_F32, x->shape[0], height, width, weight->shape[0]);
    if (!y || at_elements(y) == 0) return y;
    at_conv_args args = {
        .batch = x->shape[0],
        .size = {1, x->shape[1], x->shape[2]},
        .channels = x->shape[3],
        .out_size = {1, height, width},
        .out_channels = weight->shape[0],
        .kernel = {1, (int)weight->shape[2], (int)weight->shape[3]},
        .stride = {1, o.stride[0], o.stride[1]},
        .before = {0, o.padding[0], o.padding[2]},
        .dilation = {1, o.dilation[0], o.dilation[1]},
        .groups = o.groups,
        .x = x->data,
        .weight = weight->data,
        .dtype = weight->dtype,
        .bias = bias ? bias->data : NULL,
        .activation = o.activation,
        .y = y->data,
        .precision = at_precision_of(cx),
    };
    cx->kernels->conv(cx, &args);
    if (!at_ok(cx)) return NULL;
    return at_no_way_back(cx, "conv2d", y, x, weight, bias);
}
