#include "models/text_encoders/t5_encoder.h"
#include "networks.h"

static void t5_matches(const char *name, const char *io)
{
    network n = network_open(name, io);
    at_tensor *ids = at_cast(n.cx, fixture(n.cx, n.io, "input.input_ids"), AT_I32);
    at_tensor *mask = at_weights_get(n.cx, n.io, "input.attention_mask");
    if (mask) mask = at_cast(n.cx, mask, AT_BOOL);
    assert_parity(n.cx, at_t5_encode(n.cx, n.module, ids, mask),
                  fixture(n.cx, n.io, "output.last_hidden_state"), 1e-4);
    network_close(n);
}

static void test_networks(void **state)
{
    static const char *const names[] = {"t5_gated",       "t5_gated_f16", "t5_relu_old_keys",
                                        "mt5_gated_bf16", "umt5_gated",   "umt5_relu_f16"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        t5_matches(names[i], "io");
        t5_matches(names[i], "io_masked");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_networks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
