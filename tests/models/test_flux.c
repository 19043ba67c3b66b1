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

static void refused(const char *json, const char *message)
{
    at_context *cx = f32_context();
    at_config *config = at_config_parse(cx, json, strlen(json), "config.json");
    assert_null(at_module_make(cx, config, "FluxTransformer2DModel", AT_DTYPES, 0));
    if (!strstr(at_error_text(cx), message))
        fail_msg("\"%s\" is not in \"%s\"", message, at_error_text(cx));
    at_config_free(config);
    at_context_free(cx);
}

static void test_refused_configurations(void **state)
{
    (void)state;
    refused("{\"axes_dims_rope\": [16, 56, 54]}", "axes_dims_rope");
    refused("{\"num_attention_heads\": 0}", "num_attention_heads");
    refused("{\"num_layers\": \"many\"}", "num_layers");
    refused("{\"qk_norm\": \"layer_norm\"}", "qk_norm");
    refused("{\"_class_name\": \"UNet2DConditionModel\"}", "UNet2DConditionModel");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_networks),
        cmocka_unit_test(test_refused_configurations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
