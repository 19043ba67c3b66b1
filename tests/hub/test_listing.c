/* Which files of a repository are fetched: lists as real repositories have them. */
#include "base/text.h"
#include "hub/cache.h"
#include "hub/listing.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define COMMIT "0123456789abcdef0123456789abcdef01234567"

/* Names parted by blanks. */
static at_hub_listing *listing_of(at_context *cx, const char *names)
{
    at_text json = {0};
    at_text_print(cx, &json, "{\"sha\": \"" COMMIT "\", \"siblings\": [");
    for (const char *n = names; *n; n += strcspn(n, " "), n += *n == ' ')
        at_text_print(cx, &json, "%s{\"rfilename\": \"%.*s\"}", n == names ? "" : ", ",
                      (int)strcspn(n, " "), n);
    at_text_print(cx, &json, "]}");
    at_hub_listing *listing = at_hub_listing_read(cx, json.data, json.size, "t/t");
    at_text_free(&json);
    assert_string_equal(at_error_text(cx), "");
    return listing;
}

/* What is chosen of `names` is `expected`, in order; or the error has that in it. */
static void check(const char *names, at_hub_choice choice, const char *index, const char *expected)
{
    at_context *cx = at_context_new(NULL);
    at_hub_listing *listing = listing_of(cx, names);
    cJSON *json = index ? at_json_parse(cx, index, strlen(index), "index") : NULL;
    at_text chosen = {0};
    at_text_add(cx, &chosen, "", 0);
    bool fine = at_hub_choose(cx, listing, &choice, json, "t/t");
    for (int i = 0; fine && i < listing->count; i++)
        if (listing->files[i].chosen)
            at_text_print(cx, &chosen, "%s%s", chosen.size ? " " : "", listing->files[i].name);
    if (fine)
        assert_string_equal(chosen.data, expected);
    else if (!strstr(at_error_text(cx), expected))
        fail_msg("got \"%s\", expected \"%s\"", at_error_text(cx), expected);
    at_text_free(&chosen);
    cJSON_Delete(json);
    at_hub_listing_free(listing);
    at_context_free(cx);
}

static void test_speech(void **state)
{
    (void)state;
    const at_hub_choice any = {0};
    check(".gitattributes README.md added_tokens.json config.json flax_model.msgpack "
          "generation_config.json merges.txt model.fp32-00001-of-00002.safetensors "
          "model.fp32-00002-of-00002.safetensors model.safetensors "
          "model.safetensors.index.fp32.json preprocessor_config.json "
          "pytorch_model.bin pytorch_model.bin.index.fp32.json "
          "pytorch_model.fp32-00001-of-00002.bin tokenizer.json vocab.json",
          any, NULL,
          "added_tokens.json config.json generation_config.json merges.txt model.safetensors "
          "preprocessor_config.json tokenizer.json vocab.json");
    check("config.json model.bin tokenizer.json vocabulary.txt", any, NULL,
          "config.json model.bin tokenizer.json vocabulary.txt");
    check("README.md VOICES.md config.json eval/a.png kokoro-v1_0.pth samples/b.wav "
          "voices/af_heart.pt voices/bf_emma.pt",
          any, NULL, "config.json kokoro-v1_0.pth voices/af_heart.pt voices/bf_emma.pt");
    check("README.md ggml-base.bin ggml-tiny.bin ggml-tiny.en.bin", any, NULL,
          "holds 3 files of weights (give one of t/t/ggml-base.bin, t/t/ggml-tiny.bin, ");
}

static void test_pictures(void **state)
{
    (void)state;
    static const char index[] =
        "{\"_class_name\": \"P\", \"unet\": [\"diffusers\", \"U\"], \"vae\": [\"diffusers\", "
        "\"V\"], \"text_encoder\": [\"transformers\", \"T\"], \"image_encoder\": [null, null], "
        "\"safety_checker\": [\"a\", \"S\"], \"scheduler\": [\"diffusers\", \"E\"], "
        "\"force_zeros\": true}";
    static const char names[] =
        ".gitattributes model_index.json sd_xl_base.safetensors scheduler/scheduler_config.json "
        "safety_checker/config.json safety_checker/model.safetensors image_encoder/config.json "
        "text_encoder/config.json text_encoder/flax_model.msgpack text_encoder/model.onnx "
        "text_encoder/model.fp16.safetensors text_encoder/model.safetensors "
        "unet/config.json unet/diffusion_pytorch_model.fp16.safetensors "
        "unet/diffusion_pytorch_model-00001-of-00002.safetensors "
        "unet/diffusion_pytorch_model-00002-of-00002.safetensors "
        "unet/diffusion_pytorch_model.safetensors.index.json "
        "vae/config.json vae/diffusion_pytorch_model.bin vae/diffusion_pytorch_model.fp16.bin "
        "vae_1_0/config.json vae_1_0/diffusion_pytorch_model.safetensors "
        "vae_decoder/config.json vae_decoder/model.onnx";
    check(names, (at_hub_choice){0}, index,
          "model_index.json scheduler/scheduler_config.json text_encoder/config.json "
          "text_encoder/model.safetensors unet/config.json "
          "unet/diffusion_pytorch_model-00001-of-00002.safetensors "
          "unet/diffusion_pytorch_model-00002-of-00002.safetensors "
          "unet/diffusion_pytorch_model.safetensors.index.json vae/config.json "
          "vae/diffusion_pytorch_model.bin");
    check(names, (at_hub_choice){.variant = "fp16"}, index,
          "model_index.json scheduler/scheduler_config.json text_encoder/config.json "
          "text_encoder/model.fp16.safetensors unet/config.json "
          "unet/diffusion_pytorch_model.fp16.safetensors vae/config.json "
          "vae/diffusion_pytorch_model.fp16.bin");
    check(names, (at_hub_choice){.variant = "int3"}, index, "has no variant int3");
    check(names, (at_hub_choice){.file = "sd_xl_base.safetensors"}, index,
          "sd_xl_base.safetensors");
}

