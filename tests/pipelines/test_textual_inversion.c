/* Textual inversions: files of every kind, called in prompts of every syntax, against Diffusers'
   load_textual_inversion (tools/reference/textual_inversion.py). */
#include "adapters/textual_inversion.h"
#include "runs.h"

#define FOLDER AT_FIXTURES "/textual_inversion/"
#define TINY AT_FIXTURES "/pipelines/sd_tiny"
#define TINY_XL AT_FIXTURES "/pipelines/xl_tiny"

static at_prompt_syntax syntax_of(const cJSON *c)
{
    static const char *const names[] = {"auto", "plain", "a1111", "comfy"};
    int i = 0;
    while (strcmp(names[i], cJSON_GetStringValue(item(c, "prompt_syntax"))) != 0) i++;
    return (at_prompt_syntax)i;
}

/* The files of a case; the texts stay until the next call. */
static int files_of(const cJSON *c, const char *paths[8])
{
    static char texts[8][400];
    int count = 0;
    const cJSON *file;
    cJSON_ArrayForEach(file, item(c, "files"))
    {
        snprintf(texts[count], sizeof texts[0], FOLDER "%s", cJSON_GetStringValue(file));
        paths[count] = texts[count];
        count++;
    }
    return count;
}

static void test_runs(void **state)
{
    (void)state;
    at_context *cx = f32_context();
    at_weights *expected = at_weights_open(cx, FOLDER "expected.safetensors");
    cJSON *json = at_json_read(cx, FOLDER "runs.json");
    at_pipeline *sd = at_pipeline_open(cx, TINY), *xl = at_pipeline_open(cx, TINY_XL);
    const cJSON *c;
    int count = 0;
    cJSON_ArrayForEach(c, json)
    {
        const char *paths[8], *model = cJSON_GetStringValue(item(c, "model"));
        at_generate_options o = options_of(c);
        o.prompt_syntax = syntax_of(c);
        o.embedding_count = files_of(c, paths);
        o.embeddings = paths;
        at_generation *made = at_generate_many(strcmp(model, "xl_tiny") == 0 ? xl : sd, &o);
        assert_fine(cx);
        assert_int_equal(made->used.embedding_count, o.embedding_count);
        at_tensor *theirs = fixture(cx, expected, cJSON_GetStringValue(item(c, "latents")));
        at_weights *file = at_weights_open(cx, in_folder("final.safetensors"));
        double distance = parity(cx, fixture(cx, file, "latents"), theirs);
        if (!(distance <= 1e-3)) fail_msg("run %d (%s): %.3g", count, o.prompt, distance);
        at_weights_free(file);
        count++;
    }
    assert_int_equal(count, 8);
    cJSON_Delete(json);
    at_weights_free(expected);
    at_context_free(cx);
}

static void test_file(void **state)
{
    (void)state;
    at_context *cx = f32_context();
    at_textual_inversion *t = at_textual_inversion_open(cx, FOLDER "bad-hands-5.pt");
    assert_string_equal(t->name, "bad-hands-5");
    assert_string_equal(t->token, "other name");
    assert_int_equal(t->vectors, 2);
    at_textual_inversion_free(t);
    t = at_textual_inversion_open(cx, FOLDER "low poly.safetensors");
    assert_string_equal(t->name, "low poly");
    assert_null(t->token);
    assert_non_null(at_textual_inversion_vectors(t, 0, true, 20));
    assert_null(at_textual_inversion_vectors(t, 0, true, 768));
    at_textual_inversion_free(t);
    at_context_free(cx);
}

