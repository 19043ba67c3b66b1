/* atelier convert: weights into another format, type or layout. */
#include "hub/convert.h"
#include "base/file.h"
#include "cli/session.h"
#include "cli/verbs.h"
#include "hub/models.h"
#include <string.h>
#include <strings.h>

enum { MOST_RULES = 16 };

/* What can be written: all but the types that files have no name for. */
static bool dtype_of(const char *name, at_dtype *out)
{
    for (int i = 0; i < AT_DTYPES; i++) {
        bool real = i <= AT_F64 || (at_dtype_block((at_dtype)i) > 1 && i != AT_NF4 && i != AT_F8_S);
        if (!real || strcasecmp(name, at_dtype_name((at_dtype)i)) != 0) continue;
        *out = (at_dtype)i;
        return true;
    }
    return false;
}

typedef struct request {
    const char *files[2]; /* IN, OUT */
    int file_count;
    at_convert_rule rules[MOST_RULES];
    at_convert_options options;
} request;

/* --keep PATTERN is followed by its type, which is then among the operands. */
static int read_request(const cli_arguments *a, request *r)
{
    const char *const *operands;
    const char *dtype = cli_text(a, "dtype", NULL);
    const char *patterns[MOST_RULES];
    int count = cli_operands(a, &operands), typed = 0;
    int rules = cli_texts(a, "keep", patterns, MOST_RULES);
    *r = (request){.options = {.dtype = AT_DTYPES, .rule_count = rules}};
    if (rules > MOST_RULES) return cli_wrong("--keep: more than %d", MOST_RULES);
    for (int i = 0; i < count; i++) {
        at_dtype type;
        if (typed < rules && dtype_of(operands[i], &type))
            r->rules[typed++].dtype = type;
        else if (r->file_count < 2)
            r->files[r->file_count++] = operands[i];
        else
            return cli_wrong("convert: '%s' is one too many (IN OUT)", operands[i]);
    }
    if (r->file_count < 2)
        return cli_wrong("convert: needs IN and OUT (see atelier convert --help)");
    if (typed < rules) return cli_wrong("--keep: a type must follow: --keep 'norm|embed' f32");
    for (int i = 0; i < rules; i++) r->rules[i].pattern = patterns[i];
    if (dtype && !dtype_of(dtype, &r->options.dtype))
        return cli_wrong("--dtype: %s: not a type (f32, f16, bf16, q8_0, q4_K, ...)", dtype);
    return CLI_DONE;
}

static int run(const cli_arguments *arguments)
{
    cli_session s;
    request r;
    int code = read_request(arguments, &r);
    if (code) return code;
    r.options.rules = r.rules;
    cli_session_begin(&s, arguments);
    char *in = at_model_find(s.cx, r.files[0]);
    if (in && at_convert_weights(s.cx, in, r.files[1], &r.options)) {
        size_t bytes = at_model_bytes(r.files[1]);
        char size[24];
        cli_progress_clear(&s.progress);
        if (s.json) {
            cJSON *json = cJSON_CreateObject();
            cJSON_AddStringToObject(json, "file", r.files[1]);
            cli_json_add_whole(json, "bytes", bytes);
            cli_json_add_whole(json, "peak_bytes", at_memory_peak(s.cx));
            cli_print_json(&s, json);
        } else if (!s.quiet) {
            printf("%s: %s\n", r.files[1], cli_size_text(size, bytes));
        }
    }
    at_free(in);
    return cli_session_end(&s);
}

static const cli_option convert_options[] = {
    {"dtype", 0, CLI_WORD, "TYPE",
     "f32, f16, bf16, f8_e4m3, f8_e5m2; in .gguf also q8_0, q4_0, q4_1, q5_0, q5_1, q2_K to q6_K",
     "as they are"},
    {"keep", 0, CLI_TEXT, "PATTERN TYPE",
     "tensors whose name the regular expression finds something in become TYPE; the first that "
     "fits "
     "counts",
     .repeats = true},
    {0},
};

static const char *const examples[] = {
    "a checkpoint with 8 bits a weight, norms and embeddings in f32",
    "atelier convert model.safetensors model.gguf --dtype q8_0 --keep 'norm|embed' f32",
    "an old checkpoint, which nothing of is executed",
    "atelier convert v1-5-pruned.ckpt v1-5.safetensors --dtype f16",
    "a Diffusers folder as one file, and back",
    "atelier convert FLUX.1-schnell flux.safetensors && atelier convert flux.safetensors folder",
    NULL,
};

const cli_verb cli_convert = {
    .name = "convert",
    .operands = "IN OUT",
    .operand_kind = CLI_FILE,
    .least = 2,
    .most = 2 + MOST_RULES,
    .summary = "weights into another format, type or layout",
    .text =
        "IN is a file of weights (safetensors, GGUF, .ckpt, .pt, .bin), a folder of one network, "
        "or a Diffusers folder. OUT ends in .safetensors or .gguf, or is a folder to make of a "
        "single file. A Diffusers folder becomes a single file in its makers' layout (Stable "
        "Diffusion 1, 2, XL, Flux), with the configurations in its metadata.\n"
        "Block types go to matrices whose rows are whole blocks; other tensors keep a float "
        "of 16 or 32 bits. One tensor is in memory at a time; OUT is there whole or not at all; "
        "the same input gives the same bytes.",
    .examples = examples,
    .groups = {{"Types", convert_options}, {"Everywhere", cli_everywhere}},
    .run = run,
};
