/* diffusers.DPMSolverMultistepScheduler (DPM-Solver and DPM-Solver++, their stochastic forms),
   DPMSolverSinglestepScheduler, EDMDPMSolverMultistepScheduler and DEISMultistepScheduler, of
   orders 1 to 3. */
#include "schedulers/edm.h"
#include "schedulers/lambdas.h"
#include "schedulers/sigmas.h"
#include "tensor/pool.h"
#include <math.h>
#include <string.h>

typedef struct dpm {
    at_lambda_solver base;
    bool clean; /* ++: the network's output is taken as the clean sample, else as the noise */
    bool stochastic;
    bool heun; /* solver_type, else midpoint */
    bool euler_at_final;
    at_edm edm;        /* of an EDM model */
    at_tensor *sample; /* single-step: where the steps of growing order began */
} dpm;

/* algorithm_type and its kin; the last `most` of the algorithms are not this class'. */
static void configure_solver(at_context *cx, dpm *m, at_config *k, int most)
{
    static const char *const algorithms[] = {"dpmsolver++", "sde-dpmsolver++", "deis",
                                             "dpmsolver",   "sde-dpmsolver",   NULL};
    static const char *const solvers[] = {"midpoint", "heun", "logrho", "bh1", "bh2", NULL};
    static const char *const ends[] = {"zero", "sigma_min", NULL};
    int algorithm = at_config_choice(cx, k, "algorithm_type", algorithms);
    m->clean = algorithm < 3; /* deis is taken as the default */
    m->stochastic = algorithm == 1 || algorithm == 4;
    m->heun = at_config_choice(cx, k, "solver_type", solvers) == 1;
    m->base.ends_at_min = at_config_choice(cx, k, "final_sigmas_type", ends);
    if (algorithm >= most)
        at_fail(cx, AT_ERROR_UNSUPPORTED, "%s: \"algorithm_type\" %s is not one of %s",
                at_config_what(k), algorithms[algorithm], m->base.base.base.class->name);
    if (!m->clean && !m->base.ends_at_min)
        at_fail(cx, AT_ERROR_FORMAT,
                "%s: \"final_sigmas_type\" must be sigma_min for \"algorithm_type\" %s",
                at_config_what(k), algorithms[algorithm]);
}

static void configure(at_context *cx, at_scheduler *s, at_config *k)
{
    static const at_alphas_defaults betas = {0.0001, 0.02, "linear", true, true};
    dpm *m = (dpm *)s;
    at_lambda_configure(cx, &m->base, k, &betas, true);
    configure_solver(cx, m, k, 5);
    m->euler_at_final = at_config_bool(cx, k, "euler_at_final", false);
    m->base.lambda_min = at_config_number(cx, k, "lambda_min_clipped", -INFINITY);
}

/* Has neither a spacing of its timesteps nor their offset. */
static void configure_single(at_context *cx, at_scheduler *s, at_config *k)
{
    static const at_alphas_defaults betas = {0.0001, 0.02, "linear"};
    dpm *m = (dpm *)s;
    at_lambda_configure(cx, &m->base, k, &betas, false);
    configure_solver(cx, m, k, 4);
    m->base.base.spacing = AT_LINSPACE;
    m->base.lower_order_final = at_config_bool(cx, k, "lower_order_final", false);
    m->base.lambda_min = at_config_number(cx, k, "lambda_min_clipped", -INFINITY);
}

static void configure_edm(at_context *cx, at_scheduler *s, at_config *k)
{
    dpm *m = (dpm *)s;
    at_lambda_configure_solver(cx, &m->base, k);
    configure_solver(cx, m, k, 3);
    m->euler_at_final = at_config_bool(cx, k, "euler_at_final", false);
    at_edm_configure(cx, &m->edm, &m->base.base, k);
    m->base.edm_data = m->edm.data;
}

static void set_timesteps(at_context *cx, at_scheduler *s, const at_schedule_options *o)
{
    at_lambda_solver *m = (at_lambda_solver *)s;
    if (!at_lambda_levels(cx, m, o)) return;
    s->sigmas[s->count] = m->ends_at_min ? at_discrete_table_sigma(&m->base, 0) : 0.0f;
}

static void set_timesteps_edm(at_context *cx, at_scheduler *s, const at_schedule_options *o)
{
    const at_edm *e = &((dpm *)s)->edm;
    if (at_edm_levels(cx, e, s, o)) s->sigmas[s->count] = e->ends_at_min ? (float)e->low : 0.0f;
}

