/* The samplers of k-diffusion (Katherine Crowson), which A1111 and ComfyUI run, and those that
   ComfyUI added in the same form (ipndm, res_multistep, gradient_estimation, lcm): from level to
   level by what the network says of the clean sample. On flows a sample is (1 - sigma) clean +
   sigma noise, and the ancestral ones step as ComfyUI has it. */
#include "schedulers/k_diffusion.h"
#include "schedulers/brownian.h"
#include "schedulers/respacing.h"
#include "schedulers/sigmas.h"
#include "tensor/pool.h"
#include <math.h>
#include <string.h>

typedef struct k_sampler {
    at_discrete base; /* of a flow without the table */
    at_k_schedule schedule;
    bool flow, dynamic; /* dynamic: the shift is e^mu */
    double shift;
    float *shown;           /* count: the level that the network is called at */
    at_tensor *start;       /* where a step of two calls began; NULL before its first */
    at_tensor *start_clean; /* and what the network said there */
    at_history clean, slopes;
} k_sampler;

/* A call: the sample, and the clean sample that the network sees in it at level `shown`, on the way
   from sigma to next. */
typedef struct k_call {
    at_tensor *x, *clean;
    float sigma, next, shown;
    at_noise *noise;
} k_call;

typedef at_tensor *k_move(at_context *cx, at_scheduler *s, const k_call *c);

/* A class: one move a step, or two, the first of them to the level that `between` says. */
typedef struct k_class {
    at_scheduler_class class;
    k_move *move, *second;
    float (*between)(float sigma, float next);
    bool not_on_flows;
    bool discards; /* the level before the last, of one more, as A1111 and ComfyUI do */
} k_class;

static k_sampler *own(at_scheduler *s)
{
    return (k_sampler *)s; /* base comes first */
}

static const k_class *class_of(const at_scheduler *s)
{
    return (const k_class *)s->class; /* class comes first */
}

/* ---- configuration */

static void configure(at_context *cx, at_scheduler *s, at_config *k)
{
    static const at_alphas_defaults betas = {0.00085, 0.012, "scaled_linear", true, true};
    k_sampler *m = own(s);
    const char *class = at_config_text(cx, k, "_class_name", "");
    const char *schedule = at_config_text(cx, k, AT_SCHEDULE_KEY, NULL);
    const char *prediction = at_config_text(cx, k, "prediction_type", "epsilon");
    m->flow = strncmp(class, "FlowMatch", 9) == 0 || strcmp(prediction, "flow_prediction") == 0;
    m->shift =
        at_config_number(cx, k, at_config_has(k, "flow_shift") ? "flow_shift" : "shift", 1.0);
    m->dynamic = at_config_bool(cx, k, "use_dynamic_shifting", false);
    if (m->flow)
        m->base.trained = at_config_range(cx, k, "num_train_timesteps", 1000, 1, 1000000);
    else
        at_discrete_configure(cx, &m->base, k, AT_LINSPACE, &betas);
    at_respacing way = at_respacing_read(cx, k, false);
    m->schedule = schedule                        ? (at_k_schedule)at_k_schedule_of(schedule)
                  : way == AT_RESPACE_KARRAS      ? AT_K_KARRAS
                  : way == AT_RESPACE_EXPONENTIAL ? AT_K_EXPONENTIAL
                  : way == AT_RESPACE_BETA        ? AT_K_BETA
                  : m->flow                       ? AT_K_SIMPLE
                                                  : AT_K_NORMAL;
    if (m->flow && class_of(s)->not_on_flows)
        at_fail(cx, AT_ERROR_UNSUPPORTED, "--sampler %s: not for a model of flows",
                s->class->sampler);
    if (strncmp(class, "EDM", 3) == 0)
        at_fail(cx, AT_ERROR_UNSUPPORTED, "--sampler %s: not for an EDM model (edm_euler)",
                s->class->sampler);
}

