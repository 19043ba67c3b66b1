#include "pipelines/latent_run.h"
#include "models/autoencoders/autoencoder.h"
#include "pipelines/guidance.h"
#include "pipelines/latents.h"
#include "pipelines/preview.h"
#include "tensor/pool.h"
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
    int width = o->width - o->width % d->unit, height = o->height - o->height % d->unit;
    if (width <= 0 || height <= 0)
        return at_fail_false(cx, AT_ERROR_ARGUMENT, "size: a side is below %d pixels", d->unit);
    if (width != o->width || height != o->height)
        at_log(cx, AT_LOG_WARNING, "size: %d x %d, since this model takes multiples of %d", width,
               height, d->unit);
    o->width = width;
    o->height = height;
    if (o->count < 0 || o->steps < 0)
        return at_fail_false(cx, AT_ERROR_ARGUMENT, "%d pictures of %d steps", o->count, o->steps);
    if (o->max_sequence_length < 0 || o->max_sequence_length > d->most_tokens)
        return at_fail_false(cx, AT_ERROR_ARGUMENT, "%d tokens: more than %d",
                             o->max_sequence_length, d->most_tokens);
    return true;
}

at_tensor *at_latent_noise(at_latent_run *r, int64_t channels)
{
    at_context *cx = r->cx;
    int64_t shape[4] = {r->options->count, r->height, r->width, channels};
    if (r->options->latents && r->from) return r->from;
    if (r->options->latents) {
        shape[0] = r->total;
        at_tensor *all = at_latents_read(cx, r->options->latents, shape);
        return at_slice(cx, all, 0, r->begin, r->options->count);
    }
    if (r->lead) /* it goes on as in a run of its own */
        at_noise_draw(cx, r->lead, 4, (int64_t[]){1, r->height, r->width, channels});
    return at_noise_draw(cx, r->noise, 4, shape);
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

bool at_latent_guided(const at_latent_run *r, double guidance)
{
    return guidance > 1.0 || (r->scheduler && r->scheduler->class->takes_away);
}

at_tensor *at_latent_guide(at_latent_run *r, at_tensor *cond, at_tensor *away, double guidance)
{
    if (r->scheduler->class->takes_away) r->scheduler->away = away;
    return at_guidance(r->cx, cond, away, (float)guidance);
}

at_tensor *at_latent_steps(at_latent_run *r, at_tensor *latents, at_latent_step predict,
                           at_latent_step after)
{
    at_context *cx = r->cx;
    at_scheduler *s = r->scheduler;
    if (!at_ok(cx)) return NULL;
    if (!r->last) r->last = s->count;
    int first = s->index;
    bool ends = r->last == s->count; /* dpm_adaptive's count grows on the way */
    at_progress(cx, "denoise", 0, r->last - first);
    for (int i = first; i < r->last && at_ok(cx); i++) {
        at_scope scope = at_scope_begin(cx);
        at_tensor *output = predict(r, at_scheduler_scale_input(cx, s, latents), i);
        at_latent_preview(r, output, latents, i, i + 1 - first, r->last - first);
        latents = at_scheduler_step(cx, s, output, latents, r->noise);
        s->away = NULL;
        if (ends) r->last = s->count;
        if (after) latents = after(r, latents, i);
        at_scope_end(cx, scope, &latents, NULL);
        at_progress(cx, "denoise", i + 1 - first, r->last - first);
    }
    r->taken = r->last - first;
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
    if (r->class->normalized && normal_of(r, &info, &a, &b))
        return at_add(cx, at_mul(cx, latents, a), b);
    bool unshifted = r->class->unshifted && r->options->mask;
    return at_affine(cx, latents, (float)(1.0 / info.scaling_factor),
                     unshifted ? 0 : (float)info.shift_factor);
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
