/* Progress on standard error: a bar on a terminal, plain lines otherwise, nothing when quiet. */
#ifndef AT_CLI_PROGRESS_H
#define AT_CLI_PROGRESS_H

#include <atelier/context.h>

typedef struct cli_progress {
    bool quiet, verbose, terminal;
    bool bar_shown;
    char stage[24];     /* the one that runs */
    double began, told; /* seconds: the stage's begin, the last plain line */
} cli_progress;

void cli_progress_init(cli_progress *progress, bool quiet, bool verbose);

/* The context's two callbacks; user is the cli_progress. */
void cli_progress_report(void *user, const char *stage, int done, int total);
void cli_progress_log(void *user, at_log_level level, const char *text);

/* Takes the bar away, so that something else can be written. */
void cli_progress_clear(cli_progress *progress);

#endif
