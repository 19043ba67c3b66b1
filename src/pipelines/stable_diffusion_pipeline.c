/* StableDiffusionPipeline, StableDiffusionImg2ImgPipeline and StableDiffusionInpaintPipeline
   (Diffusers), of Stable Diffusion 1 and 2: one CLIP steers a UNet. What a call gives says which of
   the three it is, as AutoPipeline does. LatentConsistencyModelPipeline and its Img2Img go the same
   way in few steps of their own. */
#include "models/text_encoders/clip_text.h"
#include "pipelines/preview.h"
#include "pipelines/prompt_weights.h"
#include "pipelines/stable_diffusion.h"

static at_sd_text encode_texts(at_latent_run *r, const at_prompt_list *texts, bool negative)
{
    at_context *cx = r->cx;
    int skip = at_sd_clip_skip(r, negative);
    at_scope s = at_scope_begin(cx);
    at_prompt_chunks chunks =
        at_prompt_chunk_texts(r->pipeline, "tokenizer", texts, r->options->prompt_syntax, 0, 1);
    at_module *clip = at_pipeline_module(r->pipeline, "text_encoder", at_clip_text_class.name);
    at_tensor *x = NULL;
    if (clip) {
        at_clip_text_output y =
            at_clip_text_forward_with(cx, clip, chunks.ids, chunks.vectors, -1 - skip);
        x = skip ? at_clip_text_final_norm(cx, clip, y.hidden_state) : y.last_hidden_state;
    }
    x = at_prompt_weigh(cx, &chunks, x);
    at_scope_end(cx, s, &x, NULL);
    return (at_sd_text){.embeds = x};
}

static void encode(at_latent_run *r)
{
    at_sd_encode(r, encode_texts);
}

static bool settle(at_pipeline *pipeline, at_generate_options *o, int scale)
{
    if (!at_latent_check_whole(pipeline->cx, o)) return false;
    return at_sd_settle(pipeline, o, scale, 7.5, o->mask ? 1.0 : 0.8);
}

static void prepare(at_latent_run *r)
{
    if (r->options->mask) at_pndm_skip_prk(r->scheduler); /* as the reference's inpainting class */
    at_sd_prepare(r);
}

static const at_latent_class latents = {.size = sizeof(at_sd_run),
                                        .colours = &at_colours_sd1,
                                        .starts = true,
                                        .weighs = true,
                                        .embeds = true,
                                        .edits = true,
                                        .settle = settle,
                                        .encode = encode,
                                        .prepare = prepare,
                                        .denoise = at_sd_denoise};

/* ---- latent consistency models: guidance is an input, and there is no pass without the prompt */

enum { CONSISTENCY_STEPS = 4 };

static bool settle_consistency(at_pipeline *pipeline, at_generate_options *o, int scale)
{
    at_context *cx = pipeline->cx;
    if (!o->steps) o->steps = CONSISTENCY_STEPS;
    if (!at_latent_check_whole(cx, o)) return false;
    if (o->mask || o->negative)
        return at_fail_false(cx, AT_ERROR_UNSUPPORTED, "--%s: %s has none",
                             o->mask ? "mask" : "negative", pipeline->class->name);
    return at_sd_settle(pipeline, o, scale, 8.5, 0.8);
}

/* Strength shortens what the steps are taken from; none of them are left out. */
static void prepare_consistency(at_latent_run *r)
{
    const at_generate_options *o = r->options;
    if (at_ok(r->cx) && (r->scheduler->class != &at_lcm || !((at_sd_run *)r)->info.time_cond_dim)) {
        at_fail(r->cx, AT_ERROR_UNSUPPORTED,
                "%s: needs the sampler lcm, and a UNet with time_cond_proj_dim",
                r->pipeline->class->name);
        return;
    }
    at_scheduler_set_timesteps(r->cx, r->scheduler,
                               &(at_schedule_options){.steps = o->steps,
                                                      .original_steps = o->original_steps,
                                                      .strength = o->init ? o->strength : 1.0});
    at_sd_begin(r);
}

static const at_latent_class consistency = {.size = sizeof(at_sd_run),
                                            .colours = &at_colours_sd1,
                                            .starts = true,
                                            .weighs = true,
                                            .embeds = true,
                                            .edits = true,
                                            .settle = settle_consistency,
                                            .encode = encode,
                                            .prepare = prepare_consistency,
                                            .denoise = at_sd_denoise};

static const char *const components[] = {"tokenizer", "text_encoder", "unet",
                                         "vae",       "scheduler",    NULL};

const at_pipeline_class at_stable_diffusion_pipeline_class = {
    .name = "StableDiffusionPipeline", .components = components, .latents = &latents};
const at_pipeline_class at_stable_diffusion_img2img_pipeline_class = {
    .name = "StableDiffusionImg2ImgPipeline", .components = components, .latents = &latents};
const at_pipeline_class at_stable_diffusion_inpaint_pipeline_class = {
    .name = "StableDiffusionInpaintPipeline", .components = components, .latents = &latents};
const at_pipeline_class at_latent_consistency_pipeline_class = {
    .name = "LatentConsistencyModelPipeline", .components = components, .latents = &consistency};
const at_pipeline_class at_latent_consistency_img2img_pipeline_class = {
    .name = "LatentConsistencyModelImg2ImgPipeline",
    .components = components,
    .latents = &consistency};
