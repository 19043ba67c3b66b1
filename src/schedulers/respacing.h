/* Other ways from the first noise level to the last than the schedule's own. */
#ifndef AT_RESPACING_H
#define AT_RESPACING_H

#include "schedulers/scheduler.h"

typedef enum at_respacing {
    AT_RESPACE_NONE,
    AT_RESPACE_KARRAS,
    AT_RESPACE_EXPONENTIAL,
    AT_RESPACE_BETA,
    AT_RESPACE_LU
} at_respacing;

/* use_karras_sigmas, use_exponential_sigmas, use_beta_sigmas, and use_lu_lambdas where `lu`. */
at_respacing at_respacing_read(at_context *cx, at_config *k, bool lu);

/* count levels from the highest x[0] to the lowest x[count - 1]; left as they are where there is
   no other way. */
void at_respace(at_respacing way, double *x, int count, double high, double low);
/* Karras et al. 2022, equation 5; rho is 7 in at_respace. */
void at_respace_karras(double *x, int count, double high, double low, double rho);

#endif
