/* atelier pull: models from a Hugging Face style hub. */
#include "hub/pull.h"
#include "base/threads.h"
#include "cli/session.h"
#include "cli/verbs.h"

enum { MOST_GLOBS = 64 };

static void print_json(cli_session *s, const char *name, const at_pulled *pulled, double seconds)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "name", name);
    if (pulled->path) cJSON_AddStringToObject(json, "path", pulled->path);
    cJSON_AddStringToObject(json, "commit", pulled->commit);
    cJSON_AddItemToObject(
        json, "files",
        cJSON_CreateStringArray((const char *const *)pulled->files, pulled->file_count));
    cli_json_add_whole(json, "bytes", pulled->bytes);
    cli_json_add_whole(json, "fetched_bytes", pulled->fetched);
    cJSON_AddNumberToObject(json, "seconds", seconds);
    cli_print_json(s, json);
}

static int run(const cli_arguments *arguments)
{
    cli_session s;
    at_pulled pulled;
    const char *const *operands, *include[MOST_GLOBS], *exclude[MOST_GLOBS];
    at_hub_choice choice = {
        .variant = cli_text(arguments, "variant", NULL),
        .include = include,
        .exclude = exclude,
        .include_count = cli_texts(arguments, "include", include, MOST_GLOBS),
        .exclude_count = cli_texts(arguments, "exclude", exclude, MOST_GLOBS),
    };
    if (AT_MAX(choice.include_count, choice.exclude_count) > MOST_GLOBS)
        return cli_wrong("--include, --exclude: more than %d", MOST_GLOBS);
    cli_operands(arguments, &operands);
    cli_session_begin(&s, arguments);
    double started = at_clock();
    if (at_hub_pull(s.cx, operands[0], &choice, &pulled)) {
        char size[24];
        cli_progress_clear(&s.progress);
        if (s.json)
            print_json(&s, operands[0], &pulled, at_clock() - started);
        else if (!s.quiet)
            printf("%s: %s%s%s\n", operands[0], cli_size_text(size, pulled.bytes),
                   pulled.path ? ", " : "", pulled.path ? pulled.path : "");
    }
    at_pulled_free(&pulled);
    return cli_session_end(&s);
}

static const cli_option pull_options[] = {
    {"variant", 0, CLI_WORD, "NAME",
     "the weights of this variant where there are some: fp16, bf16, non_ema, ...",
     "full precision, or what there is"},
    {"include", 0, CLI_TEXT, "GLOB",
     "instead of what atelier reads, the files whose name fits: '*Q4_K_M.gguf'", .repeats = true},
    {"exclude", 0, CLI_TEXT, "GLOB", "but not those whose name fits", .repeats = true},
    {0},
};

static const char *const examples[] = {
    "Whisper, then used by its name",
    "atelier pull openai/whisper-large-v3-turbo && atelier transcribe -m "
    "openai/whisper-large-v3-turbo talk.mp3",
    "a voice",
    "atelier pull hexgrad/Kokoro-82M",
    "a Diffusers model in half precision",
    "atelier pull stabilityai/stable-diffusion-xl-base-1.0 --variant fp16",
    "one file of many",
    "atelier pull city96/FLUX.1-schnell-gguf/flux1-schnell-Q4_0.gguf",
    NULL,
};

const cli_verb cli_pull = {
    .name = "pull",
    .operands = "REPOSITORY[/FILE][@REVISION]",
    .operand_kind = CLI_WORD,
    .least = 1,
    .most = 1,
    .summary = "models from a Hugging Face style hub",
    .text =
        "Fetches a repository, from then on a model of that name for -m, without a network. Of "
        "what it holds comes what atelier reads: configurations, tokenizers, voices, and one form "
        "of the weights, safetensors before others. Where there are several models in it, /FILE or "
        "--include says which.\n"
        "The files lie in the cache of Python's huggingface_hub, checked (SHA-256), and each comes "
        "once for both. What was broken off goes on where it was. HF_HOME, HF_HUB_CACHE, "
        "HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE mean what they mean there.",
    .examples = examples,
    .groups = {{"What to fetch", pull_options}, {"Everywhere", cli_everywhere}},
    .run = run,
};
