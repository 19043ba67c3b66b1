/* Samplers that ComfyUI (comfy/k_diffusion/sampling.py) and A1111 (Restart) added to those of
   k-diffusion, in the same form. */
#include "schedulers/k_sampler.h"
#include "schedulers/respacing.h"
#include <math.h>
#include <string.h>

at_tensor *at_k_lcm(at_context *cx, at_scheduler *s, const at_k_call *c)
{
    if (c->next == 0) return c->clean;
    at_tensor *x = at_affine(cx, c->clean, at_k_signal(s, c->next), 0.0f);
    return at_k_with_noise(cx, x, c->next, c->noise);
}

/* Ho et al. 2020, over levels: the sample that keeps its variance is x / sqrt(1 + sigma^2). */
at_tensor *at_k_ddpm(at_context *cx, at_scheduler *s, const at_k_call *c)
{
    (void)s;
    if (c->next == 0) return c->clean;
    double product = 1.0 / (1.0 + (double)c->sigma * c->sigma);
    double before = 1.0 / (1.0 + (double)c->next * c->next), alpha = product / before;
    double grow = sqrt((1.0 + (double)c->next * c->next) / alpha);
    at_tensor *x = at_affine(cx, c->x, (float)(grow * sqrt(product)), 0.0f);
    x = at_blend(cx, 1.0f, x, (float)(-grow * (1.0 - alpha) / sqrt(1.0 - product)),
                 at_k_slope(cx, c->x, c->clean, c->sigma));
    double up = (1.0 - alpha) * (1.0 - before) / (1.0 - product) / before;
    return at_k_with_noise(cx, x, (float)sqrt(up), c->noise);
}

/* ---- several steps */

static at_tensor *adams(at_context *cx, const at_k_call *c, const at_history *slopes,
                        const double *weights)
{
    at_tensor *x = c->x;
    for (int i = 0; i < slopes->count; i++)
        x = at_blend(cx, 1.0f, x, (float)((c->next - c->sigma) * weights[i]), slopes->x[i]);
    return x;
}

/* Adams and Bashforth's steps for equal parts, whatever the parts are. */
at_tensor *at_k_ipndm(at_context *cx, at_scheduler *s, const at_k_call *c)
{
    static const double weights[4][4] = {{1},
                                         {3.0 / 2, -1.0 / 2},
                                         {23.0 / 12, -16.0 / 12, 5.0 / 12},
                                         {55.0 / 24, -59.0 / 24, 37.0 / 24, -9.0 / 24}};
    at_history *h = &at_k_run_of(s)->slopes;
    at_history_push(cx, h, at_k_slope(cx, c->x, c->clean, c->sigma));
    return c->next == 0 ? c->clean : adams(cx, c, h, weights[h->count - 1]);
}

/* The same for the parts that there are, as its authors have it (Zhang and Chen 2023): h of them,
   the present one first. */
static void variable_weights(int order, const double *h, double *w)
{
    double ratio = h[0] / h[1], first = h[0] + h[1], second = order > 2 ? h[1] + h[2] : 0;
    w[0] = (2 + ratio) / 2;
    w[1] = -ratio / 2;
    if (order < 3) return;
    double back = h[1] / h[2];
    double a = (1 - h[0] / (3 * first) * (h[0] * first) / (h[1] * second)) / 2;
    w[0] += a;
    w[1] -= (1 + back) * a;
    w[2] = a * back;
    if (order < 4) return;
    double third = h[2] + h[3], far = h[1] * second / (h[2] * third);
    double b =
        (1 - h[0] / (3 * first)) / 2 + (1 - h[0] / (2 * first)) * h[0] / (6 * (first + h[2]));
    b *= h[0] * first * (first + h[2]) / (h[1] * second * (second + h[3]));
    w[0] += b;
    w[1] -= (1 + back + far) * b;
    w[2] += (back + far * (1 + h[2] / h[3])) * b;
    w[3] = -b * far * back;
}

at_tensor *at_k_ipndm_v(at_context *cx, at_scheduler *s, const at_k_call *c)
{
    at_history *h = &at_k_run_of(s)->slopes;
    const float *sigmas = s->sigmas + s->index;
    double parts[4], weights[4] = {1.0};
    at_history_push(cx, h, at_k_slope(cx, c->x, c->clean, c->sigma));
    if (c->next == 0) return c->clean;
    for (int i = 0; i < h->count; i++) parts[i] = (double)sigmas[1 - i] - sigmas[-i];
    if (h->count > 1) variable_weights(h->count, parts, weights);
    return adams(cx, c, h, weights);
}

