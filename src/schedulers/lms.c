/* diffusers.LMSDiscreteScheduler: linear multi-step (k-diffusion's sample_lms), the integral of the
   polynomial through the last derivatives. */
#include "schedulers/sigmas.h"
#include <math.h>

enum { ORDER = 4 };

typedef struct lms {
    at_discrete base;
    at_history derivatives;
} lms;

static void configure(at_context *cx, at_scheduler *s, at_config *k)
{
    static const at_alphas_defaults betas = {0.0001, 0.02, "linear"};
    at_discrete_configure(cx, at_discrete_of(s), k, AT_LINSPACE, &betas);
    at_discrete_of(s)->respacing = at_respacing_read(cx, k, false);
}

static void reset(at_context *cx, at_scheduler *s)
{
    at_history_clear(cx, &((lms *)s)->derivatives);
}

static void set_timesteps(at_context *cx, at_scheduler *s, const at_schedule_options *o)
{
    const at_sigma_options own = {.low = NAN, .high = NAN};
    at_sigma_run run;
    if (at_sigma_run_make(cx, s, o, &own, &run) && at_scheduler_schedule(cx, s, run.count)) {
        for (int i = 0; i < run.count; i++) {
            s->sigmas[i] = (float)run.sigmas[i];
            s->timesteps[i] = (float)run.timesteps[i];
        }
        s->sigmas[run.count] = 0.0f;
        at_sigma_init_noise(s);
    }
    at_sigma_run_free(&run);
}

/* Lagrange's polynomial of derivative `which` of the last `order` at x. */
static double weight(const float *sigmas, int order, int which, double x)
{
    double product = 1.0;
    for (int k = 0; k < order; k++)
        if (k != which) product *= (x - sigmas[-k]) / (sigmas[-which] - sigmas[-k]);
    return product;
}

/* Its integral from this level to the next: Gauss and Legendre's three points, exact here. */
double at_lms_integral(const float *sigmas, int order, int which)
{
    static const double points[] = {-0.7745966692414834, 0.0, 0.7745966692414834};
    static const double weights[] = {5.0 / 9, 8.0 / 9, 5.0 / 9};
    double half = (sigmas[1] - sigmas[0]) / 2.0, mid = (sigmas[1] + sigmas[0]) / 2.0, sum = 0.0;
    for (int i = 0; i < 3; i++)
        sum += weights[i] * weight(sigmas, order, which, mid + half * points[i]);
    return sum * half;
}

static at_tensor *step(at_context *cx, at_scheduler *s, at_tensor *output, at_tensor *sample,
                       at_noise *noise)
{
    lms *m = (lms *)s;
    (void)noise;
    const float *sigmas = s->sigmas + s->index;
    at_history_push(cx, &m->derivatives,
                    at_sigma_derivative(cx, &m->base, output, sample, sigmas[0]));
    int order = AT_MIN(s->index + 1, ORDER);
    at_tensor *x = sample;
    for (int i = 0; i < AT_MIN(order, m->derivatives.count); i++)
        x = at_blend(cx, 1.0f, x, (float)at_lms_integral(sigmas, order, i), m->derivatives.x[i]);
    return x;
}

const at_scheduler_class at_lms = {
    .name = "LMSDiscreteScheduler",
    .sampler = "lms",
    .size = sizeof(lms),
    .order = 1,
    .configure = configure,
    .set_timesteps = set_timesteps,
    .scale_input = at_sigma_scale_input,
    .step = step,
    .add_noise = at_sigma_add_noise,
    .reset = reset,
    .destroy = at_discrete_destroy,
};
