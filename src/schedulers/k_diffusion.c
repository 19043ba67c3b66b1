/* The samplers of k-diffusion (Katherine Crowson), which A1111 and ComfyUI run: from level to level
   by what the network says of the clean sample. On flows a sample is (1 - sigma) clean + sigma
   noise, and the ancestral ones step as ComfyUI has it. */
#include "schedulers/k_diffusion.h"
#include "schedulers/brownian.h"
#include "schedulers/k_sampler.h"
#include "schedulers/respacing.h"
#include "schedulers/sigmas.h"
#include "tensor/pool.h"
#include <math.h>
#include <string.h>

at_k_run *at_k_run_of(at_scheduler *s)
{
    return (at_k_run *)s; /* base comes first */
}

static const at_k_class *class_of(const at_scheduler *s)
{
    return (const at_k_class *)s->class; /* class comes first */
}

/* ---- configuration */

static void configure(at_context *cx, at_scheduler *s, at_config *k)
{
    static const at_alphas_defaults betas = {0.00085, 0.012, "scaled_linear", true, true};
    at_k_run *m = at_k_run_of(s);
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
                  : class_of(s)->by_karras        ? AT_K_KARRAS
                                                  : AT_K_NORMAL;
    if (m->flow && class_of(s)->not_on_flows)
        at_fail(cx, AT_ERROR_UNSUPPORTED, "--sampler %s: not for a model of flows",
                s->class->sampler);
    if (strncmp(class, "EDM", 3) == 0)
        at_fail(cx, AT_ERROR_UNSUPPORTED, "--sampler %s: not for an EDM model (edm_euler)",
                s->class->sampler);
}

void at_k_keep(at_context *cx, at_tensor **place, at_tensor *x)
{
    at_tensor_release(cx, *place);
    *place = x ? at_tensor_keep(x) : NULL;
}

/* What was kept for a step of several calls. */
static void end_step(at_context *cx, at_scheduler *s)
{
    at_k_run *m = at_k_run_of(s);
    at_k_keep(cx, &m->start, NULL);
    at_k_keep(cx, &m->start_clean, NULL);
    if (class_of(s)->keeps) return;
    at_k_keep(cx, &m->drawn, NULL);
    at_history_clear(cx, &m->clean);
    at_history_clear(cx, &m->slopes);
}

static void reset(at_context *cx, at_scheduler *s)
{
    at_k_run *m = at_k_run_of(s);
    end_step(cx, s);
    at_k_keep(cx, &m->state, NULL);
    at_k_keep(cx, &m->drawn, NULL);
    at_history_clear(cx, &m->clean);
    at_history_clear(cx, &m->slopes);
    m->way = 0;
}

static void destroy(at_context *cx, at_scheduler *s)
{
    at_free(at_k_run_of(s)->shown);
    at_free(at_k_run_of(s)->stage);
    at_discrete_destroy(cx, s);
}

/* ---- levels */

static at_k_table table_of(const at_k_run *m, const at_schedule_options *o)
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
    at_k_run *m = at_k_run_of(s);
    const at_k_class *class = class_of(s);
    at_k_table table = table_of(m, o);
    double *x = at_k_levels(cx, &table, m->schedule, o->steps + class->discards, count);
    if (x && class->discards && *count > 1) x[--*count] = 0.0;
    if (x) m->highest = (float)x[0];
    if (x && class->below_1 && m->flow && x[0] >= 1.0)
        x[0] = at_k_level_after(&table, 1e-4); /* ComfyUI's offset_first_sigma_for_snr */
    if (x) m->lowest = (float)x[*count - 1];
    m->noisy[0] = at_k_level_after(&table, 0.2);
    m->noisy[1] = at_k_level_after(&table, 0.8);
    return x && class->levels ? class->levels(cx, x, count) : x;
}

static int calls_of(const at_k_class *class, const double *x, int i, int steps, int asked)
{
    if (class->calls) return class->calls(i, steps, asked);
    return class->level && x[i + 1] > 0 ? 2 : 1;
}

static bool make_room(at_context *cx, at_scheduler *s, int calls)
{
    at_k_run *m = at_k_run_of(s);
    at_free(m->shown);
    at_free(m->stage);
    m->shown = AT_NEW_ARRAY(cx, float, calls);
    m->stage = AT_NEW_ARRAY(cx, int, calls);
    return m->shown && m->stage && at_scheduler_schedule(cx, s, calls);
}

