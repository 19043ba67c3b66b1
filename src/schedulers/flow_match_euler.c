/* diffusers.FlowMatchEulerDiscreteScheduler: Euler's method on the straight flow from noise
   (sigma 1) to data (sigma 0) of Flux, Stable Diffusion 3, AuraFlow, Lumina; and
   FlowMatchLCMScheduler, which jumps to the data and back with fresh noise.

   Sigmas are computed as numpy computes them there: in f64, but in f32 where the caller gives
   sigmas or timesteps, each scalar then rounded to f32 first. */
#include "schedulers/respacing.h"
#include "schedulers/scheduler.h"
#include <math.h>
#include <string.h>

typedef struct flow_match {
    at_scheduler base;
    int num_train_timesteps;
    double shift;
    double shift_terminal; /* 0: none */
    bool use_dynamic_shifting;
    bool time_shift_linear;
    bool invert_sigmas;
    bool stochastic_sampling;
    at_respacing respacing;
    double sigma_max, sigma_min; /* of the schedule that it was trained on */
} flow_match;

static flow_match *own(at_scheduler *s)
{
    return (flow_match *)s; /* base comes first */
}

/* ---- configuration */

/* The noise level of a training timestep, in f32 as torch has it there. */
static double trained_sigma(const flow_match *f, int timestep)
{
    float sigma = (float)timestep / (float)f->num_train_timesteps, shift = (float)f->shift;
    if (!f->use_dynamic_shifting) sigma = shift * sigma / (1.0f + (float)(f->shift - 1.0) * sigma);
    return sigma;
}

static void configure(at_context *cx, at_scheduler *s, at_config *config)
{
    flow_match *f = own(s);
    f->num_train_timesteps = at_config_range(cx, config, "num_train_timesteps", 1000, 1, 1000000);
    f->shift = at_config_number(cx, config, "shift", 1.0);
    f->shift_terminal = at_config_number(cx, config, "shift_terminal", 0.0);
    f->use_dynamic_shifting = at_config_bool(cx, config, "use_dynamic_shifting", false);
    f->invert_sigmas = at_config_bool(cx, config, "invert_sigmas", false);
    f->stochastic_sampling =
        s->class == &at_flow_match_lcm || at_config_bool(cx, config, "stochastic_sampling", false);
    f->respacing = at_respacing_read(cx, config, false);

    const char *type = at_config_text(cx, config, "time_shift_type", "exponential");
    f->time_shift_linear = strcmp(type, "linear") == 0;
    if (!f->time_shift_linear && strcmp(type, "exponential") != 0)
        at_fail(cx, AT_ERROR_FORMAT, "%s: \"time_shift_type\" is neither exponential nor linear",
                at_config_what(config));

    /* what a pipeline computes mu of */
    at_config_number(cx, config, "base_shift", 0.5);
    at_config_number(cx, config, "max_shift", 1.15);
    at_config_int(cx, config, "base_image_seq_len", 256);
    at_config_int(cx, config, "max_image_seq_len", 4096);

    f->sigma_max = trained_sigma(f, f->num_train_timesteps);
    f->sigma_min = trained_sigma(f, 1);
}

/* ---- sigmas */

static double shift_sigma(const flow_match *f, const at_schedule_options *o, double t)
{
    if (!f->use_dynamic_shifting) return f->shift * t / (1.0 + (f->shift - 1.0) * t);
    double m = f->time_shift_linear ? o->mu : exp(o->mu);
    return m / (m + (1.0 / t - 1.0));
}

static float shift_sigma_f32(const flow_match *f, const at_schedule_options *o, float t)
{
    if (!f->use_dynamic_shifting) return (float)f->shift * t / (1.0f + (float)(f->shift - 1.0) * t);
    float m = (float)(f->time_shift_linear ? o->mu : exp(o->mu));
    return m / (m + (1.0f / t - 1.0f));
}

/* Shifts, then stretches so that the last sigma is shift_terminal; x holds one number a step. */
static void shift_all(const flow_match *f, const at_schedule_options *o, double *x, int count,
                      bool single)
{
    for (int i = 0; i < count; i++)
        x[i] = single ? shift_sigma_f32(f, o, (float)x[i]) : shift_sigma(f, o, x[i]);
    if (f->shift_terminal == 0.0) return;
    double scale = (1.0 - x[count - 1]) / (1.0 - f->shift_terminal);
    float scale_f32 = (1.0f - (float)x[count - 1]) / (float)(1.0 - f->shift_terminal);
    for (int i = 0; i < count; i++)
        x[i] = single ? 1.0f - (1.0f - (float)x[i]) / scale_f32 : 1.0 - (1.0 - x[i]) / scale;
}