static void reset(at_context *cx, at_scheduler *s)
{
    k_sampler *m = own(s);
    at_tensor_release(cx, m->start);
    at_tensor_release(cx, m->start_clean);
    m->start = m->start_clean = NULL;
    at_history_clear(cx, &m->clean);
    at_history_clear(cx, &m->slopes);
}

static void destroy(at_context *cx, at_scheduler *s)
{
    at_free(own(s)->shown);
    at_discrete_destroy(cx, s);
}

/* ---- levels */

static at_k_table table_of(const k_sampler *m, const at_schedule_options *o)
{
    enum { FINE = 10000 }; /* how finely ComfyUI divides a flow that the size shifts */
    const at_scheduler *s = &m->base.base;
    if (!m->flow)
        return (at_k_table){.discrete = &m->base, .count = m->base.trained, .model = s->model};
    bool by_size = m->dynamic && o->has_mu;
    return (at_k_table){.count = by_size ? FINE : m->base.trained,
                        .shift = by_size ? exp(o->mu) : m->shift};
}

/* Sigmas that a pipeline gives are equal parts of the way, which the schedule says here. */
static double *levels(at_context *cx, at_scheduler *s, const at_schedule_options *o, int *count)
{
    k_sampler *m = own(s);
    at_k_table table = table_of(m, o);
    bool discards = class_of(s)->discards;
    double *x = at_k_levels(cx, &table, m->schedule, o->steps + discards, count);
    if (x && discards && *count > 1) x[--*count] = 0.0;
    return x;
}

static void set_timesteps(at_context *cx, at_scheduler *s, const at_schedule_options *o)
{
    k_sampler *m = own(s);
    const k_class *class = class_of(s);
    if (o->timesteps || o->steps < 1) {
        at_fail(cx, AT_ERROR_ARGUMENT, "%s: takes a number of steps only", s->class->name);
        return;
    }
    int n = 0;
    double *x = levels(cx, s, o, &n);
    int calls = class->between ? 2 * n - 1 : n;
    at_k_table table = table_of(m, o);
    at_free(m->shown);
    m->shown = x ? AT_NEW_ARRAY(cx, float, calls) : NULL;
    if (m->shown && at_scheduler_schedule(cx, s, calls)) {
        for (int i = 0; i < calls; i++) {
            int step = class->between ? i / 2 : i;
            bool second = class->between && i % 2;
            float from = (float)x[step], to = (float)x[step + 1];
            s->sigmas[i] = second ? to : from;
            m->shown[i] = second ? class->between(from, to) : from;
            s->timesteps[i] = (float)at_k_timestep(&table, m->shown[i], m->base.trained);
        }
        s->sigmas[calls] = 0.0f;
        s->init_noise_sigma = m->flow ? 1.0 : s->sigmas[0];
    }
    at_free(x);
}

/* ---- steps */

static at_tensor *scale_input(at_context *cx, at_scheduler *s, at_tensor *sample)
{
    return own(s)->flow ? sample : at_sigma_scale(cx, sample, own(s)->shown[s->index]);
}

static at_tensor *step(at_context *cx, at_scheduler *s, at_tensor *output, at_tensor *sample,
                       at_noise *noise)
{
    k_sampler *m = own(s);
    const k_class *class = class_of(s);
    bool second = m->start != NULL;
    k_call c = {.x = sample,
                .sigma = s->sigmas[s->index - second],
                .shown = m->shown[s->index],
                .next = s->sigmas[s->index + !second],
                .noise = noise};
    c.clean = m->flow ? at_blend(cx, 1.0f, sample, -c.shown, output)
                      : at_sigma_clean(cx, &m->base, output, sample, c.shown);
    if (!class->between) return class->move(cx, s, &c);
    if (second) {
        at_tensor *x = class->second(cx, s, &c);
        reset(cx, s);
        return x;
    }
    if (s->index + 1 == s->count) return c.clean; /* there is nothing between it and 0 */
    m->start = at_tensor_keep(sample);
    m->start_clean = at_tensor_keep(c.clean);
    return class->move(cx, s, &c);
}

