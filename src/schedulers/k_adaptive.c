/* dpm_adaptive: DPM-Solver's steps of second and third order (Lu et al. 2022), as long as the two
   agree, as k-diffusion has it with its defaults. */
#include "schedulers/k_sampler.h"
#include <math.h>

int at_k_three_calls(int i, int steps, int asked)
{
    (void)i;
    (void)steps;
    (void)asked;
    return 3;
}

static const double FIRST_WAY = 0.05;

/* The first step that is tried, whatever the schedule. */
double *at_k_adaptive_levels(at_context *cx, double *x, int *count)
{
    (void)cx;
    x[1] = fmax(x[*count - 1], x[0] * exp(-FIRST_WAY));
    *count = 1;
    return x;
}

/* How far apart the two orders are, over what is allowed at each place. */
static double error_of(at_context *cx, const at_tensor *low, const at_tensor *high,
                       const at_tensor *before)
{
    double sum = 0;
    if (!at_ok(cx)) return 0;
    const float *a = low->data, *b = high->data, *p = before->data;
    for (int64_t i = 0; i < at_elements(low); i++) {
        float most = fmaxf(0.0078f, 0.05f * fmaxf(fabsf(a[i]), fabsf(p[i])));
        double d = (double)(a[i] - b[i]) / most;
        sum += d * d;
    }
    return sqrt(sum / (double)at_elements(low));
}

/* Whether the step is taken; how far the next one goes. */
static bool judge(at_k_run *m, double error)
{
    double inverse = 1.0 / (error + 1e-8), factor = 1.0 + atan(cbrt(inverse) - 1.0);
    m->way *= factor;
    return factor >= 0.81;
}

at_tensor *at_k_dpm_adaptive(at_context *cx, at_scheduler *s, const at_k_call *c)
{
    enum { MOST = 3 * 1000 };
    at_k_run *m = at_k_run_of(s);
    at_tensor *high = at_k_dpm_fast(cx, s, c);
    if (!c->ends) return high;
    at_tensor *first = m->slopes.x[2], *second = m->slopes.x[1];
    float grow = c->next * expm1f(logf(c->sigma) - logf(c->next));
    at_tensor *low = at_blend(cx, 1.0f, m->start, -grow, first);
    low = at_contiguous(cx, at_blend(cx, 1.0f, low, -1.5f * grow, at_sub(cx, second, first)));
    if (m->way == 0) m->way = FIRST_WAY;
    double error = error_of(cx, low, at_contiguous(cx, high),
                            at_contiguous(cx, m->state ? m->state : m->start));
    bool taken = judge(m, error);
    if (!isfinite(m->way) || s->count > MOST)
        return at_fail(cx, AT_ERROR_UNSUPPORTED,
                       "--sampler dpm_adaptive: no end after %d calls of the model", s->count);
    double at = log(taken ? c->next : c->sigma), end = log(m->lowest);
    if (taken) at_k_keep(cx, &m->state, low);
    if (at > end + 1e-5) at_k_one_more(cx, s, exp(at), exp(fmax(end, at - m->way)));
    return taken ? high : at_affine(cx, m->start, 1.0f, 0.0f);
}
