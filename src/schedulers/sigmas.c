#include "schedulers/sigmas.h"
#include <math.h>

void at_sigma_run_free(at_sigma_run *run)
{
    at_free(run->sigmas);
    at_free(run->timesteps);
}

/* The timesteps and the sigmas there. */
static void fill(const at_discrete *d, const at_schedule_options *o, const at_sigma_options *own,
                 at_sigma_run *run)
{
    int n = run->count, last = d->trained;
    for (int i = 0; i < n; i++) {
        double t = o->timesteps ? o->timesteps[i] : at_discrete_timestep(d, i, o->steps, last, 0);
        if (d->spacing != AT_LINSPACE && !o->timesteps) t = rint(t);
        run->timesteps[i] = (float)t;
        run->sigmas[i] = at_discrete_sigma(d, (float)t);
    }
    float high = logf(at_discrete_table_sigma(d, last - 1)),
          low = logf(at_discrete_table_sigma(d, 0));
    for (int i = 0; i < n && own->log_linear; i++) /* n + 1 of them, the last not taken */
        run->sigmas[i] = expf((float)at_linspace(high, low, i, n + 1));
}

bool at_sigma_run_make(at_context *cx, at_scheduler *s, const at_schedule_options *o,
                       const at_sigma_options *own, at_sigma_run *run)
{
    at_discrete *d = at_discrete_of(s);
    bool respaced = d->respacing != AT_RESPACE_NONE;
    *run = (at_sigma_run){0};
    if ((o->sigmas && !own->takes_sigmas) || (o->timesteps && (!own->takes_timesteps || respaced)))
        return at_fail_false(cx, AT_ERROR_ARGUMENT, "%s: takes no %s%s", s->class->name,
                             o->sigmas ? "sigmas" : "timesteps",
                             respaced ? " with karras, exponential or beta sigmas" : "");
    int n = o->sigmas      ? o->sigma_count - 1
            : o->timesteps ? o->timestep_count
                           : at_discrete_count(d, o->steps, d->trained);
    if (n < 1) return at_fail_false(cx, AT_ERROR_ARGUMENT, "%s: too few sigmas", s->class->name);
    run->count = n;
    run->sigmas = AT_NEW_ARRAY(cx, double, n);
    run->timesteps = AT_NEW_ARRAY(cx, double, n);
    if (!run->sigmas || !run->timesteps) return false;
    d->steps = o->steps ? o->steps : n;
    if (!o->sigmas) fill(d, o, own, run);
    for (int i = 0; i < n && o->sigmas; i++) run->sigmas[i] = (float)o->sigmas[i];
    if (!o->sigmas && respaced)
        at_respace(d->respacing, run->sigmas, n, isnan(own->high) ? run->sigmas[0] : own->high,
                   isnan(own->low) ? run->sigmas[n - 1] : own->low);
    for (int i = 0; i < n && (o->sigmas || respaced); i++)
        run->timesteps[i] = at_discrete_step_of_sigma(d, run->sigmas[i]);
    return true;
}

void at_sigma_init_noise(at_scheduler *s)
{
    float most = s->sigmas[0];
    for (int i = 1; i <= s->count; i++) most = fmaxf(most, s->sigmas[i]);
    bool leading = at_discrete_of(s)->spacing == AT_LEADING;
    s->init_noise_sigma = leading ? sqrtf(most * most + 1.0f) : most;
}

at_tensor *at_sigma_scale(at_context *cx, at_tensor *sample, float sigma)
{
    return at_affine(cx, sample, 1.0f / sqrtf(sigma * sigma + 1.0f), 0.0f);
}

at_tensor *at_sigma_scale_input(at_context *cx, at_scheduler *s, at_tensor *sample)
{
    return at_sigma_scale(cx, sample, s->sigmas[s->index]);
}

at_tensor *at_sigma_add_noise(at_context *cx, at_scheduler *s, at_tensor *sample, at_tensor *noise,
                              int index)
{
    return at_blend(cx, 1.0f, sample, s->sigmas[index], noise);
}

float at_log_middle(float a, float b)
{
    float from = -logf(a);
    return expf(-(from + (-logf(b) - from) * 0.5f));
}

void at_solve(double *a, int stride, double *b, int n)
{
    for (int k = 0; k < n; k++) {
        int best = k;
        for (int i = k + 1; i < n; i++)
            if (fabs(a[i * stride + k]) > fabs(a[best * stride + k])) best = i;
        for (int j = 0; j < n; j++) {
            double t = a[k * stride + j];
            a[k * stride + j] = a[best * stride + j];
            a[best * stride + j] = t;
        }
        double t = b[k];
        b[k] = b[best];
        b[best] = t;
        for (int i = k + 1; i < n; i++) {
            double by = a[i * stride + k] / a[k * stride + k];
            for (int j = k; j < n; j++) a[i * stride + j] -= by * a[k * stride + j];
            b[i] -= by * b[k];
        }
    }
    for (int i = n - 1; i >= 0; i--) {
        for (int j = i + 1; j < n; j++) b[i] -= a[i * stride + j] * b[j];
        b[i] /= a[i * stride + i];
    }
}

at_tensor *at_sigma_clean(at_context *cx, const at_discrete *d, at_tensor *output,
                          at_tensor *sample, float sigma)
{
    float alpha = 1.0f / sqrtf(sigma * sigma + 1.0f);
    at_tensor *clean = output;
    if (d->prediction == AT_PREDICTS_NOISE) clean = at_blend(cx, 1.0f, sample, -sigma, output);
    if (d->prediction == AT_PREDICTS_VELOCITY)
        clean = at_blend(cx, -sigma * alpha, output, alpha * alpha, sample);
    return d->clip > 0 ? at_clamp(cx, clean, -d->clip, d->clip) : clean;
}

at_tensor *at_sigma_derivative(at_context *cx, const at_discrete *d, at_tensor *output,
                               at_tensor *sample, float sigma)
{
    at_tensor *clean = at_sigma_clean(cx, d, output, sample, sigma);
    return at_affine(cx, at_sub(cx, sample, clean), 1.0f / sigma, 0.0f);
}
