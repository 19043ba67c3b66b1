#include "cli/metadata.h"
#include "base/text.h"
#include "cli/session.h"
#include "hub/models.h"
#include "kernels/kernels.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The shortest digits that read back as the same number: 3.5, not 3.5000000000000001. */
static const char *number_text(char text[32], double value)
{
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, 32, "%.*g", digits, value);
        if (strtod(text, NULL) == value) break;
    }
    return text;
}

/* Noise from a file gives picture i only in a run of all of them. */
static bool one_by_one(const cli_settings *s, int index)
{
    return index >= 0 && !s->given.latents;
}

static uint64_t seed_of(const cli_settings *s, int index)
{
    return s->made->used.seed + (index > 0 ? (uint64_t)index : 0);
}

static const char *rng_name(at_rng rng)
{
    return rng == AT_RNG_CUDA ? "cuda" : "cpu";
}

/* A word for a shell: in single quotes unless it needs none. */
static void add_word(at_context *cx, at_text *text, const char *word)
{
    static const char *const plain =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
        "_-./:,+=@";
    if (*word && !word[strspn(word, plain)]) {
        at_text_print(cx, text, " %s", word);
        return;
    }
    at_text_print(cx, text, " '");
    for (const char *c = word; *c; c++) {
        if (*c == '\'')
            at_text_print(cx, text, "'\\''");
        else
            at_text_add(cx, text, c, 1);
    }
    at_text_print(cx, text, "'");
}

static void add_option(at_context *cx, at_text *text, const char *name, const char *value)
{
    if (!value) return;
    at_text_print(cx, text, " --%s", name);
    add_word(cx, text, value);
}

static void add_whole(at_context *cx, at_text *text, const char *name, uint64_t value)
{
    if (value) at_text_print(cx, text, " --%s %llu", name, (unsigned long long)value);
}

static const char *syntax_name(at_prompt_syntax syntax)
{
    static const char *const names[] = {"auto", "plain", "a1111", "comfy"};
    return names[syntax];
}

/* FILE:WEIGHT as --lora takes it. */
static char *lora_text(at_context *cx, const at_lora_use *lora)
{
    char unet[32], text[32];
    number_text(unet, lora->weight);
    if (!lora->has_text_weight) return at_format(cx, "%s:%s", lora->path, unet);
    return at_format(cx, "%s:%s:%s", lora->path, unet, number_text(text, lora->text_weight));
}

static void add_number(at_context *cx, at_text *text, const char *name, double value)
{
    char digits[32];
    if (value != 0) add_option(cx, text, name, number_text(digits, value));
}

static void add_pair(at_context *cx, at_text *text, const char *name, const int pair[2])
{
    if (pair[0] || pair[1]) at_text_print(cx, text, " --%s %dx%d", name, pair[0], pair[1]);
}

/* What a run starts from, and what Stable Diffusion XL is told. */
static void add_start(at_context *cx, at_text *text, const at_generate_options *g)
{
    add_number(cx, text, "eta", g->eta);
    add_whole(cx, text, "original-steps", (uint64_t)g->original_steps);
    add_option(cx, text, "init", g->init);
    add_number(cx, text, "strength", g->strength);
    add_option(cx, text, "mask", g->mask);
    add_number(cx, text, "denoising-start", g->denoising_start);
    add_number(cx, text, "denoising-end", g->denoising_end);
    add_pair(cx, text, "original-size", g->original_size);
    add_pair(cx, text, "crop", g->crop);
    add_pair(cx, text, "target-size", g->target_size);
    add_pair(cx, text, "negative-original-size", g->negative_original_size);
    add_pair(cx, text, "negative-crop", g->negative_crop);
    add_pair(cx, text, "negative-target-size", g->negative_target_size);
    add_number(cx, text, "aesthetic-score", g->aesthetic_score);
    add_number(cx, text, "negative-aesthetic-score", g->negative_aesthetic_score);
}

/* A second pass, by the same model or another. */
static void add_second(at_context *cx, at_text *text, const cli_settings *s)
{
    const at_generate_options *g = &s->given;
    char digits[32];
    if (g->hires_size[0])
        at_text_print(cx, text, " --hires %dx%d", g->hires_size[0], g->hires_size[1]);
    else if (g->hires_scale > 0)
        add_option(cx, text, "hires", number_text(digits, g->hires_scale));
    add_option(cx, text, "hires-upscaler", g->hires_upscaler);
    add_number(cx, text, "hires-strength", g->hires_strength);
    add_whole(cx, text, "hires-steps", (uint64_t)g->hires_steps);
    add_option(cx, text, "refiner", s->refiner);
    add_number(cx, text, "refiner-switch", g->refiner_switch);
}

