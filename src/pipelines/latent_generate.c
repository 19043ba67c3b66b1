/* A call: its pictures all at once, or in parts where memory wants it so; a second pass, or a
   refiner; latents to pictures. */
#include "base/threads.h"
#include "models/autoencoders/autoencoder.h"
#include "pipelines/generation.h"
#include "pipelines/latents.h"
#include "pipelines/parts.h"
#include "pipelines/preview.h"
#include "pipelines/upscale.h"
#include <atelier/image.h>

#define REFINER_SWITCH 0.8
#define HIRES_STRENGTH 0.7

typedef struct call {
    at_context *cx;
    at_pipeline *pipeline;
    at_generation *made;
    int scale; /* pixels a latent */
    const at_upscaler *upscaler;
    const char *sampler;        /* of the first run */
    at_generate_options second; /* of the second pass or the refiner, for all pictures */
    double step_seconds;
    double steps; /* taken, by one part of the pictures */
} call;

/* ---- one run */

/* The time, with what was spent on loading before it put where it belongs. */
static double start(at_pipeline *p, at_timings *timings)
{
    timings->load += at_pipeline_take_load_seconds(p);
    return at_clock();
}

/* Seconds since `since`, without those spent on loading, which go to timings->load. */
static double seconds_since(at_pipeline *p, double since, at_timings *timings)
{
    double loading = at_pipeline_take_load_seconds(p);
    timings->load += loading;
    return at_clock() - since - loading;
}

static at_tensor *run(at_latent_run *r, call *c)
{
    at_timings *timings = &c->made->timings;
    const at_generate_options *o = r->options;
    at_scope s = at_scope_begin(r->cx);
    r->scheduler = at_pipeline_scheduler(r->pipeline, o->sampler, o->schedule);
    double since = start(r->pipeline, timings);
    r->class->encode(r);
    timings->encode += seconds_since(r->pipeline, since, timings);
    at_pipeline_rest(r->pipeline);
    r->noise = at_noise_new(r->cx, o->rng, o->seed, o->count, true);
    if (r->begin) r->lead = at_noise_new(r->cx, o->rng, o->seed - (uint64_t)r->begin, 1, true);
    if (r->scheduler) r->scheduler->eta = o->eta;
    r->class->prepare(r);

    since = start(r->pipeline, timings);
    at_tensor *latents = r->class->denoise(r);
    c->step_seconds += seconds_since(r->pipeline, since, timings);
    if (r->scheduler && !r->begin) c->steps += (double)r->taken / r->scheduler->class->order;
    if (r->scheduler && !c->sampler) c->sampler = r->scheduler->class->sampler;
    at_scope_end(r->cx, s, &latents, NULL);
    at_pipeline_rest(r->pipeline);
    return latents;
}

/* Runs a pipeline for the pictures from `begin` on, which `from` has something of for each (or
   NULL). -> latents [B,h,w,C] */
static at_tensor *draw(call *c, at_pipeline *p, const at_generate_options *options, int begin,
                       int count, at_tensor *from, bool from_pictures)
{
    at_context *cx = c->cx;
    at_generate_options o = *options;
    at_latent_run *r = at_ok(cx) ? at_alloc(cx, 1, p->class->latents->size) : NULL;
    if (!r) return NULL;
    o.count = count;
    o.seed += (uint64_t)begin;
    *r = (at_latent_run){.cx = cx,
                         .pipeline = p,
                         .class = p->class->latents,
                         .options = &o,
                         .begin = begin,
                         .total = options->count,
                         .height = o.height / c->scale,
                         .width = o.width / c->scale,
                         .from = from,
                         .from_pictures = from_pictures,
                         .steps_before = from && c->upscaler ? c->made->used.steps : 0};
    at_tensor *latents = run(r, c);
    at_noise_free(r->noise);
    at_noise_free(r->lead);
    at_scheduler_free(cx, r->scheduler);
    at_free(r);
    return latents;
}

/* ---- latents to pictures */

/* latents [1,h,w,C] of a run with these options */
static at_image *decode(call *c, at_pipeline *p, const at_generate_options *o, at_tensor *latents)
{
    at_context *cx = c->cx;
    const at_latent_run r = {.cx = cx, .pipeline = p, .class = p->class->latents, .options = o};
    at_module *vae = at_latent_autoencoder(&r);
    if (!vae) return NULL;
    at_scope s = at_scope_begin(cx);
    at_tensor *x = at_latent_unscale(&r, latents);
    x = at_autoencoder_decode(cx, vae, x, at_latent_needs_tiles(&r));
    x = at_affine(cx, at_view(cx, x, at_dim(x, 1), at_dim(x, 2), at_dim(x, 3)), 0.5f, 0.5f);
    at_image *image = at_image_from_tensor(cx, x);
    at_scope_end(cx, s, NULL);
    return image;
}

