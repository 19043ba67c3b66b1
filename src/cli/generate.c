/* atelier generate: words to pictures. */
#include "base/file.h"
#include "base/threads.h"
#include "cli/hashes.h"
#include "cli/metadata.h"
#include "cli/preview.h"
#include "cli/session.h"
#include "cli/verbs.h"
#include "kernels/kernels.h"
#include <atelier/image.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* A seed of 32 bits: short to type, and exact wherever numbers are doubles. */
static uint64_t random_seed(at_context *cx)
{
    uint32_t seed = 0;
    if (getrandom(&seed, sizeof seed, 0) != sizeof seed)
        at_fail(cx, AT_ERROR_FILE, "no random seed: %s (give --seed)", strerror(errno));
    return seed;
}

static const char *suffix_of(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot && !strchr(dot, '/') ? dot : path + strlen(path);
}

/* The name of picture i of count: heart.png, or heart-1.png to heart-COUNT.png. */
static char *picture_name(at_context *cx, const char *output, int i, int count)
{
    const char *suffix = suffix_of(output);
    if (count == 1) return at_copy_text(cx, output);
    return at_format(cx, "%.*s-%d%s", (int)(suffix - output), output, i + 1, suffix);
}

static at_generate_options options_of(const cli_arguments *a)
{
    static const at_rng streams[] = {AT_RNG_CPU, AT_RNG_CUDA};
    static const at_prompt_syntax syntaxes[] = {AT_PROMPT_AUTO, AT_PROMPT_A1111, AT_PROMPT_COMFY,
                                                AT_PROMPT_PLAIN};
    const char *const *operands;
    return (at_generate_options){
        .prompt = cli_operands(a, &operands) ? operands[0] : "",
        .negative = cli_text(a, "negative", NULL),
        .prompt_2 = cli_text(a, "prompt-2", NULL),
        .negative_2 = cli_text(a, "negative-2", NULL),
        .prompt_syntax = syntaxes[cli_choice(a, "prompt-syntax", 0)],
        .lora_folder = cli_text(a, "lora-dir", NULL),
        .width = cli_whole(a, "width", 0),
        .height = cli_whole(a, "height", 0),
        .steps = cli_whole(a, "steps", 0),
        .has_guidance = cli_given(a, "guidance"),
        .guidance = cli_number(a, "guidance", 0),
        .true_guidance = cli_number(a, "true-cfg", 0),
        .count = cli_whole(a, "count", 1),
        .rng = streams[cli_choice(a, "rng", 0)],
        .sampler = cli_text(a, "sampler", NULL),
        .schedule = cli_text(a, "schedule", NULL),
        .max_sequence_length = cli_whole(a, "max-sequence-length", 0),
        .resolution_binning = cli_given(a, "resolution-binning"),
        .guidance_rescale = cli_number(a, "guidance-rescale", 0),
        .system_prompt = cli_text(a, "system-prompt", NULL),
        .cfg_trunc_ratio = cli_number(a, "cfg-trunc-ratio", 0),
        .no_cfg_normalization = cli_given(a, "no-cfg-normalization"),
        .clip_skip = cli_whole(a, "clip-skip", 0),
        .skip_guidance_layers = cli_text(a, "skip-guidance-layers", NULL),
        .has_skip_layer_guidance = cli_given(a, "skip-guidance-layers"),
        .skip_layer_guidance_scale = cli_number(a, "skip-guidance-scale", 2.8),
        .skip_layer_guidance_start = cli_number(a, "skip-guidance-start", 0.01),
        .skip_layer_guidance_stop = cli_number(a, "skip-guidance-stop", 0.2),
        .eta = cli_number(a, "eta", 0),
        .original_steps = cli_whole(a, "original-steps", 0),
        .init = cli_text(a, "init", NULL),
        .mask = cli_text(a, "mask", NULL),
        .strength = cli_number(a, "strength", 0),
        .denoising_start = cli_number(a, "denoising-start", 0),
        .denoising_end = cli_number(a, "denoising-end", 0),
        .aesthetic_score = cli_number(a, "aesthetic-score", 0),
        .negative_aesthetic_score = cli_number(a, "negative-aesthetic-score", 0),
        .hires_upscaler = cli_text(a, "hires-upscaler", NULL),
        .hires_strength = cli_number(a, "hires-strength", 0),
        .hires_steps = cli_whole(a, "hires-steps", 0),
        .refiner_switch = cli_number(a, "refiner-switch", 0),
        .preview_steps = cli_whole(a, "preview-steps", 0),
        .preview_vae = cli_text(a, "preview-vae", NULL),
        .latents = cli_text(a, "latents", NULL),
        .save_latents = cli_text(a, "save-latents", NULL),
    };
}

