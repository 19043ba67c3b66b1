/* What the fixtures do not show: views, broadcasting, other dtypes, threads, and how operations
   fail. */
#include "base/base.h"
#include "parity.h"

#define SHAPE(...)                                                         \
    (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[]) \
    {                                                                      \
        __VA_ARGS__                                                        \
    }

static at_tensor *counted(at_context *cx, int dims, const int64_t *shape)
{
    at_tensor *x = at_empty(cx, AT_F32, dims, shape);
    for (int64_t i = 0; i < at_elements(x); i++)
        ((float *)x->data)[i] = (float)((i * 2654435761u) % 1000) / 500 - 1;
    return x;
}

/* The element at a position of any view, by its strides. */
static float at_position(const at_tensor *x, const int64_t *position, int dims)
{
    int64_t offset = 0;
    for (int d = 0; d < x->dims; d++)
        offset += x->shape[d] == 1 ? 0 : position[dims - x->dims + d] * x->stride[d];
    return ((const float *)x->data)[offset];
}

static void check_product(at_context *cx, at_tensor *a, at_tensor *b)
{
    at_tensor *y = at_mul(cx, a, b);
    assert_fine(cx);
    assert_true(at_is_contiguous(y));
    for (int64_t i = 0; i < at_elements(y); i++) {
        int64_t position[AT_MAX_DIMS], rest = i;
        for (int d = y->dims - 1; d >= 0; rest /= y->shape[d--]) position[d] = rest % y->shape[d];
        float want = at_position(a, position, y->dims) * at_position(b, position, y->dims);
        if (((float *)y->data)[i] != want)
            fail_msg("%s times %s differs at %d", at_shape_text(a), at_shape_text(b), (int)i);
    }
}

static void test_broadcasting(void **state)
{
    (void)state;
    at_context *cx = f32_context();
    at_tensor *x = counted(cx, SHAPE(3, 4, 5, 6)), *row = counted(cx, SHAPE(6));
    check_product(cx, x, x);
    check_product(cx, x, row);
    check_product(cx, row, x);
    check_product(cx, x, counted(cx, SHAPE(3, 1, 5, 1)));
    check_product(cx, x, counted(cx, SHAPE(4, 1, 1)));
    check_product(cx, counted(cx, SHAPE(3, 1, 5, 1)), counted(cx, SHAPE(4, 1, 6)));
    check_product(cx, at_full(cx, 3, 0, NULL), x);
    check_product(cx, at_full(cx, 3, 0, NULL), at_full(cx, 2, 0, NULL));
    check_product(cx, counted(cx, SHAPE(1, 7, 1)), counted(cx, SHAPE(5, 1, 1)));
    at_tensor *turned = at_transpose(cx, x, 3, 1, 0, 2);
    check_product(cx, turned, turned);
    check_product(cx, turned, counted(cx, SHAPE(6, 4, 3, 5)));
    check_product(cx, at_slice(cx, x, 2, 1, 3), at_slice(cx, x, 2, 2, 3));
    check_product(cx, at_slice(cx, x, 3, 1, 1), row);
    check_product(cx, at_expand(cx, row, SHAPE(4, 6)),
                  at_slice(cx, at_view(cx, x, 4, 90), 1, 5, 6));
    check_product(cx, counted(cx, SHAPE(2, 0, 3)), counted(cx, SHAPE(3)));
    check_product(cx, counted(cx, SHAPE(3, 5000)), counted(cx, SHAPE(3, 1)));   /* several runs */
    check_product(cx, counted(cx, SHAPE(40, 5000)), counted(cx, SHAPE(40, 1))); /* threads */
    at_context_free(cx);
}

