/* Whole tokenizer folders against transformers: ids of the hard strings, decoded text. */
#include "base/file.h"
#include "fixtures.h"

static cJSON *expected, *strings; /* expected: folders.json, then emoji.json */
static at_context *cx;

static int open_all(void **state)
{
    (void)state;
    cx = at_context_new(NULL);
    expected = read_fixture(cx, "folders.json");
    strings = read_fixture(cx, "strings.json");
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    cJSON_Delete(expected);
    cJSON_Delete(strings);
    at_context_free(cx);
    return 0;
}

static const cJSON *get(const cJSON *json, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(json, key);
}

/* A list of ids or texts, or the name of the folder that has the same one. */
static const cJSON *list_of(const cJSON *wanted, const char *key)
{
    const cJSON *list = get(wanted, key);
    return cJSON_IsString(list) ? list_of(get(expected, list->valuestring), key) : list;
}

static int encode_differs(const at_tokenizer *t, const char *what, const char *list,
                          const at_encode_options *options, const cJSON *wanted)
{
    int bad = 0, row = 0;
    const cJSON *ids = list_of(wanted, list)->child, *s;
    at_ids got = {0};
    char name[128];
    snprintf(name, sizeof name, "%s %s", what, list);
    cJSON_ArrayForEach(s, get(strings, "strings"))
    {
        bytes text = from_hex(s);
        if (!at_tokenizer_encode(cx, t, text.data, text.size, options, &got)) {
            fprintf(stderr, "%s, text %d: %s\n", name, row, at_error_text(cx));
            at_error_clear(cx);
            bad++;
        } else
            bad += differs(name, row, &got, ids);
        free(text.data);
        ids = ids->next;
        row++;
    }
    at_ids_free(&got);
    return bad;
}

static int decode_differs(const at_tokenizer *t, const char *what, const char *list, bool skip,
                          const cJSON *wanted)
{
    int bad = 0, row = 0;
    const cJSON *text = list_of(wanted, list)->child, *ids, *id;
    char name[128];
    snprintf(name, sizeof name, "%s %s", what, list);
    cJSON_ArrayForEach(ids, list_of(wanted, "ids"))
    {
        size_t count = 0, size = 0;
        int32_t *all = malloc(sizeof *all * (size_t)(cJSON_GetArraySize(ids) + 1));
        cJSON_ArrayForEach(id, ids) all[count++] = id->valueint;
        char *got = at_tokenizer_decode(cx, t, all, count, skip, &size);
        bad += text_differs(name, row++, got, size, text);
        at_free(got);
        free(all);
        text = text->next;
    }
    return bad;
}

static uint64_t hash_of(const at_ids *ids)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < ids->count; i++)
        for (int k = 0; k < 32; k += 8)
            h = (h ^ ((uint32_t)ids->ids[i] >> k & 255)) * 0x100000001b3u;
    return h;
}

static int long_differs(const at_tokenizer *t, const char *what, const cJSON *wanted)
{
    int bad = 0, row = 0;
    const cJSON *answer = list_of(wanted, "long")->child, *item;
    at_ids got = {0};
    cJSON_ArrayForEach(item, get(strings, "long"))
    {
        bytes part = from_hex(item->child);
        size_t count = (size_t)item->child->next->valueint;
        char *text = malloc(part.size * count), hash[20];
        for (size_t i = 0; i < count; i++) memcpy(text + i * part.size, part.data, part.size);
        bool fine = at_tokenizer_encode(cx, t, text, part.size * count, NULL, &got);
        snprintf(hash, sizeof hash, "%016llx", (unsigned long long)hash_of(&got));
        if (!fine || (int)got.count != answer->child->valueint ||
            strcmp(hash, answer->child->next->valuestring) != 0) {
            fprintf(stderr, "%s long, text %d: %zu ids, wanted %d %s\n", what, row, got.count,
                    answer->child->valueint, at_error_text(cx));
            at_error_clear(cx);
            bad++;
        }
        free(text);
        free(part.data);
        answer = answer->next;
        row++;
    }
    at_ids_free(&got);
    return bad;
}

static int folder_differs(const at_tokenizer *t, const char *name, const cJSON *wanted)
{
    at_encode_options plain = {.no_special_tokens = true}, cut = {.max_length = 16, .pad = true};
    int bad = 0;
    if (get(wanted, "pad")->valueint < 0) cut.pad = false;
    const struct {
        const char *key;
        int got;
    } numbers[] = {{"pad", at_tokenizer_pad_id(t)},
                   {"bos", at_tokenizer_bos_id(t)},
                   {"eos", at_tokenizer_eos_id(t)},
                   {"size", (int)at_tokenizer_size(t)},
                   {"max_length", (int)at_tokenizer_max_length(t)}};
    for (size_t i = 0; i < AT_COUNT(numbers); i++) {
        if (get(wanted, numbers[i].key)->valueint == numbers[i].got) continue;
        fprintf(stderr, "%s: %s is %d, wanted %d\n", name, numbers[i].key, numbers[i].got,
                get(wanted, numbers[i].key)->valueint);
        bad++;
    }
    bad += encode_differs(t, name, "ids", NULL, wanted);
    bad += encode_differs(t, name, "plain", &plain, wanted);
    bad += encode_differs(t, name, "cut", &cut, wanted);
    bad += decode_differs(t, name, "text", true, wanted);
    bad += decode_differs(t, name, "kept", false, wanted);
    bad += long_differs(t, name, wanted);
    return bad;
}

