/* What every verb that works does around its work: a context as the options say, Ctrl-C, the error
   at the end, JSON on standard output. */
#ifndef AT_CLI_SESSION_H
#define AT_CLI_SESSION_H

#include "base/json.h"
#include "cli/options.h"
#include "cli/progress.h"

typedef struct cli_session {
    at_context *cx;
    cli_progress progress;
    bool quiet, json;
} cli_session;

/* Makes the context. From here SIGINT and SIGTERM cancel it; a second one ends the program at
   once. Errors are kept for cli_session_end. */
void cli_session_begin(cli_session *session, const cli_arguments *arguments);

/* Says the context's error, if there is one, frees everything, and gives the exit code. */
int cli_session_end(cli_session *session);

/* What can be seen to fail later is told before the work begins: a file that cannot be made. */
void cli_check_writable(at_context *cx, const char *path);

/* One JSON object on standard output; frees it. */
void cli_print_json(cli_session *session, cJSON *json);

/* Whole numbers as JSON has them to the last digit (cJSON goes through double). */
void cli_json_add_whole(cJSON *json, const char *name, uint64_t value);

/* What files say may be anything: control characters never reach the terminal (but line ends, where
   `lines` allows them). */
void cli_print_plain(const char *text, bool lines);

/* Names of files may hold any bytes; what is UTF-8 for all who read it may not: they become '?'. */
void cli_make_utf8(char *text);

/* "30.7 MB" */
const char *cli_size_text(char text[24], size_t bytes);

#endif
