#include "ops/products.h"

/* da = dy b^T, db = a^T dy; at_accumulate sums over what was broadcast. */
static void matmul_backward(at_context *cx, at_node *node, at_tensor *grad)
{
    at_tensor *a = node->inputs[0], *b = node->inputs[1];
    int order[2][AT_MAX_DIMS];
    at_tensor *turned[2];
    for (int which = 0; which < 2; which++) {
        at_tensor *t = which ? b : a;
        for (int i = 0; i < t->dims; i++) order[which][i] = i;
        order[which][t->dims - 2] = t->dims - 1;
        order[which][t->dims - 1] = t->dims - 2;
        turned[which] = at_permute(cx, t, order[which]);
    }
    if (a->node) at_accumulate(cx, a, at_matmul(cx, grad, turned[1]));
    if (b->node) at_accumulate(cx, b, at_matmul(cx, turned[0], grad));
}

/* x with its last two dimensions as they are, the leading ones as those of `shape`. */
static at_tensor *lead(at_context *cx, at_tensor *x, int dims, const int64_t *shape)
{
    int64_t full[AT_MAX_DIMS];
    for (int i = 0; i < dims - 2; i++) full[i] = shape[i];
    full[dims - 2] = at_dim(x, -2);
    full[dims - 1] = at_dim(x, -1);
    return at_expand(cx, x, dims, full);
}

/* b [...,K,N] as [...,N,K] with adjacent K, which is how the kernel takes its weight. */
static at_tensor *turn(at_context *cx, at_tensor *b)
{
    int order[AT_MAX_DIMS];
    for (int i = 0; i < b->dims; i++) order[i] = i;
    order[b->dims - 2] = b->dims - 1;
    order[b->dims - 1] = b->dims - 2;
    b = at_permute(cx, b, order);
    return b && at_dim(b, -1) > 1 && b->stride[b->dims - 1] != 1 ? at_contiguous(cx, b) : b;
}

/* Elements from the first to matrix `index` of x's leading dimensions. */
static int64_t offset_of(const at_tensor *x, int64_t index)
{
    int64_t offset = 0;
    for (int i = x->dims - 3; i >= 0; i--) {
        offset += index % x->shape[i] * x->stride[i];
        index /= x->shape[i];
    }
    return offset;
}

static void run(at_context *cx, at_tensor *y, const at_tensor *a, const at_tensor *b)
{
    int last = y->dims - 1;
    int64_t m = y->shape[last - 1], n = y->shape[last];
    at_matmul_args args = {
        .m = m,
        .n = n,
        .k = a->shape[last],
        .x_stride = a->stride[last - 1],
        .dtype = AT_F32,
        .weight_stride = b->stride[last - 1] * (int64_t)sizeof(float),
        .y_stride = n,
        .precision = at_precision_of(cx),
    };
    int64_t count = at_elements(y) / (m * n);
    for (int64_t i = 0; i < count && at_ok(cx); i++) {
        args.x = (const float *)a->data + offset_of(a, i);
        args.weight = (const float *)b->data + offset_of(b, i);
        args.y = (float *)y->data + i * m * n;
        cx->kernels->matmul(cx, &args);
    }
}

at_tensor *at_matmul(at_context *cx, at_tensor *a, at_tensor *b)
{
    if (!at_inputs(cx, a, b)) return NULL;
    a = at_f32(cx, "matmul", a);
    b = at_f32(cx, "matmul", b);
    if (!a || !b) return NULL;
    if (a->dims < 2 || b->dims < 2 || at_dim(a, -1) != at_dim(b, -2))
        return at_fail(cx, AT_ERROR_SHAPE, "matmul: %s times %s", at_shape_text(a),
                       at_shape_text(b));
    at_tensor *given_a = a, *given_b = b;
    int dims = AT_MAX(a->dims, b->dims);
    int64_t shape[AT_MAX_DIMS];
    for (int i = 0; i < dims - 2; i++) {
        int64_t m = i < dims - a->dims ? 1 : a->shape[i - (dims - a->dims)];
        int64_t n = i < dims - b->dims ? 1 : b->shape[i - (dims - b->dims)];
        if (m != n && m != 1 && n != 1)
            return at_fail(cx, AT_ERROR_SHAPE, "matmul: %s and %s do not broadcast",
                           at_shape_text(a), at_shape_text(b));
        shape[i] = m == 1 ? n : m;
    }
    shape[dims - 2] = at_dim(a, -2);
    shape[dims - 1] = at_dim(b, -1);

    struct at_tape *tape = cx->tape; /* the copies below are no part of the way back */
    cx->tape = NULL;
    if (at_dim(a, -1) > 1 && a->stride[a->dims - 1] != 1) a = at_contiguous(cx, a);
    a = a ? lead(cx, a, dims, shape) : NULL;
    b = turn(cx, b);
    b = b ? lead(cx, b, dims, shape) : NULL;
    at_tensor *y = at_empty(cx, AT_F32, dims, shape);
    cx->tape = tape;
    if (!a || !b || !y) return NULL;
    if (at_elements(y)) run(cx, y, a, b);
    if (!at_ok(cx)) return NULL;
    return at_record(cx, y, matmul_backward, given_a, given_b);
}