static at_tensor *add_noise(at_context *cx, at_scheduler *s, at_tensor *sample, at_tensor *noise,
                            int index)
{
    float sigma = s->sigmas[index];
    return at_blend(cx, own(s)->flow ? 1.0f - sigma : 1.0f, sample, sigma, noise);
}

/* Along the line to the clean sample, until `part` of the noise is left. */
static at_tensor *toward(at_context *cx, at_tensor *x, at_tensor *clean, float part)
{
    return at_blend(cx, part, x, 1.0f - part, clean);
}

static at_tensor *slope(at_context *cx, at_tensor *x, at_tensor *clean, float sigma)
{
    return at_affine(cx, at_sub(cx, x, clean), 1.0f / sigma, 0.0f);
}

static at_tensor *with_noise(at_context *cx, at_tensor *x, float by, at_noise *noise)
{
    return at_blend(cx, 1.0f, x, by, at_noise_draw(cx, noise, x->dims, x->shape));
}

/* How far down an ancestral step goes, and how much noise brings it up to `next` again. */
static float down_of(float sigma, float next)
{
    float up = sqrtf(next * next * (sigma * sigma - next * next) / (sigma * sigma));
    up = AT_MIN(next, up);
    return sqrtf(next * next - up * up);
}

/* Noise that brings x from `down` up to the next level; on flows the clean part shrinks. */
static at_tensor *renoise(at_context *cx, const at_scheduler *s, at_tensor *x, const k_call *c,
                          float down)
{
    float keep = 1.0f, up = sqrtf(c->next * c->next - down * down);
    if (c->next <= 0) return x;
    if (((const k_sampler *)s)->flow) {
        keep = (1.0f - c->next) / (1.0f - down);
        up = sqrtf(c->next * c->next - down * down * keep * keep);
    }
    return with_noise(cx, at_affine(cx, x, keep, 0.0f), up, c->noise);
}

static float ancestral_down(const at_scheduler *s, const k_call *c)
{
    if (((const k_sampler *)s)->flow) return c->next * (c->next / c->sigma);
    return down_of(c->sigma, c->next);
}

/* log(sigma[i] / sigma[i + 1]), i counted from the present step. */
static float length(const at_scheduler *s, int i)
{
    const float *sigmas = s->sigmas + s->index + i;
    return logf(sigmas[0]) - logf(sigmas[1]);
}

static at_tensor *euler(at_context *cx, at_scheduler *s, const k_call *c)
{
    (void)s;
    at_tensor *d = slope(cx, c->x, c->clean, c->sigma);
    return at_blend(cx, 1.0f, c->x, c->next - c->sigma, d);
}

static at_tensor *euler_ancestral(at_context *cx, at_scheduler *s, const k_call *c)
{
    if (c->next == 0) return c->clean;
    float down = ancestral_down(s, c);
    return renoise(cx, s, toward(cx, c->x, c->clean, down / c->sigma), c, down);
}

static at_tensor *lms(at_context *cx, at_scheduler *s, const k_call *c)
{
    k_sampler *m = own(s);
    at_history_push(cx, &m->slopes, slope(cx, c->x, c->clean, c->sigma));
    at_tensor *x = c->x;
    int order = m->slopes.count;
    for (int i = 0; i < order; i++)
        x = at_blend(cx, 1.0f, x, (float)at_lms_integral(s->sigmas + s->index, order, i),
                     m->slopes.x[i]);
    return x;
}

