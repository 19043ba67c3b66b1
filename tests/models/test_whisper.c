#include "models/layouts/layout.h"
#include "models/speech/whisper.h"
#include "networks.h"

static at_tensor *row(at_context *cx, at_tensor *x, int64_t i)
{
    return at_contiguous(cx, at_slice(cx, x, 0, i, 1));
}

static at_tensor *encode(const network *n, at_tensor *mel)
{
    at_tensor *frames = at_contiguous(n->cx, at_transpose(n->cx, mel, 0, 2, 1));
    return at_whisper_encode(n->cx, n->module, frames);
}

/* Two windows at once, all tokens at once; then the same in pieces of 1, 3 and the rest. */
static void logits_match(const char *name)
{
    network n = network_open(name, "io");
    at_context *cx = n.cx;
    at_tensor *encoded = encode(&n, fixture(cx, n.io, "input.input_features"));
    assert_parity(cx, encoded, fixture(cx, n.io, "output.encoder_last_hidden_state"), 1e-4);
    at_tensor *ids = at_cast(cx, fixture(cx, n.io, "input.decoder_input_ids"), AT_I32);
    at_tensor *theirs = fixture(cx, n.io, "output.logits");
    at_whisper_cache *c = at_whisper_cache_new(cx, n.module, encoded, 1);
    assert_parity(cx, at_whisper_decode(cx, n.module, c, ids, true), theirs, 1e-4);

    at_whisper_cache_cut(c, 0);
    int64_t total = at_dim(ids, 1);
    for (int64_t at = 0, some = 1; at < total; at += some, some = at == 1 ? 3 : total - at) {
        at_tensor *piece = at_contiguous(cx, at_slice(cx, ids, 1, at, some));
        at_tensor *last = at_whisper_decode(cx, n.module, c, piece, false);
        at_tensor *wanted = at_slice(cx, theirs, 1, at + some - 1, 1);
        wanted = at_view(cx, wanted, at_dim(wanted, 0), at_dim(wanted, 2));
        assert_parity(cx, last, wanted, 1e-4);
    }
    assert_int_equal(at_whisper_cache_length(c), total);
    at_whisper_cache_free(c);
    network_close(n);
}

/* Beams of one window: they part, and one goes on as another was. */
static void beams_match(const char *name)
{
    network n = network_open(name, "io");
    at_context *cx = n.cx;
    at_tensor *encoded = encode(&n, row(cx, fixture(cx, n.io, "input.input_features"), 0));
    at_tensor *ids = at_cast(cx, fixture(cx, n.io, "input.decoder_input_ids"), AT_I32);
    at_whisper_cache *alone = at_whisper_cache_new(cx, n.module, encoded, 1);
    at_whisper_cache *beams = at_whisper_cache_new(cx, n.module, encoded, 2);
    at_tensor *wanted[2];
    at_whisper_decode(cx, n.module, beams, ids, false);
    at_whisper_cache_reorder(beams, (int[]){1, 0});
    at_tensor *next = at_contiguous(cx, at_slice(cx, ids, 1, 0, 2));
    for (int r = 0; r < 2; r++) {
        at_whisper_cache_cut(alone, 0);
        at_whisper_decode(cx, n.module, alone, row(cx, ids, 1 - r), false);
        wanted[r] = at_whisper_decode(cx, n.module, alone, row(cx, next, r), false);
    }
    at_tensor *both = at_whisper_decode(cx, n.module, beams, next, false);
    assert_parity(cx, both, at_join(cx, 0, wanted[0], wanted[1]), 1e-5);
    at_whisper_cache_free(alone);
    at_whisper_cache_free(beams);
    network_close(n);
}

