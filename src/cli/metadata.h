/* What a picture says of how it was made: PNG text `parameters` (the form that A1111 began and
   others read) and `atelier` (JSON, with the command that makes it again). No times and no file
   names: same settings, same bytes. */
#ifndef AT_CLI_METADATA_H
#define AT_CLI_METADATA_H

#include "base/json.h"
#include <atelier/atelier.h>

typedef struct cli_settings {
    at_generate_options given; /* as the command line says */
    const at_generation *made; /* what it has become */
    const char *model;         /* as given; NULL: the embedded default */
    const char *device;        /* as given; NULL: auto */
    char *hashes;              /* hashes.h; NULL: none */
    at_model_files parts;      /* as given: other files than the model's */
    const char *refiner;       /* the other model's path or name; NULL: none */
} cli_settings;

/* Of picture `index`, or of the whole run with index -1 (the first seed, and "count"). The caller
   frees it with cJSON_Delete. */
cJSON *cli_settings_json(at_context *cx, const cli_settings *settings, int index);

/* The text of the chunk `parameters`; at_free frees it. */
char *cli_settings_parameters(at_context *cx, const cli_settings *settings, int index);

/* The command line that makes the picture (or the whole run) again; at_free frees it. */
char *cli_settings_command(at_context *cx, const cli_settings *settings, int index);

#endif