static void configure_deis(at_context *cx, at_scheduler *s, at_config *k)
{
    static const at_alphas_defaults betas = {0.0001, 0.02, "linear"};
    static const char *const algorithms[] = {"deis", "dpmsolver", "dpmsolver++", NULL};
    static const char *const solvers[] = {"logrho", "midpoint", "heun", "bh1", "bh2", NULL};
    at_lambda_configure(cx, &((dpm *)s)->base, k, &betas, false);
    at_config_choice(cx, k, "algorithm_type", algorithms);
    at_config_choice(cx, k, "solver_type", solvers);
}

static void set_timesteps_deis(at_context *cx, at_scheduler *s, const at_schedule_options *o)
{
    at_lambda_solver *m = (at_lambda_solver *)s;
    if (!at_lambda_levels(cx, m, o)) return;
    bool other = m->base.respacing || m->flow;
    s->sigmas[s->count] = other ? s->sigmas[s->count - 1] : at_discrete_table_sigma(&m->base, 0);
}

/* Of the orders that the outputs so far allow, the one that this step takes. */
static int order_of(const at_lambda_solver *m, bool first_at_end)
{
    const at_scheduler *s = &m->base.base;
    bool few = m->lower_order_final && s->count < 15;
    int order = AT_MIN(m->order, m->outputs.count);
    if (s->index == s->count - 1 && (few || first_at_end)) order = 1;
    if (s->index == s->count - 2 && few) order = AT_MIN(order, 2);
    return order;
}

/* The differences of the outputs over those of lambda: d[1] is the slope, d[2] its own. */
static void differences(at_context *cx, const at_lambda_solver *m, int order, double h,
                        const at_level *level, at_tensor **d)
{
    at_tensor *const *out = m->outputs.x;
    d[0] = out[0];
    if (order < 2) return;
    double r0 = (level[0].lambda - level[-1].lambda) / h;
    d[1] = at_blend(cx, (float)(1.0 / r0), out[0], (float)(-1.0 / r0), out[1]);
    if (order < 3) return;
    double r1 = (level[-1].lambda - level[-2].lambda) / h;
    at_tensor *before = at_blend(cx, (float)(1.0 / r1), out[1], (float)(-1.0 / r1), out[2]);
    at_tensor *change = at_sub(cx, d[1], before);
    d[1] = at_blend(cx, 1.0f, d[1], (float)(r0 / (r0 + r1)), change);
    d[2] = at_affine(cx, change, (float)(1.0 / (r0 + r1)), 0.0f);
}

/* c[0] of the sample, c[1] to c[3] of the differences, c[4] of fresh noise. */
static void coefficients(const dpm *m, int order, double h, const at_level *to, const at_level *at,
                         double *c)
{
    /* ++ integrates e^lambda of the clean sample, the other e^-lambda of the noise; the stochastic
       forms go twice as far and add noise */
    double x = (m->clean ? -h : h) * (m->stochastic && m->clean ? 2.0 : 1.0);
    double grown = expm1(x), by = m->clean ? to->alpha : to->sigma;
    double slope = grown / x - 1.0, curve = (grown - x) / (x * x) - 0.5;
    double twice = m->stochastic && !m->clean ? 2.0 : 1.0;
    c[0] =
        m->clean ? to->sigma / at->sigma * (m->stochastic ? exp(-h) : 1.0) : to->alpha / at->alpha;
    c[1] = -by * grown * twice;
    bool mid = order == 2 && !m->heun;
    c[2] = mid ? 0.5 * c[1] : -by * slope * twice;
    c[3] = -by * (m->stochastic ? curve + 1.0 : curve); /* as the reference has it */
    c[4] = to->sigma * sqrt(m->clean ? -expm1(-2.0 * h) : expm1(2.0 * h));
}

/* The output goes into the history; fresh noise, where the method draws. */
static at_tensor *take_output(at_context *cx, dpm *m, at_tensor *output, at_tensor *sample,
                              at_noise *noise)
{
    at_lambda_solver *l = &m->base;
    at_history_push(cx, &l->outputs,
                    m->clean ? at_lambda_clean(cx, l, output, sample)
                             : at_lambda_noise(cx, l, output, sample));
    return m->stochastic ? at_noise_draw(cx, noise, sample->dims, sample->shape) : NULL;
}

