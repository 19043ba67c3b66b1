/* Whole sampling runs against Diffusers': a folder's cases.json and what the reference drew. */
#ifndef AT_TEST_PIPELINE_RUNS_H
#define AT_TEST_PIPELINE_RUNS_H

#include "base/file.h"
#include "base/json.h"
#include "files.h"
#include "formats/safetensors.h"
#include "kernels/kernels.h"
#include "parity.h"
#include "pipelines/pipeline.h"
#include <atelier/image.h>

static inline const cJSON *item(const cJSON *object, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(object, key);
}

static inline double number(const cJSON *object, const char *key)
{
    const cJSON *found = item(object, key);
    return found ? found->valuedouble : 0.0;
}

static inline bool is_true(const cJSON *object, const char *key)
{
    return cJSON_IsTrue(item(object, key));
}

static inline void read_pair(const cJSON *object, const char *key, int pair[2])
{
    for (int i = 0; i < 2 && item(object, key); i++)
        pair[i] = cJSON_GetArrayItem(item(object, key), i)->valueint;
}

/* A picture beside the cases; the text stays until the next call of the same slot. */
static inline const char *picture_of(const cJSON *c, const char *key, const char *cases, int slot)
{
    static char paths[2][512];
    if (!item(c, key)) return NULL;
    snprintf(paths[slot], sizeof paths[slot], "%s/%s", cases, cJSON_GetStringValue(item(c, key)));
    return paths[slot];
}

/* What starts from pictures, and Stable Diffusion XL's sizes. */
static inline void read_start(at_generate_options *o, const cJSON *c, const char *cases)
{
    o->init = picture_of(c, "init", cases, 0);
    o->mask = picture_of(c, "mask", cases, 1);
    read_pair(c, "hires_size", o->hires_size);
    read_pair(c, "original_size", o->original_size);
    read_pair(c, "crops_coords_top_left", o->crop);
    read_pair(c, "target_size", o->target_size);
    read_pair(c, "negative_original_size", o->negative_original_size);
    read_pair(c, "negative_crops_coords_top_left", o->negative_crop);
    read_pair(c, "negative_target_size", o->negative_target_size);
}

/* The options of a case of cases.json or golden.json. */
static inline at_generate_options options_of(const cJSON *c)
{
    return (at_generate_options){
        .prompt = cJSON_GetStringValue(item(c, "prompt")),
        .negative = cJSON_GetStringValue(item(c, "negative_prompt")),
        .prompt_2 = cJSON_GetStringValue(item(c, "prompt_2")),
        .negative_2 = cJSON_GetStringValue(item(c, "negative_prompt_2")),
        .width = (int)number(c, "width"),
        .height = (int)number(c, "height"),
        .steps = (int)number(c, "num_inference_steps"),
        .has_guidance = true,
        .guidance = number(c, "guidance_scale"),
        .true_guidance = number(c, "true_cfg_scale"),
        .seed = (uint64_t)number(c, "seed"),
        .count = (int)number(c, "count"),
        .max_sequence_length = (int)number(c, "max_sequence_length"),
        .guidance_rescale = number(c, "guidance_rescale"),
        .system_prompt = cJSON_GetStringValue(item(c, "system_prompt")),
        .cfg_trunc_ratio = number(c, "cfg_trunc_ratio"),
        .no_cfg_normalization = cJSON_IsFalse(item(c, "cfg_normalization")),
        .clip_skip = (int)number(c, "clip_skip"),
        .skip_guidance_layers = cJSON_GetStringValue(item(c, "skip_guidance_layers")),
        .skip_layer_guidance_scale = number(c, "skip_layer_guidance_scale"),
        .skip_layer_guidance_start = number(c, "skip_layer_guidance_start"),
        .skip_layer_guidance_stop = number(c, "skip_layer_guidance_stop"),
        .sampler = cJSON_GetStringValue(item(c, "sampler")),
        .eta = number(c, "eta"),
        .original_steps = (int)number(c, "original_inference_steps"),
        .strength = number(c, "strength"),
        .hires_upscaler = cJSON_GetStringValue(item(c, "hires_upscaler")),
        .hires_strength = number(c, "hires_strength"),
        .hires_steps = (int)number(c, "hires_steps"),
        .refiner_switch = number(c, "refiner_switch"),
        .denoising_start = number(c, "denoising_start"),
        .denoising_end = number(c, "denoising_end"),
        .aesthetic_score = number(c, "aesthetic_score"),
        .negative_aesthetic_score = number(c, "negative_aesthetic_score"),
        .save_latents = in_folder("final.safetensors"),
    };
}

/* dB between 8-bit pictures: ours, and theirs of three channels. */
static inline double psnr(const at_image *ours, const uint8_t *theirs)
{
    const uint8_t *pixels = ours->pixels;
    int64_t n = (int64_t)ours->width * ours->height * 3;
    double squares = 0;
    for (int64_t i = 0; i < n; i++) squares += (pixels[i] - theirs[i]) * (pixels[i] - theirs[i]);
    return squares > 0 ? 10.0 * log10(255.0 * 255.0 * (double)n / squares) : INFINITY;
}

