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
        cmocka_unit_test(test_linear),
        cmocka_unit_test(test_conv2d),
        cmocka_unit_test(test_attention),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
