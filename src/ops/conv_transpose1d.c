#include "ops/products.h"

enum { MOST = 1 << 20 }; /* of any of the settings */

at_tensor *at_conv_transpose1d(at_context *cx, at_tensor *x, at_tensor *weight, at_tensor *bias,
                               const at_conv_transpose1d_options *options)
{
    if (!at_inputs(cx, x, weight)) return NULL;
    at_conv_transpose1d_options o = *options;
    if (o.groups == 0) o.groups = 1;
    if (o.stride == 0) o.stride = 1;
    if (o.stride < 1 || o.stride > MOST || o.padding < 0 || o.padding > MOST ||
        o.output_padding < 0 || o.output_padding >= o.stride || o.groups < 1)
        return at_fail(cx, AT_ERROR_ARGUMENT,
                       "conv_transpose1d: stride %d padding %d output padding %d groups %d: out of "
                       "range",
                       o.stride, o.padding, o.output_padding, o.groups);
    if (x->dims != 3 || weight->dims != 4 || weight->shape[2] != 1 || weight->shape[3] < 1 ||
        weight->shape[3] > MOST || weight->shape[1] * o.groups != x->shape[2] ||
        weight->shape[0] % o.groups)
        return at_fail(cx, AT_ERROR_SHAPE,
                       "conv_transpose1d: x %s does not fit weight %s in %d groups",
                       at_shape_text(x), at_shape_text(weight), o.groups);
    x = at_dense(cx, "conv_transpose1d", x);
    weight = at_weight(cx, "conv_transpose1d", weight);
    weight = weight ? at_contiguous(cx, weight) : NULL;
    bias = at_channels(cx, "conv_transpose1d", bias, weight ? weight->shape[0] : 0);
    if (!x || !weight || !at_ok(cx)) return NULL;
    int64_t length =
        (x->shape[1] - 1) * o.stride - 2 * o.padding + weight->shape[3] + o.output_padding;
    if (x->shape[1] < 1 || length < 1)
        return at_fail(cx, AT_ERROR_SHAPE, "conv_transpose1d: x %s is too short for padding %d",
                       at_shape_text(x), o.padding);
    at_tensor *y = at_new(cx, AT_F32, x->shape[0], length, weight->shape[0]);
    if (!y || at_elements(y) == 0) return y;
    at_conv_args args = {
        .batch = x->shape[0],
        .size = {1, 1, x->shape[1]},
        .channels = x->shape[2],
        .out_size = {1, 1, length},
        .out_channels = weight->shape[0],
        .kernel = {1, 1, (int)weight->shape[3]},
        .stride = {1, 1, o.stride},
        .before = {0, 0, o.padding},
        .dilation = {1, 1, 1},
        .groups = o.groups,
        .transposed = true,
        .x = x->data,
        .weight = weight->data,
        .dtype = weight->dtype,
        .bias = bias ? bias->data : NULL,
        .y = y->data,
        .precision = at_precision_of(cx),
    };
    cx->kernels->conv(cx, &args);
    return at_no_way_back(cx, "conv_transpose1d", at_ok(cx) ? y : NULL, x, weight, bias);
}
