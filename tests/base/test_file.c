#include "base/file.h"
#include "files.h"
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void expect_error(at_context *cx, const char *message)
{
    if (!strstr(at_error_text(cx), message))
        fail_msg("got \"%s\", expected \"%s\"", at_error_text(cx), message);
    at_error_clear(cx);
}

static void expect_file(const char *path, const char *text)
{
    size_t size;
    unsigned char *data = get_file(path, &size);
    assert_int_equal(size, strlen(text));
    assert_memory_equal(data, text, size);
    free(data);
}

static void maps_files(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    const char *path = put_text("a", "hello");
    at_mapping *m = at_mapping_open(cx, path), *same = at_mapping_keep(m);
    assert_int_equal(m->size, 5);
    assert_memory_equal(m->data, "hello", 5);
    assert_string_equal(m->path, path);
    at_mapping_release(m);
    assert_memory_equal(same->data, "hello", 5);
    at_mapping_release(same);
    m = at_mapping_open(cx, put_text("empty", ""));
    assert_int_equal(m->size, 0);
    assert_null(m->data);
    at_mapping_release(m);
    at_mapping_release(NULL);
    assert_null(at_mapping_open(cx, in_folder("none")));
    expect_error(cx, "none: No such file");
    assert_null(at_mapping_open(cx, folder));
    expect_error(cx, "not a regular file");
    assert_int_equal(mkfifo(in_folder("pipe"), 0600), 0); /* must not wait for a writer */
    assert_null(at_mapping_open(cx, in_folder("pipe")));
    expect_error(cx, "not a regular file");
    at_context_free(cx);
}

static void forgets_pages(void **state)
{
    (void)state;
    enum { SIZE = 100000 };
    at_context *cx = at_context_new(NULL);
    uint8_t *bytes, text[SIZE];
    memset(text, 'x', SIZE);
    at_mapping *m = at_mapping_open(cx, put_file("large", text, SIZE));
    at_mapping *memory = at_mapping_new(cx, "made", SIZE, &bytes);
    assert_non_null(m);
    assert_non_null(memory);
    memcpy(bytes, text, SIZE);
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    assert_memory_equal(m->data, text, SIZE);
    at_mapping_forget(m, 0, SIZE);
    at_mapping_forget(memory, 0, SIZE); /* nowhere to come back from: stays */
    assert_memory_equal(memory->data, text, SIZE);
    assert_memory_equal(m->data, text, SIZE);
    at_mapping_forget(m, 1, page); /* no whole page */
    at_mapping_forget(m, SIZE, 0);
    assert_memory_equal(m->data, text, SIZE);
    at_mapping_release(m);
    at_mapping_release(memory);
    at_context_free(cx);
}

static void reads_files(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    const char *path = put_file("a", "he\0lo", 5);
    size_t size;
    char *data = at_file_read(cx, path, 5, &size);
    assert_int_equal(size, 5);
    assert_memory_equal(data, "he\0lo\0", 6);
    at_free(data);
    assert_null(at_file_read(cx, path, 4, &size));
    assert_int_equal(at_error_status(cx), AT_ERROR_FORMAT);
    expect_error(cx, "5 bytes is too large (at most 4)");
    assert_null(at_file_read(cx, in_folder("none"), 4, &size));
    expect_error(cx, "No such file");
    at_context_free(cx);
}

static void writes_whole_files(void **state)
{
    (void)state;
    empty_folder();
    at_context *cx = at_context_new(NULL);
    const char *path = in_folder("a");
    assert_true(at_file_write(cx, path, "one", 3));
    assert_true(at_file_write(cx, path, "", 0));
    expect_file(path, "");
    at_file_writer *writer = at_file_writer_open(cx, path);
    assert_true(at_file_writer_write(cx, writer, "tw", 2));
    assert_true(at_file_writer_write(cx, writer, "o", 1));
    expect_file(path, ""); /* the old one until the end */
    assert_true(at_file_writer_commit(cx, writer));
    expect_file(path, "two");
    assert_int_equal(count_files(), 1);
    at_context_free(cx);
}

static void leaves_nothing_behind(void **state)
{
    (void)state;
    empty_folder();
    at_context *cx = at_context_new(NULL);
    char path[128];
    snprintf(path, sizeof path, "%s", put_text("a", "old"));
    at_file_writer *writer = at_file_writer_open(cx, path);
    assert_true(at_file_writer_write(cx, writer, "new", 3));
    at_file_writer_abandon(writer);
    at_file_writer_abandon(NULL);

    writer = at_file_writer_open(cx, path); /* an error in between */
    at_fail(cx, AT_ERROR_ARGUMENT, "something else");
    assert_false(at_file_writer_write(cx, writer, "new", 3));
    assert_false(at_file_writer_commit(cx, writer));
    expect_error(cx, "something else");

    writer = at_file_writer_open(cx, path); /* cancelled */
    at_cancel(cx);
    assert_false(at_file_writer_write(cx, writer, "new", 3));
    assert_false(at_file_writer_commit(cx, writer));
    assert_int_equal(at_error_status(cx), AT_ERROR_CANCELLED);
    at_error_clear(cx);

    struct rlimit old, small; /* the disk is full */
    getrlimit(RLIMIT_FSIZE, &old);
    small = (struct rlimit){4096, old.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    static const char big[10000];
    bool fine = at_file_write(cx, path, big, sizeof big);
    setrlimit(RLIMIT_FSIZE, &old);
    assert_false(fine);
    assert_int_equal(at_error_status(cx), AT_ERROR_FILE);
    expect_error(cx, "cannot be written: File too large");

    assert_false(at_file_write(cx, in_folder("none/a"), "x", 1));
    expect_error(cx, "none/a: cannot be written: No such file");
    assert_int_equal(mkdir(in_folder("d"), 0700), 0);
    assert_false(at_file_write(cx, in_folder("d"), "x", 1)); /* a folder is there */
    expect_error(cx, "d: cannot be written: Is a directory");
    assert_int_equal(rmdir(in_folder("d")), 0);

    for (int n = 1; n <= 3; n++) {
        cx->fail_allocation_in = n;
        assert_false(at_file_write(cx, path, "new", 3));
        expect_error(cx, "out of memory");
    }
    assert_int_equal(count_files(), 1);
    expect_file(path, "old");
    at_context_free(cx);
}

static void knows_paths(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    static const char *const joined[][3] = {
        {"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"/", "b", "/b"}, {"", "b", "/b"}};
    for (size_t i = 0; i < AT_COUNT(joined); i++) {
        char *path = at_path_join(cx, joined[i][0], joined[i][1]);
        assert_string_equal(path, joined[i][2]);
        at_free(path);
    }
    put_text("a", "");
    assert_true(at_file_exists(in_folder("a")));
    assert_false(at_folder_exists(in_folder("a")));
    assert_false(at_file_exists(folder));
    assert_true(at_folder_exists(folder));
    assert_false(at_file_exists(in_folder("none")));
    assert_false(at_file_exists(NULL));
    at_context_free(cx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(maps_files),         cmocka_unit_test(reads_files),
        cmocka_unit_test(writes_whole_files), cmocka_unit_test(leaves_nothing_behind),
        cmocka_unit_test(knows_paths),        cmocka_unit_test(forgets_pages),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
