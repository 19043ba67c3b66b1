/* Previews of a run as files: each replaces the one before. */
#ifndef AT_CLI_PREVIEW_H
#define AT_CLI_PREVIEW_H

#include <atelier/atelier.h>

typedef struct cli_preview {
    char **names; /* of each picture's preview; NULL: none are wanted */
    int count;
} cli_preview;

/* An at_preview_function; user: the cli_preview. */
void cli_preview_save(void *user, int step, int steps, int first, int count,
                      at_image *const *images);

/* Takes the files away again, after a run that failed. */
void cli_preview_remove(const cli_preview *preview);

#endif
