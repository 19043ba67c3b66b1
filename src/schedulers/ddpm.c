/* diffusers.DDPMScheduler: ancestral sampling (Ho et al. 2020) over a part of the trained steps.
   Coefficients are f32 as torch has them there. */
#include "schedulers/discrete.h"
#include <math.h>

typedef enum variance { VARIANCE_SMALL, VARIANCE_SMALL_LOG, VARIANCE_LARGE } variance;

typedef struct ddpm {
    at_discrete base;
    variance variance;
} ddpm;

static void configure(at_context *cx, at_scheduler *s, at_config *k)
{
    static const char *const variances[] = {"fixed_small", "fixed_small_log", "fixed_large", NULL};
    static const at_alphas_defaults betas = {0.0001, 0.02, "linear", .zero_snr = true};
    at_discrete *d = at_discrete_of(s);
    at_discrete_configure(cx, d, k, AT_LEADING, &betas);
    at_discrete_configure_clean(cx, d, k, true, true);
    ((ddpm *)s)->variance = (variance)at_config_choice(cx, k, "variance_type", variances);
}

/* ---- timesteps */

static void set_timesteps(at_context *cx, at_scheduler *s, const at_schedule_options *o)
{
    const at_discrete *d = at_discrete_of(s);
    int count = o->timesteps ? o->timestep_count : at_discrete_count(d, o->steps, d->trained);
    if (o->sigmas || count > d->trained) {
        at_fail(cx, AT_ERROR_ARGUMENT, "%s: %s", s->class->name,
                o->sigmas ? "takes no sigmas" : "more steps than were trained");
        return;
    }
    if (!at_scheduler_schedule(cx, s, count)) return;
    for (int i = 0; i < count; i++) {
        double t = o->timesteps ? trunc(o->timesteps[i])
                                : rint(at_discrete_timestep(d, i, o->steps, d->trained, 0));
        if (!(t >= 0 && t < d->trained) || (i && t >= s->timesteps[i - 1])) {
            at_fail(cx, AT_ERROR_ARGUMENT, "%s: timestep %g of %d: not falling, or outside",
                    s->class->name, t, d->trained);
            return;
        }
        s->timesteps[i] = t;
        s->sigmas[i] = at_discrete_table_sigma(d, (int)t);
    }
    s->sigmas[count] = 0.0f;
}

/* ---- steps */

/* The deviation of what is drawn. beta: the noise that this step takes away. */
static float deviation(const ddpm *d, float alpha, float previous, float beta)
{
    float small = fmaxf((1.0f - previous) / (1.0f - alpha) * beta, 1e-20f);
    if (d->variance == VARIANCE_SMALL_LOG) return expf(0.5f * logf(small));
    return sqrtf(d->variance == VARIANCE_LARGE ? beta : small);
}

static at_tensor *step(at_context *cx, at_scheduler *s, at_tensor *output, at_tensor *sample,
                       at_noise *noise)
{
    const at_discrete *d = at_discrete_of(s);
    int t = (int)s->timesteps[s->index];
    float alpha = d->alphas[t];
    float previous = s->index + 1 < s->count ? d->alphas[(int)s->timesteps[s->index + 1]] : 1.0f;
    float kept = alpha / previous, beta = 1.0f - kept;

    at_tensor *x = at_discrete_clean(cx, d, output, sample, sqrtf(alpha), sqrtf(1.0f - alpha));
    x = at_blend(cx, sqrtf(previous) * beta / (1.0f - alpha), x,
                 sqrtf(kept) * (1.0f - previous) / (1.0f - alpha), sample);
    if (t == 0) return x;
    at_tensor *fresh = at_noise_draw(cx, noise, sample->dims, sample->shape);
    return at_blend(cx, 1.0f, x, deviation((const ddpm *)s, alpha, previous, beta), fresh);
}

const at_scheduler_class at_ddpm = {
    .name = "DDPMScheduler",
    .sampler = "ddpm",
    .size = sizeof(ddpm),
    .order = 1,
    .configure = configure,
    .set_timesteps = set_timesteps,
    .step = step,
    .add_noise = at_discrete_add_noise,
    .destroy = at_discrete_destroy,
};
