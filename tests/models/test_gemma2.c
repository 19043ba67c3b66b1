#include "models/text_encoders/gemma2.h"
#include "networks.h"

static void gemma2_matches(const char *name, const char *io, int layers)
{
    network n = network_open(name, io);
    at_tensor *ids = network_optional(&n, "input.input_ids", AT_I32);
    at_tensor *mask = network_optional(&n, "input.attention_mask", AT_BOOL);
    for (int i = 0; i <= layers; i++) {
        char key[64];
        snprintf(key, sizeof key, "output.hidden_states.%d", i);
        at_tensor *ours = at_gemma2_encode(n.cx, n.module, ids, mask, i), *theirs = NULL;
        double distance = parity(n.cx, ours, fixture(n.cx, n.io, key));
        if (!(distance <= 1e-4)) fail_msg("%s %s %d: parity %.3g", name, io, i, distance);
        theirs = at_gemma2_encode(n.cx, n.module, ids, mask, i - layers - 1);
        assert_parity(n.cx, ours, theirs, 0);
        if (i == layers && (theirs = at_weights_get(n.cx, n.io, "output.logits")))
            assert_parity(n.cx, at_gemma2_logits(n.cx, n.module, ours), theirs, 1e-4);
    }
    network_close(n);
}

static void test_networks(void **state)
{
    static const struct {
        const char *name;
        int layers;
    } cases[] = {
        {"gemma2_grouped", 4}, {"gemma2_listed_bf16", 3}, {"gemma2_causal_lm_uncapped", 2}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gemma2_matches(cases[i].name, "io", cases[i].layers);
        gemma2_matches(cases[i].name, "io_masked", cases[i].layers);
        gemma2_matches(cases[i].name, "io_left", cases[i].layers);
    }
}

static void test_no_such_state(void **state)
{
    (void)state;
    network n = network_open("gemma2_grouped", "io");
    at_tensor *ids = network_optional(&n, "input.input_ids", AT_I32);
    assert_null(at_gemma2_encode(n.cx, n.module, ids, NULL, 5));
    assert_int_equal(at_error_status(n.cx), AT_ERROR_ARGUMENT);
    network_close(n);
}

static void test_refused_configurations(void **state)
{
    (void)state;
    assert_refused("Gemma2Model", "{\"use_bidirectional_attention\": true}", "bidirectional");
    assert_refused("Gemma2Model", "{\"layer_types\": [\"chunked_attention\"]}",
                   "chunked_attention");
    assert_refused("Gemma2Model", "{\"rope_parameters\": {\"rope_type\": \"yarn\"}}", "yarn");
    assert_refused("Gemma2Model", "{\"num_key_value_heads\": 3}", "num_key_value_heads");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_networks),
        cmocka_unit_test(test_no_such_state),
        cmocka_unit_test(test_refused_configurations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
