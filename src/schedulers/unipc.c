/* diffusers.UniPCMultistepScheduler: a predictor and a corrector of one form (Zhao et al. 2023),
   orders 1 to 3. The corrector goes over the step before again, now that its end was looked at. */
#include "schedulers/lambdas.h"
#include "schedulers/sigmas.h"
#include "tensor/pool.h"
#include <math.h>
#include <string.h>

typedef struct unipc {
    at_lambda_solver base;
    bool clean;           /* predict_x0 */
    bool bh1;             /* solver_type */
    uint64_t uncorrected; /* disable_corrector: bit i for step i */
    at_tensor *sample;    /* from which the step before went */
    int order;            /* of that step */
} unipc;

static void configure(at_context *cx, at_scheduler *s, at_config *k)
{
    static const at_alphas_defaults betas = {0.0001, 0.02, "linear", true, true};
    static const char *const solvers[] = {"bh2", "bh1", "midpoint", "heun", "logrho", NULL};
    static const char *const ends[] = {"zero", "sigma_min", NULL};
    unipc *m = (unipc *)s;
    at_lambda_configure(cx, &m->base, k, &betas, false);
    m->clean = at_config_bool(cx, k, "predict_x0", true);
    m->bh1 = at_config_choice(cx, k, "solver_type", solvers) == 1;
    m->base.ends_at_min = at_config_choice(cx, k, "final_sigmas_type", ends);
    m->base.low = at_config_number(cx, k, "sigma_min", NAN);
    m->base.high = at_config_number(cx, k, "sigma_max", NAN);
    m->base.shift_terminal = at_config_number(cx, k, "shift_terminal", 0.0);
    if (m->base.shift_terminal > 0 && !m->base.flow)
        at_fail(cx, AT_ERROR_FORMAT, "%s: \"shift_terminal\" needs use_flow_sigmas",
                at_config_what(k));
    const cJSON *step;
    cJSON_ArrayForEach(step, at_config_item(k, "disable_corrector"))
    {
        double at = cJSON_GetNumberValue(step);
        if (at >= 0 && at < 64) m->uncorrected |= (uint64_t)1 << (int)at;
    }
}

static void reset(at_context *cx, at_scheduler *s)
{
    unipc *m = (unipc *)s;
    at_lambda_reset(cx, s);
    at_tensor_release(cx, m->sample);
    m->sample = NULL;
}

static void set_timesteps(at_context *cx, at_scheduler *s, const at_schedule_options *o)
{
    at_lambda_solver *m = (at_lambda_solver *)s;
    if (m->dynamic && !o->has_mu) {
        at_fail(cx, AT_ERROR_ARGUMENT, "%s: use_dynamic_shifting needs mu", s->class->name);
        return;
    }
    if (!at_lambda_levels(cx, m, o)) return;
    bool other = m->base.respacing || m->flow;
    s->sigmas[s->count] = !m->ends_at_min ? 0.0f
                          : other         ? s->sigmas[s->count - 1]
                                          : at_discrete_table_sigma(&m->base, 0);
}

/* From `sample` at sigmas[to - 1] to sigmas[to]. now: what the network says there, for the
   corrector; NULL: the predictor. */
static at_tensor *update(at_context *cx, const unipc *m, at_tensor *sample, int to, int order,
                         at_tensor *now)
{
    const at_lambda_solver *l = &m->base;
    const float *sigmas = l->base.base.sigmas;
    at_tensor *const *out = l->outputs.x;
    at_level t = at_lambda_level(l, sigmas[to]), s0 = at_lambda_level(l, sigmas[to - 1]);
    double h = t.lambda - s0.lambda, hh = m->clean ? -h : h, phi1 = expm1(hh);
    double scale = m->bh1 ? hh : phi1, phi = phi1 / hh - 1.0, factorial = 1.0;
    double ratios[AT_MOST_ORDER], b[AT_MOST_ORDER], rho[AT_MOST_ORDER] = {0.5};
    double powers[AT_MOST_ORDER][AT_MOST_ORDER];
    for (int i = 1; i < order; i++)
        ratios[i - 1] = (at_lambda_level(l, sigmas[to - 1 - i]).lambda - s0.lambda) / h;
    ratios[order - 1] = 1.0;
    for (int i = 0; i < order; i++) {
        for (int j = 0; j < order; j++) powers[i][j] = pow(ratios[j], i);
        b[i] = phi * factorial / scale;
        factorial *= i + 2;
        phi = phi / hh - 1.0 / factorial;
    }
    int unknown = now ? order : order - 1;
    if (unknown > 1) {
        memcpy(rho, b, (size_t)unknown * sizeof *b);
        at_solve(*powers, AT_MOST_ORDER, rho, unknown);
    }

    double by = m->clean ? t.alpha : t.sigma;
    double keep = m->clean ? t.sigma / s0.sigma : t.alpha / s0.alpha;
    at_tensor *x = at_blend(cx, (float)keep, sample, (float)(-by * phi1), out[0]);
    for (int i = 0; i < unknown; i++) {
        at_tensor *there = i < order - 1 ? out[i + 1] : now;
        double c = -by * scale * rho[i] / ratios[i];
        x = at_blend(cx, 1.0f, x, (float)c, at_sub(cx, there, out[0]));
    }
    return x;
}

static at_tensor *step(at_context *cx, at_scheduler *s, at_tensor *output, at_tensor *sample,
                       at_noise *noise)
{
    unipc *m = (unipc *)s;
    at_lambda_solver *l = &m->base;
    int i = s->index;
    (void)noise;
    at_tensor *now =
        m->clean ? at_lambda_clean(cx, l, output, sample) : at_lambda_noise(cx, l, output, sample);
    bool corrects = i > 0 && m->sample && !(i <= 64 && m->uncorrected >> (i - 1) & 1);
    if (corrects) sample = update(cx, m, m->sample, i, m->order, now);
    at_history_push(cx, &l->outputs, now);
    m->order = AT_MIN(l->order, l->outputs.count);
    if (l->lower_order_final) m->order = AT_MIN(m->order, s->count - i);
    at_tensor_release(cx, m->sample);
    m->sample = at_tensor_keep(sample);
    return update(cx, m, sample, i + 1, m->order, NULL);
}

const at_scheduler_class at_unipc = {
    .name = "UniPCMultistepScheduler",
    .sampler = "unipc",
    .size = sizeof(unipc),
    .order = 1,
    .takes_sigmas = true,
    .configure = configure,
    .set_timesteps = set_timesteps,
    .step = step,
    .add_noise = at_lambda_add_noise,
    .reset = reset,
    .destroy = at_discrete_destroy,
};
