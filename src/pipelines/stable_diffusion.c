#include "pipelines/stable_diffusion.h"
#include "pipelines/guidance.h"
#include "pipelines/prompt.h"
#include "pipelines/prompt_plan.h"
#include "pipelines/prompt_weights.h"

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

static bool check_parts(at_context *cx, const at_generate_options *o)
{
    if (o->denoising_start < 0 || o->denoising_start >= 1 || o->denoising_end < 0 ||
        o->denoising_end > 1 || (o->denoising_end > 0 && o->denoising_end <= o->denoising_start))
        return at_fail_false(cx, AT_ERROR_ARGUMENT, "denoising from %g to %g: not a part of 0 to 1",
                             o->denoising_start, o->denoising_end);
    if (o->denoising_start > 0 && !o->init && !o->latents)
        return at_fail_false(cx, AT_ERROR_ARGUMENT,
                             "denoising_start needs latents or a picture to start from");
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
    if (!at_latent_check_start(cx, o) || !check_parts(cx, o)) return false;
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

int at_sd_clip_skip(const at_latent_run *r, bool negative)
{
    bool plain = r->options->prompt_syntax == AT_PROMPT_PLAIN; /* Diffusers: the prompt's alone */
    return negative && plain ? 0 : r->options->clip_skip;
}

static at_sd_part encode_part(at_latent_run *r, const at_prompt_part *part, int calls,
                              bool negative, at_sd_encoder encode)
{
    at_sd_part out = {.weight = part->weight};
    out.which = at_from(r->cx, AT_I32, 1, (int64_t[]){calls + 1}, part->which);
    out.text = encode(r, &part->texts, negative);
    return out;
}

/* A prompt's parts as it changes over all calls of the UNet that the steps asked for would take, or
   over those that a second pass takes. */
static int encode_prompt(at_latent_run *r, const char *prompt, bool negative, at_sd_encoder encode,
                         at_sd_part *parts)
{
    at_context *cx = r->cx;
    const at_generate_options *o = r->options;
    at_prompt_plan plan = {0};
    int order = r->scheduler ? r->scheduler->class->order : 1;
    int steps = r->steps_before ? AT_MIN((int)(o->steps * o->strength), o->steps) : o->steps;
    bool fine = at_prompt_plan_make(cx, prompt ? prompt : "", o->prompt_syntax, !negative,
                                    steps * order, r->steps_before * order, &plan);
    if (fine && plan.count > AT_SD_PARTS)
        fine =
            at_fail_false(cx, AT_ERROR_ARGUMENT, "the prompt: %d parts joined by AND (at most %d)",
                          plan.count, AT_SD_PARTS);
    int count = fine ? plan.count : 0;
    for (int i = 0; i < count; i++)
        parts[i] = encode_part(r, &plan.parts[i], plan.calls, negative, encode);
    at_prompt_plan_free(&plan);
    return count;
}

void at_sd_encode(at_latent_run *r, at_sd_encoder encode)
{
    at_context *cx = r->cx;
    const at_generate_options *o = r->options;
    at_sd_run *s = own(r);
    s->info = at_unet_info_of(unet_of(r->pipeline));
    at_progress(cx, "encode", 0, 2);
    s->part_count = encode_prompt(r, o->prompt, false, encode, s->parts);
    at_progress(cx, "encode", 1, 2);
    bool joined = s->part_count > 1 || s->parts[0].weight != 1.0;
    s->guided = (at_latent_guided(r, o->guidance) || joined) && !s->info.time_cond_dim;
    if (joined && s->info.time_cond_dim)
        at_fail(
            cx, AT_ERROR_UNSUPPORTED,
            "the prompt: AND needs guidance by a second pass, which this distilled model has not");
    if (s->guided) encode_prompt(r, o->negative, true, encode, &s->away);
    at_progress(cx, "encode", 2, 2);
}

/* ---- what a run begins with */

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

void at_sd_begin(at_latent_run *r)
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
    s->first = o->denoising_start > 0 ? 0 : r->scheduler->index; /* a refiner counts on */
    s->start = at_latent_begin(r, s->info.out_channels, nine ? 0 : AT_START_BLENDS);
    if (s->info.time_cond_dim) s->scale = embed_scale(r, s->info.time_cond_dim);
    s->unet = unet_of(r->pipeline); /* after the autoencoder, which it may have made room for */
}

void at_sd_prepare(at_latent_run *r)
{
    const at_schedule_options o = {.steps = r->options->steps};
    at_scheduler_set_timesteps(r->cx, r->scheduler, &o);
    at_latent_window(r);
    at_sd_begin(r);
}

/* ---- what the UNet is told */

static at_tensor *text_of(at_latent_run *r, at_tensor *x, const at_sd_part *part, int call)
{
    int64_t calls = at_dim(part->which, 0);
    if (!x || !calls) return NULL;
    int which = ((const int32_t *)part->which->data)[AT_MIN(call, calls - 1)];
    return at_slice(r->cx, x, 0, which, 1);
}