static void decode_all(call *c, at_pipeline *p, const at_generate_options *o, at_tensor *latents,
                       int begin)
{
    at_context *cx = c->cx;
    double since = start(p, &c->made->timings);
    int count = (int)at_dim(latents, 0), total = c->made->count;
    at_progress(cx, "decode", begin, total);
    for (int i = 0; i < count && at_ok(cx); i++) {
        c->made->images[begin + i] = decode(c, p, o, at_slice(cx, latents, 0, i, 1));
        at_progress(cx, "decode", begin + i + 1, total);
    }
    c->made->timings.decode += seconds_since(p, since, &c->made->timings);
    at_pipeline_rest(p);
}

/* ---- a second pass at a larger size */

/* What an option that is given in memory looks like to the classes: given, but no file. */
static const char in_memory[] = "";

/* The size of the second pass, down to what latents can be. */
static bool settle_larger(call *c, const at_generate_options *first, at_generate_options *o)
{
    int unit = c->scale * AT_MAX(c->pipeline->class->latents->patch, 1);
    const int *size = first->hires_size;
    o->width = size[0] ? size[0] : (int)(first->width * first->hires_scale);
    o->height = size[1] ? size[1] : (int)(first->height * first->hires_scale);
    o->width -= o->width % unit;
    o->height -= o->height % unit;
    return (o->width >= first->width && o->height >= first->height) ||
           at_fail_false(c->cx, AT_ERROR_ARGUMENT, "hires: %d x %d is smaller than %d x %d",
                         o->width, o->height, first->width, first->height);
}

static bool settle_hires(call *c)
{
    at_context *cx = c->cx;
    const at_latent_class *class = c->pipeline->class->latents;
    at_generate_options *first = &c->made->used, *o = &c->second;
    if (!class->starts)
        return at_fail_false(cx, AT_ERROR_UNSUPPORTED, "--hires: %s makes pictures from words only",
                             c->pipeline->class->name);
    if (first->init || first->denoising_end > 0 || first->denoising_start > 0)
        return at_fail_false(cx, AT_ERROR_UNSUPPORTED,
                             "--hires goes with words alone (leave out --init, --denoising-start "
                             "and --denoising-end)");
    c->upscaler = at_upscaler_of(cx, first->hires_upscaler);
    if (!c->upscaler) return false;
    if (first->hires_strength == 0) first->hires_strength = HIRES_STRENGTH;
    if (!first->hires_steps) first->hires_steps = first->steps;
    *o = *first;
    o->steps = first->hires_steps;
    o->strength = first->hires_strength;
    o->init = in_memory;
    o->latents = NULL;
    return settle_larger(c, first, o) && class->settle(c->pipeline, o, c->scale);
}

/* [B,h,w,C] -> [B,H,W,3] in -1..1: pictures of 8 bits between, as files would have them */
static at_tensor *upscaled_pictures(call *c, at_tensor *latents)
{
    at_context *cx = c->cx;
    at_tensor *out = NULL;
    for (int64_t i = 0; i < at_dim(latents, 0) && at_ok(cx); i++) {
        at_tensor *one = at_slice(cx, latents, 0, i, 1);
        at_image *small = decode(c, c->pipeline, &c->made->used, one);
        at_image *large = at_upscale_image(c->upscaler, small, c->second.width, c->second.height);
        at_tensor *x = large ? at_affine(cx, at_image_to_tensor(large), 2.0f, -1.0f) : NULL;
        x = at_view(cx, x, 1, c->second.height, c->second.width, 3);
        out = i ? at_join(cx, 0, out, x) : x;
        at_image_free(small);
        at_image_free(large);
    }
    return out;
}

static at_tensor *draw_larger(call *c, at_tensor *latents, int begin, int count)
{
    const at_generate_options *o = &c->second;
    if (!at_upscales_latents(c->upscaler))
        return draw(c, c->pipeline, o, begin, count, upscaled_pictures(c, latents), true);
    at_tensor *large =
        at_upscale_latents(c->cx, c->upscaler, latents, o->height / c->scale, o->width / c->scale);
    return draw(c, c->pipeline, o, begin, count, large, false);
}

/* ---- a refiner */