/* From call `at` on those of the step from x[0] to x[1]. Their sigmas: where it begins, then where
   it ends. */
static void put_step(at_scheduler *s, const at_k_table *table, const double *x, int calls, int at)
{
    at_k_run *m = at_k_run_of(s);
    for (int stage = 0; stage < calls; stage++, at++) {
        s->sigmas[at] = (float)(stage ? x[1] : x[0]);
        m->stage[at] = stage;
        m->shown[at] = (float)(stage ? class_of(s)->level(x, stage, calls, m->flow) : x[0]);
        s->timesteps[at] = (float)at_k_timestep(table, m->shown[at], m->base.trained);
    }
    s->sigmas[at] = (float)x[1];
}

bool at_k_one_more(at_context *cx, at_scheduler *s, double from, double to)
{
    at_k_run *m = at_k_run_of(s);
    const double x[2] = {from, to};
    int index = s->index, count = s->count, calls = class_of(s)->calls(0, 1, 1);
    at_k_run old = *m;
    m->shown = NULL; /* the four lists are made anew, longer */
    m->stage = NULL;
    s->timesteps = NULL;
    s->sigmas = NULL;
    at_k_table table = table_of(m, &(at_schedule_options){0});
    bool fine = make_room(cx, s, count + calls);
    if (fine) {
        memcpy(m->shown, old.shown, (size_t)count * sizeof *m->shown);
        memcpy(m->stage, old.stage, (size_t)count * sizeof *m->stage);
        memcpy(s->timesteps, old.base.base.timesteps, (size_t)count * sizeof *s->timesteps);
        memcpy(s->sigmas, old.base.base.sigmas, (size_t)count * sizeof *s->sigmas);
        put_step(s, &table, x, calls, count);
        s->index = index;
    }
    at_free(old.shown);
    at_free(old.stage);
    at_free(old.base.base.timesteps);
    at_free(old.base.base.sigmas);
    return fine;
}

static void set_timesteps(at_context *cx, at_scheduler *s, const at_schedule_options *o)
{
    at_k_run *m = at_k_run_of(s);
    const at_k_class *class = class_of(s);
    if (o->timesteps || o->steps < 1) {
        at_fail(cx, AT_ERROR_ARGUMENT, "%s: takes a number of steps only", s->class->name);
        return;
    }
    int n = 0, all = 0;
    double *x = levels(cx, s, o, &n);
    for (int i = 0; x && i < n; i++)
        if (x[i + 1] <= x[i]) all += calls_of(class, x, i, n, o->steps);
    at_k_table table = table_of(m, o);
    if (x && make_room(cx, s, all)) {
        for (int i = 0, at = 0; i < n; i++) {
            if (x[i + 1] > x[i]) continue; /* up again, by noise */
            int calls = calls_of(class, x, i, n, o->steps);
            put_step(s, &table, x + i, calls, at);
            at += calls;
        }
        s->sigmas[all] = (float)x[n];
        s->init_noise_sigma = m->flow ? 1.0 : s->sigmas[0];
    }
    at_free(x);
}

/* ---- steps */

static at_tensor *scale_input(at_context *cx, at_scheduler *s, at_tensor *sample)
{
    return at_k_run_of(s)->flow ? sample
                                : at_sigma_scale(cx, sample, at_k_run_of(s)->shown[s->index]);
}

/* What the output means at the level that the network was called at. */
static at_tensor *clean_of(at_context *cx, at_scheduler *s, at_tensor *output, at_tensor *sample)
{
    const at_k_run *m = at_k_run_of(s);
    float shown = m->shown[s->index];
    return m->flow ? at_blend(cx, 1.0f, sample, -shown, output)
                   : at_sigma_clean(cx, &m->base, output, sample, shown);
}

