/* Names of models and where they lie; what files are recognised as. */
#include "hub/models.h"
#include <atelier/atelier.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>
/* cmocka needs the four above first */
#include "files.h"
#include <cmocka.h>

/* Makes folder/models/NAME with one file of that text. */
static void put_model(const char *name, const char *file, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "models/%s", name);
    mkdir(in_folder("models"), 0777);
    mkdir(in_folder(path), 0777);
    snprintf(path, sizeof path, "models/%s/%s", name, file);
    put_text(path, text);
}

static int begin(void **state)
{
    if (make_folder(state) != 0) return -1;
    put_model("mine", "model_index.json", "{\"_class_name\": \"FluxPipeline\"}");
    put_model("encoder", "config.json", "{\"architectures\": [\"T5EncoderModel\"]}");
    put_model("broken", "model_index.json", "{");
    put_model("nothing", "notes.txt", "no model");
    return setenv("HF_HUB_CACHE", in_folder("hub"), 1) || setenv("ATELIER_HOME", folder, 1);
}

static int end(void **state)
{
    static const char *const places[] = {"mine/model_index.json", "encoder/config.json",
                                         "broken/model_index.json", "nothing/notes.txt"};
    for (size_t i = 0; i < AT_COUNT(places); i++) {
        char path[256];
        snprintf(path, sizeof path, "models/%s", places[i]);
        unlink(in_folder(path));
        *strrchr(path, '/') = 0;
        rmdir(in_folder(path));
    }
    rmdir(in_folder("models"));
    return remove_folder(state);
}

static void test_find(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    char *path = at_model_find(cx, "mine");
    assert_non_null(path);
    assert_string_equal(path, in_folder("models/mine"));
    char *same = at_model_find(cx, path); /* a path is itself */
    assert_string_equal(same, path);
    at_free(same);
    at_free(path);

    static const char *const missing[] = {"nothing", "", "models/mine", "../mine", "such"};
    for (size_t i = 0; i < AT_COUNT(missing); i++) {
        assert_null(at_model_find(cx, missing[i]));
        assert_int_equal(at_error_status(cx), AT_ERROR_FILE);
        at_error_clear(cx);
    }
    at_context_free(cx);
}

static const at_model_entry *entry(const at_model_entry *entries, int count, const char *name)
{
    for (int i = 0; i < count; i++)
        if (strcmp(entries[i].name, name) == 0) return &entries[i];
    return NULL;
}

static void test_list(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    at_model_entry *entries;
    int count = at_models_list(cx, &entries);
    assert_false(at_failed(cx));
    assert_string_equal(entry(entries, count, "mine")->kind, "FluxPipeline");
    assert_int_equal(entry(entries, count, "mine")->bytes, 31);
    assert_string_equal(entry(entries, count, "encoder")->kind, "T5EncoderModel");
    assert_string_equal(entry(entries, count, "broken")->kind, "damaged");
    assert_null(entry(entries, count, "nothing"));
    for (int i = 1; i < count; i++) assert_true(strcmp(entries[i - 1].name, entries[i].name) < 0);
    at_models_list_free(entries, count);
    at_context_free(cx);
}

#define OLDER "0123456789abcdef0123456789abcdef01234567"
#define NEWER "89abcdef0123456789abcdef0123456789abcdef"

static void put_snapshot(const char *repo, const char *commit, const char *file, const char *text)
{
    char command[600], path[256];
    snprintf(path, sizeof path, "hub/models--%s/snapshots/%s/%s", repo, commit, file);
    snprintf(command, sizeof command, "mkdir -p '%s/hub/models--%s/refs' \"$(dirname '%s/%s')\"",
             folder, repo, folder, path);
    if (system(command) != 0) abort();
    put_text(path, text);
}

static void put_ref(const char *repo, const char *ref, const char *commit)
{
    char path[256];
    snprintf(path, sizeof path, "hub/models--%s/refs/%s", repo, ref);
    put_text(path, commit);
}

