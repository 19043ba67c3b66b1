#include "cli/progress.h"
#include "base/threads.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BAR = 30 };

void cli_progress_init(cli_progress *p, bool quiet, bool verbose)
{
    const char *kind = getenv("TERM");
    *p = (cli_progress){.quiet = quiet, .verbose = verbose};
    p->terminal = isatty(STDERR_FILENO) && kind && strcmp(kind, "dumb") != 0;
}

void cli_progress_clear(cli_progress *p)
{
    if (p->bar_shown) fputs("\r\033[K", stderr);
    p->bar_shown = false;
}

static void show_bar(cli_progress *p, int done, int total, double seconds)
{
    char bar[BAR + 1];
    int filled = total > 0 ? (int)((long long)BAR * done / total) : 0;
    memset(bar, '#', (size_t)filled);
    memset(bar + filled, '.', (size_t)(BAR - filled));
    bar[BAR] = 0;
    fprintf(stderr, "\r\033[K%-8s [%s] %d/%d", p->stage, bar, done, total);
    if (done && done < total) fprintf(stderr, "  %.1f s left", seconds / done * (total - done));
    p->bar_shown = true;
    fflush(stderr);
}

void cli_progress_report(void *user, const char *stage, int done, int total)
{
    cli_progress *p = user;
    double now = at_clock();
    if (p->quiet) return;
    if (strcmp(p->stage, stage) != 0) {
        cli_progress_clear(p);
        snprintf(p->stage, sizeof p->stage, "%s", stage);
        p->began = now;
        p->told = 0;
    }
    if (p->terminal) {
        show_bar(p, done, total, now - p->began);
    } else if (done >= total || now - p->told >= 1) { /* a line a second at most, and the last */
        fprintf(stderr, "%s %d/%d\n", stage, done, total);
        p->told = now;
    }
}

void cli_progress_log(void *user, at_log_level level, const char *text)
{
    static const char *const names[] = {"error: ", "warning: ", "", ""};
    cli_progress *p = user;
    if (level > (p->verbose ? AT_LOG_DEBUG : AT_LOG_WARNING) || (p->quiet && level > AT_LOG_ERROR))
        return;
    cli_progress_clear(p);
    fprintf(stderr, "atelier: %s%s\n", names[level], text);
}