static void test_rows_of_views(void **state)
{
    (void)state;
    at_context *cx = f32_context();
    at_tensor *x = counted(cx, SHAPE(2, 5, 3, 4, 8)); /* as q, k, v of one product */
    at_tensor *q = at_view(cx, at_slice(cx, x, 2, 1, 1), 2, 5, 4, 8), *dense = at_contiguous(cx, q);
    at_tensor *weight = counted(cx, SHAPE(8));
    assert_false(at_is_contiguous(q));
    assert_parity(cx, at_rms_norm(cx, q, weight, 1e-6f), at_rms_norm(cx, dense, weight, 1e-6f), 0);
    assert_parity(cx, at_layer_norm(cx, q, weight, weight, 1e-6f),
                  at_layer_norm(cx, dense, weight, weight, 1e-6f), 0);
    assert_parity(cx, at_softmax(cx, q), at_softmax(cx, dense), 0);
    at_tensor *table = counted(cx, SHAPE(5, 3, 2)); /* six of eight values turn */
    at_tensor *y = at_rotary(cx, q, table, AT_ROTARY_HALVES);
    assert_parity(cx, y, at_rotary(cx, dense, table, AT_ROTARY_HALVES), 0);
    assert_parity(cx, at_slice(cx, y, 3, 6, 2), at_slice(cx, q, 3, 6, 2), 0);
    at_tensor *shift = at_slice(cx, at_view(cx, counted(cx, SHAPE(2, 1, 48)), 2, 1, 6, 8), 2, 3, 1);
    shift = at_view(cx, shift, 2, 1, 8);
    at_tensor *tokens = at_view(cx, at_slice(cx, q, 2, 2, 1), 2, 5, 8);
    at_tensor *plain = at_layer_norm(cx, tokens, NULL, NULL, 1e-6f);
    at_tensor *want = at_add(cx, at_mul(cx, plain, at_affine(cx, shift, 1, 1)), shift);
    assert_parity(cx, at_norm_modulate(cx, tokens, shift, shift, 1e-6f), want, 1e-6);
    at_context_free(cx);
}

static void test_numbers(void **state)
{
    (void)state;
    at_context *cx = f32_context();
    float values[5] = {-3, NAN, 0.5f, INFINITY, -INFINITY};
    at_tensor *x = at_from(cx, AT_F32, SHAPE(5), values);
    const float *y = at_clamp(cx, x, -1, 1)->data;
    assert_true(y[0] == -1 && isnan(y[1]) && y[2] == 0.5f && y[3] == 1 && y[4] == -1);
    assert_true(*(float *)at_sum(cx, at_full(cx, 0.1f, SHAPE(100, 100)))->data == 1000.0f);
    assert_true(*(float *)at_mean(cx, counted(cx, SHAPE(1)))->data == -1);
    at_tensor *some = counted(cx, SHAPE(7, 9));
    double sum = 0;
    for (int i = 0; i < 63; i++) sum += ((float *)some->data)[i];
    assert_true(fabsf(*(float *)at_mean(cx, at_transpose(cx, some, 1, 0))->data -
                      (float)(sum / 63)) < 1e-7f);
    at_context_free(cx);
}

static void test_other_dtypes(void **state)
{
    (void)state;
    at_context *cx = f32_context();
    at_tensor *x = counted(cx, SHAPE(4, 64)), *half = at_cast(cx, x, AT_F16);
    at_tensor *y = at_activate(cx, half, AT_SILU); /* any float type is taken */
    assert_int_equal(y->dtype, AT_F32);
    assert_parity(cx, y, at_activate(cx, x, AT_SILU), 2e-3);
    int32_t ids[3] = {3, 0, 3};
    at_tensor *id = at_from(cx, AT_I32, SHAPE(3), ids);
    for (at_dtype dtype = AT_F32; dtype < AT_DTYPES; dtype++) {
        if (at_dtype_block(dtype) > 64 || (dtype > AT_F8_E5M2 && dtype < AT_Q8_0)) continue;
        at_tensor *table = at_cast(cx, x, dtype);
        at_tensor *rows = at_embedding(cx, table, id);
        assert_parity(cx, at_slice(cx, rows, 0, 1, 1),
                      at_slice(cx, at_cast(cx, table, AT_F32), 0, 0, 1), 0);
        assert_parity(cx, at_slice(cx, rows, 0, 2, 1), at_slice(cx, rows, 0, 0, 1), 0);
    }
    at_tensor *joined = at_join(cx, 0, id, at_pad(cx, id, 0, 1, 2, 9), id);
    assert_int_equal(joined->dtype, AT_I32);
    const int32_t want[12] = {3, 0, 3, 9, 3, 0, 3, 9, 9, 3, 0, 3};
    assert_int_equal(at_elements(joined), 12);
    assert_memory_equal(joined->data, want, sizeof want);
    assert_int_equal(at_join(cx, 1, x, half)->dtype, AT_F32);
    assert_int_equal(at_join(cx, 1, half, half)->dtype, AT_F16);
    at_tensor *turned = at_contiguous(cx, at_transpose(cx, half, 1, 0));
    assert_parity(cx, at_transpose(cx, turned, 1, 0), half, 0);
    at_tensor *wide =
        at_cast(cx, counted(cx, SHAPE(300, 256)), AT_Q6_K); /* by chunks and threads */
    assert_parity(cx, wide, counted(cx, SHAPE(300, 256)), 0.1);
    at_context_free(cx);
}

