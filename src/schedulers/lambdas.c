#include "schedulers/lambdas.h"
#include "schedulers/edm.h"
#include <math.h>
#include <string.h>

static at_lambda_solver *own(at_scheduler *s)
{
    return (at_lambda_solver *)s; /* base comes first */
}

at_level at_lambda_level(const at_lambda_solver *m, float sigma)
{
    at_level l = {m->edm_data > 0 ? 1.0 : 1.0 - sigma, sigma, 0};
    if (!m->flow && !(m->edm_data > 0)) {
        l.alpha = 1.0 / sqrt((double)sigma * sigma + 1.0);
        l.sigma = sigma * l.alpha;
    }
    l.lambda = log(l.alpha) - log(l.sigma);
    return l;
}

void at_lambda_configure_solver(at_context *cx, at_lambda_solver *m, at_config *k)
{
    m->order = at_config_range(cx, k, "solver_order", 2, 1, AT_MOST_ORDER);
    m->lower_order_final = at_config_bool(cx, k, "lower_order_final", true);
    at_discrete_configure_thresholding(cx, &m->base, k);
}

void at_lambda_configure(at_context *cx, at_lambda_solver *m, at_config *k,
                         const at_alphas_defaults *betas, bool lu)
{
    at_discrete *d = &m->base;
    at_discrete_configure(cx, d, k, AT_LINSPACE, betas);
    d->respacing = at_respacing_read(cx, k, lu);
    m->flow = at_config_bool(cx, k, "use_flow_sigmas", false);
    m->flow_shift = at_config_number(cx, k, "flow_shift", 1.0);
    m->dynamic = at_config_bool(cx, k, "use_dynamic_shifting", false);
    at_config_expect_text(cx, k, "time_shift_type", "exponential", "exponential");
    at_lambda_configure_solver(cx, m, k);
    m->cosine =
        strcmp(at_config_text(cx, k, "beta_schedule", betas->schedule), "squaredcos_cap_v2") == 0;
    m->lambda_min = -INFINITY;
    m->low = m->high = NAN;
}

/* How many of the trained steps have a lambda of at least lambda_min. */
static int last_step(const at_lambda_solver *m)
{
    const at_discrete *d = &m->base;
    int last = d->trained;
    while (last > 1) {
        float alpha = d->alphas[last - 1];
        if (logf(sqrtf(alpha)) - logf(sqrtf(1.0f - alpha)) >= m->lambda_min) break;
        last--;
    }
    return last;
}

/* The shift of a flow: s x / (1 + (s - 1) x). */
static double shift(const at_lambda_solver *m, const at_schedule_options *o, double x)
{
    double by = m->dynamic && o->has_mu ? exp(o->mu) : m->flow_shift;
    return by * x / (1.0 + (by - 1.0) * x);
}

static void flow_levels(at_lambda_solver *m, const at_schedule_options *o, int n)
{
    at_scheduler *s = &m->base.base;
    int trained = m->base.trained;
    bool unipc = s->class == &at_unipc; /* its levels go down from 1, the others' up to it */
    double x[2] = {0, 0};               /* the first and the last, for the stretch */
    for (int pass = 0; pass < 2; pass++) {
        double scale = m->shift_terminal > 0 ? (1.0 - x[1]) / (1.0 - m->shift_terminal) : 1.0;
        for (int i = 0; i < n; i++) {
            double sigma = o->sigmas ? o->sigmas[i]
                           : unipc   ? at_linspace(1.0, 1.0 / trained, i, n + 1)
                                     : 1.0 - at_linspace(1.0, 1.0 / trained, n - i, n + 1);
            sigma = shift(m, o, sigma);
            if (i == n - 1) x[1] = sigma;
            if (pass == 0) continue;
            if (m->shift_terminal > 0) sigma = 1.0 - (1.0 - sigma) / scale;
            if (unipc && i == 0 && fabs(sigma - 1.0) < 1e-6) sigma -= 1e-6;
            s->sigmas[i] = (float)sigma;
            s->timesteps[i] = trunc(sigma * trained);
        }
    }
}