/* The options of pairs of numbers. */
static const struct {
    const char *name;
    size_t place;
} pairs[] = {{"original-size", offsetof(at_generate_options, original_size)},
             {"crop", offsetof(at_generate_options, crop)},
             {"target-size", offsetof(at_generate_options, target_size)},
             {"negative-original-size", offsetof(at_generate_options, negative_original_size)},
             {"negative-crop", offsetof(at_generate_options, negative_crop)},
             {"negative-target-size", offsetof(at_generate_options, negative_target_size)}};

/* 1024x768 or 16,0; the name of an option that has neither, or NULL. */
static const char *read_pairs(const cli_arguments *a, at_generate_options *o)
{
    for (size_t i = 0; i < AT_COUNT(pairs); i++) {
        const char *text = cli_text(a, pairs[i].name, NULL);
        int *pair = (int *)((char *)o + pairs[i].place), end = 0;
        if (!text) continue;
        if (sscanf(text, "%6d%*1[x,]%6d%n", &pair[0], &pair[1], &end) != 2 || text[end] ||
            pair[0] < 0 || pair[1] < 0)
            return pairs[i].name;
    }
    return NULL;
}

/* --hires 1.5 or --hires 1024x768; false: neither. */
static bool read_hires(const cli_arguments *a, at_generate_options *o)
{
    const char *text = cli_text(a, "hires", NULL);
    int *size = o->hires_size, end = 0;
    char *rest = NULL;
    if (!text) return true;
    if (sscanf(text, "%5dx%5d%n", &size[0], &size[1], &end) == 2 && !text[end])
        return size[0] > 0 && size[1] > 0;
    size[0] = size[1] = 0;
    o->hires_scale = strtod(text, &rest);
    return rest != text && !*rest && o->hires_scale >= 1 && o->hires_scale <= 16;
}

static void save(at_context *cx, const cli_settings *settings, int i, const char *name)
{
    cJSON *json = cli_settings_json(cx, settings, i);
    char *parameters = cli_settings_parameters(cx, settings, i);
    char *details = cJSON_PrintUnformatted(json);
    at_image *picture = settings->made->images[i];
    if (parameters && details) {
        cli_make_utf8(parameters);
        cli_make_utf8(details);
        at_image_set_text(picture, "parameters", parameters);
        at_image_set_text(picture, "atelier", details);
        at_image_save(picture, name);
    } else {
        at_fail(cx, AT_ERROR_MEMORY, "out of memory");
    }
    cJSON_free(details);
    cJSON_Delete(json);
    at_free(parameters);
}

static cJSON *timings_json(const at_timings *t)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddNumberToObject(json, "load", t->load);
    cJSON_AddNumberToObject(json, "encode", t->encode);
    cJSON_AddNumberToObject(json, "step", t->step);
    cJSON_AddNumberToObject(json, "decode", t->decode);
    cJSON_AddNumberToObject(json, "total", t->total);
    return json;
}

