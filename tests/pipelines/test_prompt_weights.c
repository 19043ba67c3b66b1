/* Weighted prompts in chunks, as A1111 and ComfyUI encode them. */
#include "files.h"
#include "models/text_encoders/clip_text.h"
#include "parity.h"
#include "pipelines/prompt_weights.h"

#define TINY AT_FIXTURES "/pipelines/flux_tiny_schnell"

typedef struct run {
    at_context *cx;
    at_pipeline *p;
    at_weights *expected;
} run;

static run open_run(void)
{
    run r = {.cx = f32_context()};
    r.p = at_pipeline_open(r.cx, TINY);
    r.expected = at_weights_open(r.cx, AT_FIXTURES "/prompts/weights.safetensors");
    assert_fine(r.cx);
    return r;
}

static void close_run(run r)
{
    at_weights_free(r.expected);
    at_context_free(r.cx);
}

static at_tensor *encode(run *r, const char *prompt, at_prompt_syntax syntax)
{
    at_prompt_chunks chunks = at_prompt_chunk(r->p, "tokenizer", prompt, syntax, 0);
    at_module *clip = at_pipeline_module(r->p, "text_encoder", NULL);
    assert_fine(r->cx);
    at_clip_text_output y = at_clip_text_forward(r->cx, clip, chunks.ids, 0);
    return at_prompt_weigh(r->cx, &chunks, y.last_hidden_state);
}

#define LONG "a red fox, a blue heart on a green background and "

static void test_clip(void **state)
{
    static const char *const a1111[] = {"a (red:1.4) heart on [a blue] ((fox))",
                                        "a heart BREAK (a fox:0.5)", "a \\(heart\\)",
                                        LONG LONG LONG, "(" LONG LONG LONG ":1.3)"};
    static const char *const comfy[] = {"a (red:1.4) heart ((fox))", "(a (heart:0.3) fox:1.2)",
                                        "(" LONG LONG LONG ":1.3)"};
    (void)state;
    run r = open_run();
    for (size_t i = 0; i < AT_COUNT(a1111) + AT_COUNT(comfy); i++) {
        bool second = i >= AT_COUNT(a1111);
        size_t k = second ? i - AT_COUNT(a1111) : i;
        char name[40];
        snprintf(name, sizeof name, "clip.%s.%zu", second ? "comfy" : "a1111", k);
        at_tensor *x =
            encode(&r, second ? comfy[k] : a1111[k], second ? AT_PROMPT_COMFY : AT_PROMPT_A1111);
        double distance = parity(r.cx, x, fixture(r.cx, r.expected, name));
        if (!(distance <= 1e-4)) fail_msg("%s: parity %.3g", name, distance);
    }
    close_run(r);
}

/* Without weights and shorter than a chunk all syntaxes are the plain prompt. */
static void test_plain_is_plain(void **state)
{
    (void)state;
    run r = open_run();
    at_tensor *plain = encode(&r, "a red heart", AT_PROMPT_PLAIN);
    assert_true(parity(r.cx, encode(&r, "a red heart", AT_PROMPT_A1111), plain) == 0);
    assert_true(parity(r.cx, encode(&r, "a red heart", AT_PROMPT_COMFY), plain) == 0);
    assert_true(parity(r.cx, encode(&r, "a (red) heart", AT_PROMPT_PLAIN), plain) > 0);
    at_tensor *a = encode(&r, "a red heart", AT_PROMPT_A1111);
    at_tensor *b = encode(&r, "a BREAK b BREAK c", AT_PROMPT_A1111);
    int64_t length = at_dim(a, 1);
    at_tensor *c = at_join(r.cx, 1, a, a);
    at_prompt_match(r.cx, &c, &b);
    assert_int_equal(at_dim(b, 1), 6 * length);
    assert_int_equal(at_dim(c, 1), 6 * length);
    close_run(r);
}

static at_generation *generate(at_pipeline *p, const char *prompt, at_prompt_syntax syntax)
{
    return at_generate_many(p, &(at_generate_options){.prompt = prompt,
                                                      .width = 32,
                                                      .height = 48,
                                                      .steps = 2,
                                                      .seed = 7,
                                                      .prompt_syntax = syntax,
                                                      .lora_folder = AT_FIXTURES "/lora",
                                                      .save_latents = in_folder("l.safetensors")});
}

static at_tensor *latents(at_context *cx)
{
    at_weights *file = at_weights_open(cx, in_folder("l.safetensors"));
    at_tensor *x = fixture(cx, file, "latents");
    at_weights_free(file);
    return x;
}

/* T5's weights in a whole run; LoRAs by name; what a run says of itself. */
static void test_flux(void **state)
{
    (void)state;
    run r = open_run();
    at_generation *made = generate(r.p, "a (red:1.4) heart on [a blue] ((fox))", AT_PROMPT_AUTO);
    assert_fine(r.cx);
    assert_int_equal(made->used.prompt_syntax, AT_PROMPT_A1111);
    assert_parity(r.cx, latents(r.cx), fixture(r.cx, r.expected, "latents"), 1e-3);
    made = generate(r.p, "a red heart<lora:pipeline:0.4>", AT_PROMPT_AUTO);
    assert_fine(r.cx);
    assert_string_equal(made->used.prompt, "a red heart");
    assert_int_equal(made->used.lora_count, 1);
    assert_true(made->used.loras[0].weight == 0.4 && !made->used.loras[0].has_text_weight);
    at_weights *loras = at_weights_open(r.cx, AT_FIXTURES "/lora/expected.safetensors");
    assert_parity(r.cx, latents(r.cx), fixture(r.cx, loras, "pipeline@0.4"), 1e-3);
    at_weights_free(loras);
    assert_null(generate(r.p, "a <lora:nowhere:1>", AT_PROMPT_AUTO));
    assert_non_null(strstr(at_error_text(r.cx), "<lora:nowhere>: there is no such file"));
    close_run(r);
}

static void test_refused(void **state)
{
    static const char *const prompts[] = {"[a:b:0.4]", "a AND b", "[a|b]"};
    (void)state;
    for (size_t i = 0; i < AT_COUNT(prompts); i++) {
        run r = open_run();
        assert_null(generate(r.p, prompts[i], AT_PROMPT_A1111));
        assert_non_null(strstr(at_error_text(r.cx), "FluxPipeline has no"));
        close_run(r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_clip),
                                       cmocka_unit_test(test_plain_is_plain),
                                       cmocka_unit_test(test_flux), cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