static void folders_give_the_same_ids_and_text(void **state)
{
    (void)state;
    int bad = 0, count = 0;
    const cJSON *wanted;
    cJSON_ArrayForEach(wanted, expected)
    {
        char path[512];
        snprintf(path, sizeof path, "%s/tokenizers/folders/%s", AT_FIXTURES, wanted->string);
        at_tokenizer *t = at_tokenizer_open(cx, path);
        if (!t) {
            fprintf(stderr, "%s: %s\n", wanted->string, at_error_text(cx));
            at_error_clear(cx);
            bad++;
            continue;
        }
        bad += folder_differs(t, wanted->string, wanted);
        at_tokenizer_free(t);
        count++;
    }
    assert_int_equal(bad, 0);
    assert_true(count > 25);
}

/* As single files have them: sentencepiece's file as bytes, the rest as said. */
static void pieces_in_memory_are_as_in_a_folder(void **state)
{
    (void)state;
    static const struct {
        const char *folder, *file, *config;
    } cases[] = {
        {"gemma_old", "tokenizer.model",
         "{\"tokenizer_class\":\"GemmaTokenizer\",\"add_bos_token\":true}"},
        {"t5_old", "spiece.model",
         "{\"tokenizer_class\":\"T5Tokenizer\",\"model_max_length\":512,\"extra_ids\":100}"},
    };
    for (size_t i = 0; i < AT_COUNT(cases); i++) {
        char path[512];
        size_t size = 0;
        snprintf(path, sizeof path, "%s/tokenizers/folders/%s/%s", AT_FIXTURES, cases[i].folder,
                 cases[i].file);
        char *data = at_file_read(cx, path, 1 << 24, &size);
        cJSON *config = cJSON_Parse(cases[i].config);
        at_tokenizer *t = at_tokenizer_of_pieces(cx, data, size, config, "inside");
        if (!t) fail_msg("%s", at_error_text(cx));
        memset(data, 0, size); /* it keeps none of them */
        assert_int_equal(folder_differs(t, cases[i].folder, get(expected, cases[i].folder)), 0);
        at_tokenizer_free(t);
        assert_null(at_tokenizer_of_pieces(cx, data, size, config, "inside"));
        assert_int_equal(at_error_status(cx), AT_ERROR_FORMAT);
        at_error_clear(cx);
        cJSON_Delete(config);
        at_free(data);
    }
}

/* Copies some files of a folder, so that only the older form is there. */
static void copy_files(const char *from, const char *to, const char *const *names)
{
    char path[600];
    for (; *names; names++) {
        size_t size = 0;
        snprintf(path, sizeof path, "%s/%s", from, *names);
        char *data = at_file_read(cx, path, 1 << 24, &size);
        if (!data) fail_msg("%s", at_error_text(cx));
        snprintf(path, sizeof path, "%s/%s", to, *names);
        assert_true(at_file_write(cx, path, data, size));
        at_free(data);
    }
}

static void the_embedded_model_s_tokenizers(void **state)
{
    (void)state;
    static const char *const clip[] = {"vocab.json", "merges.txt", "tokenizer_config.json", NULL};
    static const char *const t5[] = {"spiece.model", "tokenizer_config.json", NULL};
    const struct {
        const char *name;
        const char *const *older;
    } parts[] = {{"tokenizer", clip}, {"tokenizer_2", t5}};
    if (!at_folder_exists(AT_SOURCE "/models/emoji/tokenizer")) skip();
    cJSON_Delete(expected);
    expected = read_fixture(cx, "emoji.json");
    int bad = 0;
    for (size_t i = 0; i < AT_COUNT(parts); i++) {
        char path[512], older[] = "/tmp/atelier-test-XXXXXX", name[64];
        snprintf(path, sizeof path, "%s/models/emoji/%s", AT_SOURCE, parts[i].name);
        at_tokenizer *t = at_tokenizer_open(cx, path);
        snprintf(name, sizeof name, "new/%s", parts[i].name);
        bad += t ? folder_differs(t, name, get(expected, name)) : 1;
        at_tokenizer_free(t);
        assert_non_null(mkdtemp(older));
        copy_files(path, older, parts[i].older);
        t = at_tokenizer_open(cx, older);
        snprintf(name, sizeof name, "old/%s", parts[i].name);
        bad += t ? folder_differs(t, name, get(expected, name)) : 1;
        at_tokenizer_free(t);
        for (const char *const *n = parts[i].older; *n; n++) {
            snprintf(path, sizeof path, "%s/%s", older, *n);
            remove(path);
        }
        remove(older);
    }
    assert_int_equal(bad, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folders_give_the_same_ids_and_text),
        cmocka_unit_test(pieces_in_memory_are_as_in_a_folder),
        cmocka_unit_test(the_embedded_model_s_tokenizers),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
