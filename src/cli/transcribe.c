/* atelier transcribe: speech to text. */
#include "base/file.h"
#include "base/threads.h"
#include "cli/session.h"
#include "cli/transcript.h"
#include "cli/verbs.h"
#include <stdlib.h>
#include <string.h>

typedef struct job {
    cli_session session;
    const cli_transcript_format *format;
    const char *output; /* of the recording that is heard; NULL: standard output */
    int count;          /* segments on standard output */
    cJSON *transcripts; /* of --json and of the format json */
    int failed;         /* recordings, where others go on */
} job;

static at_transcribe_options options_of(const cli_arguments *a)
{
    static const at_timestamps stamps[] = {AT_TIMESTAMPS_NONE, AT_TIMESTAMPS_SEGMENT,
                                           AT_TIMESTAMPS_WORD};
    return (at_transcribe_options){
        .language = cli_text(a, "language", NULL),
        .translate = cli_choice(a, "task", 0) == 1,
        .timestamps = stamps[cli_choice(a, "timestamps", 1)],
        .beams = cli_whole(a, "beam", 0),
        .patience = cli_number(a, "patience", 0),
        .length_penalty = cli_number(a, "length-penalty", 0),
        .best_of = cli_whole(a, "best-of", 0),
        .compression_ratio = cli_number(a, "compression-ratio", 0),
        .logprob = cli_number(a, "logprob", 0),
        .no_speech = cli_number(a, "no-speech", 0),
        .forget = cli_given(a, "forget"),
        .initial_prompt = cli_text(a, "prompt", NULL),
        .hotwords = cli_text(a, "hotwords", NULL),
        .keep_symbols = cli_given(a, "keep-symbols"),
        .batch = cli_whole(a, "batch", 0),
        .seed = cli_seed(a, "seed", 0),
    };
}

/* "0,0.2,0.4"; false for what is no list of numbers from 0 to 1. */
static bool read_temperatures(const char *text, double *out, int most, int *count)
{
    for (*count = 0; *count < most; text++) {
        char *end;
        double value = strtod(text, &end);
        if (end == text || !(value >= 0 && value <= 1)) return false;
        out[(*count)++] = value;
        text = end;
        if (!*text) return true;
        if (*text != ',') return false;
    }
    return false;
}

static void on_segment(void *user, const at_segment *segment)
{
    job *j = user;
    cli_progress_clear(&j->session.progress);
    j->format->segment(stdout, segment, j->count++);
    fflush(stdout);
}

/* All of a transcript as text, whole or not at all. */
static void write_file(job *j, const at_transcript *t)
{
    at_context *cx = j->session.cx;
    char *text = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&text, &size);
    if (memory && j->format->begin) j->format->begin(memory);
    for (int i = 0; memory && i < t->count; i++) j->format->segment(memory, &t->segments[i], i);
    if (memory && fclose(memory) == 0)
        at_file_write(cx, j->output, text, size);
    else
        at_fail(cx, AT_ERROR_MEMORY, "out of memory");
    free(text);
}

static void write_json(job *j, cJSON *json)
{
    at_context *cx = j->session.cx;
    char *text = cJSON_Print(json);
    if (text && j->output) {
        char *line = at_format(cx, "%s\n", text);
        if (line) at_file_write(cx, j->output, line, strlen(line));
        at_free(line);
    } else if (text) {
        puts(text);
    } else {
        at_fail(cx, AT_ERROR_MEMORY, "out of memory");
    }
    cJSON_free(text);
}

static void transcribe(job *j, at_transcriber *model, const char *path, at_transcribe_options o)
{
    at_context *cx = j->session.cx;
    bool streams = j->format->segment && !j->output && !j->session.json;
    j->count = 0;
    if (streams) {
        o.segment = on_segment;
        o.user = j;
        if (j->format->begin) j->format->begin(stdout);
    }
    at_transcript *t = at_transcribe(model, path, &o);
    cli_progress_clear(&j->session.progress);
    if (!t) return;
    cJSON *json = cli_transcript_json(t, path);
    if (j->output && j->format->segment)
        write_file(j, t);
    else if (!streams && !(j->session.json && !j->output))
        write_json(j, json);
    if (j->output) cJSON_AddStringToObject(json, "file", j->output);
    if (j->session.json && at_ok(cx))
        cJSON_AddItemToArray(j->transcripts, json);
    else
        cJSON_Delete(json);
    if (j->output && at_ok(cx) && !j->session.quiet && !j->session.json)
        fprintf(stderr, "%s: %d segments, %.1f s of sound in %.1f s\n", j->output, t->count,
                t->duration, t->total);
    at_transcript_free(t);
}

