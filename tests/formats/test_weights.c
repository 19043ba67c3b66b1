#include "files.h"
#include "formats/safetensors.h"
#include "formats/weights.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>

/* A file with one f32 tensor of one value. */
static void put_weight(at_context *cx, const char *file, const char *name, float value)
{
    at_tensor *x = at_full(cx, value, 1, (int64_t[]){1});
    assert_true(at_safetensors_write(cx, in_folder(file), 1, &name, &x, NULL));
}

/* A file without its last bytes. */
static void put_cut(const char *name, const char *whole, size_t less)
{
    size_t size;
    unsigned char *data = get_file(whole, &size);
    put_file(name, data, size - less);
    free(data);
}

static float value_of(at_context *cx, const char *path, const char *name)
{
    at_weights *w = at_weights_open(cx, path);
    at_tensor *x = at_weights_get(cx, w, name);
    float value = x ? *(float *)x->data : -1;
    at_weights_free(w);
    return value;
}

static void expect_refused(at_context *cx, const char *path, const char *message)
{
    assert_null(at_weights_open(cx, path));
    if (!strstr(at_error_text(cx), message))
        fail_msg("got \"%s\", expected \"%s\"", at_error_text(cx), message);
    at_error_clear(cx);
}

static void finds_files_in_folders(void **state)
{
    (void)state;
    static const struct {
        const char *name; /* from the last choice to the first */
        bool is_index;
    } choices[] = {{"model.non_ema.safetensors", false},
                   {"model.safetensors.index.bf16.json", true},
                   {"model.bf16.safetensors", false},
                   {"model.fp16.safetensors.index.json", true},
                   {"model.safetensors.index.fp16.json", true},
                   {"model.fp16.safetensors", false},
                   {"diffusion_pytorch_model.safetensors.index.fp16.json", true},
                   {"diffusion_pytorch_model.fp16.safetensors", false},
                   {"model.safetensors.index.json", true},
                   {"model.safetensors", false},
                   {"diffusion_pytorch_model.safetensors.index.json", true},
                   {"diffusion_pytorch_model.safetensors", false}};
    at_context *cx = at_context_new(NULL);
    empty_folder();
    expect_refused(cx, folder, "no weights here (expected diffusion_pytorch_model.safetensors");
    put_text("notes.txt", "");
    for (size_t i = 0; i < AT_COUNT(choices); i++) {
        char shard[32], index[128];
        snprintf(shard, sizeof shard, "shard-%zu.safetensors", i);
        snprintf(index, sizeof index, "{\"weight_map\":{\"w\":\"%s\"}}", shard);
        put_weight(cx, choices[i].is_index ? shard : choices[i].name, "w", (float)i);
        if (choices[i].is_index) put_text(choices[i].name, index);
        assert_float_equal(value_of(cx, folder, "w"), (float)i, 0);
    }
    assert_string_equal(at_error_text(cx), "");
    expect_refused(cx, in_folder("missing.safetensors"), "No such file");
    at_context_free(cx);
}

static char logged[1024];

static void keep_log(void *user, at_log_level level, const char *text)
{
    (void)user;
    if (level == AT_LOG_WARNING) snprintf(logged, sizeof logged, "%s", text);
}

static void reads_shards(void **state)
{
    (void)state;
    at_context *cx = at_context_new(&(at_context_options){.log = keep_log});
    empty_folder();
    at_tensor *x = at_full(cx, 2, 1, (int64_t[]){1});
    put_weight(cx, "1.safetensors", "a", 1);
    at_safetensors_write(cx, in_folder("2.safetensors"), 2, (const char *[]){"a", "b"},
                         (at_tensor *[]){x, x}, NULL); /* the index means the other "a" */
    put_weight(cx, "3.safetensors", "a", 3);
    const char *path =
        put_text("m.safetensors.index.json", "{\"metadata\":{\"total_size\":8},\"weight_map\":"
                                             "{\"a\":\"1.safetensors\",\"b\":\"2.safetensors\"}}");
    at_weights *w = at_weights_open(cx, path);
    assert_int_equal(at_weights_count(w), 2);
    assert_string_equal(at_weights_find(w, "b")->file->path, in_folder("2.safetensors"));
    assert_float_equal(*(float *)at_weights_get(cx, w, "a")->data, 1, 0);
    assert_float_equal(*(float *)at_weights_get(cx, w, "b")->data, 2, 0);
    assert_string_equal(logged, "");
    path = put_text("m.safetensors.index.json", "{\"metadata\":{\"total_size\":9},\"weight_map\":"
                                                "{\"a\":\"3.safetensors\"}}");
    assert_float_equal(value_of(cx, path, "a"), 3, 0);
    assert_non_null(strstr(logged, "says 9 bytes in all, the shards have 4"));
    at_context_free(cx);
}