static bool settle_refiner(call *c)
{
    at_context *cx = c->cx;
    at_generate_options *first = &c->made->used, *o = &c->second;
    at_pipeline *refiner = first->refiner;
    const at_latent_class *class = refiner->class->latents;
    if (!c->pipeline->class->latents->normalized || !class->normalized)
        return at_fail_false(cx, AT_ERROR_UNSUPPORTED,
                             "--refiner: %s and %s are not both of Stable Diffusion XL",
                             c->pipeline->class->name, refiner->class->name);
    if (refiner->cx != cx || first->denoising_end > 0 || first->denoising_start > 0 ||
        first->hires_scale > 0 || first->hires_size[0])
        return at_fail_false(cx, AT_ERROR_ARGUMENT,
                             "a refiner takes the end of the noise (leave out --denoising-start, "
                             "--denoising-end and --hires)");
    if (first->refiner_switch == 0) first->refiner_switch = REFINER_SWITCH;
    *o = *first;
    o->denoising_start = first->refiner_switch;
    o->latents = in_memory;
    o->init = o->mask = NULL;
    return class->settle(refiner, o, c->scale);
}

/* ---- the pictures in parts */

/* The pictures from `begin` on, whole. -> their latents */
static at_tensor *part(call *c, int begin, int count)
{
    const at_generate_options *used = &c->made->used;
    at_generate_options first = *used;
    at_pipeline *last = used->refiner ? used->refiner : c->pipeline;
    if (used->refiner) first.denoising_end = used->refiner_switch;
    at_tensor *x = draw(c, c->pipeline, &first, begin, count, NULL, false);
    if (used->refiner) x = draw(c, last, &c->second, begin, count, x, false);
    if (c->upscaler) x = draw_larger(c, x, begin, count);
    decode_all(c, last, c->upscaler ? &c->second : used, x, begin);
    return x;
}

/* All pictures, `batch` of them at a time. */
static void all_parts(call *c, int batch)
{
    at_context *cx = c->cx;
    int count = c->made->count;
    const char *save = c->made->used.save_latents;
    at_scope s = at_scope_begin(cx);
    at_tensor *all = NULL;
    for (int begin = 0; begin < count && at_ok(cx); begin += batch) {
        at_scope one = at_scope_begin(cx);
        at_tensor *x = part(c, begin, AT_MIN(batch, count - begin));
        at_scope_end(cx, one, &x, NULL);
        all = begin ? at_join(cx, 0, all, x) : x;
    }
    if (save) at_latents_write(cx, save, all);
    at_scope_end(cx, s, NULL);
}

/* Takes back what a try has made that had too little memory. */
static void forget(call *c)
{
    for (int i = 0; i < c->made->count; i++) {
        at_image_free(c->made->images[i]);
        c->made->images[i] = NULL;
    }
    c->step_seconds = c->steps = 0;
    at_error_clear(c->cx);
}

/* As many at a time as there is memory for: all, or half as many again and again. */
static void generate(call *c)
{
    int batch = c->made->count;
    all_parts(c, batch);
    while (at_error_status(c->cx) == AT_ERROR_MEMORY && batch > 1) {
        at_log(c->cx, AT_LOG_INFO, "%d pictures at once: %s", batch, at_error_text(c->cx));
        forget(c);
        batch = (batch + 1) / 2;
        all_parts(c, batch);
    }
    if (c->steps > 0) c->made->timings.step = c->step_seconds / c->steps;
    if (!c->made->used.sampler) c->made->used.sampler = c->sampler;
}

/* ---- the call */

static bool settle_second(call *c)
{
    const at_generate_options *o = &c->made->used;
    if (o->refiner) return settle_refiner(c);
    return (o->hires_scale <= 0 && !o->hires_size[0] && !o->hires_size[1]) || settle_hires(c);
}

at_generation *at_latent_generate(at_pipeline *pipeline, const at_generate_options *options)
{
    at_context *cx = pipeline->cx;
    const at_latent_class *class = pipeline->class->latents;
    at_generate_options o = *options;
    if ((o.init || o.mask) && !class->starts)
        return at_fail(cx, AT_ERROR_UNSUPPORTED, "--init: %s makes pictures from words only",
                       pipeline->class->name);
    if (o.preview && o.preview_vae && !at_parts_take_preview(pipeline, o.preview_vae)) return NULL;
    at_module *vae = at_pipeline_module_of(pipeline, "vae", at_autoencoder_classes);
    if (!vae) return NULL;
    call c = {.cx = cx, .pipeline = pipeline, .scale = at_autoencoder_info_of(vae).scale};
    if (!class->settle(pipeline, &o, c.scale)) return NULL;
    c.made = at_generation_new(pipeline, &o);
    if (c.made && settle_second(&c)) generate(&c);
    if (at_ok(cx)) return c.made;
    at_generation_free(c.made);
    return NULL;
}
