/* What operations share. Each has the same shape: check, allocate, run, record.

       if (!at_inputs(cx, x, y)) return NULL;
       x = at_f32(cx, "name", x);
       if (...) return at_fail(cx, AT_ERROR_SHAPE, "name: x %s, y %s", at_shape_text(x), ...);
       at_tensor *out = at_empty(cx, AT_F32, x->dims, x->shape);
       at_run(cx, name, out, x, y);
       return at_record(cx, out, name_backward, x, y);
 */
#ifndef AT_OPS_INTERNAL_H
#define AT_OPS_INTERNAL_H

#include "base/base.h"
#include "kernels/kernels.h"
#include "tensor/tape.h"
#include <atelier/ops.h>

#define AT_TENSORS(...)                                                                \
    (int)(sizeof((at_tensor *[]){__VA_ARGS__}) / sizeof(at_tensor *)), (at_tensor *[]) \
    {                                                                                  \
        __VA_ARGS__                                                                    \
    }

/* Work may go on and no input is missing; optional inputs are left out. */
#define at_inputs(cx, ...) at_inputs_given(cx, AT_TENSORS(__VA_ARGS__))
bool at_inputs_given(at_context *cx, int count, at_tensor *const *inputs);

bool at_is_float(at_dtype dtype); /* block types too */

/* x as f32: itself, or a cast of any float or block type. Others are an error that names the
   operation. NULL gives NULL, so that optional inputs may pass through. */
at_tensor *at_f32(at_context *cx, const char *operation, at_tensor *x);

/* at_f32, and contiguous. */
at_tensor *at_dense(at_context *cx, const char *operation, at_tensor *x);

/* at_f32 with at least one dimension, the elements of the last one adjacent; the others may have
   any stride. */
at_tensor *at_rows(at_context *cx, const char *operation, at_tensor *x);

/* A per-channel parameter (weight, bias): NULL stays NULL, else f32, contiguous, its shape [count].
   Look at at_ok before taking NULL for "none". */
at_tensor *at_channels(at_context *cx, const char *operation, at_tensor *parameter, int64_t count);

/* The shape that a and b broadcast to; false and an error that names the operation when they do
   not. */
bool at_broadcast_shape(at_context *cx, const char *operation, const at_tensor *a,
                        const at_tensor *b, int *dims, int64_t *shape);

/* For operations without a way back: out, or an error when an input needs one. */
#define at_no_way_back(cx, operation, out, ...) \
    ((cx) && (cx)->tape ? at_check_no_way_back(cx, operation, out, AT_TENSORS(__VA_ARGS__)) : (out))
at_tensor *at_check_no_way_back(at_context *cx, const char *operation, at_tensor *out, int count,
                                at_tensor *const *inputs);

/* In a way back: the gradient of a row's norm (kernels.h, norm_backward), x and grad of one shape.
 */
at_tensor *at_norm_way_back(at_context *cx, at_tensor *x, at_tensor *grad, float eps, bool centred);

/* In a way back: does this input want a gradient? */
static inline bool at_wants(const at_node *node, int input)
{
    return node->inputs[input] && node->inputs[input]->node;
}

#endif
