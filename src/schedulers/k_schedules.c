#include "schedulers/k_schedules.h"
#include "schedulers/beta.h"
#include "schedulers/respacing.h"
#include <math.h>
#include <string.h>
#include <strings.h>

static const char *const NAMES[AT_K_SCHEDULES] = {
    "normal",       "karras",     "exponential",      "beta", "sgm_uniform", "simple",
    "ddim_uniform", "kl_optimal", "linear_quadratic", "ays",  "turbo",       "laplace"};

const char *at_k_schedule_name(int schedule)
{
    return schedule >= 0 && schedule < AT_K_SCHEDULES ? NAMES[schedule] : NULL;
}

const char *at_k_schedule_own_name(const char *name)
{
    static const char *const others[][2] = {
        {"automatic", "default"},           {"uniform", "normal"},
        {"polyexponential", "exponential"}, {"align_your_steps", "ays"},
        {"align your steps", "ays"},        {"ddim", "ddim_uniform"},
        {"sgm uniform", "sgm_uniform"},     {"sgmuniform", "sgm_uniform"},
        {"kl optimal", "kl_optimal"}};
    for (size_t i = 0; i < AT_COUNT(others); i++)
        if (strcasecmp(name, others[i][0]) == 0) return others[i][1];
    for (int i = 0; i < AT_K_SCHEDULES; i++)
        if (strcasecmp(name, NAMES[i]) == 0) return NAMES[i];
    return name;
}

int at_k_schedule_of(const char *name)
{
    for (int i = 0; i < AT_K_SCHEDULES; i++)
        if (strcmp(name, NAMES[i]) == 0) return i;
    return -1;
}

/* ---- the table */

/* The level of place t (0 the lowest trained, count - 1 the highest); between places by the
   logarithm, or as the flow says. */
static double level(const at_k_table *table, double t)
{
    if (!table->discrete) { /* in f32, as ComfyUI: sa_solver asks which side of a level it is on */
        float x = (float)((t + 1.0) / table->count), shift = (float)table->shift;
        return shift * x / (1.0f + (shift - 1.0f) * x);
    }
    int low = (int)fmin(fmax(floor(t), 0.0), table->count - 1),
        high = AT_MIN(low + 1, table->count - 1);
    double w = t - low, a = logf(at_discrete_table_sigma(table->discrete, low));
    return exp((1.0 - w) * a + w * (double)logf(at_discrete_table_sigma(table->discrete, high)));
}

/* Where the lowest level lies: that of a flow is counted as if it were not shifted. */
static double lowest_place(const at_k_table *table)
{
    return table->discrete ? 0.0 : level(table, 0) * table->count - 1.0;
}

double at_k_level_after(const at_k_table *table, double part)
{
    double left = 1.0 - part;
    return table->discrete ? (float)level(table, left * 999.0) /* that of a step, where it is one */
                           : table->shift * left / (1.0 + (table->shift - 1.0) * left);
}

double at_k_timestep(const at_k_table *table, double sigma, int trained)
{
    return table->discrete ? at_discrete_step_of_sigma(table->discrete, sigma) : sigma * trained;
}

/* ---- AlignYourSteps (Sabour et al. 2024): levels of ten steps */

typedef struct ays_table {
    const char *model; /* what the pipeline's class contains */
    double sigmas[11];
    double timesteps[10];
} ays_table;

static const ays_table AYS[] = {
    {"StableDiffusionXL",
     {14.6146412293, 6.3184485287, 3.7681790315, 2.1811480769, 1.3405244945, 0.8620721141,
      0.5550693289, 0.3798540708, 0.2332364134, 0.1114188177, 0.0291671582},
     {999, 845, 730, 587, 443, 310, 193, 116, 53, 13}},
    {"StableDiffusion",
     {14.6146412293, 6.4745760956, 3.8636745985, 2.6946151520, 1.8841921177, 1.3943805092,
      0.9642583904, 0.6523686016, 0.3977456272, 0.1515232662, 0.0291671582},
     {999, 850, 736, 645, 545, 455, 343, 233, 124, 24}},
};

static const ays_table *ays_of(at_context *cx, const at_k_table *table)
{
    const char *model = table->model ? table->model : "StableDiffusion";
    for (size_t i = 0; table->discrete && i < AT_COUNT(AYS); i++)
        if (strncmp(model, AYS[i].model, strlen(AYS[i].model)) == 0) return &AYS[i];
    return at_fail(cx, AT_ERROR_UNSUPPORTED,
                   "--schedule ays: there are tables for Stable Diffusion 1 and XL only");
}

/* Place i of `count` on the line through the logarithms of the eleven. */
static double ays_level(const ays_table *a, int i, int count)
{
    double at = count > 1 ? 10.0 * i / (count - 1) : 0.0;
    int low = AT_MIN((int)at, 9);
    double first = log(a->sigmas[low]), second = log(a->sigmas[low + 1]);
    return exp(first + (at - low) * (second - first));
}

