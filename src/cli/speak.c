/* atelier speak: text to speech. */
#include "base/file.h"
#include "base/threads.h"
#include "cli/session.h"
#include "cli/verbs.h"
#include <atelier/speak.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_TEXT = 1 << 28 };

/* All of standard input. */
static char *read_input(at_context *cx, size_t *out)
{
    size_t size = 0, capacity = 1 << 16;
    char *text = at_alloc(cx, capacity + 1, 1);
    while (text) {
        size_t n = fread(text + size, 1, capacity - size, stdin);
        size += n;
        if (n == 0) break;
        if (size < capacity) continue;
        capacity *= 2;
        char *more = capacity <= MOST_TEXT ? at_resize(cx, text, capacity + 1, 1) : NULL;
        if (!more) at_fail(cx, AT_ERROR_ARGUMENT, "standard input: more text than can be taken");
        if (!more) break;
        text = more;
    }
    if (ferror(stdin))
        at_fail(cx, AT_ERROR_FILE, "standard input: cannot be read: %s", strerror(errno));
    if (text) text[size] = 0;
    *out = size;
    return text;
}

static char *read_text(at_context *cx, const char *path)
{
    size_t size = 0;
    bool input = strcmp(path, "-") == 0;
    char *text = input ? read_input(cx, &size) : at_file_read(cx, path, MOST_TEXT, &size);
    for (size_t i = 0; text && i < size; i++) /* zeros are no text: UTF-16 is refused */
        if (!text[i]) text[i] = (char)0xff;
    return text;
}

static void report(cli_session *s, const at_speech *made, const at_speak_options *o,
                   const char *output, double seconds)
{
    if (!s->json) {
        if (!s->quiet)
            printf("%s  (%.1f s of speech in %.1f s, the first of it after %.2f s)\n", output,
                   made->duration, seconds, made->first);
        return;
    }
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "file", output);
    cJSON_AddStringToObject(json, "voice", o->voice ? o->voice : "af_heart");
    if (o->language) cJSON_AddStringToObject(json, "language", o->language);
    cJSON_AddNumberToObject(json, "speed", o->speed > 0 ? o->speed : 1);
    cli_json_add_whole(json, "seed", o->seed);
    cJSON_AddNumberToObject(json, "duration", made->duration);
    cJSON_AddNumberToObject(json, "chunks", made->chunks);
    cJSON *timings = cJSON_AddObjectToObject(json, "timings");
    cJSON_AddNumberToObject(timings, "load", made->load);
    cJSON_AddNumberToObject(timings, "first", made->first);
    cJSON_AddNumberToObject(timings, "speak", made->total);
    cJSON_AddNumberToObject(timings, "total", seconds);
    cli_json_add_whole(json, "peak_bytes", at_memory_peak(s->cx));
    cli_print_json(s, json);
}

static int run(const cli_arguments *a)
{
    cli_session s;
    const char *const *operands;
    const char *output = cli_text(a, "output", "atelier.wav"), *file = cli_text(a, "file", NULL);
    int given = cli_operands(a, &operands);
    if (!at_speech_can_save(output))
        return cli_wrong("--output: %s: unknown suffix (use .wav, .flac, .opus, .ogg or .mp3)",
                         output);
    if (!given && !file)
        return cli_wrong("speak: no text (write it behind the verb, or give --file)");
    if (given && file) return cli_wrong("speak: text and --file cannot both be given");
    double started = at_clock();
    cli_session_begin(&s, a);
    cli_check_writable(s.cx, output);
    char *text = file && at_ok(s.cx) ? read_text(s.cx, file) : NULL;
    at_speak_options options = {
        .text = file ? text : operands[0],
        .voice = cli_text(a, "voice", NULL),
        .speed = cli_number(a, "speed", 0),
        .language = cli_text(a, "language", NULL),
        .phonemes = cli_given(a, "phonemes"),
        .seed = cli_seed(a, "seed", 0),
    };
    at_speech made;
    at_speaker *speaker = at_speaker_load(s.cx, cli_text(a, "model", NULL));
    bool fine = at_speak_to_file(speaker, &options, output, &made);
    cli_progress_clear(&s.progress);
    if (fine) report(&s, &made, &options, output, at_clock() - started);
    at_free(text);
    return cli_session_end(&s);
}

static const cli_option speech_options[] = {
    {"voice", 0, CLI_WORD, "NAME[(W)+NAME(W)]",
     "a voice of the model or a file of one; several are mixed by weight", "af_heart"},
    {"speed", 0, CLI_NUMBER, "F", "2 is twice as fast", "1", 0.25, 4},
    {"language", 0, CLI_WORD, "CODE",
     "whose words these are: en-us, en-gb, es, fr, hi, it, pt-br or another of espeak-ng's",
     "the voice's, by its first letter"},
    {"phonemes", 0, CLI_FLAG, NULL, "the text is phonemes already"},
    {"file", 0, CLI_FILE, "FILE", "read the text there; - is standard input"},
    {"seed", 0, CLI_SEED, "N", "what the noise in the voice starts from", "0"},
    {"output", 'o', CLI_FILE, "FILE",
     "where the sound goes: .wav, and with libsndfile .flac, .opus, .ogg or .mp3", "atelier.wav"},
    {0},
};

static const cli_option model_options[] = {
    {"model", 'm', CLI_FILE, "PATH|NAME",
     "a Kokoro model: its folder, or a name that atelier list shows", "kokoro"},
    {0},
};

static const char *const examples[] = {
    "a greeting",
    "atelier speak \"Good morning\" --voice af_heart",
    "a book, by a mixed voice",
    "atelier speak --file book.txt --voice \"af_heart(2)+bf_emma\" -o book.opus",
    "how a name sounds",
    "atelier speak \"[Siobhan](/ʃəvˈɔn/) reads [this](2).\"",
    NULL,
};

const cli_verb cli_speak = {
    .name = "speak",
    .operands = "[TEXT]",
    .operand_kind = CLI_TEXT,
    .most = 1,
    .summary = "text to speech, with Kokoro",
    .text = "Speaks text of any length, sentence by sentence, at 24 kHz. Numbers, dates, amounts "
            "and abbreviations are read as people say them. [word](/phonemes/) says how a word "
            "sounds, [word](2) that it is stressed (-2 to 2).",
    .examples = examples,
    .groups = {{"Speech", speech_options},
               {"Model", model_options},
               {"Everywhere", cli_everywhere}},
    .run = run,
};