static at_tensor *step(at_context *cx, at_scheduler *s, at_tensor *output, at_tensor *sample,
                       at_noise *noise)
{
    at_k_run *m = at_k_run_of(s);
    const at_k_class *class = class_of(s);
    int i = s->index, stage = m->stage[i];
    bool ends = i + 1 == s->count || !m->stage[i + 1];
    at_k_call c = {.x = sample,
                   .clean = clean_of(cx, s, output, sample),
                   .away = s->away ? clean_of(cx, s, s->away, sample) : NULL,
                   .sigma = s->sigmas[i - stage],
                   .next = s->sigmas[stage ? i : i + 1],
                   .shown = m->shown[i],
                   .stage = stage,
                   .ends = ends,
                   .noise = noise};
    if (!stage && !ends) {
        m->start = at_tensor_keep(sample);
        m->start_clean = at_tensor_keep(c.clean);
    }
    bool alone = class->later && !stage && ends && c.next == 0; /* there is nothing between */
    at_tensor *x = alone ? c.clean : (stage ? class->later : class->move)(cx, s, &c);
    if (ends && class->later) end_step(cx, s);
    float up = class->jumps && ends && i + 1 < s->count ? s->sigmas[i + 1] : 0.0f;
    return up > c.next ? at_k_with_noise(cx, x, sqrtf(up * up - c.next * c.next), noise) : x;
}

static at_tensor *add_noise(at_context *cx, at_scheduler *s, at_tensor *sample, at_tensor *noise,
                            int index)
{
    float sigma = s->sigmas[index];
    return at_blend(cx, at_k_signal(s, sigma), sample, sigma, noise);
}

float at_k_signal(const at_scheduler *s, float sigma)
{
    return ((const at_k_run *)s)->flow ? 1.0f - sigma : 1.0f;
}

at_tensor *at_k_toward(at_context *cx, at_tensor *x, at_tensor *clean, float part)
{
    return at_blend(cx, part, x, 1.0f - part, clean);
}

at_tensor *at_k_slope(at_context *cx, at_tensor *x, at_tensor *clean, float sigma)
{
    return at_affine(cx, at_sub(cx, x, clean), 1.0f / sigma, 0.0f);
}

at_tensor *at_k_with_noise(at_context *cx, at_tensor *x, float by, at_noise *noise)
{
    return at_blend(cx, 1.0f, x, by, at_noise_draw(cx, noise, x->dims, x->shape));
}

float at_k_down(float sigma, float next)
{
    float up = sqrtf(next * next * (sigma * sigma - next * next) / (sigma * sigma));
    up = AT_MIN(next, up);
    return sqrtf(next * next - up * up);
}

/* Noise that brings x from `down` up to the next level; on flows the clean part shrinks. */
static at_tensor *renoise(at_context *cx, const at_scheduler *s, at_tensor *x, const at_k_call *c,
                          float down)
{
    float keep = 1.0f, up = sqrtf(c->next * c->next - down * down);
    if (c->next <= 0) return x;
    if (((const at_k_run *)s)->flow) {
        keep = (1.0f - c->next) / (1.0f - down);
        up = sqrtf(c->next * c->next - down * down * keep * keep);
    }
    return at_k_with_noise(cx, at_affine(cx, x, keep, 0.0f), up, c->noise);
}

static float down_to(float sigma, float next, bool flow)
{
    return flow ? next * (next / sigma) : at_k_down(sigma, next);
}

static float ancestral_down(const at_scheduler *s, const at_k_call *c)
{
    return down_to(c->sigma, c->next, ((const at_k_run *)s)->flow);
}

float at_k_length(const at_scheduler *s, int i)
{
    const float *sigmas = s->sigmas + s->index + i;
    return logf(sigmas[0]) - logf(sigmas[1]);
}

static at_tensor *euler(at_context *cx, at_scheduler *s, const at_k_call *c)
{
    (void)s;
    at_tensor *d = at_k_slope(cx, c->x, c->clean, c->sigma);
    return at_blend(cx, 1.0f, c->x, c->next - c->sigma, d);
}

static at_tensor *euler_ancestral(at_context *cx, at_scheduler *s, const at_k_call *c)
{
    if (c->next == 0) return c->clean;
    float down = ancestral_down(s, c);
    return renoise(cx, s, at_k_toward(cx, c->x, c->clean, down / c->sigma), c, down);
}