/* Permenter and Yuan 2024, gamma 2; with `away`, the slope is that without the prompt. */
static at_tensor *estimate_gradient(at_context *cx, at_scheduler *s, const at_k_call *c,
                                    at_tensor *away)
{
    at_history *h = &at_k_run_of(s)->slopes;
    at_history_push(cx, h, at_k_slope(cx, c->x, away ? away : c->clean, c->sigma));
    if (c->next == 0) return c->clean;
    float way = c->next - c->sigma;
    at_tensor *x = away ? at_blend(cx, 1.0f, c->clean, c->next, h->x[0])
                        : at_blend(cx, 1.0f, c->x, way, h->x[0]);
    return h->count > 1 ? at_blend(cx, 1.0f, x, way, at_sub(cx, h->x[0], h->x[1])) : x;
}

at_tensor *at_k_gradient_estimation(at_context *cx, at_scheduler *s, const at_k_call *c)
{
    return estimate_gradient(cx, s, c, NULL);
}

at_tensor *at_k_gradient_estimation_cfg_pp(at_context *cx, at_scheduler *s, const at_k_call *c)
{
    return estimate_gradient(cx, s, c, c->away);
}

/* The second order of refined exponential integrators (Zhang et al. 2023) from x down to `down`;
   before: how far down the step before went. now, old: what the network said. */
static at_tensor *refined(at_context *cx, const at_scheduler *s, const at_k_call *c, at_tensor *x,
                          at_tensor *now, at_tensor *old, float down, float before)
{
    double way = log(c->sigma) - log(down);
    double back = (log(before) - log(s->sigmas[s->index - 1])) / way;
    double phi1 = expm1(-way) / -way, phi2 = (phi1 - 1.0) / -way;
    x = at_blend(cx, (float)exp(-way), x, (float)(way * (phi1 - phi2 / back)), now);
    return at_blend(cx, 1.0f, x, (float)(way * phi2 / back), old);
}

/* With `away`, what was said without the prompt leads on from the guided clean sample. */
static at_tensor *res_multistep(at_context *cx, at_scheduler *s, const at_k_call *c,
                                at_tensor *away, bool ancestral)
{
    at_history *h = &at_k_run_of(s)->clean;
    float down = ancestral ? at_k_down(c->sigma, c->next) : c->next;
    at_history_push(cx, h, away ? away : c->clean);
    if (c->next == 0) return c->clean;
    at_tensor *x = c->x;
    if (h->count < 2 || down == 0) {
        x = at_blend(cx, 1.0f, c->clean, down, at_k_slope(cx, x, h->x[0], c->sigma));
    } else {
        float before = ancestral ? at_k_down(s->sigmas[s->index - 1], c->sigma) : c->sigma;
        if (away) x = at_add(cx, x, at_sub(cx, c->clean, away));
        x = refined(cx, s, c, x, h->x[0], h->x[1], down, before);
    }
    float up = sqrtf(c->next * c->next - down * down);
    return ancestral ? at_k_with_noise(cx, x, up, c->noise) : x;
}

at_tensor *at_k_res_multistep(at_context *cx, at_scheduler *s, const at_k_call *c)
{
    return res_multistep(cx, s, c, NULL, false);
}

at_tensor *at_k_res_multistep_ancestral(at_context *cx, at_scheduler *s, const at_k_call *c)
{
    return res_multistep(cx, s, c, NULL, true);
}

at_tensor *at_k_res_multistep_cfg_pp(at_context *cx, at_scheduler *s, const at_k_call *c)
{
    return res_multistep(cx, s, c, c->away, false);
}

at_tensor *at_k_res_multistep_ancestral_cfg_pp(at_context *cx, at_scheduler *s, const at_k_call *c)
{
    return res_multistep(cx, s, c, c->away, true);
}

/* ---- CFG++ (Chung et al. 2024): to the guided clean sample, by the noise without the prompt */

static at_tensor *renoised(at_context *cx, const at_scheduler *s, const at_k_call *c, float to)
{
    at_tensor *left = at_affine(cx, c->away, at_k_signal(s, c->sigma), 0.0f);
    at_tensor *x = at_affine(cx, c->clean, at_k_signal(s, c->next), 0.0f);
    return at_blend(cx, 1.0f, x, to, at_k_slope(cx, c->x, left, c->sigma));
}

at_tensor *at_k_euler_cfg_pp(at_context *cx, at_scheduler *s, const at_k_call *c)
{
    return c->next == 0 ? c->clean : renoised(cx, s, c, c->next);
}

