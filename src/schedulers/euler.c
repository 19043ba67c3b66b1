/* diffusers.EulerDiscreteScheduler and EulerAncestralDiscreteScheduler: Euler's method on the
   probability flow (Karras et al. 2022, algorithm 2); the ancestral one steps lower and draws
   noise up to the next level. */
#include "schedulers/sigmas.h"
#include <math.h>
#include <string.h>

typedef struct euler {
    at_discrete base;
    at_sigma_options sigmas;
    bool continuous; /* timesteps are a quarter of the sigmas' logarithms */
    bool ends_at_min;
} euler;

static void configure(at_context *cx, at_scheduler *s, at_config *k)
{
    static const at_alphas_defaults betas = {0.0001, 0.02, "linear", true, true};
    static const char *const interpolations[] = {"linear", "log_linear", NULL};
    static const char *const ends[] = {"zero", "sigma_min", NULL};
    static const char *const types[] = {"discrete", "continuous", NULL};
    euler *m = (euler *)s;
    at_discrete_configure(cx, &m->base, k, AT_LINSPACE, &betas);
    m->base.respacing = at_respacing_read(cx, k, false);
    m->sigmas.takes_sigmas = m->sigmas.takes_timesteps = true;
    m->sigmas.low = at_config_number(cx, k, "sigma_min", NAN);
    m->sigmas.high = at_config_number(cx, k, "sigma_max", NAN);
    m->sigmas.log_linear = at_config_choice(cx, k, "interpolation_type", interpolations);
    m->ends_at_min = at_config_choice(cx, k, "final_sigmas_type", ends);
    m->continuous = at_config_choice(cx, k, "timestep_type", types) &&
                    m->base.prediction == AT_PREDICTS_VELOCITY;
}

static void set_timesteps(at_context *cx, at_scheduler *s, const at_schedule_options *o)
{
    const euler *m = (const euler *)s;
    at_sigma_run run;
    if (o->timesteps && m->continuous)
        at_fail(cx, AT_ERROR_ARGUMENT, "%s: takes no timesteps with continuous ones",
                s->class->name);
    if (!at_ok(cx) || !at_sigma_run_make(cx, s, o, &m->sigmas, &run)) return;
    if (at_scheduler_schedule(cx, s, run.count)) {
        for (int i = 0; i < run.count; i++) {
            s->sigmas[i] = (float)run.sigmas[i];
            s->timesteps[i] = m->continuous ? 0.25f * logf(s->sigmas[i]) : (float)run.timesteps[i];
        }
        bool low = m->ends_at_min || (m->sigmas.log_linear && !m->base.respacing);
        s->sigmas[run.count] = o->sigmas ? (float)o->sigmas[run.count]
                               : low     ? at_discrete_table_sigma(&m->base, 0)
                                         : 0.0f;
        at_sigma_init_noise(s);
    }
    at_sigma_run_free(&run);
}

static at_tensor *step(at_context *cx, at_scheduler *s, at_tensor *output, at_tensor *sample,
                       at_noise *noise)
{
    float sigma = s->sigmas[s->index], next = s->sigmas[s->index + 1];
    (void)noise;
    at_tensor *slope = at_sigma_derivative(cx, at_discrete_of(s), output, sample, sigma);
    return at_blend(cx, 1.0f, sample, next - sigma, slope);
}

static void configure_ancestral(at_context *cx, at_scheduler *s, at_config *k)
{
    static const at_alphas_defaults betas = {0.0001, 0.02, "linear", true, true};
    euler *m = (euler *)s;
    at_discrete_configure(cx, &m->base, k, AT_LINSPACE, &betas);
}

static at_tensor *step_ancestral(at_context *cx, at_scheduler *s, at_tensor *output,
                                 at_tensor *sample, at_noise *noise)
{
    float sigma = s->sigmas[s->index], next = s->sigmas[s->index + 1];
    float up = sqrtf(next * next * (sigma * sigma - next * next) / (sigma * sigma));
    float down = sqrtf(next * next - up * up);
    at_tensor *slope = at_sigma_derivative(cx, at_discrete_of(s), output, sample, sigma);
    at_tensor *x = at_blend(cx, 1.0f, sample, down - sigma, slope);
    return at_blend(cx, 1.0f, x, up, at_noise_draw(cx, noise, sample->dims, sample->shape));
}

const at_scheduler_class at_euler = {
    .name = "EulerDiscreteScheduler",
    .sampler = "euler",
    .size = sizeof(euler),
    .order = 1,
    .configure = configure,
    .set_timesteps = set_timesteps,
    .scale_input = at_sigma_scale_input,
    .step = step,
    .add_noise = at_sigma_add_noise,
    .destroy = at_discrete_destroy,
};

const at_scheduler_class at_euler_ancestral = {
    .name = "EulerAncestralDiscreteScheduler",
    .sampler = "euler_a",
    .size = sizeof(euler),
    .order = 1,
    .configure = configure_ancestral,
    .set_timesteps = set_timesteps,
    .scale_input = at_sigma_scale_input,
    .step = step_ancestral,
    .add_noise = at_sigma_add_noise,
    .destroy = at_discrete_destroy,
};
