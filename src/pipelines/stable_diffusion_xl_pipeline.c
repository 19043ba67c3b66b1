/* StableDiffusionXLPipeline, StableDiffusionXLImg2ImgPipeline (also the refiner's) and
   StableDiffusionXLInpaintPipeline (Diffusers): two CLIPs side by side, the second one's pooled
   text and sizes steer a UNet. */
#include "models/text_encoders/clip_text.h"
#include "pipelines/preview.h"
#include "pipelines/prompt_plan.h"
#include "pipelines/prompt_weights.h"
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

/* Tokens [T,N,D] of the last layer but one; pooled text with projection, else NULL. */
static at_sd_text encode_clip(at_latent_run *r, const char *encoder, const at_prompt_chunks *chunks,
                              int skip)
{
    at_context *cx = r->cx;
    at_module *clip = at_pipeline_module(r->pipeline, encoder, NULL);
    if (!clip) return (at_sd_text){0};
    at_clip_text_output y =
        at_clip_text_forward_with(cx, clip, chunks->ids, chunks->vectors, -2 - skip);
    return (at_sd_text){at_prompt_weigh(cx, chunks, y.hidden_state),
                        at_prompt_pooled(cx, chunks, y.text_embeds)};
}

static at_tensor *zeros_like(at_context *cx, at_tensor *x)
{
    return x ? at_zeros(cx, AT_F32, x->dims, x->shape) : NULL;
}

/* No negative prompt is zeros, and so is an empty one to A1111. */
static bool is_zero(at_latent_run *r, const at_prompt_list *texts, bool negative)
{
    if (!negative ||
        !at_config_bool(r->cx, r->pipeline->index, "force_zeros_for_empty_prompt", true))
        return false;
    bool empty = texts->count == 1 && !*texts->items[0].text;
    return !r->options->negative || (empty && r->options->prompt_syntax == AT_PROMPT_A1111);
}

/* The second encoder's where it has a prompt of its own, else the same texts. */
static const at_prompt_list *second(const at_latent_run *r, const at_prompt_list *texts,
                                    bool negative, at_prompt_list *own, at_prompt_item *one)
{
    const at_generate_options *o = r->options;
    const char *text = negative ? o->negative_2 : o->prompt_2;
    if (!text || !*text) return texts;
    *one = (at_prompt_item){.text = (char *)(uintptr_t)text, .step = 1};
    *own = (at_prompt_list){.items = one, .count = 1};
    return own;
}

static at_sd_text encode_texts(at_latent_run *r, const at_prompt_list *texts, bool negative)
{
    at_context *cx = r->cx;
    at_pipeline *p = r->pipeline;
    const at_sd_text *text = &own(r)->parts[0].text;
    if (is_zero(r, texts, negative))
        return (at_sd_text){zeros_like(cx, at_slice(cx, text->embeds, 0, 0, 1)),
                            zeros_like(cx, at_slice(cx, text->pooled, 0, 0, 1))};
    int skip = at_sd_clip_skip(r, negative);
    at_prompt_syntax syntax = r->options->prompt_syntax;
    at_prompt_list list;
    at_prompt_item item;
    const at_prompt_list *texts_2 = second(r, texts, negative, &list, &item);
    at_scope s = at_scope_begin(cx);
    at_prompt_chunks chunks,
        chunks_2 = at_prompt_chunk_texts(p, "tokenizer_2", texts_2, syntax, 0, 1);
    at_tensor *first = NULL;
    if (has(r, "text_encoder")) {
        chunks = at_prompt_chunk_texts(p, "tokenizer", texts, syntax, 0, chunks_2.each);
        if (chunks.each > chunks_2.each)
            chunks_2 = at_prompt_chunk_texts(p, "tokenizer_2", texts_2, syntax, 0, chunks.each);
        first = encode_clip(r, "text_encoder", &chunks, skip).embeds;
    }
    at_sd_text out = encode_clip(r, "text_encoder_2", &chunks_2, skip);
    if (first) out.embeds = at_join(cx, 2, first, out.embeds);
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
    bool goes_on = o->init || o->denoising_start > 0;
    bool away =
        negative && (goes_on || (o->negative_original_size[0] && o->negative_target_size[0]));
    bool crops_away = away && (!goes_on || scored); /* else Diffusers takes the prompt's */
    const int *original = o->original_size[0] ? o->original_size : size;
    const int *target = o->target_size[0] ? o->target_size : size;
    put_pair(ids, away ? o->negative_original_size : none, original);
    put_pair(ids + 2, crops_away ? o->negative_crop : o->crop, none);
    put_pair(ids + 4, away ? o->negative_target_size : none, target);
    if (scored) ids[4] = (float)(negative ? o->negative_aesthetic_score : o->aesthetic_score);
}

