#include "pipelines/latent_run.h"
#include "base/threads.h"
#include "models/autoencoders/autoencoder.h"
#include "pipelines/generation.h"
#include "pipelines/latents.h"
#include "tensor/pool.h"
#include <atelier/image.h>
#include <unistd.h>

/* ---- what a run begins with */

bool at_latent_settle(at_context *cx, at_generate_options *o, const at_latent_defaults *d)
{
    if (!o->prompt) o->prompt = "";
    if (!o->width) o->width = d->size;
    if (!o->height) o->height = d->size;
    if (!o->steps) o->steps = d->steps;
    if (!o->count) o->count = 1;
    if (!o->max_sequence_length) o->max_sequence_length = d->tokens;
    if (!o->has_guidance) o->guidance = d->guidance;
    o->has_guidance = true;
    o->width -= o->width % d->unit;
    o->height -= o->height % d->unit;
    if (o->width <= 0 || o->height <= 0)
        return at_fail_false(cx, AT_ERROR_ARGUMENT, "size: a side is below %d pixels", d->unit);
    if (o->count < 0 || o->steps < 0)
        return at_fail_false(cx, AT_ERROR_ARGUMENT, "%d pictures of %d steps", o->count, o->steps);
    if (o->max_sequence_length < 0 || o->max_sequence_length > d->most_tokens)
        return at_fail_false(cx, AT_ERROR_ARGUMENT, "%d tokens: more than %d",
                             o->max_sequence_length, d->most_tokens);
    return true;
}

at_tensor *at_latent_noise(at_latent_run *r, int64_t channels)
{
    int64_t shape[4] = {r->options->count, r->height, r->width, channels};
    return r->options->latents ? at_latents_read(r->cx, r->options->latents, shape)
                               : at_noise_draw(r->cx, r->noise, 4, shape);
}

void at_latent_set_flow(at_latent_run *r, int64_t tokens, bool equal)
{
    at_context *cx = r->cx;
    at_scheduler *s = r->scheduler;
    int steps = r->options->steps;
    double *sigmas = s ? AT_NEW_ARRAY(cx, double, steps) : NULL;
    if (!sigmas) return;
    for (int i = 0; i < steps; i++) sigmas[i] = at_linspace(1.0, 1.0 / steps, i, steps);
    at_schedule_options o = {.steps = steps, .has_mu = true, .mu = at_scheduler_mu(cx, s, tokens)};
    if (equal && s->class->takes_sigmas) {
        o.sigmas = sigmas;
        o.sigma_count = steps;
    }
    at_scheduler_set_timesteps(cx, s, &o);
    at_free(sigmas);
}

at_tensor *at_latent_steps(at_latent_run *r, at_tensor *latents, at_latent_step predict,
                           at_latent_step after)
{
    at_context *cx = r->cx;
    at_scheduler *s = r->scheduler;
    if (!at_ok(cx)) return NULL;
    int first = s->index, last = r->last ? r->last : s->count;
    at_progress(cx, "denoise", 0, last - first);
    for (int i = first; i < last && at_ok(cx); i++) {
        at_scope scope = at_scope_begin(cx);
        at_tensor *output = predict(r, at_scheduler_scale_input(cx, s, latents), i);
        latents = at_scheduler_step(cx, s, output, latents, r->noise);
        if (after) latents = after(r, latents, i);
        at_scope_end(cx, scope, &latents, NULL);
        at_progress(cx, "denoise", i + 1 - first, last - first);
    }
    return latents;
}

/* ---- latents to pictures */

at_module *at_latent_autoencoder(const at_latent_run *r)
{
    return at_pipeline_module_of(r->pipeline, "vae", at_autoencoder_classes);
}

/* a and b of a x + b, by channel: what normalized latents x are in the autoencoder's. */
static bool normal_of(const at_latent_run *r, const at_autoencoder_info *info, at_tensor **a,
                      at_tensor **b)
{
    at_context *cx = r->cx;
    if (!info->latents_mean || !info->latents_std) return false;
    int64_t C = info->latent_channels;
    *a = at_empty(cx, AT_F32, 1, &C);
    *b = at_empty(cx, AT_F32, 1, &C);
    for (int64_t i = 0; at_ok(cx) && i < C; i++) {
        ((float *)(*a)->data)[i] = (float)(info->latents_std[i] / info->scaling_factor);
        ((float *)(*b)->data)[i] = (float)info->latents_mean[i];
    }
    return true;
}

at_tensor *at_latent_unscale(const at_latent_run *r, at_tensor *latents)
{
    at_context *cx = r->cx;
    const at_module *vae = at_latent_autoencoder(r);
    if (!vae) return NULL;
    at_autoencoder_info info = at_autoencoder_info_of(vae);
    at_tensor *a, *b;
    if (r->normalized && normal_of(r, &info, &a, &b)) return at_add(cx, at_mul(cx, latents, a), b);
    return at_affine(cx, latents, (float)(1.0 / info.scaling_factor),
                     r->unshifted ? 0 : (float)info.shift_factor);
}