static at_tensor *lms(at_context *cx, at_scheduler *s, const at_k_call *c)
{
    at_k_run *m = at_k_run_of(s);
    at_history_push(cx, &m->slopes, at_k_slope(cx, c->x, c->clean, c->sigma));
    at_tensor *x = c->x;
    int order = m->slopes.count;
    for (int i = 0; i < order; i++)
        x = at_blend(cx, 1.0f, x, (float)at_lms_integral(s->sigmas + s->index, order, i),
                     m->slopes.x[i]);
    return x;
}

static at_tensor *dpmpp_2m(at_context *cx, at_scheduler *s, const at_k_call *c)
{
    const at_history *h = &at_k_run_of(s)->clean;
    at_history_push(cx, &at_k_run_of(s)->clean, c->clean);
    if (c->next == 0) return c->clean;
    at_tensor *clean = c->clean;
    if (h->count > 1) {
        float half = 0.5f * at_k_length(s, 0) / at_k_length(s, -1);
        clean = at_blend(cx, 1.0f + half, h->x[0], -half, h->x[1]);
    }
    return at_k_toward(cx, c->x, clean, c->next / c->sigma);
}

/* ---- of the stochastic equation, with noise of a Brownian tree */

static at_tensor *tree_noise(at_context *cx, const at_scheduler *s, const at_k_call *c,
                             at_tensor *x, float to, float by)
{
    return at_blend(cx, 1.0f, x, by,
                    at_brownian_noise(cx, s, c->noise, NULL, ((const at_k_run *)s)->highest,
                                      c->sigma, to, c->x));
}

/* As at_k_length, of signal to noise. */
static float snr_length(const at_scheduler *s, int i)
{
    const float *x = s->sigmas + s->index + i;
    return ((const at_k_run *)s)->flow ? (float)at_k_snr_way(s, x[0], x[1]) : at_k_length(s, i);
}

/* The first term, common to the multi-step ones, and how much noise there is at its end. */
static at_tensor *sde_base(at_context *cx, const at_scheduler *s, const at_k_call *c, float *up)
{
    float h = snr_length(s, 0), by = -expm1f(-2.0f * h);
    *up = c->next * sqrtf(by);
    return at_blend(cx, c->next / c->sigma * expf(-h), c->x, at_k_signal(s, c->next) * by,
                    c->clean);
}

static at_tensor *dpmpp_2m_sde_with(at_context *cx, at_scheduler *s, const at_k_call *c, bool heun)
{
    const at_history *h = &at_k_run_of(s)->clean;
    float up;
    at_history_push(cx, &at_k_run_of(s)->clean, c->clean);
    if (c->next == 0) return c->clean;
    at_tensor *x = sde_base(cx, s, c, &up);
    if (h->count > 1) {
        float way = 2.0f * snr_length(s, 0), ratio = snr_length(s, -1) / snr_length(s, 0);
        float by = (heun ? 1.0f - -expm1f(-way) / way : 0.5f * -expm1f(-way)) / ratio;
        x = at_blend(cx, 1.0f, x, at_k_signal(s, c->next) * by, at_sub(cx, h->x[0], h->x[1]));
    }
    return tree_noise(cx, s, c, x, c->next, up);
}

static at_tensor *dpmpp_2m_sde(at_context *cx, at_scheduler *s, const at_k_call *c)
{
    return dpmpp_2m_sde_with(cx, s, c, false);
}

static at_tensor *dpmpp_2m_sde_heun(at_context *cx, at_scheduler *s, const at_k_call *c)
{
    return dpmpp_2m_sde_with(cx, s, c, true);
}

static at_tensor *dpmpp_3m_sde(at_context *cx, at_scheduler *s, const at_k_call *c)
{
    const at_history *h = &at_k_run_of(s)->clean;
    float up;
    at_history_push(cx, &at_k_run_of(s)->clean, c->clean);
    if (c->next == 0) return c->clean;
    at_tensor *x = sde_base(cx, s, c, &up);
    float way = 2.0f * snr_length(s, 0), signal = at_k_signal(s, c->next),
          phi2 = expm1f(-way) / way + 1.0f, phi3 = phi2 / way - 0.5f;
    if (h->count > 1) {
        float r0 = snr_length(s, -1) / snr_length(s, 0);
        at_tensor *d = at_affine(cx, at_sub(cx, h->x[0], h->x[1]), 1.0f / r0, 0.0f);
        if (h->count > 2) {
            float r1 = snr_length(s, -2) / snr_length(s, 0);
            at_tensor *before = at_affine(cx, at_sub(cx, h->x[1], h->x[2]), 1.0f / r1, 0.0f);
            at_tensor *change = at_sub(cx, d, before);
            d = at_blend(cx, 1.0f, d, r0 / (r0 + r1), change);
            x = at_blend(cx, 1.0f, x, signal * -phi3 / (r0 + r1), change);
        }
        x = at_blend(cx, 1.0f, x, signal * phi2, d);
    }
    return tree_noise(cx, s, c, x, c->next, up);
}

