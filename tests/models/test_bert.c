#include "models/text_encoders/bert.h"
#include "networks.h"

static void bert_matches(const char *name, const char *io)
{
    network n = network_open(name, io);
    at_bert_inputs in = {
        .input_ids = network_optional(&n, "input.input_ids", AT_I32),
        .attention_mask = network_optional(&n, "input.attention_mask", AT_BOOL),
        .token_type_ids = network_optional(&n, "input.token_type_ids", AT_I32),
        .position_ids = network_optional(&n, "input.position_ids", AT_I32),
    };
    at_bert_output out = at_bert_forward(n.cx, n.module, &in);
    assert_parity(n.cx, out.last_hidden_state, fixture(n.cx, n.io, "output.last_hidden_state"),
                  1e-4);
    assert_parity(n.cx, out.pooler_output, fixture(n.cx, n.io, "output.pooler_output"), 1e-4);
    network_close(n);
}

static void test_networks(void **state)
{
    static const char *const names[] = {"bert_gelu", "bert_old_keys_f16", "bert_decoder"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        bert_matches(names[i], "io");
        bert_matches(names[i], "io_masked");
        bert_matches(names[i], "io_all");
    }
}

/* More tokens than the model has positions for. */
static void test_too_long(void **state)
{
    (void)state;
    network n = network_open("bert_gelu", "io");
    at_bert_inputs in = {.input_ids = at_zeros(n.cx, AT_I32, 2, (int64_t[]){1, 15})};
    assert_null(at_bert_forward(n.cx, n.module, &in).last_hidden_state);
    assert_true(at_failed(n.cx));
    network_close(n);
}

static void test_refused_configurations(void **state)
{
    (void)state;
    assert_refused("BertModel", "{\"position_embedding_type\": \"relative_key\"}",
                   "position_embedding_type");
    assert_refused("BertModel", "{\"add_cross_attention\": true}", "add_cross_attention");
    assert_refused("BertModel", "{\"hidden_act\": \"mish\"}", "mish");
    assert_refused("BertModel", "{\"num_attention_heads\": 7}", "hidden_size");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_networks),
        cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_refused_configurations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