/* The files in place of the model's own: option and path, until NULL. */
static const char *part_of(const cli_settings *s, int i, const char **path)
{
    const at_model_files *f = &s->parts;
    const struct {
        const char *option, *path;
    } all[] = {{"transformer", f->transformer},       {"vae", f->vae},
               {"text-encoder", f->text_encoder},     {"text-encoder-2", f->text_encoder_2},
               {"text-encoder-3", f->text_encoder_3}, {"tokenizer", f->tokenizer},
               {"tokenizer-2", f->tokenizer_2},       {"tokenizer-3", f->tokenizer_3}};
    if (i >= (int)(sizeof all / sizeof *all)) return NULL;
    *path = all[i].path;
    return all[i].option;
}

char *cli_settings_command(at_context *cx, const cli_settings *s, int index)
{
    const at_generate_options *u = &s->made->used, *g = &s->given;
    char digits[32];
    at_text text = {0};
    bool one = one_by_one(s, index);
    at_text_print(cx, &text, "atelier generate");
    add_option(cx, &text, "model", s->model);
    const char *part, *path;
    for (int i = 0; (part = part_of(s, i, &path)); i++) add_option(cx, &text, part, path);
    add_option(cx, &text, "negative", u->negative);
    add_option(cx, &text, "prompt-2", u->prompt_2);
    add_option(cx, &text, "negative-2", u->negative_2);
    add_whole(cx, &text, "width", (uint64_t)u->width);
    add_whole(cx, &text, "height", (uint64_t)u->height);
    add_whole(cx, &text, "steps", (uint64_t)u->steps);
    if (u->has_guidance) add_option(cx, &text, "guidance", number_text(digits, u->guidance));
    if (g->true_guidance != 0)
        add_option(cx, &text, "true-cfg", number_text(digits, g->true_guidance));
    at_text_print(cx, &text, " --seed %llu", (unsigned long long)seed_of(s, one ? index : 0));
    if (!one && s->made->count > 1) add_whole(cx, &text, "count", (uint64_t)s->made->count);
    add_option(cx, &text, "sampler", g->sampler);
    add_option(cx, &text, "schedule", g->schedule);
    if (g->rng != AT_RNG_CPU) add_option(cx, &text, "rng", rng_name(g->rng));
    add_whole(cx, &text, "max-sequence-length", (uint64_t)u->max_sequence_length);
    if (g->resolution_binning) at_text_print(cx, &text, " --resolution-binning");
    if (g->guidance_rescale != 0)
        add_option(cx, &text, "guidance-rescale", number_text(digits, g->guidance_rescale));
    add_option(cx, &text, "system-prompt", g->system_prompt);
    if (g->cfg_trunc_ratio != 0)
        add_option(cx, &text, "cfg-trunc-ratio", number_text(digits, g->cfg_trunc_ratio));
    if (g->no_cfg_normalization) at_text_print(cx, &text, " --no-cfg-normalization");
    add_whole(cx, &text, "clip-skip", (uint64_t)u->clip_skip);
    if (g->skip_guidance_layers) {
        add_option(cx, &text, "skip-guidance-layers", g->skip_guidance_layers);
        add_option(cx, &text, "skip-guidance-scale",
                   number_text(digits, g->skip_layer_guidance_scale));
        add_option(cx, &text, "skip-guidance-start",
                   number_text(digits, g->skip_layer_guidance_start));
        add_option(cx, &text, "skip-guidance-stop",
                   number_text(digits, g->skip_layer_guidance_stop));
    }
    add_start(cx, &text, g);
    add_second(cx, &text, s);
    if (u->prompt_syntax != AT_PROMPT_PLAIN || g->prompt_syntax == AT_PROMPT_PLAIN)
        add_option(cx, &text, "prompt-syntax", syntax_name(u->prompt_syntax));
    for (int i = 0; i < u->lora_count; i++) {
        char *lora = lora_text(cx, &u->loras[i]);
        add_option(cx, &text, "lora", lora);
        at_free(lora);
    }
    for (int i = 0; i < u->embedding_count; i++)
        add_option(cx, &text, "embedding", u->embeddings[i]);
    add_option(cx, &text, "latents", g->latents);
    add_option(cx, &text, "device", s->device);
    add_option(cx, &text, "precision", at_precision_name(at_precision_of(cx)));
    const char *prompt = u->prompt ? u->prompt : "";
    if (*prompt == '-') at_text_print(cx, &text, " --");
    if (*prompt) add_word(cx, &text, prompt);
    return text.data;
}