/* ---- two calls a step */

static double level_next(const double *x, int stage, int calls, bool flow)
{
    (void)stage;
    (void)calls;
    (void)flow;
    return x[1];
}

static double middle(const double *x, int stage, int calls, bool flow)
{
    (void)stage;
    (void)calls;
    (void)flow;
    return at_log_middle((float)x[0], (float)x[1]);
}

static double snr_middle(const double *x, int stage, int calls, bool flow)
{
    return flow ? at_k_snr_level(x, stage, calls, flow) : middle(x, stage, calls, flow);
}

static double middle_down(const double *x, int stage, int calls, bool flow)
{
    (void)stage;
    (void)calls;
    return at_log_middle((float)x[0], down_to((float)x[0], (float)x[1], flow));
}

/* On flows the middle of signal to noise; from 1, where there is none, ComfyUI's level. */
static double snr_middle_down(const double *x, int stage, int calls, bool flow)
{
    const double way[2] = {x[0], down_to((float)x[0], (float)x[1], flow)};
    if (!flow) return middle_down(x, stage, calls, flow);
    return x[0] < 1.0 ? at_k_snr_level(way, stage, calls, flow) : 0.9999;
}

/* To the middle, or to the end (Heun). */
static at_tensor *straight(at_context *cx, at_scheduler *s, const at_k_call *c)
{
    float to = at_k_run_of(s)->shown[s->index + 1];
    return at_blend(cx, 1.0f, c->x, to - c->sigma, at_k_slope(cx, c->x, c->clean, c->sigma));
}

static at_tensor *heun(at_context *cx, at_scheduler *s, const at_k_call *c)
{
    const at_k_run *m = at_k_run_of(s);
    at_tensor *one = at_k_slope(cx, m->start, m->start_clean, c->sigma);
    at_tensor *two = at_k_slope(cx, c->x, c->clean, c->shown);
    at_tensor *d = at_blend(cx, 0.5f, one, 0.5f, two);
    return at_blend(cx, 1.0f, m->start, c->next - c->sigma, d);
}

static at_tensor *dpm_2(at_context *cx, at_scheduler *s, const at_k_call *c)
{
    at_tensor *d = at_k_slope(cx, c->x, c->clean, c->shown);
    return at_blend(cx, 1.0f, at_k_run_of(s)->start, c->next - c->sigma, d);
}

static at_tensor *dpm_2_ancestral(at_context *cx, at_scheduler *s, const at_k_call *c)
{
    float down = ancestral_down(s, c);
    at_tensor *d = at_k_slope(cx, c->x, c->clean, c->shown);
    return renoise(cx, s, at_blend(cx, 1.0f, at_k_run_of(s)->start, down - c->sigma, d), c, down);
}

static at_tensor *dpmpp_2s_ancestral(at_context *cx, at_scheduler *s, const at_k_call *c)
{
    float down = ancestral_down(s, c);
    return renoise(cx, s, at_k_toward(cx, at_k_run_of(s)->start, c->clean, down / c->sigma), c,
                   down);
}

static at_tensor *sde_stage(at_context *cx, const at_scheduler *s, const at_k_call *c,
                            at_tensor *from, float to)
{
    float signal = at_k_signal(s, to), before = at_k_signal(s, c->sigma), high = c->sigma / before;
    float low = to / signal, down = at_k_down(high, low), part = down / high;
    at_tensor *x = at_blend(cx, signal * part / before, from, signal * (1.0f - part), c->clean);
    return tree_noise(cx, s, c, x, to, signal * sqrtf(low * low - down * down));
}

static at_tensor *dpmpp_sde_first(at_context *cx, at_scheduler *s, const at_k_call *c)
{
    return sde_stage(cx, s, c, c->x, at_k_run_of(s)->shown[s->index + 1]);
}

