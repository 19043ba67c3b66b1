/* Weighted, edited and joined prompts of Stable Diffusion 1 and XL: what A1111 and ComfyUI make of
   them (tools/reference/prompts_stable_diffusion.py), encoded and in whole runs. */
#include "models/text_encoders/clip_text.h"
#include "pipelines/prompt_plan.h"
#include "pipelines/prompt_weights.h"
#include "runs.h"

static at_prompt_syntax syntax_of(const cJSON *c, const char *key)
{
    const char *name = cJSON_GetStringValue(item(c, key));
    if (strcmp(name, "plain") == 0) return AT_PROMPT_PLAIN;
    return strcmp(name, "comfy") == 0 ? AT_PROMPT_COMFY : AT_PROMPT_A1111;
}

static const char *folder_of(const cJSON *c)
{
    static char path[400];
    snprintf(path, sizeof path, "%s/pipelines/%s", AT_FIXTURES,
             cJSON_GetStringValue(item(c, "model")));
    return path;
}

/* What the pipelines' files make of a text, without their guidance. */
static at_tensor *encode(at_pipeline *p, const char *n, const char *prompt, at_prompt_syntax syntax,
                         at_tensor **pooled)
{
    char encoder[20], tokenizer[20];
    at_context *cx = p->cx;
    bool xl = at_pipeline_component(p, "text_encoder_2") != NULL;
    snprintf(encoder, sizeof encoder, "text_encoder%s", n);
    snprintf(tokenizer, sizeof tokenizer, "tokenizer%s", n);
    at_prompt_chunks chunks = at_prompt_chunk(p, tokenizer, prompt, syntax, 0);
    at_module *clip = at_pipeline_module(p, encoder, NULL);
    assert_fine(cx);
    at_clip_text_output y = at_clip_text_forward(cx, clip, chunks.ids, -2);
    *pooled = at_prompt_pooled(cx, &chunks, y.text_embeds);
    return at_prompt_weigh(cx, &chunks, xl ? y.hidden_state : y.last_hidden_state);
}

static void check(at_context *cx, at_tensor *x, at_weights *expected, const char *name)
{
    double distance = parity(cx, x, fixture(cx, expected, name));
    if (!(distance <= 1e-4)) fail_msg("%s: parity %.3g", name, distance);
}

static void test_texts(void **state)
{
    (void)state;
    at_context *cx = f32_context();
    at_weights *expected = at_weights_open(cx, AT_FIXTURES "/prompts/stable_diffusion.safetensors");
    cJSON *json = at_json_read(cx, AT_FIXTURES "/prompts/stable_diffusion.json");
    const cJSON *c;
    int count = 0;
    cJSON_ArrayForEach(c, item(json, "texts"))
    {
        at_pipeline *p = at_pipeline_open(cx, folder_of(c));
        const char *prompt = cJSON_GetStringValue(item(c, "prompt"));
        const char *name = cJSON_GetStringValue(item(c, "name"));
        at_tensor *pooled, *x = encode(p, "", prompt, syntax_of(c, "syntax"), &pooled);
        if (at_pipeline_component(p, "text_encoder_2")) {
            char pool[80];
            snprintf(pool, sizeof pool, "%s.pooled", name);
            x = at_join(cx, 2, x, encode(p, "_2", prompt, syntax_of(c, "syntax"), &pooled));
            check(cx, pooled, expected, pool);
        }
        check(cx, x, expected, name);
        at_pipeline_free(p);
        count++;
    }
    assert_true(count >= 30);
    cJSON_Delete(json);
    at_weights_free(expected);
    at_context_free(cx);
}

static void test_runs(void **state)
{
    (void)state;
    at_context *cx = f32_context();
    at_weights *expected = at_weights_open(cx, AT_FIXTURES "/prompts/stable_diffusion.safetensors");
    cJSON *json = at_json_read(cx, AT_FIXTURES "/prompts/stable_diffusion.json");
    const cJSON *c;
    int count = 0;
    cJSON_ArrayForEach(c, item(json, "runs"))
    {
        const char *model = folder_of(c);
        at_pipeline *p = at_pipeline_open(cx, model);
        at_generate_options o = options_of(c);
        o.prompt_syntax = syntax_of(c, "prompt_syntax");
        read_start(&o, c, model);
        at_generation *made = at_generate_many(p, &o);
        assert_fine(cx);
        assert_int_equal(made->used.prompt_syntax, o.prompt_syntax);
        at_tensor *theirs = fixture(cx, expected, cJSON_GetStringValue(item(c, "latents")));
        at_weights *file = at_weights_open(cx, in_folder("final.safetensors"));
        double distance = parity(cx, fixture(cx, file, "latents"), theirs);
        if (!(distance <= 1e-3)) fail_msg("run %d (%s): %.3g", count, o.prompt, distance);
        at_weights_free(file);
        at_pipeline_free(p);
        count++;
    }
    assert_true(count >= 13);
    cJSON_Delete(json);
    at_weights_free(expected);
    at_context_free(cx);
}