static void test_weights(void **state)
{
    (void)state;
    const at_hub_choice any = {0};
    check("config.json model.fp16.safetensors pytorch_model.bin", any, NULL,
          "config.json model.fp16.safetensors");
    check("config.json model.bf16-00001-of-00001.safetensors model.safetensors.index.bf16.json "
          "model.int4.safetensors model.int8.safetensors",
          any, NULL,
          "config.json model.bf16-00001-of-00001.safetensors model.safetensors.index.bf16.json");
    check("model-00001-of-00001.fp16.safetensors model.safetensors.index.fp16.json x.json", any,
          NULL, "model-00001-of-00001.fp16.safetensors model.safetensors.index.fp16.json x.json");
    check("model.int4.safetensors model.int8.safetensors", any, NULL, "model.int4.safetensors");
    check("v1-5.ckpt v1-5.safetensors v1-5.yaml", any, NULL, "v1-5.safetensors");
    check("lora.safetensors README.md", any, NULL, "lora.safetensors");
    check("split/vae/ae.safetensors README.md", any, NULL, "split/vae/ae.safetensors");
    check("split/vae/ae.safetensors split/unet/u.gguf", any, NULL, "holds 2 files of weights");
    check("README.md config.json", any, NULL, "no weights");
    check("", any, NULL, "no weights");
    check("model model. model.- model-00001-of-0000 model.bin.index model.bin", any, NULL,
          "model.bin"); /* names that end early */
}

static void test_globs(void **state)
{
    (void)state;
    const char *include[] = {"*.gguf", "a/*"}, *exclude[] = {"*Q8*"};
    at_hub_choice choice = {.include = include, .include_count = 2};
    static const char names[] = "a/b.json a/c/d.json config.json m-Q4.gguf m-Q8.gguf";
    check(names, choice, NULL, "a/b.json a/c/d.json m-Q4.gguf m-Q8.gguf");
    choice.exclude = exclude;
    choice.exclude_count = 1;
    check(names, choice, NULL, "a/b.json a/c/d.json m-Q4.gguf");
    choice.include_count = 0;
    check("config.json model.safetensors m-Q8.json", choice, NULL, "config.json model.safetensors");
    include[0] = "none";
    check(names, (at_hub_choice){.include = include, .include_count = 1}, NULL, "fits");
    check(names, (at_hub_choice){.file = "none"}, NULL, "called so");
    include[0] = "*";
    check("../a model.safetensors", (at_hub_choice){.include = include, .include_count = 1}, NULL,
          "not fit to be written");
    check("../a model.safetensors", (at_hub_choice){0}, NULL, "model.safetensors");
}

static void test_damaged(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        "[]",
                                        "{}",
                                        "{\"sha\": \"" COMMIT "\"}",
                                        "{\"siblings\": []}",
                                        "{\"sha\": 1, \"siblings\": []}",
                                        "{\"sha\": \"../main\", \"siblings\": []}"};
    at_context *cx = at_context_new(NULL);
    for (size_t i = 0; i < AT_COUNT(texts); i++) {
        assert_null(at_hub_listing_read(cx, texts[i], strlen(texts[i]), "t/t"));
        assert_int_equal(at_error_status(cx), AT_ERROR_FORMAT);
        at_error_clear(cx);
    }
    static const char odd[] = "{\"sha\": \"" COMMIT "\", \"siblings\": [1, {}, {\"rfilename\": 2}, "
                              "{\"rfilename\": \"a\"}]}";
    at_hub_listing *listing = at_hub_listing_read(cx, odd, strlen(odd), "t/t");
    assert_int_equal(listing->count, 1);
    assert_non_null(at_hub_listing_find(listing, "a"));
    assert_null(at_hub_listing_find(listing, "b"));
    at_hub_listing_free(listing);
    at_context_free(cx);
}

static void test_names(void **state)
{
    (void)state;
    at_hub_name n;
    assert_true(at_hub_name_read(&n, "openai/whisper-tiny"));
    assert_string_equal(n.repo, "openai/whisper-tiny");
    assert_string_equal(n.file, "");
    assert_string_equal(n.revision, "main");
    assert_true(at_hub_name_read(&n, "a/b.c/d e/f.gguf@refs/pr/1"));
    assert_string_equal(n.repo, "a/b.c");
    assert_string_equal(n.file, "d e/f.gguf");
    assert_string_equal(n.revision, "refs/pr/1");
    assert_true(at_hub_name_read(&n, "gpt2@v1"));
    assert_string_equal(n.repo, "gpt2");
    static const char *const wrong[] = {
        "",         "/a",   "a/",      "a//b",    "a/b/",     "../a",      "a..b",   "a--b/c",
        "-a/b",     "a/.b", "a/b.git", "a b",     "a@",       "a@..",      "a/b@x/", "a/b@/x",
        "a/b/../c", "~/a",  ".",       "a@b@c\\", "a/b/c\nd", "\xc3\xa4/b"};
    for (size_t i = 0; i < AT_COUNT(wrong); i++)
        if (at_hub_name_read(&n, wrong[i])) fail_msg("\"%s\" is taken", wrong[i]);
    char longest[400];
    memset(longest, 'a', sizeof longest);
    longest[97] = 0;
    assert_false(at_hub_name_read(&n, longest));
    longest[96] = 0;
    assert_true(at_hub_name_read(&n, longest));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_speech),  cmocka_unit_test(test_pictures),
        cmocka_unit_test(test_weights), cmocka_unit_test(test_globs),
        cmocka_unit_test(test_damaged), cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
