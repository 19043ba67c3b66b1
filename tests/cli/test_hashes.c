/* What `parameters` says of LoRAs and textual inversions. */
#include "cli/hashes.h"
#include "files.h"
#include "formats/safetensors.h"
#include "parity.h"

static char *hashes(at_context *cx, const char *lora, const char *embedding, bool used)
{
    const at_lora_use loras[] = {{.path = lora, .weight = 1.0}};
    const char *const embeddings[] = {embedding};
    const at_generation made = {.used = {.loras = loras,
                                         .lora_count = lora != NULL,
                                         .embeddings = embeddings,
                                         .embedding_count = embedding != NULL},
                                .embedding_used = &used};
    return cli_adapter_hashes(cx, &made);
}

static void check(const char *lora, const char *embedding, bool used, const char *expected)
{
    at_context *cx = at_context_new(NULL);
    char *text = hashes(cx, lora, embedding, used);
    assert_fine(cx);
    assert_string_equal(text, expected);
    at_free(text);
    at_context_free(cx);
}

/* A LoRA by its tensors' bytes, an embedding by its whole file. */
static void test_files(void **state)
{
    (void)state;
    const char *lora = AT_FIXTURES "/lora/pipeline.safetensors";
    const char *embedding = AT_FIXTURES "/textual_inversion/bad-hands-5.pt";
    check(NULL, NULL, false, "");
    check(lora, NULL, false, "Lora hashes: \"pipeline: 2161927a6a14\", ");
    check(lora, embedding, true,
          "Lora hashes: \"pipeline: 2161927a6a14\", TI hashes: \"bad-hands-5: ad912aff9e\", ");
    check(NULL, embedding, false, "");
}

/* What the trainer wrote counts before the bytes. */
static void test_written(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    at_tensor *x = at_zeros(cx, AT_F32, 1, (int64_t[]){4});
    const char *metadata[] = {"sshs_model_hash",
                              "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
                              NULL};
    at_safetensors_write(cx, in_folder("a:b.safetensors"), 1, (const char *[]){"x"}, &x, metadata);
    assert_fine(cx);
    at_context_free(cx);
    check(in_folder("a:b.safetensors"), NULL, false, "Lora hashes: \"ab: 001122334455\", ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_files),
                                       cmocka_unit_test(test_written)};
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
