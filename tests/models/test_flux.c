#include "models/transformers/flux.h"
#include "networks.h"

static void flux_matches(const char *name)
{
    network n = network_open(name, "io");
    at_flux_inputs in = {
        .hidden_states = fixture(n.cx, n.io, "input.hidden_states"),
        .encoder_hidden_states = fixture(n.cx, n.io, "input.encoder_hidden_states"),
        .pooled_projections = fixture(n.cx, n.io, "input.pooled_projections"),
        .timestep = fixture(n.cx, n.io, "input.timestep"),
        .guidance = at_weights_get(n.cx, n.io, "input.guidance"),
        .img_ids = fixture(n.cx, n.io, "input.img_ids"),
        .txt_ids = fixture(n.cx, n.io, "input.txt_ids"),
    };
    assert_int_equal(at_flux_has_guidance(n.module), in.guidance != NULL);
    assert_parity(n.cx, at_flux_forward(n.cx, n.module, &in), fixture(n.cx, n.io, "output"), 1e-4);
    network_close(n);
}

static void test_networks(void **state)
{
    static const char *const names[] = {
        "flux_dev",         "flux_schnell",     "flux_odd_heads_bf16",
        "flux_double_only", "flux_single_only", "flux_sharded"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) flux_matches(names[i]);
}

static void test_refused_configurations(void **state)
{
    (void)state;
    assert_refused("FluxTransformer2DModel", "{\"axes_dims_rope\": [16, 56, 54]}",
                   "axes_dims_rope");
    assert_refused("FluxTransformer2DModel", "{\"num_attention_heads\": 0}", "num_attention_heads");
    assert_refused("FluxTransformer2DModel", "{\"num_layers\": \"many\"}", "num_layers");
    assert_refused("FluxTransformer2DModel", "{\"qk_norm\": \"layer_norm\"}", "qk_norm");
    assert_refused("FluxTransformer2DModel", "{\"_class_name\": \"UNet2DConditionModel\"}",
                   "UNet2DConditionModel");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_networks),
        cmocka_unit_test(test_refused_configurations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
