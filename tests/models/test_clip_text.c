#include "models/text_encoders/clip_text.h"
#include "networks.h"

static void clip_matches(const char *name, const char *io)
{
    network n = network_open(name, io);
    at_tensor *ids = at_cast(n.cx, fixture(n.cx, n.io, "input.input_ids"), AT_I32);
    char key[64];
    for (int i = 0;; i++) {
        snprintf(key, sizeof key, "output.hidden_states.%d", i);
        at_tensor *theirs = at_weights_get(n.cx, n.io, key);
        at_clip_text_output out = at_clip_text_forward(n.cx, n.module, ids, theirs ? i : -1);
        if (theirs) {
            assert_parity(n.cx, out.hidden_state, theirs, 1e-4);
            continue;
        }
        snprintf(key, sizeof key, "output.hidden_states.%d", i - 1);
        assert_true(i >= 3);
        assert_parity(n.cx, out.hidden_state, fixture(n.cx, n.io, key), 1e-4); /* -1 is the last */
        assert_parity(n.cx, out.last_hidden_state, fixture(n.cx, n.io, "output.last_hidden_state"),
                      1e-4);
        at_tensor *embeds = at_weights_get(n.cx, n.io, "output.text_embeds");
        if (embeds)
            assert_parity(n.cx, out.text_embeds, embeds, 1e-4);
        else
            assert_parity(n.cx, out.pooler_output, fixture(n.cx, n.io, "output.pooler_output"),
                          1e-4);
        break;
    }
    network_close(n);
}

static void test_networks(void **state)
{
    static const char *const names[] = {"clip_quick_gelu", "clip_gelu_old_keys", "clip_projection",
                                        "clip_fp16_variant"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        clip_matches(names[i], "io");
        clip_matches(names[i], "io_short");
    }
}

static void test_too_long(void **state)
{
    (void)state;
    network n = network_open("clip_quick_gelu", "io");
    at_tensor *ids = at_zeros(n.cx, AT_I32, 2, (int64_t[]){1, 1000});
    assert_null(at_clip_text_forward(n.cx, n.module, ids, 0).last_hidden_state);
    assert_int_equal(at_error_status(n.cx), AT_ERROR_SHAPE);
    network_close(n);
}

/* A folder that another class wrote, as transformers reads it: what the index wants counts. */
static void test_other_architecture(void **state)
{
    (void)state;
    at_context *cx = f32_context();
    at_module *clip = at_module_load(cx, AT_FIXTURES "/networks/clip_projection", "CLIPTextModel");
    assert_fine(cx);
    assert_string_equal(clip->class->name, "CLIPTextModel");
    at_module_free(clip);
    assert_null(at_module_load(cx, AT_FIXTURES "/networks/vae_flux", "CLIPTextModel"));
    assert_int_equal(at_error_status(cx), AT_ERROR_UNSUPPORTED);
    at_context_free(cx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_networks),
                                       cmocka_unit_test(test_too_long),
                                       cmocka_unit_test(test_other_architecture)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