static void report(cli_session *s, const cli_settings *settings, const char *const *names,
                   double seconds)
{
    const at_generation *made = settings->made;
    if (!s->json) {
        for (int i = 0; i < made->count && !s->quiet; i++)
            printf("%s  (seed %llu)\n", names[i],
                   (unsigned long long)made->used.seed + (unsigned)i);
        if (!s->quiet)
            printf("%d x %d, %d steps, %s, %.1f s (load %.1f, encode %.1f, step %.2f, "
                   "decode %.1f)\n",
                   made->used.width, made->used.height, made->used.steps,
                   at_precision_name(at_precision_of(s->cx)), seconds, made->timings.load,
                   made->timings.encode, made->timings.step, made->timings.decode);
        return;
    }
    cJSON *json = cJSON_CreateObject();
    cJSON_AddItemToObject(json, "files", cJSON_CreateStringArray(names, made->count));
    cJSON *seeds = cJSON_AddArrayToObject(json, "seeds");
    for (int i = 0; i < made->count; i++) {
        char *digits = at_format(s->cx, "%llu", (unsigned long long)made->used.seed + (unsigned)i);
        cJSON_AddItemToArray(seeds, cJSON_CreateRaw(digits ? digits : "0"));
        at_free(digits);
    }
    if (made->used.save_latents) cJSON_AddStringToObject(json, "latents", made->used.save_latents);
    cJSON_AddItemToObject(json, "settings", cli_settings_json(s->cx, settings, -1));
    at_timings timings = made->timings;
    timings.total = seconds;
    cJSON_AddItemToObject(json, "timings", timings_json(&timings));
    cli_json_add_whole(json, "peak_bytes", at_memory_peak(s->cx));
    cli_print_json(s, json);
}

/* The names of the pictures, checked; NULL with the error kept. */
static char **picture_names(at_context *cx, const char *output, int count)
{
    char **names = AT_NEW_ARRAY(cx, char *, count);
    for (int i = 0; names && i < count; i++) {
        names[i] = picture_name(cx, output, i, count);
        if (names[i]) cli_check_writable(cx, names[i]);
    }
    return names;
}

static void free_names(char **names, int count)
{
    for (int i = 0; names && i < count; i++) at_free(names[i]);
    at_free(names);
}

/* preview: where previews go, or NULL */
static void generate(cli_session *s, cli_settings *settings, const char *output,
                     const char *preview)
{
    at_context *cx = s->cx;
    double started = at_clock();
    int count = settings->given.count;
    char **names = picture_names(cx, output, count);
    cli_preview previews = {preview ? picture_names(cx, preview, count) : NULL, count};
    if (preview) settings->given.preview = cli_preview_save;
    settings->given.preview_user = &previews;
    if (settings->given.save_latents) cli_check_writable(cx, settings->given.save_latents);
    at_pipeline *pipeline = at_pipeline_load_files(cx, &settings->parts);
    if (settings->refiner) settings->given.refiner = at_pipeline_load(cx, settings->refiner);
    settings->made = at_generate_many(pipeline, &settings->given);
    settings->hashes = at_ok(cx) ? cli_adapter_hashes(cx, settings->made) : NULL;
    for (int i = 0; i < count && at_ok(cx); i++) save(cx, settings, i, names[i]);
    cli_progress_clear(&s->progress);
    at_free(settings->hashes);
    if (at_ok(cx)) report(s, settings, (const char *const *)names, at_clock() - started);
    if (!at_ok(cx)) cli_preview_remove(&previews);
    free_names(previews.names, count);
    free_names(names, count);
}

/* The number behind the last colon of `text`, which is cut off there; false: there is none. */
static bool take_weight(char *text, double *weight)
{
    char *colon = strrchr(text, ':'), *end = NULL;
    double value = colon && colon > text && colon[1] ? strtod(colon + 1, &end) : 0;
    if (!end || *end || !isfinite(value)) return false;
    *weight = value;
    *colon = 0;
    return true;
}

/* FILE, FILE:WEIGHT or FILE:WEIGHT:TEXT_WEIGHT; a file of exactly this name is that file. */
static at_lora_use lora_of(at_context *cx, const char *text)
{
    at_lora_use use = {.weight = 1.0};
    char *path = at_copy_text(cx, text);
    double last, first;
    if (path && !at_file_exists(path) && take_weight(path, &last)) {
        use.weight = last;
        if (!at_file_exists(path) && take_weight(path, &first)) {
            use.weight = first;
            use.has_text_weight = true;
            use.text_weight = last;
        }
    }
    use.path = path;
    return use;
}

