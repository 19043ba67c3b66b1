#include "pipelines/stable_diffusion.h"
#include "pipelines/guidance.h"
#include "pipelines/prompt.h"

enum { STEPS = 50, UNIT = 8, MASK_CHANNELS = 1 };

static at_sd_run *own(at_latent_run *r)
{
    return (at_sd_run *)r; /* base comes first */
}

static at_module *unet_of(at_pipeline *pipeline)
{
    return at_pipeline_module(pipeline, "unet", at_unet_2d_condition_class.name);
}

/* ---- what a call asks for */

static bool check_starts(at_context *cx, const at_generate_options *o)
{
    if (o->mask && !o->init)
        return at_fail_false(cx, AT_ERROR_ARGUMENT, "a mask needs a picture (give --init)");
    if (o->strength < 0 || o->strength > 1)
        return at_fail_false(cx, AT_ERROR_ARGUMENT, "strength: %g is not from 0 to 1", o->strength);
    if (o->denoising_start < 0 || o->denoising_start >= 1 || o->denoising_end < 0 ||
        o->denoising_end > 1 || (o->denoising_end > 0 && o->denoising_end <= o->denoising_start))
        return at_fail_false(cx, AT_ERROR_ARGUMENT, "denoising from %g to %g: not a part of 0 to 1",
                             o->denoising_start, o->denoising_end);
    if (o->denoising_start > 0 && !o->init && !o->latents)
        return at_fail_false(cx, AT_ERROR_ARGUMENT,
                             "denoising_start needs latents or a picture to start from");
    if (o->init && o->latents && !o->mask && o->denoising_start <= 0)
        return at_fail_false(cx, AT_ERROR_ARGUMENT,
                             "image to image draws its own noise (leave out --latents or --init)");
    return true;
}

bool at_sd_settle(at_pipeline *pipeline, at_generate_options *o, int scale, double guidance,
                  double strength)
{
    at_context *cx = pipeline->cx;
    at_module *unet = unet_of(pipeline);
    if (!unet) return false;
    at_unet_info info = at_unet_info_of(unet);
    if (!o->height) o->height = o->init && !o->mask ? 0 : (int)info.sample_size[0] * scale;
    if (!o->width) o->width = o->init && !o->mask ? 0 : (int)info.sample_size[1] * scale;
    const at_latent_defaults d = {
        .size = 64 * scale, .unit = 1, .steps = STEPS, .guidance = guidance};
    if (o->strength == 0) o->strength = strength;
    if (!check_starts(cx, o)) return false;
    if (o->init && !o->mask && !at_latent_size_of_init(cx, o, scale)) return false;
    if (!at_latent_settle(cx, o, &d)) return false;
    if (o->width % UNIT || o->height % UNIT || o->width % scale || o->height % scale)
        return at_fail_false(cx, AT_ERROR_ARGUMENT, "size: %d x %d: sides must be multiples of %d",
                             o->width, o->height, AT_MAX(UNIT, scale));
    if (o->clip_skip < 0)
        return at_fail_false(cx, AT_ERROR_ARGUMENT, "clip_skip: %d is below 0", o->clip_skip);
    if (o->resolution_binning)
        return at_fail_false(cx, AT_ERROR_UNSUPPORTED, "%s has no resolution binning",
                             pipeline->class->name);
    return true;
}

/* ---- words */

void at_sd_encode(at_latent_run *r,
                  at_sd_text (*encode_prompt)(at_latent_run *, const char *, bool))
{
    at_context *cx = r->cx;
    const at_generate_options *o = r->options;
    at_sd_run *s = own(r);
    s->info = at_unet_info_of(unet_of(r->pipeline));
    s->guided = o->guidance > 1.0 && !s->info.time_cond_dim;
    at_progress(cx, "encode", 0, 1 + s->guided);
    at_sd_text text = encode_prompt(r, o->prompt, false);
    s->text.embeds = at_prompt_repeat(cx, text.embeds, o->count);
    s->text.pooled = at_prompt_repeat(cx, text.pooled, o->count);
    at_progress(cx, "encode", 1, 1 + s->guided);
    if (!s->guided) return;
    at_sd_text away = encode_prompt(r, o->negative, true);
    s->text.embeds = at_join(cx, 0, at_prompt_repeat(cx, away.embeds, o->count), s->text.embeds);
    if (away.pooled)
        s->text.pooled =
            at_join(cx, 0, at_prompt_repeat(cx, away.pooled, o->count), s->text.pooled);
    at_progress(cx, "encode", 2, 2);
}

