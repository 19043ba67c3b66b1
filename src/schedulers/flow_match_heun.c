/* diffusers.FlowMatchHeunDiscreteScheduler: Heun's method on the straight flow from noise (sigma 1)
   to data (sigma 0), two calls a step but for the last. */
#include "schedulers/scheduler.h"
#include "tensor/pool.h"

typedef struct flow_heun {
    at_scheduler base;
    int trained;
    double shift;
    at_tensor *sample;     /* where the step began; NULL before its first call */
    at_tensor *derivative; /* of the first call */
} flow_heun;

static flow_heun *own(at_scheduler *s)
{
    return (flow_heun *)s; /* base comes first */
}

static void configure(at_context *cx, at_scheduler *s, at_config *k)
{
    own(s)->trained = at_config_range(cx, k, "num_train_timesteps", 1000, 1, 1000000);
    own(s)->shift = at_config_number(cx, k, "shift", 1.0);
}

/* The noise level of a trained timestep, in f32 as torch has it there. */
static double trained_sigma(const flow_heun *f, int timestep)
{
    float sigma = (float)timestep / (float)f->trained;
    return (float)f->shift * sigma / (1.0f + (float)(f->shift - 1.0) * sigma);
}

/* Between levels that are shifted already, and shifted again; every level but the first twice. */
static void set_timesteps(at_context *cx, at_scheduler *s, const at_schedule_options *o)
{
    const flow_heun *f = own(s);
    if (o->sigmas || o->timesteps) {
        at_fail(cx, AT_ERROR_ARGUMENT, "%s: takes no %s", s->class->name,
                o->sigmas ? "sigmas" : "timesteps");
        return;
    }
    if (!at_scheduler_schedule(cx, s, 2 * o->steps - 1)) return;
    double high = trained_sigma(f, f->trained) * f->trained, low = trained_sigma(f, 1) * f->trained;
    for (int i = 0; i < s->count; i++) {
        double x = at_linspace(high, low, (i + 1) / 2, o->steps) / f->trained;
        s->sigmas[i] = (float)(f->shift * x / (1.0 + (f->shift - 1.0) * x));
        s->timesteps[i] = s->sigmas[i] * (float)f->trained;
    }
    s->sigmas[s->count] = 0.0f;
}

static void reset(at_context *cx, at_scheduler *s)
{
    at_tensor_release(cx, own(s)->sample);
    at_tensor_release(cx, own(s)->derivative);
    own(s)->sample = own(s)->derivative = NULL;
}

/* The network's output is the slope; the reference computes it back from the clean sample, and
   where sigma is small that rounding is seen. */
static at_tensor *slope_of(at_context *cx, at_tensor *output, at_tensor *sample, float sigma)
{
    at_tensor *clean = at_blend(cx, 1.0f, sample, -sigma, output);
    return at_affine(cx, at_sub(cx, sample, clean), 1.0f / sigma, 0.0f);
}

static at_tensor *step(at_context *cx, at_scheduler *s, at_tensor *output, at_tensor *sample,
                       at_noise *noise)
{
    flow_heun *f = own(s);
    bool first = !f->sample;
    float sigma = s->sigmas[s->index - !first], next = s->sigmas[s->index + first];
    (void)noise;
    at_tensor *slope = slope_of(cx, output, sample, first ? sigma : next);
    if (first) {
        f->sample = at_tensor_keep(sample);
        f->derivative = at_tensor_keep(slope);
        return at_blend(cx, 1.0f, sample, next - sigma, slope);
    }
    slope = at_blend(cx, 0.5f, f->derivative, 0.5f, slope);
    at_tensor *x = at_blend(cx, 1.0f, f->sample, next - sigma, slope);
    reset(cx, s);
    return x;
}

/* scale_noise */
static at_tensor *add_noise(at_context *cx, at_scheduler *s, at_tensor *sample, at_tensor *noise,
                            int index)
{
    float sigma = s->sigmas[index];
    return at_blend(cx, sigma, noise, 1.0f - sigma, sample);
}

const at_scheduler_class at_flow_match_heun = {
    .name = "FlowMatchHeunDiscreteScheduler",
    .sampler = "flow_heun",
    .size = sizeof(flow_heun),
    .order = 2,
    .configure = configure,
    .set_timesteps = set_timesteps,
    .step = step,
    .add_noise = add_noise,
    .reset = reset,
};