at_tensor *at_k_euler_ancestral_cfg_pp(at_context *cx, at_scheduler *s, const at_k_call *c)
{
    if (c->next == 0) return c->clean;
    float alpha = at_k_signal(s, c->next), to = c->next / alpha;
    float ratio = to * at_k_signal(s, c->sigma) / c->sigma; /* of the levels over the signal */
    at_tensor *x = renoised(cx, s, c, c->next * ratio);
    return at_k_with_noise(cx, x, c->next * sqrtf(1.0f - ratio * ratio), c->noise);
}

at_tensor *at_k_dpmpp_2m_cfg_pp(at_context *cx, at_scheduler *s, const at_k_call *c)
{
    at_history *h = &at_k_run_of(s)->clean; /* those without the prompt */
    at_history_push(cx, h, c->away);
    if (c->next == 0) return c->clean;
    float left = c->next / c->sigma;
    at_tensor *x = at_blend(cx, 1.0f, c->clean, left, at_sub(cx, c->x, c->away));
    if (h->count < 2) return x;
    float by = (1.0f - left) * 0.5f * at_k_length(s, 0) / at_k_length(s, -1);
    return at_blend(cx, 1.0f, x, by, at_sub(cx, c->clean, h->x[1]));
}

/* Euler's step, a quarter of the way towards Adams and Bashforth's of second order; a tenth of how
   the slope without the prompt changed goes on. Its last step goes on along the line through the
   last two clean samples. */
at_tensor *at_k_cfgpp_ud10_ab(at_context *cx, at_scheduler *s, const at_k_call *c)
{
    at_k_run *m = at_k_run_of(s);
    at_tensor *left = at_affine(cx, c->away, at_k_signal(s, c->sigma), 0.0f);
    at_tensor *slope = at_k_slope(cx, c->x, left, c->sigma);
    at_tensor *old = m->state;
    if (c->next == 0 && !old) return c->clean;
    float way = c->next - c->sigma, ratio = old ? way / (c->sigma - s->sigmas[s->index - 1]) : 0;
    if (c->next == 0)
        return at_blend(cx, 1.0f, c->clean, ratio, at_sub(cx, c->clean, m->clean.x[0]));
    at_tensor *x = at_affine(cx, c->clean, at_k_signal(s, c->next), 0.0f);
    x = at_blend(cx, 1.0f, x, c->next, slope);
    if (old) x = at_blend(cx, 1.0f, x, 0.1f * ratio * c->next, at_sub(cx, slope, old));
    at_k_keep(cx, &m->state, slope);
    at_history_push(cx, &m->clean, c->clean);
    at_history_push(cx, &m->slopes, at_k_slope(cx, x, c->x, way));
    if (m->slopes.count < 2) return x;
    at_tensor *change = at_sub(cx, m->slopes.x[0], m->slopes.x[1]);
    return at_blend(cx, 1.0f, x, 0.25f * way * ratio / 2.0f, change);
}

/* Both calls go by what the present one says without the prompt. */
at_tensor *at_k_dpmpp_2s_ancestral_cfg_pp(at_context *cx, at_scheduler *s, const at_k_call *c)
{
    const at_k_run *m = at_k_run_of(s);
    float to = c->stage ? at_k_down(c->sigma, c->next) : m->shown[s->index + 1];
    at_tensor *lead = at_sub(cx, c->stage ? m->start_clean : c->clean, c->away);
    at_tensor *x = at_add(cx, c->stage ? m->start : c->x, lead);
    x = at_k_toward(cx, x, c->clean, to / c->sigma);
    return c->stage ? at_k_with_noise(cx, x, sqrtf(c->next * c->next - to * to), c->noise) : x;
}

/* ---- the extended reverse-time equation (Cui et al. 2023), third order */

static double scaled(double x)
{
    return x * (exp(pow(x, 0.3)) + 10.0);
}

static double noise_to_signal(const at_scheduler *s, int i)
{
    float sigma = s->sigmas[s->index + i];
    return (double)sigma / at_k_signal(s, sigma);
}

