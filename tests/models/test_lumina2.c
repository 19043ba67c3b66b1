#include "models/transformers/lumina2.h"
#include "networks.h"

static at_lumina2_inputs inputs_of(const network *n)
{
    return (at_lumina2_inputs){
        .hidden_states = fixture_nhwc(n->cx, n->io, "input.hidden_states"),
        .timestep = fixture(n->cx, n->io, "input.timestep"),
        .encoder_hidden_states = fixture(n->cx, n->io, "input.encoder_hidden_states"),
        .encoder_attention_mask = network_optional(n, "input.encoder_attention_mask", AT_BOOL),
    };
}

static void lumina2_matches(const char *name)
{
    network n = network_open(name, "io");
    at_lumina2_inputs in = inputs_of(&n);
    at_tensor *output = at_lumina2_forward(n.cx, n.module, &in);
    double distance = parity(n.cx, output, fixture_nhwc(n.cx, n.io, "output"));
    if (!(distance <= 1e-4)) fail_msg("%s: parity %.3g", name, distance);
    network_close(n);
}

static void test_networks(void **state)
{
    static const char *const names[] = {"lumina2_uneven", "lumina2_even_bf16", "lumina2_own_keys",
                                        "lumina2_refiners_only"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) lumina2_matches(names[i]);
}

/* The fixtures' models have positions for 30 tokens and 16 x 16 patches. */
static void test_no_position(void **state)
{
    (void)state;
    network n = network_open("lumina2_uneven", "io");
    at_lumina2_inputs in = inputs_of(&n);
    in.hidden_states = at_zeros(n.cx, AT_F32, 4, (int64_t[]){2, 2, 34, 4});
    assert_null(at_lumina2_forward(n.cx, n.module, &in));
    assert_int_equal(at_error_status(n.cx), AT_ERROR_ARGUMENT);
    assert_non_null(strstr(at_error_text(n.cx), "17 x 1 patches"));
    network_close(n);
}

static void test_refused_configurations(void **state)
{
    (void)state;
    assert_refused("Lumina2Transformer2DModel", "{\"axes_dim_rope\": [32, 32, 30]}",
                   "axes_dim_rope");
    assert_refused("Lumina2Transformer2DModel", "{\"axes_lens\": [300, 512]}", "axes_lens");
    assert_refused("Lumina2Transformer2DModel", "{\"num_kv_heads\": 5}", "num_kv_heads");
    assert_refused("Lumina2Transformer2DModel", "{\"ffn_dim_multiplier\": 0}",
                   "ffn_dim_multiplier");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_networks),
        cmocka_unit_test(test_no_position),
        cmocka_unit_test(test_refused_configurations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