static at_lora_use *loras_of(at_context *cx, const cli_arguments *a, int *count)
{
    *count = cli_texts(a, "lora", NULL, 0);
    at_lora_use *loras = AT_NEW_ARRAY(cx, at_lora_use, *count);
    const char **texts = AT_NEW_ARRAY(cx, const char *, *count);
    if (!loras || !texts) *count = 0;
    cli_texts(a, "lora", texts, *count);
    for (int i = 0; i < *count; i++) loras[i] = lora_of(cx, texts[i]);
    at_free(texts);
    return loras;
}

static void free_loras(at_lora_use *loras, int count)
{
    for (int i = 0; i < count; i++) {
        char *path = (char *)(uintptr_t)loras[i].path;
        at_free(path);
    }
    at_free(loras);
}

static const char **embeddings_of(at_context *cx, const cli_arguments *a, int *count)
{
    int found = cli_texts(a, "embedding", NULL, 0);
    const char **paths = AT_NEW_ARRAY(cx, const char *, found);
    *count = paths ? cli_texts(a, "embedding", paths, found) : 0;
    return paths;
}

static at_model_files files_of(const cli_arguments *a)
{
    return (at_model_files){
        .model = cli_text(a, "model", NULL),
        .transformer = cli_text(a, "transformer", cli_text(a, "unet", NULL)),
        .vae = cli_text(a, "vae", NULL),
        .text_encoder = cli_text(a, "text-encoder", NULL),
        .text_encoder_2 = cli_text(a, "text-encoder-2", NULL),
        .text_encoder_3 = cli_text(a, "text-encoder-3", NULL),
        .tokenizer = cli_text(a, "tokenizer", NULL),
        .tokenizer_2 = cli_text(a, "tokenizer-2", NULL),
        .tokenizer_3 = cli_text(a, "tokenizer-3", NULL),
    };
}

static int run(const cli_arguments *arguments)
{
    cli_session s;
    const char *preview = cli_text(arguments, "preview", NULL);
    cli_settings settings = {
        .given = options_of(arguments),
        .model = cli_text(arguments, "model", NULL),
        .device = cli_text(arguments, "device", NULL),
        .parts = files_of(arguments),
        .refiner = cli_text(arguments, "refiner", NULL),
    };
    const char *output = cli_text(arguments, "output", NULL);
    if (output && !at_image_can_save(output))
        return cli_wrong("--output: %s: unknown suffix (use .png, .jpg or .webp)", output);
    if (preview && !at_image_can_save(preview))
        return cli_wrong("--preview: %s: unknown suffix (use .png, .jpg or .webp)", preview);
    if (!read_hires(arguments, &settings.given))
        return cli_wrong("--hires: a scale from 1 to 16 is needed, or a size like 1024x768");
    if (cli_seed(arguments, "seed", 0) > UINT64_MAX - (uint64_t)settings.given.count + 1)
        return cli_wrong("--seed: with --count %d the last seed would be past %llu",
                         settings.given.count, (unsigned long long)UINT64_MAX);
    const char *wrong = read_pairs(arguments, &settings.given);
    if (wrong) return cli_wrong("--%s: two numbers are needed, like 1024x768", wrong);
    if (settings.given.mask && !settings.given.init)
        return cli_wrong("--mask needs a picture to repaint (give --init)");
    cli_session_begin(&s, arguments);
    at_lora_use *loras = loras_of(s.cx, arguments, &settings.given.lora_count);
    settings.given.loras = loras;
    const char **embeddings = embeddings_of(s.cx, arguments, &settings.given.embedding_count);
    settings.given.embeddings = embeddings;
    settings.given.seed =
        cli_given(arguments, "seed") ? cli_seed(arguments, "seed", 0) : random_seed(s.cx);
    char name[40];
    snprintf(name, sizeof name, "atelier-%llu.png", (unsigned long long)settings.given.seed);
    generate(&s, &settings, output ? output : name, preview);
    free_loras(loras, settings.given.lora_count);
    at_free(embeddings);
    return cli_session_end(&s);
}