/* x [1,n,D] to N tokens, as A1111 does for parts of different lengths: by its last one. */
static at_tensor *lengthened(at_context *cx, at_tensor *x, int64_t N)
{
    int64_t n = at_dim(x, 1);
    if (!x || n >= N) return x;
    int64_t shape[3] = {1, N - n, at_dim(x, 2)};
    return at_join(cx, 1, x, at_expand(cx, at_slice(cx, x, 1, n - 1, 1), 3, shape));
}

/* [1 + parts,...] of rows, each for B pictures; away first, where it is not NULL. */
static at_tensor *rows_of(at_latent_run *r, at_tensor *away, at_tensor *parts)
{
    at_context *cx = r->cx;
    int64_t B = r->options->count, P = at_dim(parts, 0);
    at_tensor *rows[1 + AT_SD_PARTS];
    int count = 0;
    if (away) rows[count++] = at_prompt_repeat(cx, away, B);
    for (int64_t i = 0; i < P; i++)
        rows[count++] = at_prompt_repeat(cx, at_slice(cx, parts, 0, i, 1), B);
    return at_contiguous(cx, count > 1 ? at_concat(cx, 0, count, rows) : rows[0]);
}

/* What the UNet is told at a call, without the prompt first where guided. */
static at_sd_text told(at_latent_run *r, int call)
{
    at_context *cx = r->cx;
    at_sd_run *s = own(r);
    at_tensor *embeds[AT_SD_PARTS], *pooled[AT_SD_PARTS];
    int64_t N = 0;
    for (int i = 0; i < s->part_count; i++) {
        embeds[i] = text_of(r, s->parts[i].text.embeds, &s->parts[i], call);
        pooled[i] = text_of(r, s->parts[i].text.pooled, &s->parts[i], call);
        N = AT_MAX(N, at_dim(embeds[i], 1));
    }
    if (!at_ok(cx)) return (at_sd_text){0};
    for (int i = 0; i < s->part_count; i++) embeds[i] = lengthened(cx, embeds[i], N);
    at_tensor *words = at_concat(cx, 0, s->part_count, embeds);
    at_tensor *pool = pooled[0] ? at_concat(cx, 0, s->part_count, pooled) : NULL;
    at_tensor *away = s->guided ? text_of(r, s->away.text.embeds, &s->away, call) : NULL;
    at_tensor *away_pool = s->guided ? text_of(r, s->away.text.pooled, &s->away, call) : NULL;
    if (away) at_prompt_match(cx, &away, &words);
    return (at_sd_text){rows_of(r, away, words), pool ? rows_of(r, away_pool, pool) : NULL};
}

static at_tensor *time_ids(at_latent_run *r)
{
    const at_sd_run *s = own(r);
    int64_t shape[2] = {s->part_count, at_dim(s->time_ids, 1)};
    return rows_of(r, s->guided ? s->away_time_ids : NULL, at_expand(r->cx, s->time_ids, 2, shape));
}

/* The parts' outputs as one: away + the sum of weight (part - away). [(1 + P) B,h,w,C] */
static at_tensor *mixed(at_latent_run *r, at_tensor *output, at_tensor *away)
{
    at_context *cx = r->cx;
    const at_sd_run *s = own(r);
    int64_t B = r->options->count;
    if (s->part_count == 1 && s->parts[0].weight == 1.0) return at_slice(cx, output, 0, B, B);
    at_tensor *x = away;
    for (int i = 0; i < s->part_count; i++) {
        at_tensor *part = at_slice(cx, output, 0, (1 + i) * B, B);
        x = at_add(cx, x, at_affine(cx, at_sub(cx, part, away), (float)s->parts[i].weight, 0.0f));
    }
    return x;
}

/* ---- noise to latents */

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
    at_sd_text text = told(r, i - s->first);
    at_tensor *x = latents;
    for (int64_t rows = B; rows < at_dim(text.embeds, 0); rows += B) x = at_join(cx, 0, x, latents);
    if (sees_mask(s)) x = with_mask(r, x);
    const at_unet_inputs inputs = {
        .sample = x,
        .timestep = at_full(cx, (float)r->scheduler->timesteps[i], 1, (int64_t[]){at_dim(x, 0)}),
        .encoder_hidden_states = text.embeds,
        .timestep_cond = s->scale,
        .text_embeds = text.pooled,
        .time_ids = s->time_ids ? time_ids(r) : NULL,
    };
    at_tensor *output = at_unet_forward(cx, s->unet, &inputs);
    if (!s->guided) return output;
    at_tensor *away = at_slice(cx, output, 0, 0, B), *cond = mixed(r, output, away);
    output = at_latent_guide(r, cond, away, o->guidance);
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
