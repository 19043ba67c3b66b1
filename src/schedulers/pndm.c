/* diffusers.PNDMScheduler: pseudo numerical methods (Liu et al. 2022). Linear multi-step; before
   it, unless skip_prk_steps, three steps of four Runge-Kutta calls each. */
#include "schedulers/discrete.h"
#include "tensor/pool.h"
#include <math.h>

enum { ORDER = 4, PRK_CALLS = 12 };

typedef struct pndm {
    at_discrete base;
    bool skip_prk;
    at_history outputs;
    at_tensor *sample; /* where a step of several calls began */
    at_tensor *sum;    /* of a Runge-Kutta step's outputs */
    int called;        /* since set_timesteps */
} pndm;

static void configure(at_context *cx, at_scheduler *s, at_config *k)
{
    static const at_alphas_defaults betas = {0.0001, 0.02, "linear"};
    pndm *m = (pndm *)s;
    at_discrete_configure(cx, &m->base, k, AT_LEADING, &betas);
    m->skip_prk = at_config_bool(cx, k, "skip_prk_steps", false);
    if (!at_config_bool(cx, k, "set_alpha_to_one", false) && m->base.alphas)
        m->base.final_alpha = m->base.alphas[0];
    if (m->base.prediction != AT_PREDICTS_NOISE && m->base.prediction != AT_PREDICTS_VELOCITY)
        at_fail(cx, AT_ERROR_UNSUPPORTED, "%s: PNDMScheduler takes epsilon or v_prediction",
                at_config_what(k));
}

void at_pndm_skip_prk(at_scheduler *s)
{
    if (s && s->class == &at_pndm) ((pndm *)s)->skip_prk = true;
}

static void keep(at_context *cx, at_tensor **slot, at_tensor *x)
{
    at_tensor_release(cx, *slot);
    *slot = at_tensor_keep(x);
}

static void reset(at_context *cx, at_scheduler *s)
{
    pndm *m = (pndm *)s;
    at_history_clear(cx, &m->outputs);
    keep(cx, &m->sample, NULL);
    keep(cx, &m->sum, NULL);
    m->called = 0;
}

static void set_timesteps(at_context *cx, at_scheduler *s, const at_schedule_options *o)
{
    pndm *m = (pndm *)s;
    const at_discrete *d = &m->base;
    int n = at_discrete_count(d, o->steps, d->trained), half = d->trained / o->steps / 2;
    if (!m->skip_prk && n < ORDER) {
        at_fail(cx, AT_ERROR_ARGUMENT, "PNDMScheduler: at least 4 steps (or skip_prk_steps)");
        return;
    }
    int extra = m->skip_prk ? n > 1 : PRK_CALLS - 3;
    if (!at_discrete_whole_steps(cx, s, o, extra)) return;
    double *t = s->timesteps;
    for (int i = 0; i < s->count; i++) {
        /* the second step comes twice; or: four calls for each of the first three steps */
        int which = m->skip_prk ? i - (i > 1) : i - (PRK_CALLS - 3);
        bool prk = !m->skip_prk && i < PRK_CALLS;
        if (prk) which = i / 4 + (i % 4 == 3);
        t[i] = rint(at_discrete_timestep(d, which, o->steps, d->trained, 0));
        if (prk && (i % 4 == 1 || i % 4 == 2))
            t[i] = rint(at_discrete_timestep(d, which + 1, o->steps, d->trained, 0)) + half;
    }
    at_discrete_table_sigmas(cx, s);
}

/* Formula (9) of the paper: from step t to `before`. */
static at_tensor *move(at_context *cx, const at_discrete *d, at_tensor *sample, int t, int before,
                       at_tensor *output)
{
    float alpha = d->alphas[t], previous = before >= 0 ? d->alphas[before] : d->final_alpha;
    float beta = 1.0f - alpha, previous_beta = 1.0f - previous;
    if (d->prediction == AT_PREDICTS_VELOCITY)
        output = at_blend(cx, sqrtf(alpha), output, sqrtf(beta), sample);
    float divisor = alpha * sqrtf(previous_beta) + sqrtf(alpha * beta * previous);
    return at_blend(cx, sqrtf(previous / alpha), sample, -(previous - alpha) / divisor, output);
}

static at_tensor *runge_kutta(at_context *cx, pndm *m, at_tensor *output, at_tensor *sample)
{
    static const float parts[] = {1.0f / 6, 1.0f / 3, 1.0f / 3, 1.0f / 6};
    const at_discrete *d = &m->base;
    const at_scheduler *s = &d->base;
    int call = m->called % 4, half = d->trained / d->steps / 2;
    int before = (int)s->timesteps[s->index] - (m->called % 2 ? 0 : half);
    int t = (int)s->timesteps[m->called - call];
    if (call == 0) {
        at_history_push(cx, &m->outputs, output);
        keep(cx, &m->sample, sample);
        keep(cx, &m->sum, NULL);
    }
    at_tensor *sum = at_affine(cx, output, parts[call], 0.0f);
    if (m->sum) sum = at_add(cx, m->sum, sum);
    keep(cx, &m->sum, sum);
    return move(cx, d, m->sample, t, before, call == 3 ? sum : output);
}

static at_tensor *multistep(at_context *cx, pndm *m, at_tensor *output, at_tensor *sample)
{
    const at_discrete *d = &m->base;
    int t = (int)d->base.timesteps[d->base.index], stride = d->trained / d->steps;
    int before = t - stride;
    bool again = m->called == 1;
    if (again) {
        before = t;
        t += stride;
    } else {
        at_history_push(cx, &m->outputs, output);
    }
    at_tensor *const *e = m->outputs.x;
    if (again) {
        output = at_blend(cx, 0.5f, output, 0.5f, e[0]);
        sample = m->sample;
    } else if (m->outputs.count == 1) {
        keep(cx, &m->sample, sample);
    } else if (m->outputs.count == 2) {
        output = at_blend(cx, 1.5f, e[0], -0.5f, e[1]);
    } else if (m->outputs.count == 3) {
        output = at_blend(cx, 23.0f / 12, e[0], -16.0f / 12, e[1]);
        output = at_blend(cx, 1.0f, output, 5.0f / 12, e[2]);
    } else {
        output = at_blend(cx, 55.0f / 24, e[0], -59.0f / 24, e[1]);
        output = at_add(cx, output, at_blend(cx, 37.0f / 24, e[2], -9.0f / 24, e[3]));
    }
    return move(cx, d, sample, t, before, output);
}

static at_tensor *step(at_context *cx, at_scheduler *s, at_tensor *output, at_tensor *sample,
                       at_noise *noise)
{
    pndm *m = (pndm *)s;
    (void)noise;
    bool prk = !m->skip_prk && m->called < PRK_CALLS;
    at_tensor *x = prk ? runge_kutta(cx, m, output, sample) : multistep(cx, m, output, sample);
    m->called++;
    return x;
}

const at_scheduler_class at_pndm = {
    .name = "PNDMScheduler",
    .sampler = "pndm",
    .size = sizeof(pndm),
    .order = 1,
    .configure = configure,
    .set_timesteps = set_timesteps,
    .step = step,
    .add_noise = at_discrete_add_noise,
    .reset = reset,
    .destroy = at_discrete_destroy,
};
