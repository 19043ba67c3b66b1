/* Hostile files, limits, options, failing memory. */
#include "base/file.h"
#include "fixtures.h"
#include "text/charsmap.h"
#include "text/regex.h"
#include "text/sentencepiece.h"
#include "text/trie.h"
#include "text/unicode.h"

static at_context *cx;

static int open_context(void **state)
{
    (void)state;
    cx = at_context_new(NULL);
    return cx ? 0 : -1;
}

static int close_context(void **state)
{
    (void)state;
    at_context_free(cx);
    return 0;
}

static at_tokenizer *parse(const char *json)
{
    return at_tokenizer_parse(cx, json, strlen(json), "t.json");
}

static void assert_refused(const char *json, const char *why)
{
    at_tokenizer *t = parse(json);
    assert_null(t);
    if (!strstr(at_error_text(cx), why))
        fail_msg("\"%s\" does not say \"%s\"", at_error_text(cx), why);
    at_error_clear(cx);
}

#define LEVEL "\"model\":{\"type\":\"WordLevel\",\"unk_token\":\"?\",\"vocab\":{\"?\":0,\"a\":1}}"

static void damaged_files_are_refused_by_name(void **state)
{
    (void)state;
    assert_refused("", "JSON");
    assert_refused("[]", "model");
    assert_refused("{}", "model");
    assert_refused("{\"version\":\"2.0\"," LEVEL "}", "version");
    assert_refused("{\"model\":{\"type\":\"Magic\"}}", "Magic");
    assert_refused("{\"normalizer\":{\"type\":\"Shout\"}," LEVEL "}", "Shout");
    assert_refused("{\"pre_tokenizer\":{\"type\":\"UnicodeScripts\"}," LEVEL "}", "UnicodeScripts");
    assert_refused("{\"post_processor\":{\"type\":\"X\"}," LEVEL "}", "post-processor");
    assert_refused("{\"decoder\":{\"type\":\"X\"}," LEVEL "}", "decoder");
    assert_refused("{\"added_tokens\":{}," LEVEL "}", "added_tokens");
    assert_refused("{\"added_tokens\":[{\"id\":3}]," LEVEL "}", "content");
    assert_refused("{\"model\":{\"type\":\"WordLevel\",\"unk_token\":\"?\",\"vocab\":{\"a\":-1}}}",
                   "id");
    assert_refused(
        "{\"model\":{\"type\":\"WordLevel\",\"unk_token\":\"?\",\"vocab\":{\"a\":4294967296}}}",
        "id");
    assert_refused("{\"model\":{\"type\":\"WordLevel\",\"unk_token\":\"?\",\"vocab\":{\"a\":1.5}}}",
                   "id");
    assert_refused("{\"model\":{\"type\":\"Unigram\",\"unk_id\":7,\"vocab\":[[\"a\",0]]}}",
                   "unknown");
    assert_refused("{\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"a\",1e999]]}}",
                   "score");
    assert_refused("{\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"a\",\"b\"]]}}",
                   "score");
    assert_refused("{\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[]}}", "unknown");
    assert_refused("{\"model\":{\"type\":\"BPE\",\"dropout\":0.5,\"vocab\":{},\"merges\":[]}}",
                   "dropout");
    assert_refused("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"a b\"]}}",
                   "merge");
    assert_refused("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"a b c\"]}}",
                   "pair");
    assert_refused("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[3]}}", "pair");
    assert_refused("{\"normalizer\":{\"type\":\"Replace\",\"pattern\":{},\"content\":\"\"}," LEVEL
                   "}",
                   "pattern");
    assert_refused("{\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"(\"},"
                   "\"content\":\"\"}," LEVEL "}",
                   "regular");
    assert_refused(
        "{\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"!\"}," LEVEL "}",
        "base64");
    assert_refused(
        "{\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"/////wAA\"}," LEVEL
        "}",
        "damaged");
    assert_refused("\xff", "UTF-8");
#define AROUND "{\"type\":\"BertProcessing\",\"cls\":[\"a\",1],\"sep\":[\"a\",1]}"
    assert_refused("{\"post_processor\":{\"type\":\"Sequence\",\"processors\":[" AROUND "," AROUND
                   "]}," LEVEL "}",
                   "second");
}

static void deep_sequences_are_refused(void **state)
{
    (void)state;
    at_text json = {0};
    at_text_print(cx, &json, "{" LEVEL ",\"normalizer\":");
    for (int i = 0; i < 100; i++)
        at_text_print(cx, &json, "{\"type\":\"Sequence\",\"normalizers\":[");
    for (int i = 0; i < 100; i++) at_text_print(cx, &json, "]}");
    at_text_print(cx, &json, "}");
    assert_refused(json.data, "deep");
    at_text_free(&json);
}

/* Ten replacements of each letter by ten would be ten thousand million letters. */
static void stages_that_multiply_the_text_are_stopped(void **state)
{
    (void)state;
    at_text json = {0};
    at_text_print(cx, &json, "{" LEVEL ",\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[");
    for (int i = 0; i < 10; i++)
        at_text_print(
            cx, &json,
            "%s{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"},\"content\":\"aaaaaaaaaa\"}",
            i ? "," : "");
    at_text_print(cx, &json, "]}}");
    at_tokenizer *t = parse(json.data);
    at_ids ids = {0};
    assert_non_null(t);
    assert_false(at_tokenizer_encode(cx, t, "a cat", 5, NULL, &ids));
    assert_int_equal(at_error_status(cx), AT_ERROR_UNSUPPORTED);
    at_error_clear(cx);
    at_ids_free(&ids);
    at_tokenizer_free(t);
    at_text_free(&json);
}

