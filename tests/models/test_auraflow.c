#include "models/transformers/auraflow.h"
#include "networks.h"

static void auraflow_matches(const char *name)
{
    network n = network_open(name, "io");
    at_auraflow_inputs in = {
        .hidden_states = fixture_nhwc(n.cx, n.io, "input.hidden_states"),
        .encoder_hidden_states = fixture(n.cx, n.io, "input.encoder_hidden_states"),
        .timestep = fixture(n.cx, n.io, "input.timestep"),
    };
    assert_parity(n.cx, at_auraflow_forward(n.cx, n.module, &in),
                  fixture_nhwc(n.cx, n.io, "output"), 1e-4);
    network_close(n);
}

static void test_networks(void **state)
{
    (void)state;
    auraflow_matches("auraflow_both");
    auraflow_matches("auraflow_odd_bf16");
    auraflow_matches("auraflow_joint_only");
    auraflow_matches("auraflow_single_only");
}

static void test_refused_configurations(void **state)
{
    (void)state;
    assert_refused("AuraFlowTransformer2DModel", "{\"caption_projection_dim\": 12}",
                   "caption_projection_dim");
    assert_refused("AuraFlowTransformer2DModel", "{\"qk_norm\": true}", "qk_norm");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_networks),
        cmocka_unit_test(test_refused_configurations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
