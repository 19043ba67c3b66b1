#include "cli/session.h"
#include "base/file.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <utf8proc.h>

static at_context *_Atomic running;
static volatile sig_atomic_t signals;

static void on_signal(int number)
{
    if (signals++) _exit(128 + number);
    at_cancel(running);
}

/* What a mapped file that shrinks, or a disk that fails, looks like to whoever reads it. */
static void on_lost_page(int number)
{
    static const char message[] =
        "atelier: a file became shorter while it was read, or its disk failed\n";
    if (write(STDERR_FILENO, message, sizeof message - 1) < 0) _exit(128 + number);
    _exit(CLI_FAILED);
}

void cli_session_begin(cli_session *s, const cli_arguments *a)
{
    static const at_device devices[] = {AT_DEVICE_AUTO, AT_DEVICE_CPU, AT_DEVICE_CUDA};
    static const at_precision precisions[] = {AT_PRECISION_AUTO, AT_PRECISION_F32,
                                              AT_PRECISION_BF16, AT_PRECISION_INT8};
    *s = (cli_session){.quiet = cli_given(a, "quiet"), .json = cli_given(a, "json")};
    cli_progress_init(&s->progress, s->quiet, cli_given(a, "verbose"));
    s->cx = at_context_new(&(at_context_options){
        .device = devices[cli_choice(a, "device", 0)],
        .precision = precisions[cli_choice(a, "precision", 0)],
        .threads = cli_whole(a, "threads", 0),
        .log = cli_progress_log,
        .progress = cli_progress_report,
        .user = &s->progress,
    });
    running = s->cx;
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGBUS, &(struct sigaction){.sa_handler = on_lost_page}, NULL);
}

int cli_session_end(cli_session *s)
{
    bool failed = at_failed(s->cx);
    cli_progress_clear(&s->progress);
    if (failed) fprintf(stderr, "atelier: %s\n", at_error_text(s->cx));
    running = NULL;
    at_context_free(s->cx);
    if (failed) return CLI_FAILED;
    if (fflush(stdout) == 0 && !ferror(stdout)) return CLI_DONE;
    fputs("atelier: standard output: cannot be written\n", stderr);
    return CLI_FAILED;
}

void cli_print_json(cli_session *s, cJSON *json)
{
    char *text = at_ok(s->cx) ? cJSON_Print(json) : NULL;
    if (text) {
        cli_make_utf8(text);
        puts(text);
    } else {
        at_fail(s->cx, AT_ERROR_MEMORY, "out of memory");
    }
    cJSON_free(text);
    cJSON_Delete(json);
}

void cli_json_add_whole(cJSON *json, const char *name, uint64_t value)
{
    char digits[24];
    snprintf(digits, sizeof digits, "%llu", (unsigned long long)value);
    cJSON_AddRawToObject(json, name, digits);
}

void cli_print_plain(const char *text, bool lines)
{
    for (; *text; text++) {
        bool control = (unsigned char)*text < 0x20 || *text == 0x7f;
        putchar(control && !(lines && *text == '\n') ? '?' : *text);
    }
}

void cli_make_utf8(char *text)
{
    utf8proc_int32_t code;
    while (*text) {
        utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)text, -1, &code);
        if (n <= 0) *text = '?';
        text += n > 0 ? n : 1;
    }
}

const char *cli_size_text(char text[24], size_t bytes)
{
    static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 999.95 && unit + 1 < sizeof units / sizeof *units) {
        value /= 1000;
        unit++;
    }
    snprintf(text, 24, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
    return text;
}

void cli_check_writable(at_context *cx, const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder =
        slash ? at_format(cx, "%.*s", (int)(slash - path) + 1, path) : at_copy_text(cx, ".");
    if (!folder) return;
    if (at_folder_exists(path) || (slash && !slash[1]))
        at_fail(cx, AT_ERROR_FILE, "%s: is a folder (give a file name)", path);
    else if (!at_folder_exists(folder))
        at_fail(cx, AT_ERROR_FILE, "%s: there is no folder %s (make it first)", path, folder);
    else if (access(folder, W_OK) != 0)
        at_fail(cx, AT_ERROR_FILE, "%s: the folder cannot be written: %s", path, strerror(errno));
    at_free(folder);
}