/* Which of the files a prompt has; nothing is loaded again. */
static void test_used(void **state)
{
    (void)state;
    at_context *cx = f32_context();
    at_pipeline *p = at_pipeline_open(cx, TINY);
    const char *paths[] = {FOLDER "cat-toy.bin", FOLDER "bad-hands-5.pt"};
    at_generate_options o = {.prompt = "a fox",
                             .negative = "(bad-hands-5:1.2)",
                             .width = 32,
                             .height = 32,
                             .steps = 1,
                             .embeddings = paths,
                             .embedding_count = 2};
    at_generation *made = at_generate_many(p, &o);
    assert_fine(cx);
    assert_false(made->embedding_used[0]);
    assert_true(made->embedding_used[1]);
    assert_string_equal(made->used.embeddings[1], paths[1]);
    o.embeddings = paths + 1;
    o.embedding_count = 1;
    made = at_generate_many(p, &o);
    assert_fine(cx);
    assert_true(made->embedding_used[0]);
    o.embedding_count = 0; /* and its name is text again */
    o.prompt_syntax = AT_PROMPT_COMFY;
    at_generate_many(p, &o);
    assert_fine(cx);
    at_context_free(cx);
}

static void refuse_files(const char *model, const char *prompt, const char *a, const char *b,
                         at_status status, const char *word)
{
    const char *paths[] = {a, b};
    const at_generate_options o = {.prompt = prompt,
                                   .width = 32,
                                   .height = 32,
                                   .steps = 1,
                                   .prompt_syntax = AT_PROMPT_COMFY,
                                   .embeddings = paths,
                                   .embedding_count = b   ? 2
                                                      : a ? 1
                                                          : 0};
    refuse(model, &o, status, word);
}

static void write_file(const char *name, at_tensor *x, const char *tensor)
{
    at_context *cx = at_context_new(NULL);
    at_safetensors_write(cx, in_folder(name), 1, &tensor, &x, NULL);
    assert_fine(cx);
    at_context_free(cx);
}

static void test_refusals(void **state)
{
    (void)state;
    refuse_files(TINY, "a", FOLDER "xl-style.safetensors", NULL, AT_ERROR_FORMAT, "takes 20");
    refuse_files(TINY_XL, "a", FOLDER "half.safetensors", NULL, AT_ERROR_FORMAT, "no clip_g");
    refuse_files(TINY_XL, "a", FOLDER "cat-toy.bin", NULL, AT_ERROR_FORMAT, "no clip_l");
    refuse_files(TINY, "a", FOLDER "nothing.pt", NULL, AT_ERROR_FILE, "nothing.pt");
    refuse_files(TINY, "a", FOLDER "expected.safetensors", NULL, AT_ERROR_FORMAT,
                 "not a textual inversion");
    refuse_files(AT_FIXTURES "/pipelines/flux_tiny_schnell", "a", FOLDER "cat-toy.bin", NULL,
                 AT_ERROR_UNSUPPORTED, "FluxPipeline takes none");
    refuse_files(TINY, "a embedding:nobody", NULL, NULL, AT_ERROR_FILE, "embedding:nobody");
    at_context *cx = f32_context();
    at_tensor *x = at_full(cx, 0.5f, 2, (int64_t[]){2, 20});
    write_file("cat-toy.safetensors", x, "emb_params");
    refuse_files(TINY, "a", FOLDER "cat-toy.bin", in_folder("cat-toy.safetensors"),
                 AT_ERROR_ARGUMENT, "both are called cat-toy");
    x = at_full(cx, INFINITY, 2, (int64_t[]){2, 20});
    write_file("bad.safetensors", x, "emb_params");
    refuse_files(TINY, "a", in_folder("bad.safetensors"), NULL, AT_ERROR_FORMAT, "not finite");
    x = at_full(cx, 0.5f, 3, (int64_t[]){2, 20, 1});
    write_file("bad.safetensors", x, "emb_params");
    refuse_files(TINY, "a", in_folder("bad.safetensors"), NULL, AT_ERROR_FORMAT, "no list");
    x = at_full(cx, 0.5f, 2, (int64_t[]){30, 20});
    write_file("bad.safetensors", x, "emb_params");
    refuse_files(TINY, "a bad", in_folder("bad.safetensors"), NULL, AT_ERROR_UNSUPPORTED,
                 "30 vectors");
    at_context_free(cx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_runs), cmocka_unit_test(test_file),
                                       cmocka_unit_test(test_used),
                                       cmocka_unit_test(test_refusals)};
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