/* Threads change nothing. */
static void test_threads(void **state)
{
    (void)state;
    at_context *cx = f32_context();
    at_tensor *x = counted(cx, SHAPE(2, 300, 130)), *w = counted(cx, SHAPE(130)), *y[2][8];
    for (int t = 0; t < 2; t++) {
        cx->threads = t ? 3 : 1;
        y[t][0] = at_add(cx, x, w);
        y[t][1] = at_activate(cx, x, AT_GELU);
        y[t][2] = at_layer_norm(cx, x, w, w, 1e-5f);
        y[t][3] = at_softmax(cx, x);
        y[t][4] = at_group_norm(cx, x, 10, w, w, 1e-5f, AT_SILU);
        y[t][5] = at_contiguous(cx, at_transpose(cx, x, 2, 0, 1));
        y[t][6] = at_sum(cx, x);
        y[t][7] = at_cast(cx, x, AT_BF16);
    }
    for (int i = 0; i < 8; i++) assert_parity(cx, y[1][i], y[0][i], i == 4 ? 1e-6 : 0);
    at_context_free(cx);
}

static void expect(at_context *cx, at_tensor *result, at_status status, const char *text)
{
    assert_null(result);
    assert_int_equal(at_error_status(cx), status);
    assert_string_equal(at_error_text(cx), text);
    at_error_clear(cx);
}

static void test_errors(void **state)
{
    (void)state;
    at_context *cx = f32_context();
    at_tensor *x = counted(cx, SHAPE(2, 3, 4)), *w = counted(cx, SHAPE(5));
    at_tensor *id = at_zeros(cx, AT_I32, SHAPE(2)), *image = counted(cx, SHAPE(1, 2, 2, 6));
    expect(cx, at_add(cx, x, w), AT_ERROR_SHAPE, "add: [2,3,4] f32 and [5] f32 do not broadcast");
    expect(cx, at_mul(cx, x, id), AT_ERROR_DTYPE, "mul: [2] i32 is not a float tensor");
    expect(cx, at_gated_add(cx, x, w, x), AT_ERROR_SHAPE,
           "gated_add: x [2,3,4] f32, gate [5] f32, y [2,3,4] f32");
    expect(cx, at_layer_norm(cx, x, NULL, w, 0), AT_ERROR_SHAPE,
           "layer_norm: a parameter is [5] f32, not [4]");
    expect(cx, at_softmax(cx, at_full(cx, 1, 0, NULL)), AT_ERROR_SHAPE,
           "softmax: [] f32 has no rows");
    expect(cx, at_norm_modulate(cx, x, w, w, 0), AT_ERROR_SHAPE,
           "norm_modulate: x [2,3,4] f32, shift [5] f32, scale [5] f32");
    expect(cx, at_group_norm(cx, image, 4, NULL, NULL, 0, AT_IDENTITY), AT_ERROR_SHAPE,
           "group_norm: x [1,2,2,6] f32 in 4 groups");
    expect(cx, at_activate(cx, x, (at_activation)99), AT_ERROR_ARGUMENT,
           "activate: no activation 99");
    expect(cx, at_activate_mul(cx, x, AT_SILU, w), AT_ERROR_SHAPE,
           "activate_mul: x [2,3,4] f32, y [5] f32");
    expect(cx, at_rotary(cx, image, x, AT_ROTARY_HALVES), AT_ERROR_SHAPE,
           "rotary: x [1,2,2,6] f32, table [2,3,4] f32");
    expect(cx, at_embedding(cx, at_view(cx, x, 6, 4), x), AT_ERROR_DTYPE,
           "embedding: ids [2,3,4] f32 are not i32 or i64");
    ((int32_t *)id->data)[1] = -1;
    expect(cx, at_embedding(cx, at_view(cx, x, 6, 4), id), AT_ERROR_ARGUMENT,
           "embedding: id -1 is not in the table [6,4] f32");
    ((int32_t *)id->data)[1] = 6;
    expect(cx, at_embedding(cx, at_view(cx, x, 6, 4), id), AT_ERROR_ARGUMENT,
           "embedding: id 6 is not in the table [6,4] f32");
    expect(cx, at_join(cx, 1, x, image), AT_ERROR_SHAPE,
           "concat: 2 parts like [2,3,4] f32 and [1,2,2,6] f32 along dimension 1");
    expect(cx, at_join(cx, 3, x, x), AT_ERROR_SHAPE,
           "concat: 2 parts like [2,3,4] f32 and [2,3,4] f32 along dimension 3");
    expect(cx, at_pad(cx, x, 0, -1, 0, 0), AT_ERROR_SHAPE,
           "pad: [2,3,4] f32 by -1 and 0 along dimension 0");
    expect(cx, at_upsample_nearest(cx, image, 0, 4), AT_ERROR_SHAPE,
           "upsample_nearest: [1,2,2,6] f32 to 0 x 4");
    expect(cx, at_timestep_embedding(cx, x, 8, NULL), AT_ERROR_SHAPE,
           "timestep_embedding: t [2,3,4] f32 into 8 values");
    expect(cx, at_cast(cx, x, AT_Q8_0), AT_ERROR_SHAPE,
           "q8_0 needs rows of a multiple of 32 elements");
    assert_null(at_add(cx, x, NULL)); /* NULL passes on, whatever was wrong has been said */
    assert_false(at_failed(cx));
    at_cancel(cx);
    expect(cx, at_add(cx, x, x), AT_ERROR_CANCELLED, "cancelled");
    at_context_free(cx);
}

