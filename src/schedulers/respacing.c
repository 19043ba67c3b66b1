#include "schedulers/respacing.h"
#include "schedulers/beta.h"
#include <math.h>

at_respacing at_respacing_read(at_context *cx, at_config *k, bool lu)
{
    bool karras = at_config_bool(cx, k, "use_karras_sigmas", false);
    bool exponential = at_config_bool(cx, k, "use_exponential_sigmas", false);
    bool beta = at_config_bool(cx, k, "use_beta_sigmas", false);
    bool lambdas = lu && at_config_bool(cx, k, "use_lu_lambdas", false);
    if (karras + exponential + beta > 1)
        at_fail(
            cx, AT_ERROR_FORMAT,
            "%s: only one of use_beta_sigmas, use_exponential_sigmas, use_karras_sigmas can be set",
            at_config_what(k));
    return karras        ? AT_RESPACE_KARRAS
           : lambdas     ? AT_RESPACE_LU
           : exponential ? AT_RESPACE_EXPONENTIAL
           : beta        ? AT_RESPACE_BETA
                         : AT_RESPACE_NONE;
}

void at_respace_karras(double *x, int count, double high, double low, double rho)
{
    double a = pow(high, 1.0 / rho), b = pow(low, 1.0 / rho);
    for (int i = 0; i < count; i++) x[i] = pow(a + at_linspace(0.0, 1.0, i, count) * (b - a), rho);
}

void at_respace(at_respacing way, double *x, int count, double high, double low)
{
    if (way == AT_RESPACE_KARRAS) at_respace_karras(x, count, high, low, 7.0);
    for (int i = 0; i < count; i++) {
        double ramp = at_linspace(0.0, 1.0, i, count);
        if (way == AT_RESPACE_EXPONENTIAL) x[i] = exp(at_linspace(log(high), log(low), i, count));
        if (way == AT_RESPACE_BETA) /* Lee et al. 2024 */
            x[i] = low + at_beta_ppf(1.0 - ramp, 0.6, 0.6) * (high - low);
        if (way == AT_RESPACE_LU) { /* Lu et al. 2022: equal steps of the logarithm */
            double first = logf((float)high), last = logf((float)low);
            x[i] = exp(first + ramp * (last - first));
        }
    }
}