static const cli_option picture_options[] = {
    {"output", 'o', CLI_FILE, "FILE",
     "where the picture goes: .png, .jpg or .webp; with -n above 1, heart.png becomes heart-1.png, "
     "heart-2.png and so on",
     "atelier-SEED.png"},
    {"width", 'W', CLI_WHOLE, "N", "pixels across", "the model's own", 1, 65536},
    {"height", 'H', CLI_WHOLE, "N", "pixels down", "the model's own", 1, 65536},
    {"resolution-binning", 0, CLI_FLAG, NULL,
     "take the nearest size that the model was trained on"},
    {"seed", 0, CLI_SEED, "N", "what the random stream starts from",
     "random, and stored in the file"},
    {"count", 'n', CLI_WHOLE, "N", "pictures; picture i has seed + i", "1", 1, 1000},
    {0},
};

static const cli_option sampling_options[] = {
    {"negative", 0, CLI_TEXT, "TEXT", "what the picture should not show", "none"},
    {"prompt-2", 0, CLI_TEXT, "TEXT", "Stable Diffusion XL: the second text encoder's prompt",
     "the same"},
    {"negative-2", 0, CLI_TEXT, "TEXT", "the same of --negative", "the same"},
    {"prompt-syntax", 0, CLI_CHOICE, "auto|a1111|comfy|plain",
     "how weights, edits and parts of prompts are written; auto: A1111's where (word:1.2), "
     "[word:0.5] or <lora:name:1> leave no doubt, else plain",
     "auto"},
    {"steps", 0, CLI_WHOLE, "N", "denoising steps", "the model's own", 1, 10000},
    {"guidance", 0, CLI_NUMBER, "F", "guidance_scale of the reference pipeline", "the model's own",
     -1000, 1000},
    {"true-cfg", 0, CLI_NUMBER, "F",
     "true_cfg_scale of Flux: above 1, and with --negative, a second pass", "1", -1000, 1000},
    {"guidance-rescale", 0, CLI_NUMBER, "F",
     "guidance_rescale: how much of the contrast that guidance adds is taken back", "0", 0, 1},
    {"system-prompt", 0, CLI_TEXT, "TEXT", "Lumina 2: what stands before the prompt",
     "that of the reference pipeline"},
    {"cfg-trunc-ratio", 0, CLI_NUMBER, "F", "Lumina 2: the share of the steps that is guided", "1",
     0, 1},
    {"no-cfg-normalization", 0, CLI_FLAG, NULL,
     "Lumina 2: leave guided results as long as they are"},
    {"clip-skip", 0, CLI_WHOLE, "N", "layers of CLIP that are left out at the end", "0", 0, 100},
    {"eta", 0, CLI_NUMBER, "F", "ddim: how much noise each step draws anew", "0", 0, 1},
    {"original-steps", 0, CLI_WHOLE, "N",
     "latent consistency models: the steps of training that these are taken from",
     "the model's own", 1, 1000000},
    {"denoising-start", 0, CLI_NUMBER, "F",
     "Stable Diffusion XL: go on from this share of the steps, with --init or --latents", "0", 0,
     1},
    {"denoising-end", 0, CLI_NUMBER, "F",
     "Stable Diffusion XL: stop there, for a refiner to go on from --save-latents", "1", 0, 1},
    {"skip-guidance-layers", 0, CLI_TEXT, "N,N",
     "Stable Diffusion 3: guide away from what the model says without these layers (7,8,9 for 3.5 "
     "medium)",
     "none"},
    {"skip-guidance-scale", 0, CLI_NUMBER, "F", "how far", "2.8", -1000, 1000},
    {"skip-guidance-start", 0, CLI_NUMBER, "F", "after this share of the steps", "0.01", 0, 1},
    {"skip-guidance-stop", 0, CLI_NUMBER, "F", "and up to this", "0.2", 0, 1},
    {"sampler", 0, CLI_WORD, "NAME",
     "the scheduler's class: ddim, ddpm, deis, dpm2, dpm2_a, dpmpp_2m, dpmpp_2m_sde, dpmpp_2s, "
     "dpmpp_3m_sde, dpmpp_sde, edm_dpmpp_2m, edm_euler, euler, euler_a, flow_euler, flow_heun, "
     "flow_lcm, heun, lcm, lms, pndm, tcd, unipc; k-diffusion's: k_euler, k_euler_a, k_heun, "
     "k_dpm_2, k_dpm_2_a, k_lms, dpmpp_2s_a, k_dpmpp_sde, k_dpmpp_2m, k_dpmpp_2m_sde, "
     "k_dpmpp_2m_sde_heun, k_dpmpp_3m_sde, k_lcm, ipndm, res_multistep, gradient_estimation; or a "
     "name that Diffusers, A1111 or ComfyUI has",
     "that of the model's folder"},
    {"schedule", 0, CLI_WORD, "NAME",
     "the sigmas: default, karras, exponential, beta, sgm_uniform, simple, ays, lu, normal, "
     "ddim_uniform, kl_optimal or linear_quadratic",
     "that of the model's folder"},
    {"rng", 0, CLI_CHOICE, "cpu|cuda", "whose random stream: torch's CPU generator or its CUDA one",
     "cpu"},
    {"max-sequence-length", 0, CLI_WHOLE, "N", "tokens of the long text encoder", "the model's own",
     1, 65536},
    {"latents", 0, CLI_FILE, "FILE",
     "starting noise from a safetensors file instead of the seed: tensor latents, [B,C,h,w] f32"},
    {"save-latents", 0, CLI_FILE, "FILE",
     "write the final latents there: safetensors, tensor latents, [B,C,h,w] f32"},
    {0},
};