/* Adams and Bashforth's steps for equal parts, whatever the parts are. */
static at_tensor *ipndm(at_context *cx, at_scheduler *s, const k_call *c)
{
    static const float weights[4][4] = {{1.0f},
                                        {3.0f / 2, -1.0f / 2},
                                        {23.0f / 12, -16.0f / 12, 5.0f / 12},
                                        {55.0f / 24, -59.0f / 24, 37.0f / 24, -9.0f / 24}};
    k_sampler *m = own(s);
    at_history_push(cx, &m->slopes, slope(cx, c->x, c->clean, c->sigma));
    if (c->next == 0) return c->clean;
    at_tensor *x = c->x;
    const float *w = weights[m->slopes.count - 1];
    for (int i = 0; i < m->slopes.count; i++)
        x = at_blend(cx, 1.0f, x, (c->next - c->sigma) * w[i], m->slopes.x[i]);
    return x;
}

/* Permenter and Yuan 2024, gamma 2. */
static at_tensor *gradient_estimation(at_context *cx, at_scheduler *s, const k_call *c)
{
    k_sampler *m = own(s);
    at_history_push(cx, &m->slopes, slope(cx, c->x, c->clean, c->sigma));
    if (c->next == 0) return c->clean;
    float way = c->next - c->sigma;
    bool more = m->slopes.count > 1;
    at_tensor *x = at_blend(cx, 1.0f, c->x, (more ? 2.0f : 1.0f) * way, m->slopes.x[0]);
    return more ? at_blend(cx, 1.0f, x, -way, m->slopes.x[1]) : x;
}

static at_tensor *lcm(at_context *cx, at_scheduler *s, const k_call *c)
{
    if (c->next == 0) return c->clean;
    float keep = own(s)->flow ? 1.0f - c->next : 1.0f;
    return with_noise(cx, at_affine(cx, c->clean, keep, 0.0f), c->next, c->noise);
}

static at_tensor *dpmpp_2m(at_context *cx, at_scheduler *s, const k_call *c)
{
    const at_history *h = &own(s)->clean;
    at_history_push(cx, &own(s)->clean, c->clean);
    if (c->next == 0) return c->clean;
    at_tensor *clean = c->clean;
    if (h->count > 1) {
        float half = 0.5f * length(s, 0) / length(s, -1);
        clean = at_blend(cx, 1.0f + half, h->x[0], -half, h->x[1]);
    }
    return toward(cx, c->x, clean, c->next / c->sigma);
}

/* The second order of refined exponential integrators (Zhang et al. 2023). */
static at_tensor *res_multistep(at_context *cx, at_scheduler *s, const k_call *c)
{
    const at_history *h = &own(s)->clean;
    at_history_push(cx, &own(s)->clean, c->clean);
    if (c->next == 0 || h->count < 2) return euler(cx, s, c);
    double way = length(s, 0), back = -(double)length(s, -1) / way;
    double phi1 = expm1(-way) / -way, phi2 = (phi1 - 1.0) / -way;
    double b1 = phi1 - phi2 / back, b2 = phi2 / back;
    at_tensor *x = at_blend(cx, (float)exp(-way), c->x, (float)(way * b1), h->x[0]);
    return at_blend(cx, 1.0f, x, (float)(way * b2), h->x[1]);
}

/* ---- of the stochastic equation, with noise of a Brownian tree */

static at_tensor *tree_noise(at_context *cx, const at_scheduler *s, const k_call *c, at_tensor *x,
                             float to, float by)
{
    return at_blend(cx, 1.0f, x, by, at_brownian_noise(cx, s, c->noise, NULL, c->sigma, to, c->x));
}

/* The first term, common to the multi-step ones, and how much noise there is at its end. */
static at_tensor *sde_base(at_context *cx, const at_scheduler *s, const k_call *c, float *up)
{
    float h = length(s, 0);
    *up = c->next * sqrtf(-expm1f(-2.0f * h));
    return toward(cx, c->x, c->clean, expf(-2.0f * h));
}

