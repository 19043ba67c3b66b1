/* diffusers.DDPMScheduler: ancestral sampling (Ho et al. 2020) over a part of the trained steps.
   Coefficients are f32 as torch has them there. */
#include "schedulers/alphas.h"
#include "schedulers/scheduler.h"
#include <math.h>
#include <string.h>

typedef enum prediction { PREDICTS_NOISE, PREDICTS_SAMPLE, PREDICTS_VELOCITY } prediction;
typedef enum spacing { SPACING_LEADING, SPACING_LINSPACE, SPACING_TRAILING } spacing;
typedef enum variance { VARIANCE_SMALL, VARIANCE_SMALL_LOG, VARIANCE_LARGE } variance;

typedef struct ddpm {
    at_scheduler base;
    float *alphas; /* alphas_cumprod */
    int trained;   /* of them */
    int steps_offset;
    prediction prediction;
    spacing spacing;
    variance variance;
    float clip; /* 0: the clean sample is taken as it comes */
} ddpm;

static ddpm *own(at_scheduler *s)
{
    return (ddpm *)s; /* base comes first */
}

/* ---- configuration */

/* The place of an option's value among names. */
static int choice(at_context *cx, at_config *k, const char *key, const char *const *names)
{
    const char *value = at_config_text(cx, k, key, names[0]);
    for (int i = 0; names[i]; i++)
        if (strcmp(value, names[i]) == 0) return i;
    at_fail(cx, AT_ERROR_UNSUPPORTED, "%s: \"%s\": \"%s\" is not supported", at_config_what(k), key,
            value);
    return 0;
}

static void configure(at_context *cx, at_scheduler *s, at_config *k)
{
    static const char *const predictions[] = {"epsilon", "sample", "v_prediction", NULL};
    static const char *const spacings[] = {"leading", "linspace", "trailing", NULL};
    static const char *const variances[] = {"fixed_small", "fixed_small_log", "fixed_large", NULL};
    static const char *const of_thresholding[] = {"dynamic_thresholding_ratio", "sample_max_value",
                                                  NULL};
    ddpm *d = own(s);
    d->alphas = at_alphas_cumprod(cx, k, &d->trained);
    d->steps_offset = at_config_range(cx, k, "steps_offset", 0, 0, 1000000);
    d->prediction = (prediction)choice(cx, k, "prediction_type", predictions);
    d->spacing = (spacing)choice(cx, k, "timestep_spacing", spacings);
    d->variance = (variance)choice(cx, k, "variance_type", variances);
    bool clips = at_config_bool(cx, k, "clip_sample", true);
    double range = at_config_number(cx, k, "clip_sample_range", 1.0);
    d->clip = clips ? (float)range : 0.0f;
    at_config_expect_bool(cx, k, "thresholding", false, false);
    at_config_ignore(k, of_thresholding);
}

static void destroy(at_context *cx, at_scheduler *s)
{
    (void)cx;
    at_free(own(s)->alphas);
}

/* ---- timesteps */

/* Step i of count, from the noisiest on. */
static double timestep_of(const ddpm *d, int i, int count)
{
    double trained = d->trained, part = trained / count;
    int last = count - 1 - i;
    if (d->spacing == SPACING_LINSPACE) return rint(at_linspace(0.0, trained - 1, last, count));
    if (d->spacing == SPACING_LEADING) return (double)last * (d->trained / count) + d->steps_offset;
    return rint(trained + i * ((trained - part) - trained)) - 1.0; /* np.arange down from the end */
}

static void set_timesteps(at_context *cx, at_scheduler *s, const at_schedule_options *o)
{
    ddpm *d = own(s);
    int count = o->timesteps ? o->timestep_count : o->steps;
    if (o->sigmas || count > d->trained) {
        at_fail(cx, AT_ERROR_ARGUMENT, "%s: %s", s->class->name,
                o->sigmas ? "takes no sigmas" : "more steps than were trained");
        return;
    }
    if (!at_scheduler_schedule(cx, s, count)) return;
    for (int i = 0; i < count; i++) {
        double t = o->timesteps ? trunc(o->timesteps[i]) : timestep_of(d, i, count);
        if (!(t >= 0 && t < d->trained) || (i && t >= s->timesteps[i - 1])) {
            at_fail(cx, AT_ERROR_ARGUMENT, "%s: timestep %g of %d: not falling, or outside",
                    s->class->name, t, d->trained);
            return;
        }
        s->timesteps[i] = t;
        s->sigmas[i] = sqrtf((1.0f - d->alphas[(int)t]) / d->alphas[(int)t]);
    }
    s->sigmas[count] = 0.0f;
}

/* ---- steps */

/* What the sample would be without noise. */
static at_tensor *clean(at_context *cx, const ddpm *d, at_tensor *output, at_tensor *sample,
                        float alpha)
{
    float keep = sqrtf(alpha), noise = sqrtf(1.0f - alpha);
    at_tensor *x = output;
    if (d->prediction == PREDICTS_NOISE) x = at_blend(cx, 1.0f / keep, sample, -noise / keep, x);
    if (d->prediction == PREDICTS_VELOCITY) x = at_blend(cx, keep, sample, -noise, x);
    return d->clip > 0 ? at_clamp(cx, x, -d->clip, d->clip) : x;
}

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
    const ddpm *d = own(s);
    int t = (int)s->timesteps[s->index];
    float alpha = d->alphas[t];
    float previous = s->index + 1 < s->count ? d->alphas[(int)s->timesteps[s->index + 1]] : 1.0f;
    float kept = alpha / previous, beta = 1.0f - kept;

    at_tensor *x = clean(cx, d, output, sample, alpha);
    x = at_blend(cx, sqrtf(previous) * beta / (1.0f - alpha), x,
                 sqrtf(kept) * (1.0f - previous) / (1.0f - alpha), sample);
    if (t == 0) return x;
    at_tensor *fresh = at_noise_draw(cx, noise, sample->dims, sample->shape);
    return at_blend(cx, 1.0f, x, deviation(d, alpha, previous, beta), fresh);
}

static at_tensor *add_noise(at_context *cx, at_scheduler *s, at_tensor *sample, at_tensor *noise,
                            int index)
{
    float alpha = index < s->count ? own(s)->alphas[(int)s->timesteps[index]] : 1.0f;
    return at_blend(cx, sqrtf(alpha), sample, sqrtf(1.0f - alpha), noise);
}

const at_scheduler_class at_ddpm = {
    .name = "DDPMScheduler",
    .sampler = "ddpm",
    .size = sizeof(ddpm),
    .order = 1,
    .configure = configure,
    .set_timesteps = set_timesteps,
    .step = step,
    .add_noise = add_noise,
    .destroy = destroy,
};