static at_tensor *dpmpp_sde(at_context *cx, at_scheduler *s, const at_k_call *c)
{
    return sde_stage(cx, s, c, at_k_run_of(s)->start, c->next);
}

/* ---- dpm_fast: DPM-Solver's steps of three calls, and what is left over (Lu et al. 2022) */

/* m steps down to the last level above 0, equal by their logarithms. */
static double *fast_levels(at_context *cx, double *x, int *count)
{
    int n = *count, steps = n / 3 + 1;
    double high = log(x[0]), low = log(x[n - 1]);
    (void)cx; /* there is room: no more steps than there were */
    for (int i = 0; i <= steps && i <= n; i++) x[i] = exp(high + (low - high) * i / steps);
    *count = AT_MIN(steps, n);
    return x;
}

static int fast_calls(int i, int steps, int asked)
{
    if (asked % 3) return i < steps - 1 ? 3 : asked % 3;
    return i < steps - 2 ? 3 : steps - i;
}

at_tensor *at_k_dpm_fast(at_context *cx, at_scheduler *s, const at_k_call *c)
{
    at_k_run *m = at_k_run_of(s);
    float to = c->ends ? c->next : m->shown[s->index + 1];
    float h = logf(c->sigma) - logf(to), e = expm1f(h);
    at_history_push(cx, &m->slopes, at_k_slope(cx, c->x, c->clean, c->shown));
    at_tensor *first = m->slopes.x[c->stage];
    at_tensor *x = at_blend(cx, 1.0f, c->stage ? m->start : c->x, -to * e, first);
    if (!c->stage) return x;
    float by = c->stage == 2 ? 1.5f * (e / h - 1.0f) : c->ends ? e : 2.0f * (e / h - 1.0f);
    return at_blend(cx, 1.0f, x, -to * by, at_sub(cx, m->slopes.x[0], first));
}

#define K_SAMPLER(short_name, function, calls_, ...) \
    K_CLASS(short_name, function, calls_, false, false, __VA_ARGS__)
#define K_CLASS(short_name, function, calls_, whole_, away_, ...) \
    {                                                             \
        .class = {.name = "sample_" #function,                    \
                  .sampler = short_name,                          \
                  .size = sizeof(at_k_run),                       \
                  .order = calls_,                                \
                  .whole = whole_,                                \
                  .takes_away = away_,                            \
                  .configure = configure,                         \
                  .set_timesteps = set_timesteps,                 \
                  .scale_input = scale_input,                     \
                  .step = step,                                   \
                  .add_noise = add_noise,                         \
                  .reset = reset,                                 \
                  .destroy = destroy},                            \
        __VA_ARGS__                                               \
    }