static void catastrophic_patterns_end(void **state)
{
    (void)state;
    static const char text[] =
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab";
    at_regex *r = at_regex_new(cx, "(a+)+$", false, "t.json");
    size_t count;
    assert_non_null(r);
    assert_null(at_regex_find(cx, r, text, sizeof text - 1, &count));
    assert_int_equal(at_error_status(cx), AT_ERROR_UNSUPPORTED);
    at_error_clear(cx);
    at_regex_free(r);
}

static void patterns_that_pcre_has_not_are_refused(void **state)
{
    (void)state;
    static const char *const patterns[] = {"[a[bc]]",     "[a&&b]",    "a{2,3}+", "\\",
                                           "[\\W]",       "(*ACCEPT)", "\\u12",   "(?<=a+)b",
                                           "[[:lower:]]", "\\C"};
    for (size_t i = 0; i < AT_COUNT(patterns); i++) {
        assert_null(at_regex_new(cx, patterns[i], false, "t.json"));
        assert_true(at_failed(cx));
        at_error_clear(cx);
    }
}

static void trie_finds_prefixes(void **state)
{
    (void)state;
    at_trie_key keys[] = {{"abc", 3, 5}, {"a", 1, 2},    {"ab", 2, 9},
                          {"ab", 2, 4},  {"\xff", 1, 7}, {"", 0, 1}};
    at_trie *t = at_trie_new(cx, keys, AT_COUNT(keys));
    assert_non_null(t);
    uint32_t a = at_trie_child(t, 0, 'a'), ab = at_trie_child(t, a, 'b');
    assert_int_equal(at_trie_value(t, 0), 1);
    assert_int_equal(at_trie_value(t, a), 2);
    assert_int_equal(at_trie_value(t, ab), 9); /* of equal keys the largest value */
    assert_int_equal(at_trie_value(t, at_trie_child(t, ab, 'c')), 5);
    assert_int_equal(at_trie_value(t, at_trie_child(t, 0, 0xff)), 7);
    assert_int_equal(at_trie_child(t, 0, 'b'), 0);
    assert_int_equal(at_trie_child(t, ab, 'd'), 0);
    at_trie_free(t);
}

static void damaged_sentencepiece_files_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
    } files[] = {{"", 0},
                 {"\x0a", 1},                                          /* no length */
                 {"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11}, /* a huge length */
                 {"\x0a\x02\x0a\x05", 4},                     /* a piece that ends outside */
                 {"\x0a\x07\x15\x00\x00\xc0\x7f\x18\x01", 9}, /* a score that is no number */
                 {"\x0a\x03\x0a\x01\xff", 5},                 /* not UTF-8 */
                 {"\x0a\x03\x0a\x01\x61\x0b", 6},             /* a group */
                 {"\x12\x00", 2}};                            /* no pieces */
    for (size_t i = 0; i < AT_COUNT(files); i++) {
        at_sentencepiece spm;
        assert_false(at_sentencepiece_parse(cx, files[i].bytes, files[i].size, "s.model", &spm));
        assert_int_equal(at_error_status(cx), AT_ERROR_FORMAT);
        assert_null(spm.pieces);
        at_error_clear(cx);
    }
}