static at_tensor *dpmpp_2m_sde_with(at_context *cx, at_scheduler *s, const k_call *c, bool heun)
{
    const at_history *h = &own(s)->clean;
    float up;
    at_history_push(cx, &own(s)->clean, c->clean);
    if (c->next == 0) return c->clean;
    at_tensor *x = sde_base(cx, s, c, &up);
    if (h->count > 1) {
        float way = 2.0f * length(s, 0), ratio = length(s, -1) / length(s, 0);
        float by = (heun ? 1.0f - -expm1f(-way) / way : 0.5f * -expm1f(-way)) / ratio;
        x = at_blend(cx, 1.0f, x, by, at_sub(cx, h->x[0], h->x[1]));
    }
    return tree_noise(cx, s, c, x, c->next, up);
}

static at_tensor *dpmpp_2m_sde(at_context *cx, at_scheduler *s, const k_call *c)
{
    return dpmpp_2m_sde_with(cx, s, c, false);
}

static at_tensor *dpmpp_2m_sde_heun(at_context *cx, at_scheduler *s, const k_call *c)
{
    return dpmpp_2m_sde_with(cx, s, c, true);
}

static at_tensor *dpmpp_3m_sde(at_context *cx, at_scheduler *s, const k_call *c)
{
    const at_history *h = &own(s)->clean;
    float up;
    at_history_push(cx, &own(s)->clean, c->clean);
    if (c->next == 0) return c->clean;
    at_tensor *x = sde_base(cx, s, c, &up);
    float way = 2.0f * length(s, 0), phi2 = expm1f(-way) / way + 1.0f, phi3 = phi2 / way - 0.5f;
    if (h->count > 1) {
        float r0 = length(s, -1) / length(s, 0);
        at_tensor *d = at_affine(cx, at_sub(cx, h->x[0], h->x[1]), 1.0f / r0, 0.0f);
        if (h->count > 2) {
            float r1 = length(s, -2) / length(s, 0);
            at_tensor *before = at_affine(cx, at_sub(cx, h->x[1], h->x[2]), 1.0f / r1, 0.0f);
            at_tensor *change = at_sub(cx, d, before);
            d = at_blend(cx, 1.0f, d, r0 / (r0 + r1), change);
            x = at_blend(cx, 1.0f, x, -phi3 / (r0 + r1), change);
        }
        x = at_blend(cx, 1.0f, x, phi2, d);
    }
    return tree_noise(cx, s, c, x, c->next, up);
}

/* ---- two calls a step */

static float level_next(float sigma, float next)
{
    (void)sigma;
    return next;
}

static float middle_down(float sigma, float next)
{
    return at_log_middle(sigma, down_of(sigma, next));
}

/* To the middle, or to the end (Heun). */
static at_tensor *straight(at_context *cx, at_scheduler *s, const k_call *c)
{
    float to = own(s)->shown[s->index + 1];
    return at_blend(cx, 1.0f, c->x, to - c->sigma, slope(cx, c->x, c->clean, c->sigma));
}

static at_tensor *heun(at_context *cx, at_scheduler *s, const k_call *c)
{
    const k_sampler *m = own(s);
    at_tensor *one = slope(cx, m->start, m->start_clean, c->sigma);
    at_tensor *two = slope(cx, c->x, c->clean, c->shown);
    at_tensor *d = at_blend(cx, 0.5f, one, 0.5f, two);
    return at_blend(cx, 1.0f, m->start, c->next - c->sigma, d);
}

static at_tensor *dpm_2(at_context *cx, at_scheduler *s, const k_call *c)
{
    at_tensor *d = slope(cx, c->x, c->clean, c->shown);
    return at_blend(cx, 1.0f, own(s)->start, c->next - c->sigma, d);
}

static at_tensor *dpm_2_ancestral(at_context *cx, at_scheduler *s, const k_call *c)
{
    float down = down_of(c->sigma, c->next);
    at_tensor *d = slope(cx, c->x, c->clean, c->shown);
    return renoise(cx, s, at_blend(cx, 1.0f, own(s)->start, down - c->sigma, d), c, down);
}

static at_tensor *dpmpp_2s_ancestral(at_context *cx, at_scheduler *s, const k_call *c)
{
    float down = down_of(c->sigma, c->next);
    return renoise(cx, s, toward(cx, own(s)->start, c->clean, down / c->sigma), c, down);
}