/* One of several cannot be heard: it is told, and the others go on. */
static void pass_over(job *j, const char *path)
{
    at_context *cx = j->session.cx;
    at_status status = at_error_status(cx);
    if (at_ok(cx) || status == AT_ERROR_CANCELLED || status == AT_ERROR_ARGUMENT) return;
    cli_progress_clear(&j->session.progress);
    fprintf(stderr, "atelier: %s\n", at_error_text(cx));
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "path", path);
    cJSON_AddStringToObject(json, "error", at_error_text(cx));
    cJSON_AddItemToArray(j->transcripts, json);
    j->failed++;
    at_error_clear(cx);
}

static void summarise(job *j, const char *model, double seconds)
{
    cJSON *json = cJSON_CreateObject();
    if (model) cJSON_AddStringToObject(json, "model", model);
    cJSON_AddItemToObject(json, "transcripts", j->transcripts);
    cJSON_AddNumberToObject(json, "total", seconds);
    cli_json_add_whole(json, "peak_bytes", at_memory_peak(j->session.cx));
    cli_print_json(&j->session, json);
}

/* Where the text of a recording goes: talk.mp3's to OUTPUT/talk.srt, where that is a folder. */
static char *output_of(at_context *cx, const char *output, const char *path, const char *suffix)
{
    if (!at_folder_exists(output)) return at_copy_text(cx, output);
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    const char *dot = strrchr(name, '.');
    int size = (int)(dot && dot > name ? dot - name : (ptrdiff_t)strlen(name));
    bool closed = output[strlen(output) - 1] == '/';
    return at_format(cx, "%s%s%.*s.%s", output, closed ? "" : "/", size, name, suffix);
}

/* The files that the texts go to, all different and to be made; NULL for standard output. */
static char **outputs_of(at_context *cx, const char *output, const char *const *paths, int count,
                         const char *suffix)
{
    char **all = output ? AT_NEW_ARRAY(cx, char *, count) : NULL;
    for (int i = 0; all && i < count && at_ok(cx); i++) {
        all[i] = output_of(cx, output, paths[i], suffix);
        if (all[i]) cli_check_writable(cx, all[i]);
        for (int k = 0; k < i && at_ok(cx); k++)
            if (strcmp(all[i], all[k]) == 0)
                at_fail(cx, AT_ERROR_ARGUMENT, "%s: the text of %s and of %s would go there",
                        all[i], paths[k], paths[i]);
    }
    return all;
}

static void transcribe_all(job *j, const cli_arguments *a, const at_transcribe_options *options)
{
    static const char *const suffixes[] = {"txt", "srt", "vtt", "json"};
    at_context *cx = j->session.cx;
    const char *const *paths;
    int count = cli_operands(a, &paths);
    char **outputs = outputs_of(cx, cli_text(a, "output", NULL), paths, count,
                                suffixes[cli_choice(a, "format", 0)]);
    at_transcriber *model = at_transcriber_load(cx, cli_text(a, "model", NULL));
    for (int i = 0; i < count && at_ok(cx); i++) {
        j->output = outputs ? outputs[i] : NULL;
        transcribe(j, model, paths[i], *options);
        if (count > 1) pass_over(j, paths[i]);
    }
    for (int i = 0; outputs && i < count; i++) at_free(outputs[i]);
    at_free(outputs);
}

static int run(const cli_arguments *a)
{
    int format = cli_choice(a, "format", 0), temperature_count = 0;
    job j = {.format = cli_transcript_format_of(format)};
    const char *const *paths;
    bool several = cli_operands(a, &paths) > 1;
    double temperatures[16];
    at_transcribe_options options = options_of(a);
    const char *list = cli_text(a, "temperature", NULL), *output = cli_text(a, "output", NULL);
    if (list && !read_temperatures(list, temperatures, AT_COUNT(temperatures), &temperature_count))
        return cli_wrong("--temperature: %s: a list of numbers from 0 to 1 is needed (0,0.2,0.4)",
                         list);
    if (output && several && !at_folder_exists(output))
        return cli_wrong("--output: %s: several recordings need a folder that is there", output);
    if (!output && several && (format == 1 || format == 2) && !cli_given(a, "json"))
        return cli_wrong("--format: subtitles of several recordings need --output FOLDER");
    if (list) {
        options.temperatures = temperatures;
        options.temperature_count = temperature_count;
    }
    double started = at_clock();
    cli_session_begin(&j.session, a);
    j.transcripts = cJSON_CreateArray();
    transcribe_all(&j, a, &options);
    if (j.session.json && at_ok(j.session.cx))
        summarise(&j, cli_text(a, "model", NULL), at_clock() - started);
    else
        cJSON_Delete(j.transcripts);
    int code = cli_session_end(&j.session);
    return code == CLI_DONE && j.failed ? CLI_FAILED : code;
}