/* The noise levels before any shift: the caller's, those of the caller's timesteps, or equal parts
   of what was trained. */
static void first_sigmas(const flow_match *f, const at_schedule_options *o, double *x, int count)
{
    int train = f->num_train_timesteps;
    for (int i = 0; i < count; i++)
        x[i] = o->sigmas ? (float)o->sigmas[i]
               : o->timesteps
                   ? (float)o->timesteps[i] / (float)train
                   : at_linspace(f->sigma_max * train, f->sigma_min * train, i, count) / train;
}

static void set_timesteps(at_context *cx, at_scheduler *s, const at_schedule_options *o)
{
    flow_match *f = own(s);
    int count = o->sigmas ? o->sigma_count : o->timesteps ? o->timestep_count : o->steps;
    if (f->use_dynamic_shifting && !o->has_mu) {
        at_fail(cx, AT_ERROR_ARGUMENT, "%s: use_dynamic_shifting needs mu", s->class->name);
        return;
    }
    double *x = AT_NEW_ARRAY(cx, double, count);
    if (x && at_scheduler_schedule(cx, s, count)) {
        first_sigmas(f, o, x, count);
        shift_all(f, o, x, count, o->sigmas || o->timesteps);
        at_respace(f->respacing, x, count, x[0], x[count - 1]);
        for (int i = 0; i < count; i++) {
            float sigma = f->invert_sigmas ? 1.0f - (float)x[i] : (float)x[i];
            s->sigmas[i] = sigma;
            s->timesteps[i] = o->timesteps && !f->invert_sigmas
                                  ? (float)o->timesteps[i]
                                  : sigma * (float)f->num_train_timesteps;
        }
        s->sigmas[count] = f->invert_sigmas ? 1.0f : 0.0f;
        for (int i = 0; i < count; i++)
            if (!isfinite(s->sigmas[i]))
                at_fail(cx, AT_ERROR_ARGUMENT,
                        "%s: sigma %d of %d is not a number (another number of steps, another "
                        "size of the picture, or another shift_terminal)",
                        s->class->name, i + 1, count);
    }
    at_free(x);
}

/* ---- steps */

/* The model gives noise - data, the direction in which sigma grows. Stochastic: the data that it
   points at, with fresh noise of the next level. */
static at_tensor *step(at_context *cx, at_scheduler *s, at_tensor *output, at_tensor *sample,
                       at_noise *noise)
{
    float sigma = s->sigmas[s->index], next = s->sigmas[s->index + 1];
    if (!own(s)->stochastic_sampling)
        return at_add(cx, sample, at_affine(cx, output, next - sigma, 0.0f));
    at_tensor *data = at_sub(cx, sample, at_affine(cx, output, sigma, 0.0f));
    at_tensor *fresh = at_noise_draw(cx, noise, sample->dims, sample->shape);
    return at_blend(cx, 1.0f - next, data, next, fresh);
}

/* scale_noise */
static at_tensor *add_noise(at_context *cx, at_scheduler *s, at_tensor *sample, at_tensor *noise,
                            int index)
{
    float sigma = s->sigmas[index];
    return at_blend(cx, sigma, noise, 1.0f - sigma, sample);
}

const at_scheduler_class at_flow_match_euler = {
    .name = "FlowMatchEulerDiscreteScheduler",
    .sampler = "flow_euler",
    .size = sizeof(flow_match),
    .order = 1,
    .takes_sigmas = true,
    .configure = configure,
    .set_timesteps = set_timesteps,
    .step = step,
    .add_noise = add_noise,
};

static void configure_lcm(at_context *cx, at_scheduler *s, at_config *config)
{
    static const char *const unused[] = {"upscale_mode", NULL}; /* of scale_factors only */
    configure(cx, s, config);
    at_config_ignore(config, unused);
    if (cJSON_GetArraySize(at_config_item(config, "scale_factors")) > 0)
        at_fail(cx, AT_ERROR_UNSUPPORTED, "%s: \"scale_factors\" is not supported",
                at_config_what(config));
}

const at_scheduler_class at_flow_match_lcm = {
    .name = "FlowMatchLCMScheduler",
    .sampler = "flow_lcm",
    .size = sizeof(flow_match),
    .order = 1,
    .takes_sigmas = true,
    .configure = configure_lcm,
    .set_timesteps = set_timesteps,
    .step = step,
    .add_noise = add_noise,
};