/* As A1111 calls them. */
static void add_second_parameters(at_context *cx, at_text *text, const cli_settings *s)
{
    const at_generate_options *u = &s->made->used;
    bool hires = u->hires_scale > 0 || u->hires_size[0];
    char digits[32];
    if (hires)
        at_text_print(cx, text, "Denoising strength: %s, ", number_text(digits, u->hires_strength));
    if (u->hires_size[0])
        at_text_print(cx, text, "Hires resize: %dx%d, ", u->hires_size[0], u->hires_size[1]);
    else if (hires)
        at_text_print(cx, text, "Hires upscale: %s, ", number_text(digits, u->hires_scale));
    if (hires)
        at_text_print(cx, text, "Hires steps: %d, Hires upscaler: %s, ", u->hires_steps,
                      u->hires_upscaler ? u->hires_upscaler : "latent");
    if (s->refiner)
        at_text_print(cx, text, "Refiner: %s, Refiner switch at: %s, ", s->refiner,
                      number_text(digits, u->refiner_switch));
}

char *cli_settings_parameters(at_context *cx, const cli_settings *s, int index)
{
    const at_generate_options *u = &s->made->used;
    char digits[32];
    at_text text = {0};
    const char *model = s->model ? s->model : AT_DEFAULT_MODEL, *slash = strrchr(model, '/');
    const at_generate_options *g = &s->given; /* with <lora:...>, as A1111 has it */
    at_text_print(cx, &text, "%s\n", g->prompt ? g->prompt : "");
    if (g->negative && *g->negative) at_text_print(cx, &text, "Negative prompt: %s\n", g->negative);
    at_text_print(cx, &text, "Steps: %d, ", u->steps);
    const char *sampler = s->given.sampler ? s->given.sampler : u->sampler;
    if (sampler) at_text_print(cx, &text, "Sampler: %s, ", sampler);
    if (s->given.schedule) at_text_print(cx, &text, "Schedule type: %s, ", s->given.schedule);
    if (u->has_guidance)
        at_text_print(cx, &text, "CFG scale: %s, ", number_text(digits, u->guidance));
    add_second_parameters(cx, &text, s);
    at_text_print(cx, &text, "Seed: %llu, Size: %dx%d, Model: %s, ",
                  (unsigned long long)seed_of(s, index), u->width, u->height,
                  slash && slash[1] ? slash + 1 : model);
    if (u->init)
        at_text_print(cx, &text, "Denoising strength: %s, ", number_text(digits, u->strength));
    if (u->clip_skip) at_text_print(cx, &text, "Clip skip: %d, ", u->clip_skip + 1);
    at_text_print(cx, &text, "RNG: %s, %sVersion: atelier %s", u->rng == AT_RNG_CUDA ? "NV" : "CPU",
                  s->hashes ? s->hashes : "", at_version());
    return text.data;
}

static void add_pair_json(cJSON *json, const char *name, const int pair[2])
{
    if (pair[0] || pair[1]) cJSON_AddItemToObject(json, name, cJSON_CreateIntArray(pair, 2));
}

/* What Stable Diffusion XL is told, where something else than the picture's own size is. */
static void add_sizes_json(cJSON *json, const at_generate_options *g)
{
    add_pair_json(json, "original_size", g->original_size);
    add_pair_json(json, "crop", g->crop);
    add_pair_json(json, "target_size", g->target_size);
    add_pair_json(json, "negative_original_size", g->negative_original_size);
    add_pair_json(json, "negative_crop", g->negative_crop);
    add_pair_json(json, "negative_target_size", g->negative_target_size);
    if (g->aesthetic_score != 0)
        cJSON_AddNumberToObject(json, "aesthetic_score", g->aesthetic_score);
    if (g->negative_aesthetic_score != 0)
        cJSON_AddNumberToObject(json, "negative_aesthetic_score", g->negative_aesthetic_score);
}

static void add_second_json(cJSON *json, const cli_settings *s)
{
    const at_generate_options *u = &s->made->used;
    if (u->hires_scale > 0 || u->hires_size[0]) {
        if (u->hires_scale > 0) cJSON_AddNumberToObject(json, "hires_scale", u->hires_scale);
        add_pair_json(json, "hires_size", u->hires_size);
        cJSON_AddStringToObject(json, "hires_upscaler",
                                u->hires_upscaler ? u->hires_upscaler : "latent");
        cJSON_AddNumberToObject(json, "hires_strength", u->hires_strength);
        cJSON_AddNumberToObject(json, "hires_steps", u->hires_steps);
    }
    if (!s->refiner) return;
    cJSON_AddStringToObject(json, "refiner", s->refiner);
    cJSON_AddNumberToObject(json, "refiner_switch", u->refiner_switch);
}