static const cli_option what_options[] = {
    {"language", 0, CLI_WORD, "CODE|auto", "what is spoken: en, de, ja, ...",
     "heard in the first 30 seconds"},
    {"task", 0, CLI_CHOICE, "transcribe|translate", "as spoken, or in English", "transcribe"},
    {"timestamps", 0, CLI_CHOICE, "none|segment|word", "how finely times are told", "segment"},
    {"format", 0, CLI_CHOICE, "txt|srt|vtt|json", "lines, subtitles, or all that is known", "txt"},
    {"output", 'o', CLI_FILE, "FILE|FOLDER",
     "where the text goes; in a folder it has the recording's name and the format's suffix",
     "standard output"},
    {"prompt", 0, CLI_TEXT, "TEXT", "text before the first window: names, spelling, style", "none"},
    {"hotwords", 0, CLI_TEXT, "TEXT", "words that every window is told of", "none"},
    {0},
};

static const cli_option how_options[] = {
    {"beam", 0, CLI_WHOLE, "N", "texts followed at once; 1 takes the likeliest token each time",
     "5", 1, 64},
    {"patience", 0, CLI_NUMBER, "F", "beam times this many texts are finished", "1", 0.01, 10},
    {"length-penalty", 0, CLI_NUMBER, "F", "Google's alpha, in place of the number of tokens",
     "none", 0.01, 1},
    {"temperature", 0, CLI_WORD, "F,F,...", "tried one after the other until the text looks right",
     "0,0.2,0.4,0.6,0.8,1"},
    {"best-of", 0, CLI_WHOLE, "N", "texts drawn at temperatures above 0", "5", 1, 64},
    {"compression-ratio", 0, CLI_NUMBER, "F",
     "a text that zlib shrinks more looks wrong; below 0: any goes", "2.4", -1, 1000},
    {"logprob", 0, CLI_NUMBER, "F",
     "a text whose tokens are less likely on average looks wrong; above 0: any goes", "-1", -1000,
     1},
    {"no-speech", 0, CLI_NUMBER, "F",
     "silence is believed where it is likelier and the text looks wrong", "0.6", 0.0001, 1},
    {"forget", 0, CLI_FLAG, NULL, "windows do not see the text before them"},
    {"keep-symbols", 0, CLI_FLAG, NULL, "let brackets, notes and the like be written"},
    {"batch", 0, CLI_WHOLE, "N",
     "decode N windows at once, cut at silence: faster for long recordings; implies --forget",
     "one after the other", 1, 64},
    {"seed", 0, CLI_SEED, "N", "what is drawn from at temperatures above 0", "0"},
    {0},
};

static const cli_option model_options[] = {
    {"model", 'm', CLI_FILE, "PATH|NAME",
     "a Whisper model: a Transformers or CTranslate2 folder, OpenAI's .pt, whisper.cpp's .bin, or "
     "a name that atelier list shows",
     "whisper-base"},
    {0},
};

static const char *const examples[] = {
    "subtitles of a talk",
    "atelier transcribe talk.mp3 --format srt -o talk.srt",
    "German, with the time of each word",
    "atelier transcribe rede.ogg --language de --timestamps word --format json",
    "subtitles of several, each beside the others in a folder",
    "atelier transcribe --format srt -o subtitles/ *.mp3",
    "an hour, several windows at once",
    "atelier transcribe --batch 8 meeting.m4a",
    NULL,
};

const cli_verb cli_transcribe = {
    .name = "transcribe",
    .operands = "AUDIO...",
    .operand_kind = CLI_FILE,
    .least = 1,
    .most = 1000,
    .summary = "speech to text, with Whisper",
    .text = "Writes what is said in recordings of any format that FFmpeg's libraries read. Windows "
            "of 30 seconds are heard one after the other as openai-whisper does; a text that looks "
            "wrong is tried again at a higher temperature.",
    .examples = examples,
    .groups = {{"What to write", what_options},
               {"How to decode", how_options},
               {"Model", model_options},
               {"Everywhere", cli_everywhere}},
    .run = run,
};
