/* diffusers.DPMSolverSDEScheduler (DPM-Solver++ 2S of the stochastic equation,
   with noise of a Brownian tree, so that it fits together at every number of
   steps): two calls a step, the first to the middle of the logarithms. */
#include "schedulers/brownian.h"
#include "schedulers/sigmas.h"
#include "tensor/pool.h"
#include <math.h>

typedef struct dpm_sde {
    at_discrete base;
    bool seeded; /* noise_sampler_seed: one tree for the batch; else each
                    picture's seed its own */
    uint64_t seed;
    at_tensor *sample; /* where the step began; NULL before its first call */
} dpm_sde;

static void configure(at_context *cx, at_scheduler *s, at_config *k)
{
    static const at_alphas_defaults betas = {0.00085, 0.012, "linear"};
    dpm_sde *m = (dpm_sde *)s;
    at_discrete_configure(cx, &m->base, k, AT_LINSPACE, &betas);
    m->base.respacing = at_respacing_read(cx, k, false);
    double seed = at_config_number(cx, k, "noise_sampler_seed", -1.0);
    m->seeded = seed >= 0;
    if (seed >= 0x1p53)
        at_fail(cx, AT_ERROR_UNSUPPORTED, "%s: \"noise_sampler_seed\" is too large",
                at_config_what(k));
    m->seed = m->seeded && seed < 0x1p53 ? (uint64_t)seed : 0;
    if (m->base.prediction == AT_PREDICTS_SAMPLE || m->base.prediction == AT_PREDICTS_FLOW)
        at_fail(cx, AT_ERROR_UNSUPPORTED, "%s: %s takes networks that predict epsilon or v only",
                at_config_what(k), s->class->name);
}

/* Every level twice but the first; of the timesteps every second is a middle.
 */
static void set_timesteps(at_context *cx, at_scheduler *s, const at_schedule_options *o)
{
    const at_sigma_options own = {.low = NAN, .high = NAN};
    at_sigma_run run;
    if (at_sigma_run_make(cx, s, o, &own, &run) &&
        at_scheduler_schedule(cx, s, 2 * run.count - 1)) {
        for (int i = 0; i < s->count; i++) {
            double sigma = run.sigmas[i / 2];
            s->sigmas[i] = (float)run.sigmas[(i + 1) / 2];
            s->timesteps[i] = run.timesteps[i / 2];
            if (i % 2)
                s->timesteps[i] = at_discrete_step_of_sigma(at_discrete_of(s),
                                                            sqrt(sigma * run.sigmas[i / 2 + 1]));
        }
        s->sigmas[s->count] = 0.0f;
        at_sigma_init_noise(s);
    }
    at_sigma_run_free(&run);
}

static void reset(at_context *cx, at_scheduler *s)
{
    at_tensor_release(cx, ((dpm_sde *)s)->sample);
    ((dpm_sde *)s)->sample = NULL;
}

static at_tensor *scale_input(at_context *cx, at_scheduler *s, at_tensor *sample)
{
    bool first = !((dpm_sde *)s)->sample;
    float sigma = s->sigmas[s->index];
    return at_sigma_scale(cx, sample,
                          first ? sigma : at_log_middle(s->sigmas[s->index - 1], sigma));
}

static at_tensor *step(at_context *cx, at_scheduler *s, at_tensor *output, at_tensor *sample,
                       at_noise *noise)
{
    dpm_sde *m = (dpm_sde *)s;
    bool first = !m->sample;
    float sigma = s->sigmas[s->index - !first], next = s->sigmas[s->index + first];
    float half = next > 0 ? at_log_middle(sigma, next) : 0.0f, shown = first ? sigma : half;
    at_tensor *slope = at_sigma_derivative(cx, &m->base, output, sample, shown);
    at_tensor *clean = at_blend(cx, 1.0f, sample, -shown, slope);
    if (next == 0) return at_blend(cx, 1.0f, sample, -sigma, slope);

    float from = expf(logf(sigma)), to = first ? half : expf(logf(next));
    float up = fminf(to, sqrtf(to * to * (from * from - to * to) / (from * from)));
    float down = expf(logf(sqrtf(to * to - up * up))), keep = down / from;
    at_tensor *x = at_blend(cx, keep, first ? sample : m->sample, 1.0f - keep, clean);
    if (first)
        m->sample = at_tensor_keep(sample);
    else
        reset(cx, s);
    return at_blend(cx, 1.0f, x, up,
                    at_brownian_noise(cx, s, noise, m->seeded ? &m->seed : NULL, s->sigmas[0], from,
                                      to, sample));
}

const at_scheduler_class at_dpm_sde = {
    .name = "DPMSolverSDEScheduler",
    .sampler = "dpmpp_sde",
    .size = sizeof(dpm_sde),
    .order = 2,
    .configure = configure,
    .set_timesteps = set_timesteps,
    .scale_input = scale_input,
    .step = step,
    .add_noise = at_sigma_add_noise,
    .reset = reset,
    .destroy = at_discrete_destroy,
};