#define CFG_PP(function, calls_, ...) \
    K_CLASS(#function, function, calls_, false, true, .move = at_k_##function, __VA_ARGS__)

static const at_k_class SAMPLERS[] = {
    K_SAMPLER("k_euler", euler, 1, .move = euler),
    K_SAMPLER("k_euler_a", euler_ancestral, 1, .move = euler_ancestral),
    K_SAMPLER("k_heun", heun, 2, .move = straight, .later = heun, .level = level_next),
    K_SAMPLER("k_dpm_2", dpm_2, 2, .move = straight, .later = dpm_2, .level = middle,
              .discards = true),
    K_SAMPLER("k_dpm_2_a", dpm_2_ancestral, 2, .move = straight, .later = dpm_2_ancestral,
              .level = middle_down, .discards = true),
    K_SAMPLER("k_lms", lms, 1, .move = lms),
    K_SAMPLER("dpmpp_2s_a", dpmpp_2s_ancestral, 2, .move = straight, .later = dpmpp_2s_ancestral,
              .level = snr_middle_down),
    K_SAMPLER("k_dpmpp_sde", dpmpp_sde, 2, .move = dpmpp_sde_first, .later = dpmpp_sde,
              .level = snr_middle, .below_1 = true),
    K_SAMPLER("k_dpmpp_2m", dpmpp_2m, 1, .move = dpmpp_2m),
    K_SAMPLER("k_dpmpp_2m_sde", dpmpp_2m_sde, 1, .move = dpmpp_2m_sde, .below_1 = true),
    K_SAMPLER("k_dpmpp_2m_sde_heun", dpmpp_2m_sde_heun, 1, .move = dpmpp_2m_sde_heun,
              .below_1 = true),
    K_SAMPLER("k_dpmpp_3m_sde", dpmpp_3m_sde, 1, .move = dpmpp_3m_sde, .below_1 = true),
    K_CLASS("dpm_fast", dpm_fast, 1, true, false, .move = at_k_dpm_fast, .later = at_k_dpm_fast,
            .level = at_k_snr_level, .calls = fast_calls, .levels = fast_levels,
            .not_on_flows = true),
    K_SAMPLER("k_lcm", lcm, 1, .move = at_k_lcm),
    K_SAMPLER("k_ddpm", ddpm, 1, .move = at_k_ddpm, .not_on_flows = true),
    K_SAMPLER("ipndm", ipndm, 1, .move = at_k_ipndm),
    K_SAMPLER("ipndm_v", ipndm_v, 1, .move = at_k_ipndm_v),
    K_SAMPLER("res_multistep", res_multistep, 1, .move = at_k_res_multistep),
    K_SAMPLER("res_multistep_ancestral", res_multistep_ancestral, 1,
              .move = at_k_res_multistep_ancestral, .not_on_flows = true),
    K_SAMPLER("gradient_estimation", gradient_estimation, 1, .move = at_k_gradient_estimation),
    K_SAMPLER("er_sde", er_sde, 1, .move = at_k_er_sde, .below_1 = true),
    K_CLASS("heunpp2", heunpp2, 3, true, false, .move = at_k_heunpp2, .later = at_k_heunpp2,
            .level = at_k_heunpp2_level, .calls = at_k_heunpp2_calls),
    K_CLASS("restart", restart, 2, true, false, .move = straight, .later = heun,
            .level = level_next, .levels = at_k_restart_levels, .jumps = true, .by_karras = true,
            .not_on_flows = true),
    K_SAMPLER("exp_heun_2_x0", exp_heun_2_x0, 2, .move = at_k_exp_heun_2_x0,
              .later = at_k_exp_heun_2_x0, .level = level_next, .below_1 = true),
    K_SAMPLER("exp_heun_2_x0_sde", exp_heun_2_x0_sde, 2, .move = at_k_exp_heun_2_x0_sde,
              .later = at_k_exp_heun_2_x0_sde, .level = level_next, .below_1 = true),
    K_SAMPLER("seeds_2", seeds_2, 2, .move = at_k_seeds_2, .later = at_k_seeds_2,
              .level = at_k_snr_level, .below_1 = true),
    K_SAMPLER("seeds_3", seeds_3, 3, .move = at_k_seeds_3, .later = at_k_seeds_3,
              .level = at_k_snr_level, .calls = at_k_seeds_3_calls, .below_1 = true),
    K_SAMPLER("sa_solver", sa_solver, 1, .move = at_k_sa_solver, .below_1 = true),
    K_CLASS("sa_solver_pece", sa_solver_pece, 2, true, false, .move = at_k_sa_solver_pece,
            .later = at_k_sa_solver_pece, .level = at_k_same_level, .calls = at_k_pece_calls,
            .below_1 = true, .keeps = true),
    K_CLASS("dpm_adaptive", dpm_adaptive, 3, true, false, .move = at_k_dpm_adaptive,
            .later = at_k_dpm_adaptive, .level = at_k_snr_level, .calls = at_k_three_calls,
            .levels = at_k_adaptive_levels, .not_on_flows = true),
    CFG_PP(euler_cfg_pp, 1, ),
    CFG_PP(euler_ancestral_cfg_pp, 1, ),
    CFG_PP(dpmpp_2m_cfg_pp, 1, ),
    CFG_PP(cfgpp_ud10_ab, 1, ),
    CFG_PP(res_multistep_cfg_pp, 1, ),
    CFG_PP(gradient_estimation_cfg_pp, 1, ),
    CFG_PP(res_multistep_ancestral_cfg_pp, 1, .not_on_flows = true),
    CFG_PP(dpmpp_2s_ancestral_cfg_pp, 2, .later = at_k_dpmpp_2s_ancestral_cfg_pp,
           .level = middle_down, .not_on_flows = true),
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