static at_tensor *sde_stage(at_context *cx, const at_scheduler *s, const k_call *c, at_tensor *from,
                            float to)
{
    float down = down_of(c->sigma, to), up = sqrtf(to * to - down * down);
    return tree_noise(cx, s, c, toward(cx, from, c->clean, down / c->sigma), to, up);
}

static at_tensor *dpmpp_sde_first(at_context *cx, at_scheduler *s, const k_call *c)
{
    return sde_stage(cx, s, c, c->x, own(s)->shown[s->index + 1]);
}

static at_tensor *dpmpp_sde(at_context *cx, at_scheduler *s, const k_call *c)
{
    return sde_stage(cx, s, c, own(s)->start, c->next);
}

#define K_SAMPLER(short_name, function, calls, ...) \
    {                                               \
        .class = {.name = "sample_" #function,      \
                  .sampler = short_name,            \
                  .size = sizeof(k_sampler),        \
                  .order = calls,                   \
                  .configure = configure,           \
                  .set_timesteps = set_timesteps,   \
                  .scale_input = scale_input,       \
                  .step = step,                     \
                  .add_noise = add_noise,           \
                  .reset = reset,                   \
                  .destroy = destroy},              \
        __VA_ARGS__                                 \
    }

static const k_class SAMPLERS[] = {
    K_SAMPLER("k_euler", euler, 1, .move = euler),
    K_SAMPLER("k_euler_a", euler_ancestral, 1, .move = euler_ancestral),
    K_SAMPLER("k_heun", heun, 2, .move = straight, .second = heun, .between = level_next),
    K_SAMPLER("k_dpm_2", dpm_2, 2, .move = straight, .second = dpm_2, .between = at_log_middle,
              .discards = true),
    K_SAMPLER("k_dpm_2_a", dpm_2_ancestral, 2, .move = straight, .second = dpm_2_ancestral,
              .between = middle_down, .not_on_flows = true, .discards = true),
    K_SAMPLER("k_lms", lms, 1, .move = lms),
    K_SAMPLER("dpmpp_2s_a", dpmpp_2s_ancestral, 2, .move = straight, .second = dpmpp_2s_ancestral,
              .between = middle_down, .not_on_flows = true),
    K_SAMPLER("k_dpmpp_sde", dpmpp_sde, 2, .move = dpmpp_sde_first, .second = dpmpp_sde,
              .between = at_log_middle, .not_on_flows = true),
    K_SAMPLER("k_dpmpp_2m", dpmpp_2m, 1, .move = dpmpp_2m),
    K_SAMPLER("k_dpmpp_2m_sde", dpmpp_2m_sde, 1, .move = dpmpp_2m_sde, .not_on_flows = true),
    K_SAMPLER("k_dpmpp_2m_sde_heun", dpmpp_2m_sde_heun, 1, .move = dpmpp_2m_sde_heun,
              .not_on_flows = true),
    K_SAMPLER("k_dpmpp_3m_sde", dpmpp_3m_sde, 1, .move = dpmpp_3m_sde, .not_on_flows = true),
    K_SAMPLER("k_lcm", lcm, 1, .move = lcm),
    K_SAMPLER("ipndm", ipndm, 1, .move = ipndm),
    K_SAMPLER("res_multistep", res_multistep, 1, .move = res_multistep),
    K_SAMPLER("gradient_estimation", gradient_estimation, 1, .move = gradient_estimation),
};

const at_scheduler_class *at_k_sampler(int i)
{
    return i >= 0 && i < (int)AT_COUNT(SAMPLERS) ? &SAMPLERS[i].class : NULL;
}

bool at_k_is_sampler(const at_scheduler_class *class)
{
    for (size_t i = 0; i < AT_COUNT(SAMPLERS); i++)
        if (class == &SAMPLERS[i].class) return true;
    return false;
}