static at_tensor *step(at_context *cx, at_scheduler *s, at_tensor *output, at_tensor *sample,
                       at_noise *noise)
{
    dpm *m = (dpm *)s;
    at_lambda_solver *l = &m->base;
    at_tensor *fresh = take_output(cx, m, output, sample, noise);
    int order = order_of(l, m->euler_at_final || !l->ends_at_min);
    if (order == 3 && m->stochastic && (!m->clean || l->edm_data > 0))
        return at_fail(cx, AT_ERROR_UNSUPPORTED, "%s: this algorithm_type has no third order",
                       s->class->name);
    at_level level[4]; /* the next, and before it the one here and those before */
    for (int i = 0; i < 4; i++)
        level[3 - i] = at_lambda_level(l, s->sigmas[AT_MAX(s->index + 1 - i, 0)]);
    double h = level[3].lambda - level[2].lambda, c[5];
    at_tensor *d[3] = {NULL};
    differences(cx, l, order, h, &level[2], d);
    coefficients(m, order, h, &level[3], &level[2], c);
    at_tensor *x = at_blend(cx, (float)c[0], sample, (float)c[1], d[0]);
    for (int i = 1; i < order; i++) x = at_blend(cx, 1.0f, x, (float)c[1 + i], d[i]);
    return fresh ? at_blend(cx, 1.0f, x, (float)c[4], fresh) : x;
}

/* ---- single-step: orders 1 to the highest, again and again, each from where the first began */

static int order_of_single(const at_lambda_solver *m)
{
    const at_scheduler *s = &m->base.base;
    int order = s->index % m->order + 1;
    bool whole = s->count % m->order == 0;
    if (s->index == s->count - 1 && (!m->ends_at_min || (m->lower_order_final && whole))) order = 1;
    return AT_MIN(order, m->outputs.count);
}

/* d as in `differences`, but from the level where the first began; h is the way from there. The
   midpoint form takes the widest slope and no curve. */
static void single_differences(at_context *cx, const dpm *m, int order, double h,
                               const at_level *begin, at_tensor **d)
{
    at_tensor *const *out = m->base.outputs.x;
    d[0] = out[order - 1];
    if (order < 2) return;
    double r0 = (begin[order - 1].lambda - begin[0].lambda) / h;
    d[1] = at_affine(cx, at_sub(cx, out[0], d[0]), (float)(1.0 / r0), 0.0f);
    if (order < 3 || !m->heun) return;
    double r1 = (begin[1].lambda - begin[0].lambda) / h, apart = r0 - r1;
    at_tensor *near = at_affine(cx, at_sub(cx, out[1], d[0]), (float)(1.0 / r1), 0.0f);
    at_tensor *change = at_sub(cx, d[1], near);
    d[1] = at_blend(cx, (float)(r0 / apart), near, (float)(-r1 / apart), d[1]);
    d[2] = at_affine(cx, change, (float)(2.0 / apart), 0.0f);
}

static at_tensor *step_single(at_context *cx, at_scheduler *s, at_tensor *output, at_tensor *sample,
                              at_noise *noise)
{
    dpm *m = (dpm *)s;
    at_tensor *fresh = take_output(cx, m, output, sample, noise);
    int order = order_of_single(&m->base);
    if (order == 1) {
        at_tensor_release(cx, m->sample);
        m->sample = at_tensor_keep(sample);
    }
    at_level level[4] = {{0}}; /* from where the first began to the next */
    for (int i = 0; i <= order; i++)
        level[i] = at_lambda_level(&m->base, s->sigmas[s->index + 1 - order + i]);
    double h = level[order].lambda - level[0].lambda, c[5];
    at_tensor *d[3] = {NULL};
    single_differences(cx, m, order, h, level, d);
    coefficients(m, order, h, &level[order], &level[0], c);
    at_tensor *x = at_blend(cx, (float)c[0], m->sample, (float)c[1], d[0]);
    for (int i = 1; i < 3 && d[i]; i++) x = at_blend(cx, 1.0f, x, (float)c[1 + i], d[i]);
    return fresh ? at_blend(cx, 1.0f, x, (float)c[4], fresh) : x;
}