/* [1,5 or 6] */
static at_tensor *time_ids(at_latent_run *r, bool negative)
{
    at_context *cx = r->cx;
    bool scored = at_config_bool(cx, r->pipeline->index, "requires_aesthetics_score", false);
    float ids[6];
    put_ids(r->options, ids, scored, negative);
    return at_from(cx, AT_F32, 2, (int64_t[]){1, scored ? 5 : 6}, ids);
}

/* ---- the call */

static void encode(at_latent_run *r)
{
    at_sd_encode(r, encode_texts);
    own(r)->time_ids = time_ids(r, false);
    own(r)->away_time_ids = time_ids(r, true);
}

static bool check_second(at_pipeline *p, const at_generate_options *o)
{
    const at_component *first = at_pipeline_component(p, "text_encoder");
    if (!o->prompt_2 && !o->negative_2) return true;
    if (!first || !first->class_name)
        return at_fail_false(p->cx, AT_ERROR_UNSUPPORTED,
                             "--prompt-2, --negative-2: this model has one text encoder");
    const char *const prompts[] = {o->prompt, o->negative, o->prompt_2, o->negative_2};
    for (size_t i = 0; o->prompt_syntax == AT_PROMPT_A1111 && i < AT_COUNT(prompts); i++)
        if (prompts[i] && at_prompt_edits(p->cx, prompts[i], i != 1))
            return at_fail_false(p->cx, AT_ERROR_UNSUPPORTED,
                                 "--prompt-2, --negative-2: not beside AND or prompt editing");
    return true;
}

static bool settle(at_pipeline *pipeline, at_generate_options *o, int scale)
{
    if (!check_second(pipeline, o)) return false;
    if (o->aesthetic_score == 0) o->aesthetic_score = 6.0;
    if (o->negative_aesthetic_score == 0) o->negative_aesthetic_score = 2.5;
    return at_sd_settle(pipeline, o, scale, o->mask ? 7.5 : 5.0, o->mask ? 0.9999 : 0.3);
}

static const at_latent_class latents = {.size = sizeof(at_sd_run),
                                        .colours = &at_colours_xl,
                                        .starts = true,
                                        .normalized = true,
                                        .weighs = true,
                                        .embeds = true,
                                        .pairs = true,
                                        .edits = true,
                                        .settle = settle,
                                        .encode = encode,
                                        .prepare = at_sd_prepare,
                                        .denoise = at_sd_denoise};

static const char *const components[] = {
    "tokenizer", "tokenizer_2", "text_encoder", "text_encoder_2", "unet", "vae", "scheduler", NULL};

const at_pipeline_class at_stable_diffusion_xl_pipeline_class = {
    .name = "StableDiffusionXLPipeline", .components = components, .latents = &latents};
const at_pipeline_class at_stable_diffusion_xl_img2img_pipeline_class = {
    .name = "StableDiffusionXLImg2ImgPipeline", .components = components, .latents = &latents};
const at_pipeline_class at_stable_diffusion_xl_inpaint_pipeline_class = {
    .name = "StableDiffusionXLInpaintPipeline", .components = components, .latents = &latents};