/* Every operation of a small chain, at each of whose allocations memory runs out once. */
static at_tensor *chain(at_context *cx, at_tensor *x)
{
    at_tensor *w = at_full(cx, 0.5f, 1, (int64_t[]){8});
    if (!at_tape_begin(cx)) return NULL;
    at_tape_watch(cx, w);
    at_tensor *y = at_layer_norm(cx, at_cast(cx, at_cast(cx, x, AT_F16), AT_F32), w, w, 1e-5f);
    y = at_rms_norm(cx, at_gated_add(cx, y, w, at_activate(cx, y, AT_GELU)), w, 1e-5f);
    y = at_norm_modulate(cx, y, w, w, 1e-5f);
    y = at_join(cx, 1, y, at_pad(cx, at_softmax(cx, y), 1, 1, 0, 2));
    y = at_group_norm(cx, y, 2, w, w, 1e-5f, AT_SILU);
    y = at_activate_mul(cx, at_transpose(cx, y, 1, 0, 2), AT_SILU, at_transpose(cx, y, 1, 0, 2));
    y = at_mean(cx, at_clamp(cx, at_div(cx, y, at_affine(cx, w, 2, 1)), -1, 1));
    at_backward(cx, y);
    at_tensor *gradient = at_gradient(cx, w);
    gradient = gradient ? at_add(cx, gradient, w) : NULL;
    at_tape_end(cx);
    return gradient;
}

static void test_out_of_memory(void **state)
{
    (void)state;
    at_context *cx = f32_context();
    at_tensor *x = counted(cx, SHAPE(2, 3, 8)), *want = chain(cx, x);
    assert_fine(cx);
    long failures = 0;
    for (long n = 1;; n++, failures++) {
        cx->fail_allocation_in = n;
        at_scope scope = at_scope_begin(cx);
        at_tensor *y = chain(cx, x);
        bool reached = cx->fail_allocation_in == 0;
        cx->fail_allocation_in = 0;
        if (!reached) {
            assert_parity(cx, y, want, 0);
            break;
        }
        assert_int_equal(at_error_status(cx), AT_ERROR_MEMORY);
        at_error_clear(cx);
        at_scope_end(cx, scope, NULL);
    }
    assert_true(failures > 60);
    at_context_free(cx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_broadcasting),  cmocka_unit_test(test_rows_of_views),
        cmocka_unit_test(test_numbers),       cmocka_unit_test(test_other_dtypes),
        cmocka_unit_test(test_threads),       cmocka_unit_test(test_errors),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