static void add_text(cJSON *json, const char *name, const char *value)
{
    if (value)
        cJSON_AddStringToObject(json, name, value);
    else
        cJSON_AddNullToObject(json, name);
}

cJSON *cli_settings_json(at_context *cx, const cli_settings *s, int index)
{
    const at_generate_options *u = &s->made->used;
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "version", at_version());
    add_text(json, "pipeline", s->made->pipeline);
    cJSON_AddStringToObject(json, "model", s->model ? s->model : AT_DEFAULT_MODEL);
    cJSON_AddStringToObject(json, "prompt", u->prompt ? u->prompt : "");
    add_text(json, "negative", u->negative);
    if (u->prompt_2) add_text(json, "prompt_2", u->prompt_2);
    if (u->negative_2) add_text(json, "negative_2", u->negative_2);
    cJSON_AddNumberToObject(json, "width", u->width);
    cJSON_AddNumberToObject(json, "height", u->height);
    cJSON_AddNumberToObject(json, "steps", u->steps);
    if (u->has_guidance)
        cJSON_AddNumberToObject(json, "guidance", u->guidance);
    else
        cJSON_AddNullToObject(json, "guidance");
    cJSON_AddNumberToObject(json, "true_guidance", u->true_guidance);
    cli_json_add_whole(json, "seed", seed_of(s, index));
    if (index < 0) cJSON_AddNumberToObject(json, "count", s->made->count);
    add_text(json, "sampler", s->given.sampler ? s->given.sampler : u->sampler);
    add_text(json, "schedule", s->given.schedule ? s->given.schedule : u->schedule);
    cJSON_AddStringToObject(json, "rng", rng_name(u->rng));
    cJSON_AddNumberToObject(json, "max_sequence_length", u->max_sequence_length);
    cJSON_AddBoolToObject(json, "resolution_binning", u->resolution_binning);
    cJSON_AddNumberToObject(json, "guidance_rescale", u->guidance_rescale);
    add_text(json, "system_prompt", u->system_prompt);
    cJSON_AddNumberToObject(json, "cfg_trunc_ratio", u->cfg_trunc_ratio);
    cJSON_AddBoolToObject(json, "cfg_normalization", !u->no_cfg_normalization);
    cJSON_AddNumberToObject(json, "clip_skip", u->clip_skip);
    add_text(json, "skip_guidance_layers", u->skip_guidance_layers);
    cJSON_AddNumberToObject(json, "skip_layer_guidance_scale", u->skip_layer_guidance_scale);
    cJSON_AddNumberToObject(json, "skip_layer_guidance_start", u->skip_layer_guidance_start);
    cJSON_AddNumberToObject(json, "skip_layer_guidance_stop", u->skip_layer_guidance_stop);
    cJSON_AddStringToObject(json, "prompt_syntax", syntax_name(u->prompt_syntax));
    cJSON *loras = cJSON_AddArrayToObject(json, "loras");
    for (int i = 0; i < u->lora_count; i++) {
        const at_lora_use *l = &u->loras[i];
        cJSON *one = cJSON_CreateObject();
        cJSON_AddStringToObject(one, "file", l->path);
        cJSON_AddNumberToObject(one, "weight", l->weight);
        if (l->has_text_weight) cJSON_AddNumberToObject(one, "text_weight", l->text_weight);
        cJSON_AddItemToArray(loras, one);
    }
    cJSON *embeddings = cJSON_AddArrayToObject(json, "embeddings");
    for (int i = 0; i < u->embedding_count; i++)
        cJSON_AddItemToArray(embeddings, cJSON_CreateString(u->embeddings[i]));
    add_text(json, "init", s->given.init);
    add_text(json, "mask", s->given.mask);
    if (u->init) cJSON_AddNumberToObject(json, "strength", u->strength);
    cJSON_AddNumberToObject(json, "eta", u->eta);
    cJSON_AddNumberToObject(json, "original_steps", u->original_steps);
    cJSON_AddNumberToObject(json, "denoising_start", u->denoising_start);
    cJSON_AddNumberToObject(json, "denoising_end", u->denoising_end);
    add_text(json, "latents", s->given.latents);
    add_sizes_json(json, &s->given);
    add_second_json(json, s);
    cJSON *parts = cJSON_AddObjectToObject(json, "parts");
    const char *part, *path;
    for (int i = 0; (part = part_of(s, i, &path)); i++)
        if (path) cJSON_AddStringToObject(parts, part, path);
    cJSON_AddStringToObject(json, "device", s->device ? s->device : "auto");
    cJSON_AddStringToObject(json, "precision", at_precision_name(at_precision_of(cx)));
    char *command = cli_settings_command(cx, s, index);
    add_text(json, "command", command);
    at_free(command);
    return json;
}