/* What lies in the hub's cache, by atelier or by Python. */
static void test_hub(void **state)
{
    (void)state;
    put_snapshot("o--whole", OLDER, "config.json", "{\"architectures\": [\"T5EncoderModel\"]}");
    put_snapshot("o--whole", NEWER, "config.json", "{\"architectures\": [\"Newer\"]}");
    put_snapshot("o--whole", NEWER, "model.safetensors", "x");
    put_ref("o--whole", "main", OLDER);
    put_ref("o--whole", "v2", NEWER "\n");
    put_snapshot("o--one", OLDER, "config.json", "{}");
    put_snapshot("o--one", OLDER, "deep/m.gguf", "xyz");
    put_ref("o--one", "main", OLDER);
    put_snapshot("two", OLDER, "a.gguf", "x");
    put_snapshot("two", OLDER, "b.gguf", "xy");
    put_ref("two", "main", OLDER);
    put_snapshot("o--begun", OLDER, "config.json", "{}"); /* no ref: not whole */
    put_snapshot("o--lost", OLDER, "config.json", "{}");
    put_ref("o--lost", "main", "../../o--whole");
    static const struct {
        const char *name, *path; /* NULL: not found */
    } cases[] = {
        {"o/whole", "o--whole/snapshots/" OLDER},
        {"o/whole@v2", "o--whole/snapshots/" NEWER},
        {"o/whole@" NEWER, "o--whole/snapshots/" NEWER},
        {"o/whole/model.safetensors@v2", "o--whole/snapshots/" NEWER "/model.safetensors"},
        {"o/whole/model.safetensors", NULL},
        {"o/whole@v3", NULL},
        {"o/one", "o--one/snapshots/" OLDER "/deep/m.gguf"},
        {"two", NULL},
        {"two/b.gguf", NULL}, /* o/b.gguf would be a repository */
        {"o/begun", NULL},
        {"o/begun@" OLDER, "o--begun/snapshots/" OLDER},
        {"o/lost", NULL},
        {"o/none", NULL},
    };
    at_context *cx = at_context_new(NULL);
    for (size_t i = 0; i < AT_COUNT(cases); i++) {
        char expected[300];
        char *path = at_model_find(cx, cases[i].name);
        snprintf(expected, sizeof expected, "%s/hub/models--%s", folder,
                 cases[i].path ? cases[i].path : "");
        if (!path != !cases[i].path) fail_msg("%s: %s", cases[i].name, at_error_text(cx));
        if (path) assert_string_equal(path, expected);
        at_free(path);
        at_error_clear(cx);
    }
    at_model_entry *entries;
    int count = at_models_list(cx, &entries);
    assert_string_equal(entry(entries, count, "o/whole")->kind, "T5EncoderModel");
    assert_string_equal(entry(entries, count, "o/whole@v2")->kind, "Newer");
    assert_int_equal(entry(entries, count, "o/one")->bytes, 3);
    assert_null(entry(entries, count, "o/begun"));
    at_models_list_free(entries, count);
    at_context_free(cx);
    char command[200];
    snprintf(command, sizeof command, "rm -r '%s/hub'", folder);
    assert_int_equal(system(command), 0);
}

static void test_recognised_by_names(void **state)
{
    (void)state;
    static const struct {
        const char *file, *kind;
    } cases[] = {
        {"flux_dev/diffusion_pytorch_model.safetensors", "FluxTransformer2DModel"},
        {"clip_quick_gelu/model.safetensors", "CLIPTextModel"},
        {"clip_gelu_old_keys/model.safetensors", "CLIPTextModel"},
        {"clip_quick_gelu/io.safetensors", "unknown"},
    };
    at_context *cx = at_context_new(NULL);
    for (size_t i = 0; i < AT_COUNT(cases); i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/networks/%s", AT_FIXTURES, cases[i].file);
        at_weights *weights = at_weights_open(cx, path);
        assert_non_null(weights);
        assert_string_equal(at_weights_kind(weights), cases[i].kind);
    }
    at_context_free(cx);
}

/* The whole public way, twice in one context, let go by hand and with the context. */
static void test_load_generate_free(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    for (int i = 0; i < 2; i++) {
        at_pipeline *p = at_pipeline_load(cx, AT_FIXTURES "/pipelines/flux_tiny_schnell");
        assert_non_null(p);
        const at_generate_options options = {.prompt = "a red heart",
                                             .width = 16,
                                             .height = 24,
                                             .steps = 1,
                                             .max_sequence_length = 16};
        at_image *image = at_generate(p, &options);
        assert_non_null(image);
        assert_int_equal(image->width, 16);
        assert_int_equal(image->height, 24);
        if (i == 0) at_pipeline_free(p);
    }
    assert_null(at_pipeline_load(cx, "such"));
    assert_int_equal(at_error_status(cx), AT_ERROR_FILE);
    assert_null(at_pipeline_load(NULL, NULL));
    assert_null(at_generate(NULL, NULL));
    at_context_free(cx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_hub),
        cmocka_unit_test(test_recognised_by_names),
        cmocka_unit_test(test_load_generate_free),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