/* Softmax of the scores is what the reference gives as attentions. */
static void heads_match(const char *name)
{
    network n = network_open(name, "io");
    at_context *cx = n.cx;
    at_whisper_info info = at_whisper_info_of(n.module);
    at_tensor *encoded = encode(&n, row(cx, fixture(cx, n.io, "input.input_features"), 0));
    at_tensor *ids = at_cast(cx, fixture(cx, n.io, "input.decoder_input_ids"), AT_I32);
    at_whisper_cache *c = at_whisper_cache_new(cx, n.module, encoded, 1);
    const int heads[][2] = {{info.layers - 1, 2}, {0, 1}, {0, info.heads - 1}};
    at_tensor *logits;
    at_tensor *scores = at_whisper_align(cx, n.module, c, row(cx, ids, 0), heads, 3, &logits);
    at_tensor *looks = at_softmax(cx, scores), *theirs = fixture(cx, n.io, "output.logits");
    assert_parity(cx, logits, at_view(cx, row(cx, theirs, 0), -1, at_dim(theirs, 2)), 1e-4);
    for (int i = 0; i < 3; i++) {
        char key[64];
        snprintf(key, sizeof key, "output.cross_attentions.%d", heads[i][0]);
        at_tensor *wanted = at_slice(cx, row(cx, fixture(cx, n.io, key), 0), 1, heads[i][1], 1);
        wanted = at_view(cx, at_contiguous(cx, wanted), 1, at_dim(wanted, 2), at_dim(wanted, 3));
        assert_parity(cx, at_slice(cx, looks, 0, i, 1), wanted, 1e-4);
    }
    at_whisper_cache_free(c);
    network_close(n);
}

static void test_networks(void **state)
{
    static const char *const names[] = {"whisper_tiny", "whisper_turbo_f16"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        logits_match(names[i]);
        beams_match(names[i]);
        heads_match(names[i]);
    }
}

/* The same network from CTranslate2's files: within what their types lose. */
static void test_ctranslate2(void **state)
{
    static const struct {
        const char *name;
        double most;
    } cases[] = {{"whisper_tiny_float16", 5e-3}, {"whisper_tiny_int8", 5e-2}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        network n = network_open("whisper_tiny", "io");
        char path[512];
        snprintf(path, sizeof path, "%s/networks/%s/model.bin", AT_FIXTURES, cases[i].name);
        at_weights *weights = at_weights_open(n.cx, path);
        at_layout *layout = at_layout_of(n.cx, weights);
        at_layout_part *part = at_layout_find(layout, "whisper");
        assert_non_null(part);
        char *json = cJSON_PrintUnformatted(part->config);
        at_config *config = at_config_parse(n.cx, json, strlen(json), path);
        at_module_free(n.module);
        n.module = at_module_load_weights(n.cx, config, part->weights, path, NULL);
        assert_fine(n.cx);
        assert_int_equal(at_whisper_info_of(n.module).heads, 4);
        at_tensor *mel = fixture(n.cx, n.io, "input.input_features");
        at_tensor *ids = at_cast(n.cx, fixture(n.cx, n.io, "input.decoder_input_ids"), AT_I32);
        at_whisper_cache *c = at_whisper_cache_new(n.cx, n.module, encode(&n, mel), 1);
        at_tensor *logits = at_whisper_decode(n.cx, n.module, c, ids, true);
        assert_parity(n.cx, logits, fixture(n.cx, n.io, "output.logits"), cases[i].most);
        at_whisper_cache_free(c);
        at_config_free(config);
        cJSON_free(json);
        at_layout_free(layout);
        network_close(n);
    }
}

/* What does not fit is an error, not a crash. */
static void test_refuses(void **state)
{
    (void)state;
    network n = network_open("whisper_tiny", "io");
    at_context *cx = n.cx;
    at_tensor *mel = fixture(cx, n.io, "input.input_features");
    at_whisper_cache *c = at_whisper_cache_new(cx, n.module, encode(&n, mel), 1);
    at_tensor *ids = at_zeros(cx, AT_I32, 2, (int64_t[]){2, 15});
    assert_null(at_whisper_decode(cx, n.module, c, ids, false));
    assert_int_equal(at_error_status(cx), AT_ERROR_ARGUMENT);
    at_error_clear(cx);
    assert_null(at_whisper_encode(cx, n.module, mel));
    assert_int_equal(at_error_status(cx), AT_ERROR_SHAPE);
    at_whisper_cache_free(c);
    network_close(n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_networks),
                                       cmocka_unit_test(test_ctranslate2),
                                       cmocka_unit_test(test_refuses)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
