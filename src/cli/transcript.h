/* How transcripts are written. */
#ifndef AT_CLI_TRANSCRIPT_H
#define AT_CLI_TRANSCRIPT_H

#include "base/json.h"
#include <atelier/transcribe.h>
#include <stdio.h>

typedef struct cli_transcript_format {
    void (*begin)(FILE *out);                                      /* NULL: nothing */
    void (*segment)(FILE *out, const at_segment *segment, int at); /* NULL: json, whole */
} cli_transcript_format;

/* txt, srt, vtt, json */
const cli_transcript_format *cli_transcript_format_of(int choice);

cJSON *cli_transcript_json(const at_transcript *transcript, const char *path);

#endif