bool at_ays_timesteps(at_context *cx, const at_k_table *table, double *timesteps, int steps)
{
    const ays_table *a = ays_of(cx, table);
    for (int i = 0; a && i < steps; i++)
        timesteps[i] = steps == 10 ? a->timesteps[i]
                                   : rint(at_k_timestep(table, ays_level(a, i, steps + 1), 0));
    return a != NULL;
}

/* ---- the levels */

/* Every so many of the table, from the second on: there may be more than were asked for. */
static int ddim_uniform(const at_k_table *table, int steps, double *x)
{
    int stride = AT_MAX(table->count / steps, 1), n = 0;
    for (int t = 1; t < table->count; t += stride) n++;
    for (int i = 0; i < n && x; i++) x[i] = level(table, 1 + (n - 1 - i) * stride);
    return n;
}

/* Quantiles of the beta distribution, rounded to the table, each once (Lee et al. 2024). */
static int beta(const at_k_table *table, int steps, double *x)
{
    int n = 0;
    double before = -1;
    for (int i = 0; i < steps; i++) {
        double t = rint(at_beta_ppf(1.0 - (double)i / steps, 0.6, 0.6) * (table->count - 1));
        if (t != before) x[n++] = level(table, t);
        before = t;
    }
    return n;
}

/* A slow straight start, then faster and faster (Mochi). */
static double linear_quadratic(int i, int steps)
{
    const double threshold = 0.025;
    int straight = steps / 2, rest = steps - straight;
    if (steps == 1 || i == 0) return 1.0;
    double slope = threshold / straight, missing = straight - threshold * steps;
    double square = missing / ((double)straight * rest * rest);
    double linear = slope - 2.0 * missing / ((double)rest * rest);
    double start = square * straight * straight;
    return 1.0 - (i < straight ? i * slope : square * i * i + linear * i + start);
}

/* Quantiles of Laplace's distribution over the logarithm (Hang et al. 2024), mu 0, beta 1/2. */
static double laplace(double part)
{
    double side = part < 0.5 ? 1.0 : part > 0.5 ? -1.0 : 0.0;
    return exp(-0.5 * side * log(1.0 - 2.0 * fabs(0.5 - part) + 1e-5));
}

static double one_level(const at_k_table *table, at_k_schedule schedule, int i, int n)
{
    int last = table->count - 1;
    double low = level(table, 0), high = level(table, last), end = lowest_place(table);
    double part = n > 1 ? (double)i / (n - 1) : 0.0;
    switch (schedule) {
    case AT_K_SGM_UNIFORM:
        return level(table, at_linspace(last, end, i, n + 1));
    case AT_K_SIMPLE:
        return level(table, last - (int)(i * ((double)table->count / n)));
    case AT_K_KL_OPTIMAL:
        return tan(part * atan(low) + (1.0 - part) * atan(high));
    case AT_K_LINEAR_QUADRATIC:
        return linear_quadratic(i, n) * high;
    case AT_K_TURBO:
        return level(table, fmax(rint(table->count * (double)(n - i) / n - 1.0), 0.0));
    case AT_K_LAPLACE:
        return fmin(fmax(laplace(part), low), high);
    default:
        return level(table, at_linspace(last, end, i, n));
    }
}

double *at_k_levels(at_context *cx, const at_k_table *table, at_k_schedule schedule, int steps,
                    int *count)
{
    const ays_table *ays = schedule == AT_K_AYS ? ays_of(cx, table) : NULL;
    if (schedule == AT_K_LAPLACE && !table->discrete)
        return at_fail(cx, AT_ERROR_UNSUPPORTED,
                       "--schedule laplace: half of its levels are above a flow's");
    if (steps > table->count)
        return at_fail(cx, AT_ERROR_ARGUMENT, "%d steps of %d that were trained", steps,
                       table->count);
    int n = schedule == AT_K_DDIM_UNIFORM ? ddim_uniform(table, steps, NULL) : steps;
    double *x = at_ok(cx) ? AT_NEW_ARRAY(cx, double, n + 1) : NULL;
    if (!x) return NULL;
    double high = level(table, table->count - 1), low = level(table, 0);
    for (int i = 0; i < n; i++)
        x[i] = ays ? ays_level(ays, i, n + 1) : one_level(table, schedule, i, n);
    if (schedule == AT_K_KARRAS) at_respace(AT_RESPACE_KARRAS, x, n, high, low);
    if (schedule == AT_K_EXPONENTIAL) at_respace(AT_RESPACE_EXPONENTIAL, x, n, high, low);
    if (schedule == AT_K_DDIM_UNIFORM) n = ddim_uniform(table, steps, x);
    if (schedule == AT_K_BETA) n = beta(table, steps, x);
    x[n] = 0.0;
    *count = n;
    return x;
}