static const cli_option start_options[] = {
    {"init", 0, CLI_FILE, "FILE",
     "start from this picture; it is scaled where its size is not that of -W and -H, whose default "
     "it is (but with --mask, Flux and SD3)"},
    {"strength", 0, CLI_NUMBER, "F", "how much of it is made anew",
     "that of the reference: 0.8, XL 0.3, Flux and SD3 0.6; with --mask 1, XL 0.9999, Flux and SD3 "
     "0.6",
     .low = 0.000001, .high = 1},
    {"mask", 0, CLI_FILE, "FILE", "repaint only where this picture is white (from half on)"},
    {"lora", 0, CLI_FILE, "FILE[:WEIGHT]",
     "add a LoRA, times WEIGHT; FILE:WEIGHT:TEXT gives the text encoders a weight of their own",
     "1", .repeats = true},
    {"lora-dir", 0, CLI_FILE, "FOLDER", "where <lora:name:0.8> in a prompt finds its file",
     "loras in the model's folder"},
    {"embedding", 0, CLI_FILE, "FILE",
     "add a textual inversion: FILE's name without its suffix becomes a word of the prompts",
     .repeats = true},
    {0},
};

static const cli_option second_options[] = {
    {"hires", 0, CLI_WORD, "SCALE|WxH",
     "draw again from the picture at so many times its size, or at that size, with noise "
     "for --hires-strength"},
    {"hires-upscaler", 0, CLI_WORD, "NAME",
     "latent, latent-antialiased, latent-bicubic, latent-bicubic-antialiased, latent-nearest, "
     "latent-nearest-exact, or of the decoded picture: lanczos, nearest",
     "latent"},
    {"hires-strength", 0, CLI_NUMBER, "F", "how much of it is made anew", "0.7", .low = 0.000001,
     .high = 1},
    {"hires-steps", 0, CLI_WHOLE, "N", "steps of the second pass", "those of the first", 1, 10000},
    {"refiner", 0, CLI_FILE, "MODEL",
     "Stable Diffusion XL: a model that goes on where this one stops"},
    {"refiner-switch", 0, CLI_NUMBER, "F", "from this share of the noise on", "0.8",
     .low = 0.000001, .high = 0.999999},
    {0},
};

