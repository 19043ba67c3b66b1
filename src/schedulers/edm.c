/* diffusers.EDMEulerScheduler, and what EDMDPMSolverMultistepScheduler (dpm_solver.c) shares with
   it. */
#include "schedulers/edm.h"
#include "schedulers/respacing.h"
#include "schedulers/sigmas.h"
#include <math.h>

void at_edm_configure(at_context *cx, at_edm *e, at_discrete *d, at_config *k)
{
    static const char *const schedules[] = {"karras", "exponential", NULL};
    static const char *const predictions[] = {"epsilon", "v_prediction", NULL};
    static const char *const ends[] = {"zero", "sigma_min", NULL};
    at_config_range(cx, k, "num_train_timesteps", 1000, 1, 1000000); /* of training only */
    e->low = at_config_number(cx, k, "sigma_min", 0.002);
    e->high = at_config_number(cx, k, "sigma_max", 80.0);
    e->data = at_config_number(cx, k, "sigma_data", 0.5);
    e->rho = at_config_number(cx, k, "rho", 7.0);
    e->exponential = at_config_choice(cx, k, "sigma_schedule", schedules);
    e->ends_at_min = at_config_choice(cx, k, "final_sigmas_type", ends);
    d->prediction = at_config_choice(cx, k, "prediction_type", predictions) ? AT_PREDICTS_VELOCITY
                                                                            : AT_PREDICTS_NOISE;
    if (!(e->low > 0 && e->high > e->low && e->data > 0 && e->rho > 0))
        at_fail(cx, AT_ERROR_FORMAT,
                "%s: \"sigma_min\", \"sigma_max\", \"sigma_data\" or \"rho\" is out of range",
                at_config_what(k));
}

bool at_edm_levels(at_context *cx, const at_edm *e, at_scheduler *s, const at_schedule_options *o)
{
    int n = o->steps;
    if (o->sigmas || o->timesteps)
        return at_fail_false(cx, AT_ERROR_ARGUMENT, "%s: takes no %s", s->class->name,
                             o->sigmas ? "sigmas" : "timesteps");
    double *x = AT_NEW_ARRAY(cx, double, n);
    if (!x || !at_scheduler_schedule(cx, s, n)) {
        at_free(x);
        return false;
    }
    at_respace(AT_RESPACE_EXPONENTIAL, x, n, e->high, e->low);
    /* as the reference has it: rising from the lowest, then turned round */
    if (e->exponential && n == 1) x[0] = e->low;
    if (!e->exponential) at_respace_karras(x, n, e->high, e->low, e->rho);
    for (int i = 0; i < n; i++) {
        s->sigmas[i] = (float)x[i];
        s->timesteps[i] = 0.25f * logf(s->sigmas[i]);
    }
    at_free(x);
    s->init_noise_sigma = sqrt(e->high * e->high + 1.0);
    return true;
}

at_tensor *at_edm_scale_input(at_context *cx, at_tensor *sample, float sigma, double data)
{
    return at_affine(cx, sample, 1.0f / sqrtf(sigma * sigma + (float)(data * data)), 0.0f);
}

at_tensor *at_edm_clean(at_context *cx, const at_discrete *d, at_tensor *output, at_tensor *sample,
                        float sigma, double data)
{
    double whole = (double)sigma * sigma + data * data, out = sigma * data / sqrt(whole);
    if (d->prediction == AT_PREDICTS_VELOCITY) out = -out;
    at_tensor *x = at_blend(cx, (float)(data * data / whole), sample, (float)out, output);
    return d->thresholding ? at_discrete_threshold(cx, d, x) : x;
}

typedef struct edm_euler {
    at_discrete base;
    at_edm edm;
} edm_euler;

static void configure(at_context *cx, at_scheduler *s, at_config *k)
{
    at_edm_configure(cx, &((edm_euler *)s)->edm, at_discrete_of(s), k);
}

static void set_timesteps(at_context *cx, at_scheduler *s, const at_schedule_options *o)
{
    const at_edm *e = &((edm_euler *)s)->edm;
    if (at_edm_levels(cx, e, s, o))
        s->sigmas[s->count] = e->ends_at_min ? s->sigmas[s->count - 1] : 0.0f;
}

static at_tensor *scale_input(at_context *cx, at_scheduler *s, at_tensor *sample)
{
    return at_edm_scale_input(cx, sample, s->sigmas[s->index], ((edm_euler *)s)->edm.data);
}

static at_tensor *step(at_context *cx, at_scheduler *s, at_tensor *output, at_tensor *sample,
                       at_noise *noise)
{
    float sigma = s->sigmas[s->index], next = s->sigmas[s->index + 1];
    (void)noise;
    at_tensor *clean =
        at_edm_clean(cx, at_discrete_of(s), output, sample, sigma, ((edm_euler *)s)->edm.data);
    at_tensor *slope = at_affine(cx, at_sub(cx, sample, clean), 1.0f / sigma, 0.0f);
    return at_blend(cx, 1.0f, sample, next - sigma, slope);
}

const at_scheduler_class at_edm_euler = {
    .name = "EDMEulerScheduler",
    .sampler = "edm_euler",
    .size = sizeof(edm_euler),
    .order = 1,
    .configure = configure,
    .set_timesteps = set_timesteps,
    .scale_input = scale_input,
    .step = step,
    .add_noise = at_sigma_add_noise,
};
