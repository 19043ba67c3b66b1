#include "cli/verbs.h"
#include <stddef.h>

const cli_verb *const cli_verbs[] = {&cli_generate, &cli_transcribe, &cli_speak,
                                     &cli_inspect,  &cli_convert,    &cli_pull,
                                     &cli_list,     &cli_bench,      NULL};

const cli_option cli_model_options[] = {
    {"model", 'm', CLI_FILE, "PATH|NAME",
     "a Diffusers or Transformers folder, a checkpoint file, or a name that atelier list shows",
     "the embedded model"},
    {0},
};

const cli_option cli_everywhere[] = {
    {"device", 0, CLI_CHOICE, "auto|cpu|cuda[:N]", "where to compute", "auto"},
    {"precision", 0, CLI_CHOICE, "auto|f32|bf16|int8",
     "arithmetic of the heavy kernels; f32 is the reference, auto the fastest that keeps the "
     "quality on this machine",
     "auto"},
    {"threads", 't', CLI_WHOLE, "N", "threads to compute with", "the physical cores", 1, 1024},
    {"json", 0, CLI_FLAG, NULL, "print one JSON object on standard output"},
    {"quiet", 'q', CLI_FLAG, NULL, "no progress and no notes"},
    {"verbose", 'v', CLI_FLAG, NULL, "say more of what is done"},
    {"help", 'h', CLI_FLAG, NULL, "show this page"},
    {0},
};