static const cli_option preview_options[] = {
    {"preview", 0, CLI_FILE, "FILE",
     "show there how the picture looks so far; with -n above 1 numbered as the pictures are"},
    {"preview-steps", 0, CLI_WHOLE, "N", "after each so many steps, and the last",
     "1; 10 where an autoencoder decodes", 1, 10000},
    {"preview-vae", 0, CLI_FILE, "PATH",
     "decode previews by this autoencoder (TAESD), a folder or a file",
     "linear colours, as small as the latents"},
    {0},
};

static const cli_option xl_options[] = {
    {"original-size", 0, CLI_WORD, "WxH", "the size that the picture seems to be scaled from",
     "that of the picture"},
    {"crop", 0, CLI_WORD, "X,Y", "the corner that it seems to be cut out at", "0,0"},
    {"target-size", 0, CLI_WORD, "WxH", "the size that it is for", "that of the picture"},
    {"negative-original-size", 0, CLI_WORD, "WxH", "the same without the prompt", "the same"},
    {"negative-crop", 0, CLI_WORD, "X,Y", "the same without the prompt", "the same"},
    {"negative-target-size", 0, CLI_WORD, "WxH", "the same without the prompt", "the same"},
    {"aesthetic-score", 0, CLI_NUMBER, "F", "refiner: how beautiful the picture is", "6", -100,
     100},
    {"negative-aesthetic-score", 0, CLI_NUMBER, "F", "the same without the prompt", "2.5", -100,
     100},
    {0},
};

#define PART "a folder or a file"

static const cli_option part_options[] = {
    {"transformer", 0, CLI_FILE, "PATH", "the transformer or UNet, " PART, "the model's"},
    {"unet", 0, CLI_FILE, "PATH", "the same", "the model's"},
    {"vae", 0, CLI_FILE, "PATH", "the autoencoder, " PART, "the model's"},
    {"text-encoder", 0, CLI_FILE, "PATH", "the first text encoder, " PART, "the model's"},
    {"text-encoder-2", 0, CLI_FILE, "PATH", "the second, " PART, "the model's"},
    {"text-encoder-3", 0, CLI_FILE, "PATH", "the third, " PART, "the model's"},
    {"tokenizer", 0, CLI_FILE, "FOLDER", "the first tokenizer", "the model's"},
    {"tokenizer-2", 0, CLI_FILE, "FOLDER",
     "the second tokenizer; Flux in single files needs T5's folder", "the model's"},
    {"tokenizer-3", 0, CLI_FILE, "FOLDER", "the third tokenizer", "the model's"},
    {0},
};

static const char *const examples[] = {
    "a picture with the embedded model",
    "atelier generate \"a red heart on a blue background\"",
    "four of them, from seed 7 on",
    "atelier generate -n 4 --seed 7 -o fox.png \"a fox on a green background\"",
    "FLUX.1-schnell in a folder, for a program to read what was made",
    "atelier generate -m FLUX.1-schnell --steps 4 --json -o cat.webp \"a cat\"",
    NULL,
};

const cli_verb cli_generate = {
    .name = "generate",
    .operands = "[PROMPT]",
    .operand_kind = CLI_TEXT,
    .most = 1,
    .summary = "words to pictures",
    .text = "Makes pictures from words. The same settings give the same bytes; PNG, JPEG and WebP "
            "files say how they were made, with the command that makes them again. Ctrl-C stops "
            "within a second and leaves nothing behind.\n"
            "What is left out is the model's own: from generation_config.json in its folder, else "
            "what the reference pipeline does. --json prints files, seeds, settings, timings "
            "(seconds: load, encode, step, decode, total) and peak_bytes.",
    .examples = examples,
    .groups = {{"Picture", picture_options},
               {"Sampling", sampling_options},
               {"Starting point and additions", start_options},
               {"A second pass", second_options},
               {"Previews", preview_options},
               {"Stable Diffusion XL: what it is told of the picture", xl_options},
               {"Model", cli_model_options},
               {"Parts of the model from other files", part_options},
               {"Everywhere", cli_everywhere}},
    .run = run,
};
