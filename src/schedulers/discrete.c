#include "schedulers/discrete.h"
#include "tensor/pool.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- options */

int at_config_choice(at_context *cx, at_config *k, const char *key, const char *const *names)
{
    const char *value = at_config_text(cx, k, key, names[0]);
    for (int i = 0; names[i]; i++)
        if (strcmp(value, names[i]) == 0) return i;
    at_fail(cx, AT_ERROR_UNSUPPORTED, "%s: \"%s\": \"%s\" is not supported", at_config_what(k), key,
            value);
    return 0;
}

void at_discrete_configure(at_context *cx, at_discrete *d, at_config *k, at_step_spacing spacing,
                           const at_alphas_defaults *defaults)
{
    static const char *const predictions[] = {"epsilon", "sample", "v_prediction",
                                              "flow_prediction", NULL};
    static const char *const spacings[][4] = {{"leading", "linspace", "trailing"},
                                              {"linspace", "leading", "trailing"},
                                              {"trailing", "leading", "linspace"}};
    static const at_step_spacing places[][3] = {{AT_LEADING, AT_LINSPACE, AT_TRAILING},
                                                {AT_LINSPACE, AT_LEADING, AT_TRAILING},
                                                {AT_TRAILING, AT_LEADING, AT_LINSPACE}};
    d->alphas = at_alphas_cumprod(cx, k, &d->trained, defaults);
    d->offset = at_config_range(cx, k, "steps_offset", 0, 0, 1000000);
    d->prediction = (at_prediction)at_config_choice(cx, k, "prediction_type", predictions);
    d->spacing = places[spacing][at_config_choice(cx, k, "timestep_spacing", spacings[spacing])];
    d->final_alpha = 1.0f;
}

void at_discrete_configure_thresholding(at_context *cx, at_discrete *d, at_config *k)
{
    d->thresholding = at_config_bool(cx, k, "thresholding", false);
    d->quantile = at_config_number(cx, k, "dynamic_thresholding_ratio", 0.995);
    d->sample_max = at_config_number(cx, k, "sample_max_value", 1.0);
    if (d->thresholding && !(d->quantile >= 0 && d->quantile <= 1))
        at_fail(cx, AT_ERROR_FORMAT, "%s: \"dynamic_thresholding_ratio\" is not from 0 to 1",
                at_config_what(k));
}

void at_discrete_configure_clean(at_context *cx, at_discrete *d, at_config *k, bool thresholds,
                                 bool clips)
{
    bool clip = at_config_bool(cx, k, "clip_sample", clips);
    double range = at_config_number(cx, k, "clip_sample_range", 1.0);
    d->clip = clip ? (float)range : 0.0f;
    if (thresholds) at_discrete_configure_thresholding(cx, d, k);
}

void at_discrete_destroy(at_context *cx, at_scheduler *s)
{
    (void)cx;
    at_free(at_discrete_of(s)->alphas);
}

/* ---- timesteps */

int at_discrete_count(const at_discrete *d, int count, int last)
{
    if (d->spacing != AT_TRAILING) return count;
    return (int)ceil(last / ((double)d->trained / count));
}

double at_discrete_timestep(const at_discrete *d, int i, int count, int last, int extra)
{
    int n = count + extra, up = n - 1 - i;
    if (d->spacing == AT_LINSPACE) return at_linspace(0.0, last - 1, up, n);
    if (d->spacing == AT_LEADING) return (double)up * (last / n) + d->offset;
    double part = (double)d->trained / count; /* np.arange(last, 0, -part) */
    return rint(last + i * ((last - part) - last)) - 1.0;
}

bool at_discrete_whole_steps(at_context *cx, at_scheduler *s, const at_schedule_options *o,
                             int extra)
{
    at_discrete *d = at_discrete_of(s);
    if (o->sigmas || o->timesteps)
        return at_fail_false(cx, AT_ERROR_ARGUMENT, "%s: takes no %s", s->class->name,
                             o->sigmas ? "sigmas" : "timesteps");
    if (o->steps > d->trained)
        return at_fail_false(cx, AT_ERROR_ARGUMENT, "%s: %d steps of %d that were trained",
                             s->class->name, o->steps, d->trained);
    d->steps = o->steps;
    return at_scheduler_schedule(cx, s, at_discrete_count(d, o->steps, d->trained) + extra);
}

bool at_discrete_table_sigmas(at_context *cx, at_scheduler *s)
{
    const at_discrete *d = at_discrete_of(s);
    for (int i = 0; i < s->count; i++) {
        double t = s->timesteps[i];
        if (!(t >= 0 && t < d->trained))
            return at_fail_false(cx, AT_ERROR_ARGUMENT, "%s: timestep %g of %d (fewer steps)",
                                 s->class->name, t, d->trained);
        s->sigmas[i] = at_discrete_table_sigma(d, (int)t);
    }
    s->sigmas[s->count] = 0.0f;
    return true;
}

