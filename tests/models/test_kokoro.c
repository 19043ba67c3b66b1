#include "base/json.h"
#include "models/speech/kokoro.h"
#include "models/speech/sine_source.h"
#include "networks.h"
#include <unistd.h>

static double number_of(const network *n, const char *key)
{
    const char *text = at_weights_metadata(n->io, "args");
    cJSON *args = at_json_parse(n->cx, text, strlen(text), "args");
    double value = cJSON_GetObjectItem(args, key)->valuedouble;
    cJSON_Delete(args);
    return value;
}

/* [1,C,N] to [1,N,C] */
static at_tensor *turned(at_context *cx, const at_weights *io, const char *name)
{
    return at_contiguous(cx, at_transpose(cx, fixture(cx, io, name), 0, 2, 1));
}

static void says_the_same(const char *name)
{
    network n = network_open(name, "io");
    at_context *cx = n.cx;
    at_tensor *ids = fixture(cx, n.io, "input.ids"), *style = fixture(cx, n.io, "input.style");
    at_kokoro_plan plan = at_kokoro_plan_of(cx, n.module, ids, style, number_of(&n, "speed"), 0);
    assert_parity(cx, plan.predicted, fixture(cx, n.io, "output.predicted"), 1e-4);
    assert_parity(cx, at_cast(cx, plan.durations, AT_F32),
                  at_cast(cx, fixture(cx, n.io, "output.durations"), AT_F32), 0);
    assert_parity(cx, plan.asr, turned(cx, n.io, "output.asr"), 1e-4);
    assert_parity(cx, plan.pitch, turned(cx, n.io, "output.pitch"), 1e-4);
    assert_parity(cx, plan.loudness, turned(cx, n.io, "output.loudness"), 1e-4);

    at_generator random;
    at_generator_seed(&random, AT_RNG_CPU, (uint64_t)number_of(&n, "seed"));
    plan.pitch = turned(cx, n.io, "output.pitch"); /* a phase adds up what is off in a pitch */
    at_tensor *said = at_kokoro_say(cx, n.module, &plan, style, &random);
    assert_parity(cx, said, fixture(cx, n.io, "output.audio"), 1e-3);
    at_kokoro_info info = at_kokoro_info_of(n.module);
    assert_int_equal(at_dim(said, 0), at_dim(plan.asr, 1) * info.frame);
    assert_int_equal(at_dim(style, 1), info.style);
    network_close(n);
}

static void test_as_published(void **state)
{
    (void)state;
    says_the_same("kokoro_tiny");
}

static void test_three_stages_in_f16(void **state)
{
    (void)state;
    says_the_same("kokoro_three_stages_f16");
}

/* The source alone, with the reference's pitch and random numbers. */
static void test_source(void **state)
{
    (void)state;
    network n = network_open("kokoro_three_stages_f16", "io");
    at_context *cx = n.cx;
    at_weights *weights =
        at_weights_open(cx, AT_FIXTURES "/networks/kokoro_three_stages_f16/model.safetensors");
    at_generator random;
    at_generator_seed(&random, AT_RNG_CPU, (uint64_t)number_of(&n, "seed"));
    at_tensor *pitch = at_view(cx, fixture(cx, n.io, "output.pitch"), -1);
    at_tensor *source = at_sine_source(
        cx, pitch, at_kokoro_info_of(n.module).frame / 2,
        at_weights_get(cx, weights, "decoder.generator.m_source.l_linear.weight"),
        at_cast(cx, at_weights_get(cx, weights, "decoder.generator.m_source.l_linear.bias"),
                AT_F32),
        &random);
    assert_parity(cx, source, at_view(cx, fixture(cx, n.io, "inner.source"), -1), 1e-4);
    at_weights_free(weights);
    network_close(n);
}

/* Each row of d [1,N,C] as often as its token lasts. */
static at_tensor *each_frame(at_context *cx, at_tensor *d, const at_tensor *durations)
{
    const int32_t *frames = durations->data;
    int64_t n = durations->shape[0], sum = 0, at = 0;
    for (int64_t i = 0; i < n; i++) sum += frames[i];
    at_tensor *rows = at_new(cx, AT_I32, 1, sum);
    for (int64_t i = 0; i < n; i++)
        for (int32_t k = 0; k < frames[i]; k++) ((int32_t *)rows->data)[at++] = (int32_t)i;
    return at_embedding(cx, at_view(cx, d, n, at_dim(d, 2)), rows);
}

/* Every module with its real weights, each given what the reference gave it. Where kernels are
   plain C, or emulated, this takes too long. */