static void refuses_hostile_indexes(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "not valid JSON"},
        {"{}", "no weight_map"},
        {"[]", "no weight_map"},
        {"{\"weight_map\":[]}", "no weight_map"},
        {"{\"weight_map\":{\"a\":1}}", "not a plain file name"},
        {"{\"weight_map\":{\"a\":\"\"}}", "not a plain file name"},
        {"{\"weight_map\":{\"a\":\"../1.safetensors\"}}", "not a plain file name"},
        {"{\"weight_map\":{\"a\":\"/etc/passwd\"}}", "not a plain file name"},
        {"{\"weight_map\":{\"a\":\"..\"}}", "not a plain file name"},
        {"{\"weight_map\":{\"a\":\"x\\\\y\"}}", "not a plain file name"},
        {"{\"weight_map\":{\"a\":\"none.safetensors\"}}",
         "its shard none.safetensors is not there"},
        {"{\"weight_map\":{\"a\":\"1.safetensors\",\"a\":\"1.safetensors\"}}", "listed twice"},
        {"{\"weight_map\":{\"a\":\"x.index.json\"}}", "not a safetensors file"},
        {"{\"weight_map\":{\"a\":\"cut.safetensors\"}}", "is the file cut short?"},
        {"{\"weight_map\":{\"a\":\"cut.bin\"}}", "cut.bin: "},
        {"{\"weight_map\":{\"a\":\"empty.safetensors\"}}", "too short for a safetensors file"},
        {"{\"weight_map\":{\"a\":\"folder\"}}", "not a regular file"},
        {"{\"weight_map\":{\"z\":\"1.safetensors\"}}",
         "the shard 1.safetensors has no tensor \"z\""},
        {"{\"weight_map\":{\"b\":\"1.safetensors\",\"a\":\"1.safetensors\"}}",
         "the shard 1.safetensors has no tensor \"b\""},
    };
    at_context *cx = at_context_new(NULL);
    empty_folder();
    put_weight(cx, "1.safetensors", "a", 1);
    put_cut("cut.safetensors", in_folder("1.safetensors"), 1);
    put_cut("cut.bin", AT_FIXTURES "/checkpoints/torch/new.pt", 100);
    put_text("empty.safetensors", "");
    assert_int_equal(mkdir(in_folder("folder"), 0700), 0);
    for (size_t i = 0; i < AT_COUNT(cases); i++)
        expect_refused(cx, put_text("x.index.json", cases[i].text), cases[i].message);
    assert_int_equal(rmdir(in_folder("folder")), 0);
    at_context_free(cx);
}

static void survives_failed_allocations(void **state)
{
    (void)state;
    at_context *made = at_context_new(NULL);
    empty_folder();
    put_weight(made, "1.safetensors", "a", 1);
    put_weight(made, "2.safetensors", "b", 2);
    put_text("model.safetensors.index.json",
             "{\"weight_map\":{\"a\":\"1.safetensors\",\"b\":\"2.safetensors\"}}");
    at_context_free(made);
    int n = 1;
    for (bool fine = false; !fine; n++) {
        at_context *cx = at_context_new(NULL);
        cx->fail_allocation_in = n;
        at_weights *w = at_weights_open(cx, folder);
        fine = !at_failed(cx);
        assert_int_equal(fine, w != NULL);
        at_context_free(cx);
    }
    assert_in_range(n, 30, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_files_in_folders),
        cmocka_unit_test(reads_shards),
        cmocka_unit_test(refuses_hostile_indexes),
        cmocka_unit_test(survives_failed_allocations),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
