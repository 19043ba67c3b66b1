#include "models/transformers/hunyuan_dit.h"
#include "networks.h"

static at_hunyuan_dit_inputs inputs_of(const network *n)
{
    at_tensor *sample = fixture_nhwc(n->cx, n->io, "input.hidden_states");
    return (at_hunyuan_dit_inputs){
        .hidden_states = sample,
        .timestep = fixture(n->cx, n->io, "input.timestep"),
        .encoder_hidden_states = fixture(n->cx, n->io, "input.encoder_hidden_states"),
        .text_embedding_mask = network_optional(n, "input.text_embedding_mask", AT_BOOL),
        .encoder_hidden_states_t5 = fixture(n->cx, n->io, "input.encoder_hidden_states_t5"),
        .text_embedding_mask_t5 = network_optional(n, "input.text_embedding_mask_t5", AT_BOOL),
        .image_meta_size = network_optional(n, "input.image_meta_size", AT_F32),
        .style = network_optional(n, "input.style", AT_I32),
        .rope = at_hunyuan_dit_rope(n->cx, n->module, at_dim(sample, 1), at_dim(sample, 2)),
    };
}

/* Every second column of the reference's tables: it has each angle twice. */
static void rope_matches(const network *n, at_tensor *rope)
{
    static const char *const names[] = {"inner.rope_cos", "inner.rope_sin"};
    for (int i = 0; i < 2; i++) {
        at_tensor *theirs = fixture(n->cx, n->io, names[i]);
        int64_t N = at_dim(theirs, 0), pairs = at_dim(theirs, 1) / 2;
        theirs = at_slice(n->cx, at_view(n->cx, theirs, N, pairs, 2), 2, 0, 1);
        assert_parity(n->cx, at_slice(n->cx, rope, 2, i, 1), theirs, 1e-4);
    }
}

static void hunyuan_matches(const char *name)
{
    network n = network_open(name, "io");
    at_hunyuan_dit_inputs in = inputs_of(&n);
    assert_int_equal(at_hunyuan_dit_info_of(n.module).use_style_cond_and_image_meta_size,
                     in.style != NULL);
    rope_matches(&n, in.rope);
    at_tensor *output = at_hunyuan_dit_forward(n.cx, n.module, &in);
    double distance = parity(n.cx, output, fixture_nhwc(n.cx, n.io, "output"));
    if (!(distance <= 1e-4)) fail_msg("%s: parity %.3g", name, distance);
    network_close(n);
}

static void test_networks(void **state)
{
    static const char *const names[] = {"hunyuan_1_1_bf16", "hunyuan_1_2_f16", "hunyuan_no_sigma",
                                        "hunyuan_geglu"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) hunyuan_matches(names[i]);
}

static void test_missing_inputs(void **state)
{
    (void)state;
    network n = network_open("hunyuan_1_1_bf16", "io");
    at_hunyuan_dit_inputs in = inputs_of(&n);
    in.style = NULL;
    assert_null(at_hunyuan_dit_forward(n.cx, n.module, &in));
    assert_int_equal(at_error_status(n.cx), AT_ERROR_ARGUMENT);
    network_close(n);
}

static void test_refused_configurations(void **state)
{
    (void)state;
    assert_refused("HunyuanDiT2DModel", "{\"patch_size\": 2}", "in_channels");
    assert_refused("HunyuanDiT2DModel", "{\"in_channels\": 4, \"patch_size\": 2}", "hidden_size");
    assert_refused(
        "HunyuanDiT2DModel",
        "{\"in_channels\": 4, \"patch_size\": 2, \"hidden_size\": 1408, \"num_layers\": 5}",
        "num_layers");
    assert_refused("HunyuanDiT2DModel",
                   "{\"in_channels\": 4, \"patch_size\": 2, \"hidden_size\": 1408, "
                   "\"activation_fn\": \"swiglu\"}",
                   "swiglu");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_networks),
        cmocka_unit_test(test_missing_inputs),
        cmocka_unit_test(test_refused_configurations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