at_tensor *at_k_er_sde(at_context *cx, at_scheduler *s, const at_k_call *c)
{
    enum { POINTS = 200 };
    at_history *h = &at_k_run_of(s)->clean;
    at_history_push(cx, h, c->clean);
    if (c->next == 0) return c->clean;
    double from = noise_to_signal(s, 0), to = noise_to_signal(s, 1),
           alpha = at_k_signal(s, c->next);
    double r = scaled(to) / scaled(from), way = to - from, part = -way / POINTS;
    double sum = 0, moment = 0;
    for (int i = 0; i < POINTS; i++) {
        double at = to + i * part;
        sum += part / scaled(at);
        moment += part * (at - from) / scaled(at);
    }
    at_tensor *x = at_blend(cx, (float)(alpha / at_k_signal(s, c->sigma) * r), c->x,
                            (float)(alpha * (1.0 - r)), c->clean);
    if (h->count > 1) {
        double back = from - noise_to_signal(s, -1);
        at_tensor *d = at_affine(cx, at_sub(cx, h->x[0], h->x[1]), (float)(1.0 / back), 0.0f);
        x = at_blend(cx, 1.0f, x, (float)(alpha * (way + sum * scaled(to))), d);
        if (h->count > 2) {
            double last = noise_to_signal(s, -2), half = (from - last) / 2;
            double by = alpha * (way * way / 2 + moment * scaled(to)) / half;
            at_tensor *before = at_sub(cx, h->x[1], h->x[2]);
            x = at_blend(cx, 1.0f, x, (float)by, d);
            x = at_blend(cx, 1.0f, x, (float)(-by / (noise_to_signal(s, -1) - last)), before);
        }
    }
    double up = to * to - from * from * r * r;
    return at_k_with_noise(cx, x, (float)(alpha * sqrt(fmax(up, 0))), c->noise);
}

/* ---- several calls */

int at_k_heunpp2_calls(int i, int steps, int asked)
{
    (void)asked;
    return AT_MIN(steps - i, 3);
}

double at_k_heunpp2_level(const double *x, int stage, int calls, bool flow)
{
    (void)calls;
    (void)flow;
    return x[stage];
}

/* A look at one level or two below the next, weighed by their share of the first. */
at_tensor *at_k_heunpp2(at_context *cx, at_scheduler *s, const at_k_call *c)
{
    at_k_run *m = at_k_run_of(s);
    at_history_push(cx, &m->slopes, at_k_slope(cx, c->x, c->clean, c->shown));
    if (!c->ends)
        return at_blend(cx, 1.0f, c->x, m->shown[s->index + 1] - c->shown, m->slopes.x[0]);
    float whole = (float)(c->stage + 1) * s->sigmas[0], first = 1.0f;
    at_tensor *x = m->start;
    for (int i = 0; i < c->stage; i++) {
        float share = m->shown[s->index - i] / whole;
        x = at_blend(cx, 1.0f, x, share * (c->next - c->sigma), m->slopes.x[i]);
        first -= share;
    }
    return at_blend(cx, 1.0f, x, first * (c->next - c->sigma), m->slopes.x[c->stage]);
}

/* SEEDS by the clean sample (Gonzalez et al. 2023), over half the logarithm of signal to noise. */
double at_k_half_log_snr(bool flow, double sigma)
{
    return (flow ? log1p(-sigma) : 0.0) - log(sigma);
}

double at_k_level_of_snr(bool flow, double half_log_snr)
{
    return flow ? 1.0 / (1.0 + exp(half_log_snr)) : exp(-half_log_snr);
}

double at_k_snr_level(const double *x, int stage, int calls, bool flow)
{
    double from = at_k_half_log_snr(flow, x[0]), to = at_k_half_log_snr(flow, x[1]);
    return at_k_level_of_snr(flow, from + (to - from) * stage / calls);
}

double at_k_snr_way(const at_scheduler *s, float from, float to)
{
    bool flow = ((const at_k_run *)s)->flow;
    return at_k_half_log_snr(flow, to) - at_k_half_log_snr(flow, from);
}

/* From c->sigma to `to` by `clean`, without noise. */
static at_tensor *exponential(at_context *cx, const at_scheduler *s, const at_k_call *c,
                              at_tensor *x, at_tensor *clean, float to, double eta)
{
    double h = at_k_snr_way(s, c->sigma, to);
    return at_blend(cx, (float)(to / c->sigma * exp(-h * eta)), x,
                    (float)(at_k_signal(s, to) * -expm1(-h * (1.0 + eta))), clean);
}

/* x at `to` with the noise of eta 1: what was drawn on the way to `from` and is left of it, and
   more. */
static at_tensor *with_drawn(at_context *cx, at_scheduler *s, const at_k_call *c, at_tensor *x,
                             float from, float to)
{
    at_k_run *m = at_k_run_of(s);
    double h = at_k_snr_way(s, from, to);
    at_tensor *noise = at_noise_draw(cx, c->noise, x->dims, x->shape);
    noise = at_affine(cx, noise, (float)sqrt(-expm1(-2.0 * h)), 0.0f);
    if (m->drawn) noise = at_blend(cx, (float)exp(-h), m->drawn, 1.0f, noise);
    at_k_keep(cx, &m->drawn, noise);
    return at_blend(cx, 1.0f, x, to, noise);
}