static void check_plan(const char *prompt, bool joined, int calls, int part, const char *which)
{
    at_context *cx = at_context_new(NULL);
    at_prompt_plan plan = {0};
    assert_true(at_prompt_plan_make(cx, prompt, AT_PROMPT_A1111, joined, calls, 0, &plan));
    assert_true(part < plan.count);
    for (int i = 0; which[i]; i++) {
        const at_prompt_part *p = &plan.parts[part];
        const char *text = p->texts.items[p->which[i]].text;
        text += *text == ' ';
        if (text[0] != which[i]) fail_msg("%s: call %d has \"%s\"", prompt, i, text);
    }
    at_prompt_plan_free(&plan);
    at_context_free(cx);
}

/* A text that ends with step n is still told at call n, counted from 0. */
static void test_plan(void **state)
{
    (void)state;
    check_plan("[a:b:0.5]", true, 4, 0, "aaab");
    check_plan("[a:b:2]", true, 8, 0, "aaabbbbb");
    check_plan("[a|b]", true, 5, 0, "aababa");
    check_plan("[a|b]", true, 4, 0, "aabab"); /* pndm has more calls than steps */
    check_plan("[a:b:0]", true, 3, 0, "bbb");
    check_plan("x AND [a|b|c]", true, 5, 1, "aabca");
    check_plan("y AND [a:b:0.5]", false, 4, 0, "yyyy");
}

static at_image *larger(at_pipeline *p, const char *prompt)
{
    const at_generate_options o = {.prompt = prompt,
                                   .prompt_syntax = AT_PROMPT_A1111,
                                   .width = 24,
                                   .height = 24,
                                   .steps = 2,
                                   .hires_scale = 2,
                                   .sampler = "euler"};
    at_generation *made = at_generate_many(p, &o);
    assert_fine(p->cx);
    return made->images[0];
}

static bool same_pictures(const at_image *a, const at_image *b)
{
    return memcmp(a->pixels, b->pixels, (size_t)a->width * (size_t)a->height * 3) == 0;
}

/* A second pass goes on where the first one was: what changes before 1 has changed, what changes
   at 2 or behind all its steps has not. */
static void test_second_pass(void **state)
{
    (void)state;
    at_context *cx = f32_context();
    at_pipeline *p = at_pipeline_open(cx, AT_FIXTURES "/pipelines/sd_tiny");
    at_image *plain = larger(p, "a fox");
    assert_int_equal(plain->width, 48);
    assert_true(same_pictures(plain, larger(p, "[a fox:the sea:2.0]")));
    assert_true(same_pictures(plain, larger(p, "[a fox:the sea:4]")));
    at_image *turned = larger(p, "[a fox:the sea:1.0]");
    assert_false(same_pictures(plain, turned));
    assert_true(same_pictures(turned, larger(p, "[a fox:the sea:2]")));
    at_context_free(cx);
}

static void keep_log(void *user, at_log_level level, const char *message)
{
    if (level == AT_LOG_WARNING) snprintf(user, 400, "%s", message);
}

/* Plain text is never read as anything else, and cut with a warning. */
static void test_plain(void **state)
{
    (void)state;
    char warning[400] = "";
    at_context *cx = at_context_new(&(at_context_options){.log = keep_log, .user = warning});
    at_pipeline *p = at_pipeline_open(cx, AT_FIXTURES "/pipelines/sd_tiny");
    at_prompt_chunk(p, "tokenizer", "(a:1.3) AND [b]", AT_PROMPT_PLAIN, 0);
    assert_string_equal(warning, "");
    at_prompt_chunk(p, "tokenizer", "a red fox, a blue heart and three green apples in a bowl",
                    AT_PROMPT_PLAIN, 0);
    assert_fine(cx);
    assert_non_null(strstr(warning, "cut at 20; not read is: "));
    at_context_free(cx);
}

static void test_refusals(void **state)
{
    (void)state;
    char many[33 * 8] = "a";
    for (int i = 0; i < 32; i++) strcat(many, " AND a");
    at_generate_options o = {.prompt = many, .width = 32, .height = 32, .steps = 1};
    o.prompt_syntax = AT_PROMPT_A1111;
    refuse(AT_FIXTURES "/pipelines/sd_tiny", &o, AT_ERROR_ARGUMENT, "33 parts");
    o.prompt = "a [b|c]";
    o.prompt_2 = "d";
    refuse(AT_FIXTURES "/pipelines/xl_tiny", &o, AT_ERROR_UNSUPPORTED, "AND or prompt editing");
    refuse(AT_FIXTURES "/pipelines/sd_tiny", &o, AT_ERROR_UNSUPPORTED, "prompt-2");
    o.prompt = "a";
    refuse(AT_FIXTURES "/pipelines/xl_tiny_refiner", &o, AT_ERROR_UNSUPPORTED, "one text encoder");
    o.prompt_2 = NULL;
    o.prompt = "a AND b";
    refuse(AT_FIXTURES "/pipelines/sd_tiny_distilled", &o, AT_ERROR_UNSUPPORTED, "distilled");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts), cmocka_unit_test(test_runs),
        cmocka_unit_test(test_plan),  cmocka_unit_test(test_second_pass),
        cmocka_unit_test(test_plain), cmocka_unit_test(test_refusals)};
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