/* ---- noise to latents */

/* get_guidance_scale_embedding: of scale - 1. [B,dim] */
static at_tensor *embed_scale(at_latent_run *r, int64_t dim)
{
    const at_timestep_options options = {.downscale_freq_shift = 1.0f, .scale = 1000.0f};
    at_tensor *w =
        at_full(r->cx, (float)(r->options->guidance - 1.0), 1, (int64_t[]){r->options->count});
    return at_timestep_embedding(r->cx, w, dim, &options);
}

static bool sees_mask(const at_sd_run *s)
{
    return s->info.in_channels == 2 * s->info.out_channels + MASK_CHANNELS;
}

void at_sd_prepare(at_latent_run *r)
{
    at_context *cx = r->cx;
    at_sd_run *s = own(r);
    const at_generate_options *o = r->options;
    if (!at_ok(cx)) return;
    bool nine = sees_mask(s);
    if (nine != (o->mask != NULL) && s->info.in_channels != s->info.out_channels) {
        at_fail(cx, AT_ERROR_ARGUMENT,
                "%s: an inpainting model needs a picture and a mask (give --init and --mask)",
                r->pipeline->folder);
        return;
    }
    at_scheduler_set_timesteps(cx, r->scheduler, &(at_schedule_options){.steps = o->steps});
    at_latent_window(r);
    s->start = at_latent_begin(r, s->info.out_channels, !nine);
    if (s->info.time_cond_dim) s->scale = embed_scale(r, s->info.time_cond_dim);
    s->unet = unet_of(r->pipeline); /* after the autoencoder, which it may have made room for */
}

/* x [B,h,w,C] with the mask and what it leaves, which the scheduler does not scale */
static at_tensor *with_mask(at_latent_run *r, at_tensor *x)
{
    const at_latent_start *start = &own(r)->start;
    int64_t B = at_dim(x, 0);
    return at_join(r->cx, 3, x, at_prompt_repeat(r->cx, start->mask, B),
                   at_prompt_repeat(r->cx, start->masked, B));
}

static at_tensor *predict(at_latent_run *r, at_tensor *latents, int i)
{
    at_context *cx = r->cx;
    at_sd_run *s = own(r);
    const at_generate_options *o = r->options;
    int64_t B = at_dim(latents, 0);
    at_tensor *x = s->guided ? at_join(cx, 0, latents, latents) : latents;
    if (sees_mask(s)) x = with_mask(r, x);
    const at_unet_inputs inputs = {
        .sample = x,
        .timestep = at_full(cx, (float)r->scheduler->timesteps[i], 1, (int64_t[]){at_dim(x, 0)}),
        .encoder_hidden_states = s->text.embeds,
        .timestep_cond = s->scale,
        .text_embeds = s->text.pooled,
        .time_ids = s->time_ids,
    };
    at_tensor *output = at_unet_forward(cx, s->unet, &inputs);
    if (!s->guided) return output;
    at_tensor *cond = at_slice(cx, output, 0, B, B);
    output = at_guidance(cx, cond, at_slice(cx, output, 0, 0, B), (float)o->guidance);
    if (o->guidance_rescale <= 0) return output;
    return at_guidance_rescale(cx, output, cond, (float)o->guidance_rescale);
}

static at_tensor *blend(at_latent_run *r, at_tensor *latents, int i)
{
    return at_latent_blend(r, &own(r)->start, latents, i);
}

at_tensor *at_sd_denoise(at_latent_run *r)
{
    at_sd_run *s = own(r);
    bool blends = s->start.mask && !sees_mask(s);
    return at_latent_steps(r, s->start.latents, predict, blends ? blend : NULL);
}