static void folders_without_a_tokenizer_say_so(void **state)
{
    (void)state;
    assert_null(at_tokenizer_open(cx, "/nowhere"));
    assert_non_null(strstr(at_error_text(cx), "no tokenizer here"));
    at_error_clear(cx);
    assert_null(at_tokenizer_open_as(cx, "/nowhere", "CLIPTokenizer"));
    assert_non_null(strstr(at_error_text(cx), "vocab.json"));
    at_error_clear(cx);
}

static at_tokenizer *open_fixture(const char *name, const char *class_name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/tokenizers/folders/%s", AT_FIXTURES, name);
    return at_tokenizer_open_as(cx, path, class_name);
}

static void options_and_accessors(void **state)
{
    (void)state;
    at_tokenizer *t = open_fixture("clip", NULL);
    at_ids ids = {0};
    int32_t bos = at_tokenizer_bos_id(t), eos = at_tokenizer_eos_id(t);
    size_t size;
    assert_non_null(t);
    assert_int_equal(at_tokenizer_id(t, "<|startoftext|>"), bos);
    assert_int_equal(at_tokenizer_id(t, "no such token"), -1);
    assert_int_equal(at_tokenizer_pad_id(t), eos);
    assert_string_equal(at_tokenizer_token(t, eos, &size), "<|endoftext|>");
    assert_int_equal(size, 13);
    assert_null(at_tokenizer_token(t, 1 << 20, NULL));
    assert_true(
        at_tokenizer_encode(cx, t, "a cat", 5, &(at_encode_options){.max_length = 1}, &ids));
    assert_int_equal(ids.count, 2); /* the special ones stay */
    assert_true(at_tokenizer_encode(cx, t, NULL, 0,
                                    &(at_encode_options){.max_length = 8, .pad = true}, &ids));
    assert_int_equal(ids.count, 8);
    assert_int_equal(ids.ids[0], bos);
    for (int i = 1; i < 8; i++) assert_int_equal(ids.ids[i], eos);
    int32_t unknown[] = {1 << 20, -5, bos};
    char *text = at_tokenizer_decode(cx, t, unknown, 3, false, NULL);
    assert_string_equal(text, "<|startoftext|>");
    at_free(text);
    at_ids_free(&ids);
    at_tokenizer_free(t);
    t = open_fixture("llama3", NULL); /* pads on the left */
    assert_true(at_tokenizer_encode(cx, t, "a", 1,
                                    &(at_encode_options){.max_length = 4, .pad = true}, &ids));
    assert_int_equal(ids.count, 4);
    assert_int_equal(ids.ids[0], at_tokenizer_pad_id(t));
    assert_int_equal(ids.ids[2], at_tokenizer_bos_id(t));
    at_ids_free(&ids);
    at_tokenizer_free(t);
    t = open_fixture("wordlevel", NULL);
    at_tokenizer_free(t);
    t = open_fixture("gpt2", NULL);
    assert_int_equal(at_tokenizer_pad_id(t), -1);
    assert_false(at_tokenizer_encode(cx, t, "a", 1,
                                     &(at_encode_options){.max_length = 4, .pad = true}, &ids));
    assert_non_null(strstr(at_error_text(cx), "padding"));
    at_error_clear(cx);
    at_ids_free(&ids);
    at_tokenizer_free(t);
}

/* The class that is asked for counts, not the one in the folder. */
static void the_class_decides(void **state)
{
    (void)state;
    at_tokenizer *gpt2 = open_fixture("gpt2", "GPT2TokenizerFast");
    at_tokenizer *qwen = open_fixture("gpt2", "Qwen2Tokenizer");
    at_ids a = {0}, b = {0};
    assert_true(at_tokenizer_encode(cx, gpt2, "12345", 5, NULL, &a));
    assert_true(at_tokenizer_encode(cx, qwen, "12345", 5, NULL, &b));
    assert_int_equal(b.count, 5); /* each digit for itself */
    assert_true(a.count < 5);
    at_ids_free(&a);
    at_ids_free(&b);
    at_tokenizer_free(gpt2);
    at_tokenizer_free(qwen);
}

