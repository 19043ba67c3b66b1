#include "models/transformers/sd3.h"
#include "networks.h"

static void sd3_matches(const char *name, const char *io)
{
    network n = network_open(name, io);
    at_tensor *skip = network_optional(&n, "input.skip_layers", AT_I64);
    at_sd3_inputs in = {
        .hidden_states = fixture_nhwc(n.cx, n.io, "input.hidden_states"),
        .encoder_hidden_states = fixture(n.cx, n.io, "input.encoder_hidden_states"),
        .pooled_projections = fixture(n.cx, n.io, "input.pooled_projections"),
        .timestep = fixture(n.cx, n.io, "input.timestep"),
        .skip_layers = skip ? skip->data : NULL,
        .skip_count = (int)at_dim(skip, 0),
    };
    assert_parity(n.cx, at_sd3_forward(n.cx, n.module, &in), fixture_nhwc(n.cx, n.io, "output"),
                  1e-4);
    network_close(n);
}

static void test_networks(void **state)
{
    static const char *const names[] = {"sd3_medium", "sd3_dual_norm", "sd3_norm_f16",
                                        "sd3_single_dual"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        sd3_matches(names[i], "io");
        sd3_matches(names[i], "io_skip");
    }
}

static void test_too_large(void **state)
{
    (void)state;
    network n = network_open("sd3_medium", "io"); /* positions for 9 patches of 2 x 2 */
    at_sd3_inputs in = {
        .hidden_states = at_zeros(n.cx, AT_F32, 4, (int64_t[]){1, 20, 4, 4}),
        .encoder_hidden_states = at_zeros(n.cx, AT_F32, 3, (int64_t[]){1, 2, 20}),
        .pooled_projections = at_zeros(n.cx, AT_F32, 2, (int64_t[]){1, 12}),
        .timestep = at_zeros(n.cx, AT_F32, 1, (int64_t[]){1}),
    };
    assert_null(at_sd3_forward(n.cx, n.module, &in));
    assert_non_null(strstr(at_error_text(n.cx), "2 x 10 patches"));
    network_close(n);
}

static void test_refused_configurations(void **state)
{
    (void)state;
    assert_refused("SD3Transformer2DModel", "{\"qk_norm\": \"layer_norm\"}", "qk_norm");
    assert_refused("SD3Transformer2DModel", "{\"caption_projection_dim\": 1000}",
                   "caption_projection_dim");
    assert_refused("SD3Transformer2DModel", "{\"dual_attention_layers\": [\"all\"]}",
                   "dual_attention_layers");
    assert_refused("SD3Transformer2DModel", "{\"pos_embed_max_size\": 0}", "pos_embed_max_size");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_networks),
        cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_refused_configurations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
