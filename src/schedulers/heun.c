/* diffusers.HeunDiscreteScheduler, KDPM2DiscreteScheduler, KDPM2AncestralDiscreteScheduler: two
   calls a step. The first steps to the next level (Heun) or to the middle of the logarithms
   (DPM-Solver-2); the second steps again from the beginning, with what was found there. */
#include "schedulers/sigmas.h"
#include "tensor/pool.h"
#include <math.h>

typedef struct heun {
    at_discrete base;
    float *between;        /* count + 1: the middle level of each call; NULL for Heun */
    float *up, *down;      /* likewise, of the ancestral one */
    at_tensor *sample;     /* where the step began; NULL before its first call */
    at_tensor *derivative; /* of the first call */
} heun;

static void configure_common(at_context *cx, at_scheduler *s, at_config *k)
{
    static const at_alphas_defaults betas = {0.00085, 0.012, "linear"};
    at_discrete_configure(cx, at_discrete_of(s), k, AT_LINSPACE, &betas);
    at_discrete_of(s)->respacing = at_respacing_read(cx, k, false);
}

static void configure(at_context *cx, at_scheduler *s, at_config *k)
{
    configure_common(cx, s, k);
    at_discrete_configure_clean(cx, at_discrete_of(s), k, false, false);
}

static void configure_kdpm2(at_context *cx, at_scheduler *s, at_config *k)
{
    configure_common(cx, s, k);
    if (at_discrete_of(s)->prediction == AT_PREDICTS_SAMPLE)
        at_fail(cx, AT_ERROR_UNSUPPORTED, "%s: %s cannot take a network that predicts the sample",
                at_config_what(k), s->class->name);
}

static void reset(at_context *cx, at_scheduler *s)
{
    heun *m = (heun *)s;
    at_tensor_release(cx, m->sample);
    at_tensor_release(cx, m->derivative);
    m->sample = m->derivative = NULL;
}

static void destroy(at_context *cx, at_scheduler *s)
{
    heun *m = (heun *)s;
    at_free(m->between);
    at_free(m->up);
    at_free(m->down);
    at_discrete_destroy(cx, s);
}

/* Every level twice but the first; the last is 0. */
static bool make_run(at_context *cx, at_scheduler *s, const at_schedule_options *o,
                     at_sigma_run *run)
{
    const at_sigma_options own = {.low = NAN, .high = NAN, .takes_timesteps = s->class == &at_heun};
    if (!at_sigma_run_make(cx, s, o, &own, run)) return false;
    int n = run->count;
    if (!at_scheduler_schedule(cx, s, 2 * n - 1)) return false;
    for (int i = 0; i < s->count; i++) s->sigmas[i] = (float)run->sigmas[(i + 1) / 2];
    s->sigmas[s->count] = 0.0f;
    at_sigma_init_noise(s);
    return true;
}

static void set_timesteps(at_context *cx, at_scheduler *s, const at_schedule_options *o)
{
    at_sigma_run run;
    if (make_run(cx, s, o, &run))
        for (int i = 0; i < s->count; i++) s->timesteps[i] = (float)run.timesteps[(i + 1) / 2];
    at_sigma_run_free(&run);
}

static bool first_call(const heun *m)
{
    return !m->sample;
}

static at_tensor *step(at_context *cx, at_scheduler *s, at_tensor *output, at_tensor *sample,
                       at_noise *noise)
{
    heun *m = (heun *)s;
    (void)noise;
    bool first = first_call(m);
    float sigma = s->sigmas[s->index - !first], next = s->sigmas[s->index + first];
    at_tensor *slope = at_sigma_derivative(cx, &m->base, output, sample, first ? sigma : next);
    if (first) {
        m->sample = at_tensor_keep(sample);
        m->derivative = at_tensor_keep(slope);
        return at_blend(cx, 1.0f, sample, next - sigma, slope);
    }
    slope = at_blend(cx, 0.5f, m->derivative, 0.5f, slope);
    at_tensor *x = at_blend(cx, 1.0f, m->sample, next - sigma, slope);
    reset(cx, s);
    return x;
}

/* ---- DPM-Solver-2 */

/* The middle of two levels' logarithms, as torch.lerp has it; of 0 there is none. */
static float middle(float a, float b)
{
    return expf(0.5f * (logf(a) + logf(b)));
}