static void reset_single(at_context *cx, at_scheduler *s)
{
    at_lambda_reset(cx, s);
    at_tensor_release(cx, ((dpm *)s)->sample);
    ((dpm *)s)->sample = NULL;
}

static at_tensor *scale_input_edm(at_context *cx, at_scheduler *s, at_tensor *sample)
{
    return at_edm_scale_input(cx, sample, s->sigmas[s->index], ((dpm *)s)->edm.data);
}

/* ---- DEIS: polynomials in the logarithm of rho = sigma / alpha */

static double indefinite2(double t, double b, double c)
{
    return t * (log(t) - log(c) - 1.0) / (log(b) - log(c));
}

static double indefinite3(double t, double b, double c, double d)
{
    double lt = log(t), lb = log(b), lc = log(c), ld = log(d);
    return t * (lc * (ld - lt + 1.0) - ld * lt + ld + lt * lt - 2.0 * lt + 2.0) /
           ((lb - lc) * (lb - ld));
}

static at_tensor *step_deis(at_context *cx, at_scheduler *s, at_tensor *output, at_tensor *sample,
                            at_noise *noise)
{
    at_lambda_solver *m = (at_lambda_solver *)s;
    (void)noise;
    at_tensor *clean = at_lambda_clean(cx, m, output, sample);
    at_level here = at_lambda_level(m, s->sigmas[s->index]);
    at_level next = at_lambda_level(m, s->sigmas[s->index + 1]);
    at_history_push(
        cx, &m->outputs,
        at_blend(cx, (float)(1.0 / here.sigma), sample, (float)(-here.alpha / here.sigma), clean));
    int order = order_of(m, false);
    double h = next.lambda - here.lambda, rho[4], c[3] = {0};
    for (int i = 0; i < 4; i++) {
        at_level l = at_lambda_level(m, s->sigmas[AT_MAX(s->index + 1 - i, 0)]);
        rho[i] = l.sigma / l.alpha;
    }
    if (order == 1) c[0] = -next.sigma * expm1(h) / next.alpha;
    for (int i = 0; i < order && order > 1; i++) {
        double b = rho[1 + i], o = rho[1 + (i + 1) % order], p = rho[1 + (i + 2) % order];
        c[i] = order == 2 ? indefinite2(rho[0], b, o) - indefinite2(rho[1], b, o)
                          : indefinite3(rho[0], b, o, p) - indefinite3(rho[1], b, o, p);
    }
    at_tensor *x = at_affine(cx, sample, (float)(next.alpha / here.alpha), 0.0f);
    for (int i = 0; i < order; i++)
        x = at_blend(cx, 1.0f, x, (float)(next.alpha * c[i]), m->outputs.x[i]);
    return x;
}

const at_scheduler_class at_dpm_multistep = {
    .name = "DPMSolverMultistepScheduler",
    .sampler = "dpmpp_2m",
    .size = sizeof(dpm),
    .order = 1,
    .configure = configure,
    .set_timesteps = set_timesteps,
    .step = step,
    .add_noise = at_lambda_add_noise,
    .reset = at_lambda_reset,
    .destroy = at_discrete_destroy,
};

const at_scheduler_class at_dpm_singlestep = {
    .name = "DPMSolverSinglestepScheduler",
    .sampler = "dpmpp_2s",
    .size = sizeof(dpm),
    .order = 1,
    .configure = configure_single,
    .set_timesteps = set_timesteps,
    .step = step_single,
    .add_noise = at_lambda_add_noise,
    .reset = reset_single,
    .destroy = at_discrete_destroy,
};

const at_scheduler_class at_edm_dpm_multistep = {
    .name = "EDMDPMSolverMultistepScheduler",
    .sampler = "edm_dpmpp_2m",
    .size = sizeof(dpm),
    .order = 1,
    .configure = configure_edm,
    .set_timesteps = set_timesteps_edm,
    .scale_input = scale_input_edm,
    .step = step,
    .add_noise = at_sigma_add_noise,
    .reset = at_lambda_reset,
};

const at_scheduler_class at_deis = {
    .name = "DEISMultistepScheduler",
    .sampler = "deis",
    .size = sizeof(dpm),
    .order = 1,
    .configure = configure_deis,
    .set_timesteps = set_timesteps_deis,
    .step = step_deis,
    .add_noise = at_lambda_add_noise,
    .reset = at_lambda_reset,
    .destroy = at_discrete_destroy,
};