static inline void check_latents(at_context *cx, at_tensor *theirs)
{
    at_weights *file = at_weights_open(cx, in_folder("final.safetensors"));
    assert_parity(cx, fixture(cx, file, "latents"), theirs, 1e-3);
    at_weights_free(file);
}

/* cases: the folder that has the case's pictures and what the reference drew. */
static inline void run_case(at_pipeline *p, const char *cases, const cJSON *c)
{
    char path[512];
    at_context *cx = p->cx;
    at_scope scope = at_scope_begin(cx);
    snprintf(path, sizeof path, "%s/%s", cases, cJSON_GetStringValue(item(c, "file")));
    at_weights *io = at_weights_open(cx, path);
    at_generate_options o = options_of(c);
    read_start(&o, c, cases);
    if (item(c, "refiner")) {
        snprintf(path, sizeof path, "%s/%s", cases, cJSON_GetStringValue(item(c, "refiner")));
        o.refiner = at_pipeline_open(cx, path);
    }
    if (is_true(c, "latents_given")) { /* the fixture's name for them is another */
        at_tensor *given = fixture(cx, io, "initial_latents_nchw");
        o.latents = in_folder("given.safetensors");
        at_safetensors_write(cx, o.latents, 1, (const char *[]){"latents"}, &given, NULL);
    }
    at_generation *made = at_generate_many(p, &o);
    assert_fine(cx);
    assert_int_equal(made->count, o.count);
    assert_int_equal(made->used.steps, o.steps);
    check_latents(cx, fixture(cx, io, "final_latents"));
    at_tensor *pictures = fixture(cx, io, "image_u8"); /* [B,H,W,3] */
    for (int i = 0; i < made->count; i++) {
        const at_image *image = made->images[i];
        assert_int_equal(image->width, at_dim(pictures, 2));
        assert_int_equal(image->height, at_dim(pictures, 1));
        assert_int_equal(image->channels, 3);
        int64_t each = (int64_t)image->width * image->height * 3;
        assert_true(psnr(image, (const uint8_t *)pictures->data + i * each) >= 50.0);
    }
    at_generation_free(made);
    at_pipeline_free(o.refiner);
    at_weights_free(io);
    at_scope_end(cx, scope, NULL);
}

/* The pipeline of a folder with the case's own autoencoder, or the networks of another model, where
   the case names them. */
static inline at_pipeline *open_case(at_context *cx, const char *model, const char *cases,
                                     const cJSON *c)
{
    static const char *const names[] = {"vae", "unet", "text_encoder", "tokenizer"};
    bool all = item(c, "parts") != NULL;
    char *paths[4] = {0}, *other = NULL;
    if (all) other = at_path_join(cx, cases, cJSON_GetStringValue(item(c, "parts")));
    for (int i = 0; i < 4 && all; i++) paths[i] = at_path_join(cx, other, names[i]);
    if (item(c, "vae")) paths[0] = at_path_join(cx, cases, cJSON_GetStringValue(item(c, "vae")));
    at_pipeline *p = at_pipeline_open_files(cx, &(at_model_files){.model = model,
                                                                  .vae = paths[0],
                                                                  .transformer = paths[1],
                                                                  .text_encoder = paths[2],
                                                                  .tokenizer = paths[3]});
    assert_fine(cx);
    for (int i = 0; i < 4; i++) at_free(paths[i]);
    at_free(other);
    return p;
}

/* The cases in one folder on the model in another. */
static inline void run_cases(const char *model, const char *place, const char *class_name,
                             int least)
{
    char path[512];
    at_context *cx = f32_context();
    snprintf(path, sizeof path, "%s/cases.json", place);
    cJSON *cases = at_json_read(cx, path);
    const cJSON *c;
    at_pipeline *p = NULL;
    assert_true(cJSON_GetArraySize(cases) >= least);
    cJSON_ArrayForEach(c, cases)
    {
        if (!p || item(c, "vae")) {
            at_pipeline_free(p);
            p = open_case(cx, model, place, c);
        }
        assert_string_equal(p->class->name, class_name);
        run_case(p, place, c);
    }
    cJSON_Delete(cases);
    at_context_free(cx);
}

static inline void run_folder(const char *model, const char *class_name, int least)
{
    run_cases(model, model, class_name, least);
}

static inline void refuse(const char *model, const at_generate_options *o, at_status status,
                          const char *word)
{
    at_context *cx = f32_context();
    at_pipeline *p = at_pipeline_open(cx, model);
    assert_fine(cx);
    assert_null(at_generate_many(p, o));
    assert_int_equal(at_error_status(cx), status);
    if (!strstr(at_error_text(cx), word)) fail_msg("no \"%s\" in: %s", word, at_error_text(cx));
    at_context_free(cx);
}

#endif