static bool make_tables(at_context *cx, heun *m, int n)
{
    at_free(m->between);
    at_free(m->up);
    at_free(m->down);
    m->between = AT_NEW_ARRAY(cx, float, n);
    m->up = AT_NEW_ARRAY(cx, float, n);
    m->down = AT_NEW_ARRAY(cx, float, n);
    return m->between && m->up && m->down;
}

/* Entry i of each table belongs to the step from level i to level i + 1. */
static void set_timesteps_kdpm2(at_context *cx, at_scheduler *s, const at_schedule_options *o)
{
    heun *m = (heun *)s;
    at_sigma_run run;
    bool ancestral = s->class == &at_kdpm2_ancestral;
    if (make_run(cx, s, o, &run) && make_tables(cx, m, run.count)) {
        for (int i = 0; i < run.count; i++) {
            float sigma = (float)run.sigmas[i];
            float next = i + 1 < run.count ? (float)run.sigmas[i + 1] : 0.0f;
            m->up[i] = sqrtf(next * next * (sigma * sigma - next * next) / (sigma * sigma));
            m->down[i] = sqrtf(next * next - m->up[i] * m->up[i]);
            m->between[i] = middle(sigma, ancestral ? m->down[i] : next);
            bool whole = m->base.respacing == AT_RESPACE_KARRAS;
            s->timesteps[2 * i] = whole ? rint(run.timesteps[i]) : (float)run.timesteps[i];
            if (2 * i + 1 < s->count)
                s->timesteps[2 * i + 1] = (float)at_discrete_step_of_sigma(&m->base, m->between[i]);
        }
    }
    at_sigma_run_free(&run);
}

static at_tensor *scale_input_kdpm2(at_context *cx, at_scheduler *s, at_tensor *sample)
{
    const heun *m = (const heun *)s;
    return at_sigma_scale(cx, sample,
                          first_call(m) ? s->sigmas[s->index] : m->between[s->index / 2]);
}

static at_tensor *step_kdpm2(at_context *cx, at_scheduler *s, at_tensor *output, at_tensor *sample,
                             at_noise *noise)
{
    heun *m = (heun *)s;
    bool first = first_call(m), ancestral = s->class == &at_kdpm2_ancestral;
    int i = s->index / 2;
    float sigma = s->sigmas[2 * i], between = m->between[i];
    at_tensor *slope = at_sigma_derivative(cx, &m->base, output, sample, first ? sigma : between);
    if (first) {
        m->sample = at_tensor_keep(sample);
        return at_blend(cx, 1.0f, sample, between - sigma, slope);
    }
    float next = ancestral ? m->down[i] : s->sigmas[2 * i + 1];
    at_tensor *x = at_blend(cx, 1.0f, m->sample, next - sigma, slope);
    reset(cx, s);
    if (!ancestral) return x;
    return at_blend(cx, 1.0f, x, m->up[i], at_noise_draw(cx, noise, sample->dims, sample->shape));
}

const at_scheduler_class at_heun = {
    .name = "HeunDiscreteScheduler",
    .sampler = "heun",
    .size = sizeof(heun),
    .order = 2,
    .configure = configure,
    .set_timesteps = set_timesteps,
    .scale_input = at_sigma_scale_input,
    .step = step,
    .add_noise = at_sigma_add_noise,
    .reset = reset,
    .destroy = destroy,
};

const at_scheduler_class at_kdpm2 = {
    .name = "KDPM2DiscreteScheduler",
    .sampler = "dpm2",
    .size = sizeof(heun),
    .order = 2,
    .configure = configure_kdpm2,
    .set_timesteps = set_timesteps_kdpm2,
    .scale_input = scale_input_kdpm2,
    .step = step_kdpm2,
    .add_noise = at_sigma_add_noise,
    .reset = reset,
    .destroy = destroy,
};

const at_scheduler_class at_kdpm2_ancestral = {
    .name = "KDPM2AncestralDiscreteScheduler",
    .sampler = "dpm2_a",
    .size = sizeof(heun),
    .order = 2,
    .configure = configure_kdpm2,
    .set_timesteps = set_timesteps_kdpm2,
    .scale_input = scale_input_kdpm2,
    .step = step_kdpm2,
    .add_noise = at_sigma_add_noise,
    .reset = reset,
    .destroy = destroy,
};
