/* SA-Solver (Xue et al. 2023) by the clean sample, as ComfyUI has it: a predictor through three of
   what the network said, a corrector through four, both as stochastic Adams' methods over half the
   logarithm of signal to noise; noise between a fifth and four fifths of the way. */
#include "schedulers/k_sampler.h"
#include "schedulers/sigmas.h"
#include <math.h>

enum { PREDICTOR = 3, CORRECTOR = 4 };

int at_k_pece_calls(int i, int steps, int asked)
{
    (void)steps;
    (void)asked;
    return i ? 2 : 1; /* there is nothing to correct at first */
}

double at_k_same_level(const double *x, int stage, int calls, bool flow)
{
    (void)stage;
    (void)calls;
    (void)flow;
    return x[0];
}

/* ---- weights */

/* The integral from -h to 0 of (1 + tau^2) e^((1 + tau^2) x) by the polynomial that is 1 at
   places[i] and 0 at the others. */
static void adams(const double *places, int n, double h, double tau, double *weights)
{
    double a[CORRECTOR][CORRECTOR], more = 1.0 + tau * tau, power = 1.0, left = exp(-more * h);
    for (int p = 0; p < n; p++, power *= -h) {
        weights[p] = (p ? 0.0 : 1.0) - power * left - (p ? p / more * weights[p - 1] : 0.0);
        for (int i = 0; i < n; i++) a[p][i] = pow(places[i], p);
    }
    at_solve(*a, CORRECTOR, weights, n);
}

/* ---- steps: levels[0] is that of this step, levels[-1] of the one before */

typedef struct sa_step {
    const float *levels;
    bool flow;
} sa_step;

static double snr(const sa_step *t, int i)
{
    return at_k_half_log_snr(t->flow, t->levels[i]);
}

/* x from level i to i + 1 by the newest `order` of the clean samples, of which the first was said
   at this step. */
static at_tensor *go(at_context *cx, const sa_step *t, at_tensor *x, const at_history *clean,
                     int order, int i, float tau)
{
    double places[CORRECTOR], weights[CORRECTOR], end = snr(t, i + 1), h = end - snr(t, i);
    for (int k = 0; k < order; k++) places[k] = snr(t, -k) - end;
    adams(places, order, h, tau, weights);
    float to = t->levels[i + 1];
    x = at_affine(cx, x, (float)(to / t->levels[i] * exp(-tau * tau * h)), 0.0f);
    for (int k = 0; k < order; k++)
        x = at_blend(cx, 1.0f, x, (float)((t->flow ? 1.0 - to : 1.0) * weights[k]), clean->x[k]);
    return x;
}

/* The sample of this step, corrected by what was said of its prediction. */
static at_tensor *correct(at_context *cx, const at_k_run *m, const sa_step *t, at_tensor *predicted,
                          int order)
{
    if (!order) return predicted;
    at_tensor *x = go(cx, t, m->state, &m->clean, order, -1, m->tau);
    return m->tau > 0 ? at_add(cx, x, m->drawn) : x;
}

static at_tensor *predict(at_context *cx, at_k_run *m, const sa_step *t, const at_k_call *c,
                          at_tensor *x, int order)
{
    m->tau = c->next <= m->noisy[0] && c->next >= m->noisy[1] ? 1.0f : 0.0f;
    at_k_keep(cx, &m->state, x);
    x = go(cx, t, x, &m->clean, order, 0, m->tau);
    if (m->tau == 0) return x;
    float up = c->next * (float)sqrt(-expm1(2.0 * (snr(t, 0) - snr(t, 1))));
    at_tensor *noise = at_noise_draw(cx, c->noise, x->dims, x->shape);
    at_k_keep(cx, &m->drawn, at_affine(cx, noise, up, 0.0f));
    return at_add(cx, x, m->drawn);
}

/* levels: of the steps, this one's at 0; left: how many there are from this one on. */
static at_tensor *sa_step_of(at_context *cx, at_k_run *m, const sa_step *t, const at_k_call *c,
                             int left, bool evaluates_again)
{
    at_history *clean = &m->clean;
    at_tensor *x = c->x;
    if (!c->stage) {
        at_history_push(cx, clean, c->clean);
        bool corrects = clean->count > 1 && (c->next > 0 || evaluates_again);
        x = correct(cx, m, t, x, corrects ? AT_MIN(AT_MIN(CORRECTOR, clean->count), left) : 0);
        if (evaluates_again && !c->ends) return x;
    } else {
        at_k_keep(cx, &clean->x[0], c->clean);
    }
    if (c->next == 0) return c->clean;
    return predict(cx, m, t, c, x, AT_MIN(AT_MIN(PREDICTOR, clean->count), left - 1));
}

at_tensor *at_k_sa_solver(at_context *cx, at_scheduler *s, const at_k_call *c)
{
    at_k_run *m = at_k_run_of(s);
    const sa_step t = {s->sigmas + s->index, m->flow};
    return sa_step_of(cx, m, &t, c, s->count - s->index, false);
}

/* The first step takes one call, the others two. */
at_tensor *at_k_sa_solver_pece(at_context *cx, at_scheduler *s, const at_k_call *c)
{
    at_k_run *m = at_k_run_of(s);
    float levels[CORRECTOR + 2];
    int step = (s->index + 1) / 2, steps = (s->count + 1) / 2;
    for (int i = 1 - CORRECTOR; i <= 1; i++) {
        int at = AT_MAX(step + i, 0);
        levels[i + CORRECTOR - 1] = at ? s->sigmas[2 * at - 1] : s->sigmas[0];
    }
    const sa_step t = {levels + CORRECTOR - 1, m->flow};
    return sa_step_of(cx, m, &t, c, steps - step, true);
}
