/* StableDiffusionXLPipeline, StableDiffusionXLImg2ImgPipeline (also the refiner's) and
   StableDiffusionXLInpaintPipeline (Diffusers): two CLIPs side by side, the second one's pooled
   text and sizes steer a UNet. */
#include "models/text_encoders/clip_text.h"
#include "pipelines/prompt.h"
#include "pipelines/stable_diffusion.h"

static at_sd_run *own(at_latent_run *r)
{
    return (at_sd_run *)r; /* base comes first */
}

static bool has(const at_latent_run *r, const char *name)
{
    const at_component *c = at_pipeline_component(r->pipeline, name);
    return c && c->class_name;
}

/* ---- words */

/* Tokens [1,N,D] of the last layer but one; pooled text with projection, else NULL. */
static at_sd_text encode_clip(at_latent_run *r, const char *encoder, const char *tokenizer,
                              const char *prompt, int skip)
{
    at_tensor *ids = at_prompt_ids(r->pipeline, tokenizer, prompt, 0);
    at_module *clip = at_pipeline_module(r->pipeline, encoder, NULL);
    if (!clip) return (at_sd_text){0};
    at_clip_text_output y = at_clip_text_forward(r->cx, clip, ids, -2 - skip);
    return (at_sd_text){y.hidden_state, y.text_embeds};
}

static at_tensor *zeros_like(at_context *cx, at_tensor *x)
{
    return x ? at_zeros(cx, AT_F32, x->dims, x->shape) : NULL;
}

static at_sd_text encode_prompt(at_latent_run *r, const char *prompt, bool negative)
{
    at_context *cx = r->cx;
    const at_sd_text *text = &own(r)->text;
    if (!prompt && at_config_bool(cx, r->pipeline->index, "force_zeros_for_empty_prompt", true))
        return (at_sd_text){zeros_like(cx, at_slice(cx, text->embeds, 0, 0, 1)),
                            zeros_like(cx, at_slice(cx, text->pooled, 0, 0, 1))};
    int skip = negative ? 0 : r->options->clip_skip; /* as the reference */
    at_scope s = at_scope_begin(cx);
    if (!prompt) prompt = "";
    at_sd_text out = encode_clip(r, "text_encoder_2", "tokenizer_2", prompt, skip);
    if (has(r, "text_encoder")) {
        at_sd_text first = encode_clip(r, "text_encoder", "tokenizer", prompt, skip);
        out.embeds = at_join(cx, 2, first.embeds, out.embeds);
    }
    at_scope_end(cx, s, &out.embeds, &out.pooled, NULL);
    return out;
}

/* ---- sizes */

/* A pair of the options, width first, as the reference has it: height first. */
static void put_pair(float *out, const int pair[2], const int otherwise[2])
{
    const int *p = pair[0] || pair[1] ? pair : otherwise;
    out[0] = (float)p[1];
    out[1] = (float)p[0];
}

/* Original size, corner of the crop, and target size or the aesthetic score. */
static void put_ids(const at_generate_options *o, float ids[6], bool scored, bool negative)
{
    static const int none[2];
    const int size[2] = {o->width, o->height};
    bool away = negative && (o->init || o->denoising_start > 0 ||
                             (o->negative_original_size[0] && o->negative_target_size[0]));
    const int *original = o->original_size[0] ? o->original_size : size;
    const int *target = o->target_size[0] ? o->target_size : size;
    put_pair(ids, away ? o->negative_original_size : none, original);
    put_pair(ids + 2, away ? o->negative_crop : o->crop, none);
    put_pair(ids + 4, away ? o->negative_target_size : none, target);
    if (scored) ids[4] = (float)(negative ? o->negative_aesthetic_score : o->aesthetic_score);
}

/* [B,5 or 6], for the pass without the prompt first */
static at_tensor *time_ids(at_latent_run *r)
{
    at_context *cx = r->cx;
    const at_generate_options *o = r->options;
    bool scored = at_config_bool(cx, r->pipeline->index, "requires_aesthetics_score", false);
    int64_t shape[2] = {1, scored ? 5 : 6};
    float ids[6], away[6];
    put_ids(o, ids, scored, false);
    put_ids(o, away, scored, true);
    at_tensor *x = at_prompt_repeat(cx, at_from(cx, AT_F32, 2, shape, ids), o->count);
    if (!own(r)->guided) return at_contiguous(cx, x);
    at_tensor *y = at_prompt_repeat(cx, at_from(cx, AT_F32, 2, shape, away), o->count);
    return at_join(cx, 0, y, x);
}

/* ---- the call */

static void encode(at_latent_run *r)
{
    at_sd_encode(r, encode_prompt);
    own(r)->time_ids = time_ids(r);
}

static bool settle(at_pipeline *pipeline, at_generate_options *o, int scale)
{
    if (o->aesthetic_score == 0) o->aesthetic_score = 6.0;
    if (o->negative_aesthetic_score == 0) o->negative_aesthetic_score = 2.5;
    return at_sd_settle(pipeline, o, scale, o->mask ? 7.5 : 5.0, o->mask ? 0.9999 : 0.3);
}

static at_generation *generate(at_pipeline *pipeline, const at_generate_options *options)
{
    static const at_latent_class class = {.size = sizeof(at_sd_run),
                                          .starts = true,
                                          .normalized = true,
                                          .settle = settle,
                                          .encode = encode,
                                          .prepare = at_sd_prepare,
                                          .denoise = at_sd_denoise};
    return at_latent_generate(pipeline, options, &class);
}

static const char *const components[] = {
    "tokenizer", "tokenizer_2", "text_encoder", "text_encoder_2", "unet", "vae", "scheduler", NULL};

const at_pipeline_class at_stable_diffusion_xl_pipeline_class = {
    .name = "StableDiffusionXLPipeline", .components = components, .generate = generate};
const at_pipeline_class at_stable_diffusion_xl_img2img_pipeline_class = {
    .name = "StableDiffusionXLImg2ImgPipeline", .components = components, .generate = generate};
const at_pipeline_class at_stable_diffusion_xl_inpaint_pipeline_class = {
    .name = "StableDiffusionXLInpaintPipeline", .components = components, .generate = generate};
