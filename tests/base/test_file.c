#include "base/base.h"
#include "base/file.h"
#include "files.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>

static void assert_failed(at_context *cx, at_status status, const char *part)
{
    assert_int_equal(at_error_status(cx), status);
    if (!strstr(at_error_text(cx), part)) fail_msg("%s: no %s", at_error_text(cx), part);
    at_error_clear(cx);
}

/* A new file, then another in its place; nothing else is left in the folder. */
static void test_write(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    const char *path = in_folder("a.bin");
    size_t size;
    assert_true(at_file_write(cx, path, "one", 3));
    assert_true(at_file_write(cx, path, "second", 6));
    char *data = at_file_read(cx, path, 100, &size);
    assert_int_equal(size, 6);
    assert_string_equal(data, "second");
    assert_int_equal(count_files(), 1);
    at_free(data);
    at_context_free(cx);
}

/* What fails half-way leaves the old file as it was, and no part of the new one. */
static void test_abandoned(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    const char *path = put_text("b.txt", "old");
    at_file_writer *writer = at_file_writer_open(cx, path);
    assert_true(at_file_writer_write(cx, writer, "new", 3));
    at_fail(cx, AT_ERROR_FORMAT, "something else");
    assert_false(at_file_writer_commit(cx, writer));
    at_error_clear(cx);
    size_t size;
    char *data = at_file_read(cx, path, 100, &size);
    assert_string_equal(data, "old");
    at_free(data);
    at_file_writer_abandon(at_file_writer_open(cx, path));
    empty_folder();
    assert_int_equal(count_files(), 0);
    at_context_free(cx);
}

/* A pipe stays a pipe: what is written goes through it. */
static void test_pipe(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    const char *path = in_folder("pipe");
    struct stat st;
    char got[8] = "";
    assert_int_equal(mkfifo(path, 0600), 0);
    int fd = open(path, O_RDONLY | O_NONBLOCK);
    assert_true(at_file_write(cx, path, "through", 7));
    assert_int_equal(read(fd, got, sizeof got - 1), 7);
    assert_string_equal(got, "through");
    assert_int_equal(stat(path, &st), 0);
    assert_true(S_ISFIFO(st.st_mode));
    assert_int_equal(count_files(), 1);
    close(fd);
    empty_folder();
    at_context_free(cx);
}

static void test_full_device(void **state)
{
    (void)state;
    struct stat st;
    if (stat("/dev/full", &st) != 0 || !S_ISCHR(st.st_mode)) skip();
    at_context *cx = at_context_new(NULL);
    assert_int_equal(symlink("/dev/full", in_folder("full")), 0);
    assert_false(at_file_write(cx, in_folder("full"), "x", 1));
    assert_failed(cx, AT_ERROR_FILE, "No space left");
    assert_int_equal(count_files(), 1);
    empty_folder();
    at_context_free(cx);
}

static void test_refused(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    assert_null(at_file_read(cx, in_folder("missing"), 10, NULL));
    assert_failed(cx, AT_ERROR_FILE, "No such file");
    assert_null(at_file_read(cx, folder, 10, NULL));
    assert_failed(cx, AT_ERROR_FILE, "not a regular file");
    assert_null(at_file_read(cx, put_text("long", "12345678901"), 10, NULL));
    assert_failed(cx, AT_ERROR_FORMAT, "too large");
    assert_int_equal(symlink("loop", in_folder("loop")), 0);
    assert_null(at_mapping_open(cx, in_folder("loop")));
    assert_failed(cx, AT_ERROR_FILE, "symbolic links");
    assert_int_equal(mkfifo(in_folder("pipe"), 0600), 0);
    assert_null(at_mapping_open(cx, in_folder("pipe"))); /* and does not wait for a writer */
    assert_failed(cx, AT_ERROR_FILE, "not a regular file");
    assert_false(at_file_write(cx, in_folder("no/such/folder"), "x", 1));
    assert_failed(cx, AT_ERROR_FILE, "No such file");
    empty_folder();
    at_context_free(cx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_write),   cmocka_unit_test(test_abandoned),
        cmocka_unit_test(test_pipe),    cmocka_unit_test(test_full_device),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
