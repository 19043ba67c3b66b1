/* The beta distribution, for the schedule of "Beta Sampling is All You Need" (Lee et al. 2024). */
#ifndef AT_BETA_H
#define AT_BETA_H

/* The distribution function I_x(a, b) at x in [0, 1], a and b > 0 (DLMF 8.17). */
double at_beta_cdf(double x, double a, double b);

/* Its inverse: x with I_x(a, b) = p, for p in [0, 1] (scipy.stats.beta.ppf). */
double at_beta_ppf(double p, double a, double b);

#endif
