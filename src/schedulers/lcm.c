/* diffusers.LCMScheduler (Luo et al. 2023): each step jumps to the clean sample and, but for the
   last, back to the next level with fresh noise. TCDScheduler (Zheng et al. 2024): a step goes
   down past the next level by a share `eta` of it, and with fresh noise back up. */
#include "schedulers/discrete.h"
#include <math.h>

typedef struct lcm {
    at_discrete base;
    int original_steps;
    double scaling; /* timestep_scaling */
} lcm;

static void configure(at_context *cx, at_scheduler *s, at_config *k)
{
    static const at_alphas_defaults betas = {0.00085, 0.012, "scaled_linear", .zero_snr = true};
    lcm *m = (lcm *)s;
    at_discrete_configure(cx, &m->base, k, AT_LEADING, &betas);
    at_discrete_configure_clean(cx, &m->base, k, true, false);
    m->original_steps = at_config_range(cx, k, "original_inference_steps", 50, 1, 1000000);
    m->scaling = at_config_number(cx, k, "timestep_scaling", 10.0);
    at_config_bool(cx, k, "set_alpha_to_one", true); /* of a step before 0, which never comes */
}

static void configure_tcd(at_context *cx, at_scheduler *s, at_config *k)
{
    at_discrete *d = at_discrete_of(s);
    configure(cx, s, k);
    d->clip = 0.0f; /* TCD has these options and uses neither */
    d->thresholding = false;
}

static void set_timesteps(at_context *cx, at_scheduler *s, const at_schedule_options *o)
{
    const lcm *m = (const lcm *)s;
    int trained = m->base.trained;
    int original = o->original_steps ? o->original_steps : m->original_steps;
    int steps = o->strength > 0 ? (int)(original * o->strength) : original;
    if (original < 1 || original > trained || o->steps > steps) {
        at_fail(cx, AT_ERROR_ARGUMENT, "%s: %d steps of %d (original_inference_steps) of %d",
                s->class->name, o->steps, steps, trained);
        return;
    }
    if (!at_discrete_whole_steps(cx, s, o, 0)) return;
    for (int i = 0; i < s->count; i++) {
        int back = (int)floor(i * ((double)steps / s->count)); /* np.linspace without its end */
        s->timesteps[i] = (double)(steps - back) * (trained / original) - 1;
    }
    at_discrete_table_sigmas(cx, s);
}

static at_tensor *step(at_context *cx, at_scheduler *s, at_tensor *output, at_tensor *sample,
                       at_noise *noise)
{
    const lcm *m = (const lcm *)s;
    const at_discrete *d = &m->base;
    bool last = s->index + 1 == s->count;
    float alpha = d->alphas[(int)s->timesteps[s->index]];
    double t = s->timesteps[s->index] * m->scaling, data = 0.5, whole = t * t + data * data;
    at_tensor *x = at_discrete_clean(cx, d, output, sample, sqrtf(alpha), sqrtf(1.0f - alpha));
    x = at_blend(cx, (float)(t / sqrt(whole)), x, (float)(data * data / whole), sample);
    if (last) return x;
    float next = d->alphas[(int)s->timesteps[s->index + 1]];
    at_tensor *fresh = at_noise_draw(cx, noise, sample->dims, sample->shape);
    return at_blend(cx, sqrtf(next), x, sqrtf(1.0f - next), fresh);
}

static at_tensor *step_tcd(at_context *cx, at_scheduler *s, at_tensor *output, at_tensor *sample,
                           at_noise *noise)
{
    const at_discrete *d = at_discrete_of(s);
    bool last = s->index + 1 == s->count;
    int t = (int)s->timesteps[s->index], next = last ? 0 : (int)s->timesteps[s->index + 1];
    if (!(s->eta >= 0.0 && s->eta <= 1.0))
        return at_fail(cx, AT_ERROR_ARGUMENT, "%s: eta is %g, not from 0 to 1", s->class->name,
                       s->eta);
    float alpha = d->alphas[t], keep = sqrtf(alpha), dirt = sqrtf(1.0f - alpha);
    float low = d->alphas[(int)floorf((float)(1.0 - s->eta) * (float)next)];
    at_tensor *clean = at_discrete_clean(cx, d, output, sample, keep, dirt);
    at_tensor *epsilon = at_discrete_noise(cx, d, output, sample, keep, dirt);
    at_tensor *x = at_blend(cx, sqrtf(low), clean, sqrtf(1.0f - low), epsilon);
    if (last || s->eta == 0.0) return x;
    float up = d->alphas[next] / low;
    at_tensor *fresh = at_noise_draw(cx, noise, sample->dims, sample->shape);
    return at_blend(cx, sqrtf(up), x, sqrtf(1.0f - up), fresh);
}

const at_scheduler_class at_lcm = {
    .name = "LCMScheduler",
    .sampler = "lcm",
    .size = sizeof(lcm),
    .order = 1,
    .configure = configure,
    .set_timesteps = set_timesteps,
    .step = step,
    .add_noise = at_discrete_add_noise,
    .destroy = at_discrete_destroy,
};

const at_scheduler_class at_tcd = {
    .name = "TCDScheduler",
    .sampler = "tcd",
    .size = sizeof(lcm),
    .order = 1,
    .configure = configure_tcd,
    .set_timesteps = set_timesteps,
    .step = step_tcd,
    .add_noise = at_discrete_add_noise,
    .destroy = at_discrete_destroy,
};