static bool respaced_levels(at_context *cx, at_lambda_solver *m, int n)
{
    const at_discrete *d = &m->base;
    at_scheduler *s = &m->base.base;
    double *x = AT_NEW_ARRAY(cx, double, n);
    if (!x) return false;
    double high = isnan(m->high) ? at_discrete_table_sigma(d, d->trained - 1) : m->high;
    double low = isnan(m->low) ? at_discrete_table_sigma(d, 0) : m->low;
    bool rounds = d->respacing == AT_RESPACE_KARRAS || d->respacing == AT_RESPACE_LU;
    at_respace(d->respacing, x, n, high, low);
    for (int i = 0; i < n; i++) {
        double t = at_discrete_step_of_sigma(d, x[i]);
        if (rounds && !(m->cosine && s->class == &at_dpm_multistep)) t = rint(t);
        if (m->flow) { /* the share of the noise, of its deviation over the sample's */
            x[i] = x[i] / (x[i] + 1.0);
            t = x[i] * d->trained;
        }
        s->sigmas[i] = (float)x[i];
        s->timesteps[i] = trunc(t);
    }
    at_free(x);
    return true;
}

bool at_lambda_levels(at_context *cx, at_lambda_solver *m, const at_schedule_options *o)
{
    at_discrete *d = &m->base;
    at_scheduler *s = &d->base;
    int last = last_step(m);
    int n = o->sigmas      ? o->sigma_count
            : o->timesteps ? o->timestep_count
                           : at_discrete_count(d, o->steps, last);
    if (m->flow || d->respacing) n = o->sigmas ? o->sigma_count : o->steps;
    if (n < 1 || (o->timesteps && (m->flow || d->respacing)) ||
        (o->sigmas && !(m->flow && s->class == &at_unipc)))
        return at_fail_false(cx, AT_ERROR_ARGUMENT, "%s: takes no %s here", s->class->name,
                             o->sigmas ? "sigmas" : "timesteps");
    if (m->flow && d->respacing && !(d->respacing == AT_RESPACE_KARRAS && s->class == &at_unipc))
        return at_fail_false(cx, AT_ERROR_UNSUPPORTED,
                             "%s: flow sigmas go with no karras, exponential or beta sigmas",
                             s->class->name);
    d->steps = n;
    if (!at_scheduler_schedule(cx, s, n)) return false;
    if (d->respacing) return respaced_levels(cx, m, n);
    if (m->flow) {
        flow_levels(m, o, n);
        return true;
    }
    for (int i = 0; i < n; i++) {
        double t = o->timesteps ? o->timesteps[i] : at_discrete_timestep(d, i, o->steps, last, 1);
        if (!o->timesteps && d->spacing == AT_TRAILING)
            t = at_discrete_timestep(d, i, o->steps, last, 0);
        s->timesteps[i] = o->timesteps ? trunc(t) : rint(t);
        s->sigmas[i] = (float)at_discrete_sigma(d, s->timesteps[i]);
    }
    return true;
}

at_tensor *at_lambda_clean(at_context *cx, const at_lambda_solver *m, at_tensor *output,
                           at_tensor *sample)
{
    const at_scheduler *s = &m->base.base;
    float sigma = s->sigmas[s->index];
    at_level l = at_lambda_level(m, sigma);
    if (m->edm_data > 0) return at_edm_clean(cx, &m->base, output, sample, sigma, m->edm_data);
    if (m->base.prediction == AT_PREDICTS_FLOW) l = (at_level){1.0, sigma, 0};
    return at_discrete_clean(cx, &m->base, output, sample, (float)l.alpha, (float)l.sigma);
}

at_tensor *at_lambda_noise(at_context *cx, const at_lambda_solver *m, at_tensor *output,
                           at_tensor *sample)
{
    const at_discrete *d = &m->base;
    at_level l = at_lambda_level(m, d->base.sigmas[d->base.index]);
    float alpha = (float)l.alpha, sigma = (float)l.sigma;
    if (d->prediction == AT_PREDICTS_NOISE && !d->thresholding) return output;
    at_tensor *clean = at_lambda_clean(cx, m, output, sample);
    return at_blend(cx, 1.0f / sigma, sample, -alpha / sigma, clean);
}

at_tensor *at_lambda_add_noise(at_context *cx, at_scheduler *s, at_tensor *sample, at_tensor *noise,
                               int index)
{
    at_level l = at_lambda_level(own(s), s->sigmas[index]);
    return at_blend(cx, (float)l.alpha, sample, (float)l.sigma, noise);
}

void at_lambda_reset(at_context *cx, at_scheduler *s)
{
    at_history_clear(cx, &own(s)->outputs);
}