static at_tensor *seeds_first(at_context *cx, at_scheduler *s, const at_k_call *c, double eta)
{
    float to = at_k_run_of(s)->shown[s->index + 1];
    at_tensor *x = exponential(cx, s, c, c->x, c->clean, to, eta);
    return eta > 0 ? with_drawn(cx, s, c, x, c->sigma, to) : x;
}

/* To the end and once more from there: the first call's result, mended by what the second says. */
static at_tensor *exp_heun(at_context *cx, at_scheduler *s, const at_k_call *c, double eta)
{
    if (!c->stage) return seeds_first(cx, s, c, eta);
    double h = (1.0 + eta) * at_k_snr_way(s, c->sigma, c->next);
    at_tensor *change = at_sub(cx, c->clean, at_k_run_of(s)->start_clean);
    float by = (float)(at_k_signal(s, c->next) * (1.0 + expm1(-h) / h));
    at_tensor *x = at_blend(cx, 1.0f, c->x, by, change);
    return eta > 0 ? at_k_with_noise(cx, x, 0.0f, c->noise) : x; /* drawn, for what comes after */
}

at_tensor *at_k_exp_heun_2_x0(at_context *cx, at_scheduler *s, const at_k_call *c)
{
    return exp_heun(cx, s, c, 0.0);
}

at_tensor *at_k_exp_heun_2_x0_sde(at_context *cx, at_scheduler *s, const at_k_call *c)
{
    return exp_heun(cx, s, c, 1.0);
}

/* To the middle, and by what is said there all the way. */
at_tensor *at_k_seeds_2(at_context *cx, at_scheduler *s, const at_k_call *c)
{
    if (!c->stage) return seeds_first(cx, s, c, 1.0);
    at_tensor *x = exponential(cx, s, c, at_k_run_of(s)->start, c->clean, c->next, 1.0);
    return with_drawn(cx, s, c, x, c->shown, c->next);
}

int at_k_seeds_3_calls(int i, int steps, int asked)
{
    (void)asked;
    return i < steps - 1 ? 3 : 1;
}

/* To a third, two thirds and the end, mended by what was said at the place before. */
at_tensor *at_k_seeds_3(at_context *cx, at_scheduler *s, const at_k_call *c)
{
    const at_k_run *m = at_k_run_of(s);
    if (!c->stage) return seeds_first(cx, s, c, 1.0);
    float to = c->ends ? c->next : m->shown[s->index + 1];
    double h = 2.0 * at_k_snr_way(s, c->sigma, to), phi2 = 1.0 + expm1(-h) / h;
    at_tensor *x = exponential(cx, s, c, m->start, m->start_clean, to, 1.0);
    x = at_blend(cx, 1.0f, x, (float)(at_k_signal(s, to) * phi2 * (c->ends ? 1.5 : 2.0)),
                 at_sub(cx, c->clean, m->start_clean));
    return with_drawn(cx, s, c, x, c->shown, to);
}

static int nearest(const double *x, int count, double to)
{
    int best = 0;
    for (int i = 1; i < count; i++)
        if (fabs(x[i] - to) < fabs(x[best] - to)) best = i;
    return best;
}

/* Xu et al. 2023, as A1111 has it: from 20 steps on some of them go from 2 down to 0.1 again, after
   noise. */
double *at_k_restart_levels(at_context *cx, double *x, int *count)
{
    enum { FEW = 20, MANY = 36 };
    int steps = *count, again = steps < MANY ? 9 : steps / 4, times = steps < MANY ? 1 : 2;
    if (steps < FEW) return x;
    int n = steps - again * times, at = 0;
    double *out = AT_NEW_ARRAY(cx, double, steps + times + 1);
    if (out) {
        at_respace(AT_RESPACE_KARRAS, x, n, x[0], x[steps - 1]);
        x[n] = 0.0;
        int low = nearest(x, n + 1, 0.1), high = nearest(x, n + 1, 2.0);
        for (int i = 0; i <= n; i++) {
            out[at++] = x[i];
            for (int k = 0; i == low && high < low && k < times; k++, at += again + 1)
                at_respace(AT_RESPACE_KARRAS, out + at, again + 1, x[high], x[low]);
        }
        *count = at - 1;
    }
    at_free(x);
    return out;
}
