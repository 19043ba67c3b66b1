/* linear, matmul, conv2d and attention against torch. */
#include "fixture_group.h"

static void test_linear(void **state)
{
    (void)state;
    group g = open_group("linear");
    EACH_CASE(&g, "linear")
    {
        const cJSON *name = cJSON_GetObjectItem(g.scalars, "activation");
        at_tensor *y = at_linear(g.cx, get(&g, "x"), get(&g, "weight"), get(&g, "bias"),
                                 activation_named(name->valuestring));
        assert_parity(g.cx, y, get(&g, "y"), at_elements(y) > 1 ? 1e-5 : 1e9);
    }
    EACH_CASE(&g, "matmul")
    assert_parity(g.cx, at_matmul(g.cx, get(&g, "a"), get(&g, "b")), get(&g, "y"), 1e-5);
    close_group(&g);
}

static at_tensor *numbers(at_context *cx, int dims, const int64_t *shape, int seed)
{
    at_tensor *x = at_empty(cx, AT_F32, dims, shape);
    for (int64_t i = 0; i < at_elements(x); i++)
        ((float *)x->data)[i] = (float)((i * 7919 + seed * 104729) % 1009) / 504.0f - 1.0f;
    return x;
}

#define NUMBERS(seed, ...) \
    numbers(cx, (int)(sizeof((int64_t[]){__VA_ARGS__}) / 8), (int64_t[]){__VA_ARGS__}, seed)

/* What a product goes together with, few rows and many, beside the operations one by one. */
static void test_with(void **state)
{
    (void)state;
    static const int64_t sizes[][4] = {
        {1, 3, 40, 24}, {2, 5, 70, 33}, {1, 61, 300, 200}, {3, 40, 96, 130}};
    at_context *cx = f32_context();
    for (size_t i = 0; i < AT_COUNT(sizes); i++) {
        int64_t B = sizes[i][0], N = sizes[i][1], K = sizes[i][2], C = sizes[i][3];
        at_tensor *x = NUMBERS(1, B, N, K), *w = NUMBERS(2, C, K), *b = NUMBERS(3, C);
        at_tensor *residual = at_slice(cx, NUMBERS(4, B, N, 2 * C), 2, C, C);
        at_tensor *all = NUMBERS(5, B, 1, 3 * C), *gate = at_slice(cx, all, 2, C, C);
        at_tensor *one = at_slice(cx, gate, 0, 0, 1), *y = at_linear(cx, x, w, b, AT_IDENTITY);
        assert_parity(cx, at_linear_add(cx, x, w, b, residual, gate),
                      at_gated_add(cx, residual, gate, y), 1e-6);
        assert_parity(cx, at_linear_add(cx, x, w, b, residual, one),
                      at_gated_add(cx, residual, one, y), 1e-6);
        assert_parity(cx, at_linear_add(cx, x, w, NULL, residual, NULL),
                      at_add(cx, residual, at_linear(cx, x, w, NULL, AT_IDENTITY)), 1e-6);
        assert_parity(cx, at_linear_mul(cx, x, w, b, residual, AT_SILU),
                      at_activate_mul(cx, residual, AT_SILU, y), 1e-6);
    }
    assert_null(
        at_linear_add(cx, NUMBERS(1, 2, 4), NUMBERS(1, 3, 4), NULL, NUMBERS(1, 2, 4), NULL));
    at_context_free(cx);
}

/* Two sequences by two layers and two norms, in one tensor. */
static void test_pairs(void **state)
{
    (void)state;
    at_context *cx = f32_context();
    for (int64_t B = 1; B < 3; B++) {
        at_tensor *x[] = {NUMBERS(1, B, 70, 40), NUMBERS(2, B, 9, 30)};
        at_tensor *w[] = {NUMBERS(3, 64, 40), NUMBERS(4, 64, 30)}, *b[] = {NUMBERS(5, 64), NULL};
        at_tensor *y[2], *norms[] = {NUMBERS(6, 16), NUMBERS(7, 16)};
        for (int i = 0; i < 2; i++) y[i] = at_linear(cx, x[i], w[i], b[i], AT_IDENTITY);
        at_tensor *both = at_linear_pair(cx, x, w, b);
        assert_parity(cx, both, at_join(cx, 1, y[0], y[1]), 1e-6);
        for (int i = 0; i < 2; i++)
            y[i] = at_rms_norm(cx, at_view(cx, y[i], B, at_dim(y[i], 1), 4, 16), norms[i], 1e-6f);
        both = at_view(cx, both, B, 79, 4, 16);
        assert_parity(cx, at_rms_norm_pair(cx, both, 70, norms[0], norms[1], 1e-6f),
                      at_join(cx, 1, y[0], y[1]), 1e-6);
    }
    at_context_free(cx);
}

static void ints(const group *g, const char *key, int *out, int count)
{
    const cJSON *list = cJSON_GetObjectItem(g->scalars, key);
    for (int i = 0; i < count; i++) out[i] = cJSON_GetArrayItem(list, i)->valueint;
}

static void test_conv2d(void **state)
{
    (void)state;
    group g = open_group("conv2d");
    EACH_CASE(&g, "conv2d")
    {
        at_conv_options o = {.groups = (int)number(&g, "groups")};
        ints(&g, "stride", o.stride, 2);
        ints(&g, "padding", o.padding, 4);
        ints(&g, "dilation", o.dilation, 2);
        at_tensor *y = at_conv2d(g.cx, get(&g, "x"), get(&g, "weight"), get(&g, "bias"), &o);
        assert_parity(g.cx, y, get(&g, "y"), 1e-5);
    }
    close_group(&g);
}

static void test_attention(void **state)
{
    (void)state;
    group g = open_group("attention");
    EACH_CASE(&g, "attention")
    {
        at_attention_options o = {.scale = (float)number(&g, "scale"),
                                  .causal = number(&g, "causal") != 0,
                                  .mask = get(&g, "mask")};
        at_tensor *y = at_attention(g.cx, get(&g, "q"), get(&g, "k"), get(&g, "v"), &o);
        assert_parity(g.cx, y, get(&g, "y"), 1e-5);
    }
    close_group(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_linear),    cmocka_unit_test(test_with),
        cmocka_unit_test(test_pairs),     cmocka_unit_test(test_conv2d),
        cmocka_unit_test(test_attention),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
