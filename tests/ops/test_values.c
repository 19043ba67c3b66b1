/* Operations against torch's values (tools/reference/ops.py, computed in f64). */
#include "fixture_group.h"

static void test_activations(void **state)
{
    (void)state;
    group g = open_group("activation");
    int cases = 0;
    EACH_CASE(&g, "activation")
    {
        /* the edge values reach 3e38: each value is compared with itself, not with the spread */
        at_tensor *x = get(&g, "x"), *theirs = get(&g, "y");
        at_tensor *ours = at_activate(g.cx, x, activation_named(variant(&g)));
        assert_fine(g.cx);
        const float *a = ours->data, *b = theirs->data, *in = x->data;
        for (int64_t i = 0; i < at_elements(x); i++)
            if (!(fabs((double)a[i] - b[i]) <= 2e-6 * fmax(fabs(b[i]), fmin(1, fabs(in[i])))))
                fail_msg("%s(%g) = %g, not %g", variant(&g), (double)in[i], (double)a[i],
                         (double)b[i]);
        cases++;
    }
    EACH_CASE(&g, "activate_mul")
    {
        at_activation activation = activation_named(variant(&g));
        at_tensor *ours = at_activate_mul(g.cx, get(&g, "x"), activation, get(&g, "gate"));
        assert_parity(g.cx, ours, get(&g, "y"), 2e-6);
        cases++;
    }
    assert_int_equal(cases, 7 + 3);
    close_group(&g);
}

static void test_norms(void **state)
{
    (void)state;
    group g = open_group("norm");
    int cases = 0;
    EACH_CASE(&g, "layer_norm")
    {
        at_tensor *y = at_layer_norm(g.cx, get(&g, "x"), get(&g, "weight"), get(&g, "bias"),
                                     (float)number(&g, "eps"));
        assert_parity(g.cx, y, get(&g, "y"), 5e-6);
        cases++;
    }
    EACH_CASE(&g, "rms_norm")
    {
        at_tensor *y = at_rms_norm(g.cx, get(&g, "x"), get(&g, "weight"), (float)number(&g, "eps"));
        assert_parity(g.cx, y, get(&g, "y"), 2e-6);
        cases++;
    }
    EACH_CASE(&g, "norm_modulate")
    {
        at_tensor *y = at_norm_modulate(g.cx, get(&g, "x"), get(&g, "shift"), get(&g, "scale"),
                                        (float)number(&g, "eps"));
        assert_parity(g.cx, y, get(&g, "y"), 2e-6);
        cases++;
    }
    EACH_CASE(&g, "gated_add")
    {
        at_tensor *y = at_gated_add(g.cx, get(&g, "x"), get(&g, "gate"), get(&g, "y"));
        assert_parity(g.cx, y, get(&g, "out"), 1e-6);
        cases++;
    }
    EACH_CASE(&g, "group_norm")
    {
        const char *activation =
            cJSON_GetObjectItemCaseSensitive(g.scalars, "activation")->valuestring;
        at_tensor *y =
            at_group_norm(g.cx, get(&g, "x"), (int)number(&g, "groups"), get(&g, "weight"),
                          get(&g, "bias"), (float)number(&g, "eps"), activation_named(activation));
        assert_parity(g.cx, y, get(&g, "y"), 2e-6);
        cases++;
    }
    EACH_CASE(&g, "softmax")
    {
        assert_parity(g.cx, at_softmax(g.cx, get(&g, "x")), get(&g, "y"), 2e-6);
        cases++;
    }
    assert_int_equal(cases, 5 + 3 + 1 + 1 + 6 + 2);
    close_group(&g);
}

static void test_positions(void **state)
{
    (void)state;
    group g = open_group("position");
    int cases = 0;
    EACH_CASE(&g, "rotary")
    {
        const char *pairs = cJSON_GetObjectItemCaseSensitive(g.scalars, "pairs")->valuestring;
        at_tensor *y =
            at_rotary(g.cx, get(&g, "x"), get(&g, "table"),
                      strcmp(pairs, "halves") == 0 ? AT_ROTARY_HALVES : AT_ROTARY_INTERLEAVED);
        assert_parity(g.cx, y, get(&g, "y"), 2e-6);
        cases++;
    }
    EACH_CASE(&g, "timestep_embedding")
    {
        at_timestep_options options = {
            .flip_sin_to_cos = number(&g, "flip_sin_to_cos") != 0,
            .downscale_freq_shift = (float)number(&g, "downscale_freq_shift"),
            .scale = (float)number(&g, "scale"),
            .max_period = (float)number(&g, "max_period"),
        };
        at_tensor *y =
            at_timestep_embedding(g.cx, get(&g, "t"), (int64_t)number(&g, "dim"), &options);
        assert_parity(g.cx, y, get(&g, "y"), 1e-4);
        cases++;
    }
    assert_int_equal(cases, 3 + 6);
    close_group(&g);
}