static void assert_round_trip(const char *name, const char *text, size_t size)
{
    at_tokenizer *t = open_fixture(name, NULL);
    at_ids ids = {0};
    size_t got_size = 0;
    at_encode_options plain = {.no_special_tokens = true};
    assert_true(at_tokenizer_encode(cx, t, text, size, &plain, &ids));
    char *got = at_tokenizer_decode(cx, t, ids.ids, ids.count, false, &got_size);
    assert_int_equal(got_size, size);
    assert_memory_equal(got, text, size);
    at_free(got);
    at_ids_free(&ids);
    at_tokenizer_free(t);
}

/* Byte-level and byte-fallback models lose nothing. A megabyte without a space is one word. */
static void text_comes_back_from_its_ids(void **state)
{
    (void)state;
    static const char *const names[] = {"gpt2", "llama3", "gemma", "gemma_old"};
    at_text random = {0}, letters = {0};
    uint32_t seed = 1;
    for (int i = 0; i < 20000; i++) {
        seed = seed * 1664525 + 1013904223;
        uint32_t c = (seed >> 8) % (i % 3 ? 0x80 : 0x30000);
        at_utf8_add(cx, &random, c >= 0xd800 && c < 0xe000 ? 'x' : (int32_t)c);
    }
    for (int i = 0; i < 1 << 20; i++) {
        seed = seed * 1664525 + 1013904223;
        char c = (char)('a' + (seed >> 16) % (i < 1 << 19 ? 26 : 1));
        at_text_add(cx, &letters, &c, 1);
    }
    for (size_t i = 0; i < AT_COUNT(names); i++) {
        assert_round_trip(names[i], random.data, random.size);
        assert_round_trip(names[i], letters.data, letters.size);
    }
    at_text_free(&random);
    at_text_free(&letters);
}

/* Every allocation fails once; each time there is an error and nothing leaks or crashes. */
static void failing_memory_is_an_error(void **state)
{
    (void)state;
    static const char *const names[] = {"clip_old",  "t5_old",    "bert_old",
                                        "gemma_old", "wordlevel", "llama3"};
    for (size_t i = 0; i < AT_COUNT(names); i++) {
        long step = 1;
        for (long n = 1;; n += step, step += 1 + n / 40) {
            cx->fail_allocation_in = n;
            at_tokenizer *t = open_fixture(names[i], NULL);
            at_ids ids = {0};
            bool fine =
                t && at_tokenizer_encode(cx, t, "a C\xc3\xa1t, \xe4\xbd\xa0 12 <s>", 17,
                                         &(at_encode_options){.max_length = 30, .pad = true}, &ids);
            char *text = fine ? at_tokenizer_decode(cx, t, ids.ids, ids.count, false, NULL) : NULL;
            bool reached = cx->fail_allocation_in == 0;
            cx->fail_allocation_in = 0;
            if (reached) {
                assert_null(text);
                assert_int_equal(at_error_status(cx), AT_ERROR_MEMORY);
            } else if (!text)
                fail_msg("%s: %s", names[i], at_error_text(cx));
            at_error_clear(cx);
            at_free(text);
            at_ids_free(&ids);
            at_tokenizer_free(t);
            if (!reached) break;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damaged_files_are_refused_by_name),
        cmocka_unit_test(deep_sequences_are_refused),
        cmocka_unit_test(stages_that_multiply_the_text_are_stopped),
        cmocka_unit_test(catastrophic_patterns_end),
        cmocka_unit_test(patterns_that_pcre_has_not_are_refused),
        cmocka_unit_test(trie_finds_prefixes),
        cmocka_unit_test(damaged_sentencepiece_files_are_refused),
        cmocka_unit_test(folders_without_a_tokenizer_say_so),
        cmocka_unit_test(options_and_accessors),
        cmocka_unit_test(the_class_decides),
        cmocka_unit_test(text_comes_back_from_its_ids),
        cmocka_unit_test(failing_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, open_context, close_context);
}
