/* diffusers.DDIMScheduler (Song et al. 2020): from a step to the one before, with `eta` of the
   noise drawn anew. */
#include "schedulers/discrete.h"
#include <math.h>

static void configure(at_context *cx, at_scheduler *s, at_config *k)
{
    static const at_alphas_defaults betas = {0.0001, 0.02, "linear", .zero_snr = true};
    at_discrete *d = at_discrete_of(s);
    at_discrete_configure(cx, d, k, AT_LEADING, &betas);
    at_discrete_configure_clean(cx, d, k, true, true);
    if (!at_config_bool(cx, k, "set_alpha_to_one", true) && d->alphas)
        d->final_alpha = d->alphas[0];
}

static void set_timesteps(at_context *cx, at_scheduler *s, const at_schedule_options *o)
{
    const at_discrete *d = at_discrete_of(s);
    if (!at_discrete_whole_steps(cx, s, o, 0)) return;
    for (int i = 0; i < s->count; i++)
        s->timesteps[i] = rint(at_discrete_timestep(d, i, o->steps, d->trained, 0));
    at_discrete_table_sigmas(cx, s);
}

static at_tensor *step(at_context *cx, at_scheduler *s, at_tensor *output, at_tensor *sample,
                       at_noise *noise)
{
    const at_discrete *d = at_discrete_of(s);
    int t = (int)s->timesteps[s->index], before = t - d->trained / d->steps;
    float alpha = d->alphas[t], beta = 1.0f - alpha;
    float previous = before >= 0 ? d->alphas[before] : d->final_alpha;
    float keep = sqrtf(alpha), dirt = sqrtf(beta);
    at_tensor *clean = at_discrete_clean(cx, d, output, sample, keep, dirt);
    at_tensor *epsilon = at_discrete_noise(cx, d, output, sample, keep, dirt);

    float variance = (1.0f - previous) / beta * (1.0f - alpha / previous);
    float drawn = s->eta > 0 ? (float)s->eta * sqrtf(variance) : 0.0f;
    float direction = sqrtf(1.0f - previous - drawn * drawn);
    at_tensor *x = at_blend(cx, sqrtf(previous), clean, direction, epsilon);
    if (!(s->eta > 0)) return x;
    return at_blend(cx, 1.0f, x, drawn, at_noise_draw(cx, noise, sample->dims, sample->shape));
}

const at_scheduler_class at_ddim = {
    .name = "DDIMScheduler",
    .sampler = "ddim",
    .size = sizeof(at_discrete),
    .order = 1,
    .configure = configure,
    .set_timesteps = set_timesteps,
    .step = step,
    .add_noise = at_discrete_add_noise,
    .destroy = at_discrete_destroy,
};