/* The fixture cuts to the largest finite value before it casts. */
static float largest(at_dtype dtype)
{
    return dtype == AT_F16       ? 65504
           : dtype == AT_F8_E4M3 ? 448
           : dtype == AT_F8_E5M2 ? 57344
                                 : 3e38f;
}

static void test_moving(void **state)
{
    (void)state;
    group g = open_group("moving");
    int cases = 0;
    EACH_CASE(&g, "upsample_nearest")
    {
        at_tensor *y = at_upsample_nearest(g.cx, get(&g, "x"), (int64_t)number(&g, "height"),
                                           (int64_t)number(&g, "width"));
        assert_parity(g.cx, y, get(&g, "y"), 0);
        cases++;
    }
    EACH_CASE(&g, "embedding")
    {
        assert_parity(g.cx, at_embedding(g.cx, get(&g, "table"), get(&g, "ids")), get(&g, "y"), 0);
        cases++;
    }
    EACH_CASE(&g, "cast")
    {
        at_dtype dtype = AT_F32;
        assert_true(at_dtype_of(variant(&g), &dtype));
        at_tensor *x = at_clamp(g.cx, get(&g, "x"), -largest(dtype), largest(dtype));
        at_tensor *y = at_cast(g.cx, x, dtype), *bits = get(&g, "bits");
        assert_fine(g.cx);
        assert_int_equal(at_bytes(y), at_bytes(bits));
        assert_memory_equal(y->data, bits->data, at_bytes(y));
        assert_parity(g.cx, at_cast(g.cx, y, AT_F32), get(&g, "back"), 0);
        cases++;
    }
    assert_int_equal(cases, 4 + 1 + 4);
    close_group(&g);
}

static void test_sequences(void **state)
{
    (void)state;
    group g = open_group("sequence");
    int cases = 0;
    EACH_CASE(&g, "conv_transpose1d")
    {
        at_conv_transpose1d_options o = {(int)number(&g, "stride"), (int)number(&g, "padding"),
                                         (int)number(&g, "output_padding"),
                                         (int)number(&g, "groups")};
        at_tensor *y =
            at_conv_transpose1d(g.cx, get(&g, "x"), get(&g, "weight"), get(&g, "bias"), &o);
        assert_parity(g.cx, y, get(&g, "y"), 2e-6);
        cases++;
    }
    EACH_CASE(&g, "lstm")
    {
        at_lstm_weights w[2] = {
            {get(&g, "weight_ih"), get(&g, "weight_hh"), get(&g, "bias_ih"), get(&g, "bias_hh")},
            {get(&g, "weight_ih_reverse"), get(&g, "weight_hh_reverse"), get(&g, "bias_ih_reverse"),
             get(&g, "bias_hh_reverse")}};
        at_tensor *y = at_lstm(g.cx, get(&g, "x"), (int)number(&g, "directions"), w);
        assert_parity(g.cx, y, get(&g, "y"), 4e-6);
        cases++;
    }
    EACH_CASE(&g, "instance_norm")
    {
        at_instance_norm_options o = {.alpha = get(&g, "alpha"),
                                      .slope = (float)number(&g, "slope")};
        at_tensor *y = at_instance_norm(g.cx, get(&g, "x"), get(&g, "shift"), get(&g, "scale"), &o);
        assert_parity(g.cx, y, get(&g, "y"), 4e-6);
        cases++;
    }
    EACH_CASE(&g, "leaky_relu")
    {
        at_tensor *y = at_leaky_relu(g.cx, get(&g, "x"), (float)number(&g, "slope"));
        assert_parity(g.cx, y, get(&g, "y"), 1e-7);
        cases++;
    }
    assert_int_equal(cases, 6 + 4 + 4 + 1);
    close_group(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_activations), cmocka_unit_test(test_norms),
        cmocka_unit_test(test_positions),   cmocka_unit_test(test_moving),
        cmocka_unit_test(test_sequences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