at_tensor *at_discrete_add_noise(at_context *cx, at_scheduler *s, at_tensor *sample,
                                 at_tensor *noise, int index)
{
    const at_discrete *d = at_discrete_of(s);
    float alpha = index < s->count ? d->alphas[(int)s->timesteps[index]] : 1.0f;
    return at_blend(cx, sqrtf(alpha), sample, sqrtf(1.0f - alpha), noise);
}

/* ---- noise levels */

float at_discrete_table_sigma(const at_discrete *d, int step)
{
    return sqrtf((1.0f - d->alphas[step]) / d->alphas[step]);
}

double at_discrete_sigma(const at_discrete *d, double t)
{
    if (!(t > 0)) return at_discrete_table_sigma(d, 0);
    if (t >= d->trained - 1) return at_discrete_table_sigma(d, d->trained - 1);
    int low = (int)t;
    double a = at_discrete_table_sigma(d, low), b = at_discrete_table_sigma(d, low + 1);
    return (b - a) * (t - low) + a;
}

double at_discrete_step_of_sigma(const at_discrete *d, double sigma)
{
    double log_sigma = log(fmax(sigma, 1e-10));
    int low =
        0; /* the last place up to which the table is not above, at most that before the end */
    for (int i = 0; i < d->trained - 1; i++)
        if (log_sigma >= (double)logf(at_discrete_table_sigma(d, i))) low = i;
    float a = logf(at_discrete_table_sigma(d, low)), b = logf(at_discrete_table_sigma(d, low + 1));
    double w = fmin(fmax(((double)a - log_sigma) / (double)(a - b), 0.0), 1.0);
    return (1.0 - w) * low + w * (low + 1);
}

/* ---- history */

void at_history_push(at_context *cx, at_history *h, at_tensor *x)
{
    enum { MOST = AT_COUNT(h->x) };
    if (h->count == MOST) at_tensor_release(cx, h->x[MOST - 1]);
    h->count = AT_MIN(h->count + 1, (int)MOST);
    for (int i = h->count - 1; i > 0; i--) h->x[i] = h->x[i - 1];
    h->x[0] = at_tensor_keep(x);
}

void at_history_clear(at_context *cx, at_history *h)
{
    for (int i = 0; i < h->count; i++) at_tensor_release(cx, h->x[i]);
    *h = (at_history){0};
}

/* ---- the clean sample */

static int by_size(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Dynamic thresholding (Saharia et al. 2022): each picture cut at a quantile of its values' sizes,
   from 1 to sample_max, and divided by it. */
at_tensor *at_discrete_threshold(at_context *cx, const at_discrete *d, at_tensor *x)
{
    at_tensor *out = at_contiguous(cx, at_affine(cx, x, 1.0f, 0.0f));
    if (!out) return NULL;
    int64_t n = at_dim(out, 0), each = at_elements(out) / AT_MAX(n, 1);
    float *sizes = AT_NEW_ARRAY(cx, float, each);
    for (int64_t i = 0; sizes && each && i < n; i++) {
        float *values = (float *)out->data + i * each;
        for (int64_t j = 0; j < each; j++) sizes[j] = fabsf(values[j]);
        qsort(sizes, (size_t)each, sizeof *sizes, by_size);
        double rank = d->quantile * (double)(each - 1);
        int64_t low = (int64_t)rank, high = AT_MIN(low + 1, each - 1);
        float limit = sizes[low] + (float)(rank - (double)low) * (sizes[high] - sizes[low]);
        limit = fminf(fmaxf(limit, 1.0f), (float)d->sample_max);
        for (int64_t j = 0; j < each; j++)
            values[j] = fminf(fmaxf(values[j], -limit), limit) / limit;
    }
    at_free(sizes);
    return at_ok(cx) ? out : NULL;
}

at_tensor *at_discrete_clean(at_context *cx, const at_discrete *d, at_tensor *output,
                             at_tensor *sample, float alpha, float sigma)
{
    at_tensor *x = output;
    if (d->prediction == AT_PREDICTS_NOISE)
        x = at_blend(cx, 1.0f / alpha, sample, -sigma / alpha, output);
    if (d->prediction == AT_PREDICTS_VELOCITY) x = at_blend(cx, alpha, sample, -sigma, output);
    if (d->prediction == AT_PREDICTS_FLOW) x = at_blend(cx, 1.0f, sample, -sigma, output);
    if (d->thresholding) return at_discrete_threshold(cx, d, x);
    return d->clip > 0 ? at_clamp(cx, x, -d->clip, d->clip) : x;
}

at_tensor *at_discrete_noise(at_context *cx, const at_discrete *d, at_tensor *output,
                             at_tensor *sample, float alpha, float sigma)
{
    if (d->prediction == AT_PREDICTS_SAMPLE)
        return at_blend(cx, 1.0f / sigma, sample, -alpha / sigma, output);
    if (d->prediction == AT_PREDICTS_VELOCITY) return at_blend(cx, alpha, output, sigma, sample);
    return output;
}