at_tensor *at_latent_scale(const at_latent_run *r, at_tensor *latents, bool normalized)
{
    at_context *cx = r->cx;
    const at_module *vae = at_latent_autoencoder(r);
    if (!vae) return NULL;
    at_autoencoder_info info = at_autoencoder_info_of(vae);
    at_tensor *a, *b;
    if (normalized && normal_of(r, &info, &a, &b)) return at_div(cx, at_sub(cx, latents, b), a);
    float scale = (float)info.scaling_factor;
    return at_affine(cx, latents, scale, -(float)info.shift_factor * scale);
}

/* Whole is what the reference does; in tiles where the decoder's largest layers (about six of them
   are alive at once) do not fit into the budget, or into half of the machine's memory. */
bool at_latent_needs_tiles(const at_latent_run *r)
{
    const at_module *vae = at_latent_autoencoder(r);
    if (!vae) return false;
    at_autoencoder_info info = at_autoencoder_info_of(vae);
    double pixels = (double)r->options->width * r->options->height;
    double bytes = 6.0 * pixels * (double)info.channels * sizeof(float);
    double budget = (double)at_pool_budget(r->cx), used = (double)at_memory_used(r->cx);
    if (budget > 0 && bytes > budget - used) return true;
    return bytes > 0.5 * (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
}

static void decode(at_latent_run *r, at_tensor *latents, at_generation *made)
{
    at_context *cx = r->cx;
    at_module *vae = at_latent_autoencoder(r);
    if (!vae) return;
    bool tiled = at_latent_needs_tiles(r);
    at_progress(cx, "decode", 0, made->count);
    for (int i = 0; i < made->count && at_ok(cx); i++) {
        at_scope s = at_scope_begin(cx);
        at_tensor *z = at_latent_unscale(r, at_slice(cx, latents, 0, i, 1));
        at_tensor *x = at_autoencoder_decode(cx, vae, z, tiled);
        x = at_affine(cx, at_view(cx, x, at_dim(x, 1), at_dim(x, 2), at_dim(x, 3)), 0.5f, 0.5f);
        made->images[i] = at_image_from_tensor(cx, x);
        at_scope_end(cx, s, NULL);
        at_progress(cx, "decode", i + 1, made->count);
    }
}

/* ---- the call */

/* Seconds since `since`, without those spent on loading, which go to timings->load. */
static double seconds_since(at_latent_run *r, double since, at_timings *timings)
{
    double loading = at_pipeline_take_load_seconds(r->pipeline);
    timings->load += loading;
    return at_clock() - since - loading;
}

static void run(at_latent_run *r, const at_latent_class *class, at_generation *made)
{
    at_timings *timings = &made->timings;
    at_context *cx = r->cx;
    const at_generate_options *o = r->options;
    at_scope s = at_scope_begin(cx);
    double since = at_clock();
    r->scheduler = at_pipeline_scheduler(r->pipeline, o->sampler, o->schedule);
    class->encode(r);
    timings->encode = seconds_since(r, since, timings);
    r->noise = at_noise_new(cx, o->rng, o->seed, o->count, true);
    if (r->scheduler) r->scheduler->eta = o->eta;
    class->prepare(r);
    if (r->scheduler) made->used.sampler = r->scheduler->class->sampler;

    since = at_clock();
    at_tensor *latents = class->denoise(r);
    timings->step = seconds_since(r, since, timings) / o->steps;

    since = at_clock();
    decode(r, latents, made);
    timings->decode = seconds_since(r, since, timings);
    if (o->save_latents) at_latents_write(cx, o->save_latents, latents);
    at_scope_end(cx, s, NULL);
}

at_generation *at_latent_generate(at_pipeline *pipeline, const at_generate_options *options,
                                  const at_latent_class *class)
{
    at_context *cx = pipeline->cx;
    at_generate_options o = *options;
    if ((o.init || o.mask) && !class->starts)
        return at_fail(cx, AT_ERROR_UNSUPPORTED, "--init: %s makes pictures from words only",
                       pipeline->class->name);
    at_module *vae = at_pipeline_module_of(pipeline, "vae", at_autoencoder_classes);
    if (!vae) return NULL;
    int scale = at_autoencoder_info_of(vae).scale;
    bool fine = class->settle(pipeline, &o, scale);
    at_generation *made = fine ? at_generation_new(pipeline, &o) : NULL;
    at_latent_run *r = made ? at_alloc(cx, 1, class->size) : NULL;
    if (r) {
        *r = (at_latent_run){.cx = cx,
                             .pipeline = pipeline,
                             .options = &made->used,
                             .normalized = class->normalized,
                             .height = o.height / scale,
                             .width = o.width / scale};
        run(r, class, made);
        at_noise_free(r->noise);
        at_scheduler_free(cx, r->scheduler);
    }
    at_free(r);
    if (at_ok(cx)) return made;
    at_generation_free(made);
    return NULL;
}
