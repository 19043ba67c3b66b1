/* The verbs, one a file. */
#ifndef AT_CLI_VERBS_H
#define AT_CLI_VERBS_H

#include "cli/options.h"

extern const cli_verb cli_generate, cli_inspect, cli_convert, cli_list, cli_bench, cli_transcribe,
    cli_speak, cli_pull;

#endif