static void test_real_weights(void **state)
{
    (void)state;
    char path[1024];
    const char *home = getenv("ATELIER_HOME"), *user = getenv("HOME"), *cpu = getenv("ATELIER_CPU");
    if (cpu && strncmp(cpu, "avx", 3) != 0) skip();
    snprintf(path, sizeof path, "%s%s/kokoro",
             home   ? home
             : user ? user
                    : "",
             home ? "" : "/.cache/atelier");
    if (access(path, R_OK) != 0) {
        print_message("no real weights in %s (tools/weights/get.py kokoro)\n", path);
        skip();
    }
    at_context *cx = f32_context();
    at_module *module = at_module_load(cx, path, "KModel");
    at_weights *io = at_weights_open(cx, AT_FIXTURES "/networks/kokoro_real/io.safetensors");
    assert_fine(cx);
    const at_kokoro *m = (const at_kokoro *)module;
    at_tensor *ids = fixture(cx, io, "input.ids"), *style = fixture(cx, io, "input.style");
    at_tensor *voice = at_contiguous(cx, at_slice(cx, style, 1, 0, m->style));
    at_tensor *prosody = at_contiguous(cx, at_slice(cx, style, 1, m->style, m->style));

    at_tensor *bert = fixture(cx, io, "inner.bert");
    at_tensor *d = fixture(cx, io, "inner.durations_encoded");
    assert_parity(cx, at_albert_forward(cx, &m->bert, ids), bert, 1e-4);
    at_tensor *x = at_project(cx, &m->bert_encoder, bert);
    assert_parity(cx, at_encode_durations(cx, &m->predictor, x, prosody), d, 1e-4);
    assert_parity(cx, at_predict_durations(cx, &m->predictor, d),
                  fixture(cx, io, "output.predicted"), 1e-4);
    at_tensor *en = each_frame(cx, d, fixture(cx, io, "output.durations"));
    at_pair curves = at_predict_curves(cx, &m->predictor, en, prosody);
    at_tensor *pitch = turned(cx, io, "output.pitch"), *loud = turned(cx, io, "output.loudness");
    assert_parity(cx, curves.first, pitch, 1e-3);
    assert_parity(cx, curves.second, loud, 1e-3);
    assert_parity(cx, at_encode_text(cx, &m->text_encoder, ids),
                  turned(cx, io, "inner.text_encoded"), 1e-4);

    at_tensor *asr = turned(cx, io, "output.asr"), *decoded = turned(cx, io, "inner.decoded");
    assert_parity(cx, at_istftnet_decode(cx, &m->decoder, asr, pitch, loud, voice), decoded, 1e-3);
    at_generator random;
    at_generator_seed(&random, AT_RNG_CPU, 7);
    at_tensor *source =
        at_sine_source(cx, at_view(cx, pitch, -1), at_istftnet_scale(&m->decoder),
                       m->decoder.source_linear.weight, m->decoder.source_linear.bias, &random);
    assert_parity(cx, source, at_view(cx, fixture(cx, io, "inner.source"), -1), 1e-3);
    at_generator_seed(&random, AT_RNG_CPU, 7);
    assert_parity(cx, at_istftnet_generate(cx, &m->decoder, decoded, pitch, voice, &random),
                  fixture(cx, io, "output.audio"), 1e-3);
    at_weights_free(io);
    at_module_free(module);
    at_context_free(cx);
}

static void test_too_many_tokens(void **state)
{
    (void)state;
    network n = network_open("kokoro_tiny", "io");
    at_kokoro_info info = at_kokoro_info_of(n.module);
    assert_int_equal(info.longest, 24);
    at_tensor *ids = at_zeros(n.cx, AT_I32, 2, (int64_t[]){1, info.longest + 1});
    at_tensor *style = at_zeros(n.cx, AT_F32, 2, (int64_t[]){1, info.style});
    assert_null(at_kokoro_plan_of(n.cx, n.module, ids, style, 1, 0).asr);
    assert_non_null(strstr(at_error_text(n.cx), "at most 24"));
    network_close(n);
}

/* The silence at the end is cut, and nothing else. */
static void test_end(void **state)
{
    (void)state;
    network n = network_open("kokoro_tiny", "io");
    at_context *cx = n.cx;
    at_tensor *ids = fixture(cx, n.io, "input.ids"), *style = fixture(cx, n.io, "input.style");
    at_kokoro_plan whole = at_kokoro_plan_of(cx, n.module, ids, style, 0.1, 0);
    at_kokoro_plan cut = at_kokoro_plan_of(cx, n.module, ids, style, 0.1, 2);
    assert_fine(cx);
    const int32_t *a = whole.durations->data, *b = cut.durations->data;
    int64_t last = at_dim(ids, 1) - 1;
    assert_true(a[last] > 2);
    assert_int_equal(b[last], 2);
    assert_memory_equal(a, b, (size_t)last * sizeof *a);
    assert_int_equal(at_dim(cut.asr, 1), at_dim(whole.asr, 1) - (a[last] - 2));
    network_close(n);
}

static void test_what_is_refused(void **state)
{
    (void)state;
    assert_refused("KModel", "{\"plbert\": {}}", "no \"istftnet\"");
    assert_refused("KModel", "{\"plbert\": {\"hidden_act\": \"snake\"}, \"istftnet\": {}}",
                   "\"hidden_act\": \"snake\"");
    assert_refused("KModel",
                   "{\"plbert\": {\"hidden_size\": 64, \"num_attention_heads\": 4}, \"istftnet\": "
                   "{\"resblock_dilation_sizes\": [[1,3,5],[1,3],[1,3,5]]}}",
                   "three dilations each");
    assert_refused("KModel",
                   "{\"plbert\": {\"hidden_size\": 64, \"num_attention_heads\": 4}, \"istftnet\": "
                   "{\"resblock_dilation_sizes\": [[1,3,5],[1,3,5],[1,3,5]], \"upsample_rates\": "
                   "[10, 7]}}",
                   "rates and kernel sizes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_published),
        cmocka_unit_test(test_three_stages_in_f16),
        cmocka_unit_test(test_source),
        cmocka_unit_test(test_real_weights),
        cmocka_unit_test(test_end),
        cmocka_unit_test(test_too_many_tokens),
        cmocka_unit_test(test_what_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
