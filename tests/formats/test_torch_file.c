#include "expected.h"
#include "files.h"

#define FOLDER AT_FIXTURES "/checkpoints/torch"

static at_weights *open_in(at_context *cx, const char *file)
{
    char path[512];
    snprintf(path, sizeof path, FOLDER "/%s", file);
    return at_weights_open(cx, path);
}

static void reads_every_form(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"new.pt", "every_kind.safetensors"},        {"old.pt", "every_kind.safetensors"},
        {"protocol_4.pt", "every_kind.safetensors"}, {"deflated.pt", "every_kind.safetensors"},
        {"zip64.pt", "every_kind.safetensors"},      {"young.pt", "young.safetensors"},
        {"training.ckpt", "training.safetensors"},   {"embedding.pt", "embedding.safetensors"},
        {"whisper.pt", "whisper.safetensors"},       {"sharded", "sharded.safetensors"},
    };
    at_context *cx = at_context_new(NULL);
    for (size_t i = 0; i < AT_COUNT(pairs); i++)
        expect_same_weights(cx, open_in(cx, pairs[i][0]), open_in(cx, pairs[i][1]));
    at_context_free(cx);
}

static void keeps_tensors_mapped(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    at_weights *w = open_in(cx, "new.pt");
    const at_weight *same = at_weights_find(w, "views.same"),
                    *row = at_weights_find(w, "views.row");
    assert_null(same->coding);
    assert_ptr_equal(at_weights_get(cx, w, "views.same")->data, same->file->data + same->offset);
    assert_int_equal(row->offset, same->offset + 3 * 8 * sizeof(float)); /* one storage */
    assert_non_null(at_weights_find(w, "views.transposed")->coding);
    assert_int_equal(at_weights_find(w, "types.bfloat16")->dtype, AT_BF16);
    w = open_in(cx, "deflated.pt"); /* unpacked once, outlives the set */
    at_tensor *x = at_weights_get(cx, w, "views.same"), *y = at_weights_get(cx, w, "views.row");
    at_weights_free(w);
    assert_ptr_equal(y->data, (float *)x->data + 3 * 8);
    assert_float_equal(*(float *)y->data, ((float *)x->data)[24], 0);
    at_context_free(cx);
}

static void keeps_texts_and_numbers(void **state)
{
    (void)state;
    static const char *const pairs[][3] = {
        {"new.pt", "title", "a title"},    {"old.pt", "steps", "7"},
        {"new.pt", "rate", "0.5"},         {"training.ckpt", "global_step", "875000"},
        {"embedding.pt", "name", "style"}, {"embedding.pt", "string_to_token.*", "265"},
        {"training.ckpt", "epoch", "3"},   {"whisper.pt", "dims.n_text_head", "2"},
    };
    at_context *cx = at_context_new(NULL);
    for (size_t i = 0; i < AT_COUNT(pairs); i++) {
        const char *value = at_weights_metadata(open_in(cx, pairs[i][0]), pairs[i][1]);
        assert_non_null(value);
        assert_string_equal(value, pairs[i][2]);
    }
    at_context_free(cx);
}

/* Every file cut at every byte: an error, or all of it (what is behind the last storage may go). */
static void survives_cuts(void **state)
{
    (void)state;
    static const char *const files[] = {"new.pt", "old.pt", "deflated.pt"};
    at_context *cx = at_context_new(NULL);
    for (size_t f = 0; f < AT_COUNT(files); f++) {
        char path[512];
        snprintf(path, sizeof path, FOLDER "/%s", files[f]);
        size_t size;
        unsigned char *data = get_file(path, &size);
        for (size_t cut = 0; cut < size; cut += 1 + cut / 97) {
            at_weights *w = at_weights_open(cx, put_file("cut.pt", data, cut));
            assert_null(w);
            assert_int_not_equal(at_error_status(cx), AT_OK);
            at_error_clear(cx);
        }
        free(data);
    }
    at_context_free(cx);
}

static void survives_failed_allocations(void **state)
{
    (void)state;
    static const char *const files[] = {"deflated.pt", "old.pt"};
    for (size_t f = 0; f < AT_COUNT(files); f++) {
        int n = 1;
        for (bool fine = false; !fine; n++) {
            at_context *cx = at_context_new(NULL);
            cx->fail_allocation_in = n;
            at_weights *w = open_in(cx, files[f]);
            at_tensor *x = at_weights_get(cx, w, "views.cut");
            fine = !at_failed(cx);
            assert_int_equal(fine, w != NULL && x != NULL);
            if (!fine) assert_int_equal(at_error_status(cx), AT_ERROR_MEMORY);
            at_context_free(cx);
        }
        assert_in_range(n, 20, 2000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_form),
        cmocka_unit_test(keeps_tensors_mapped),
        cmocka_unit_test(keeps_texts_and_numbers),
        cmocka_unit_test(survives_cuts),
        cmocka_unit_test(survives_failed_allocations),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
