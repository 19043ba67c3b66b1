#include "schedulers/beta.h"
#include <math.h>

/* log of x^a (1-x)^b / B(a,b) */
static double log_front(double x, double a, double b)
{
    return a * log(x) + b * log1p(-x) + lgamma(a + b) - lgamma(a) - lgamma(b);
}

/* The continued fraction DLMF 8.17.22 by the modified Lentz method; fast for x < (a+1)/(a+b+2). */
static double fraction(double x, double a, double b)
{
    const double tiny = 1e-300;
    double c = 1.0, d = 1.0 - (a + b) * x / (a + 1.0);
    d = 1.0 / (fabs(d) < tiny ? tiny : d);
    double h = d;
    for (int m = 1; m < 1000; m++) {
        double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        for (int i = 0; i < 2; i++) {
            double term = i == 0 ? even : odd;
            d = 1.0 + term * d;
            c = 1.0 + term / c;
            d = 1.0 / (fabs(d) < tiny ? tiny : d);
            c = fabs(c) < tiny ? tiny : c;
            h *= c * d;
        }
        if (fabs(c * d - 1.0) < 1e-16) break;
    }
    return h;
}

double at_beta_cdf(double x, double a, double b)
{
    if (x <= 0.0) return 0.0;
    if (x >= 1.0) return 1.0;
    double front = exp(log_front(x, a, b));
    if (x < (a + 1.0) / (a + b + 2.0)) return front * fraction(x, a, b) / a;
    return 1.0 - front * fraction(1.0 - x, b, a) / b;
}

/* Newton's method kept inside a bracket, for x <= 1/2: from the first term of the series,
   I_x = x^a / (a B(a,b)), which is close where the density is steep. */
static double lower_half(double p, double a, double b)
{
    double low = 0.0, high = 0.5;
    double x = exp((log(p) + log(a) - (lgamma(a + b) - lgamma(a) - lgamma(b))) / a);
    for (int i = 0; i < 200; i++) {
        if (!(x > low && x < high)) x = low + (high - low) / 2.0;
        double error = at_beta_cdf(x, a, b) - p;
        if (error > 0.0)
            high = x;
        else
            low = x;
        double density = exp(log_front(x, a, b)) / (x * (1.0 - x)), next = x - error / density;
        if (fabs(next - x) <= 1e-16 * x) break;
        x = next;
    }
    return x;
}

double at_beta_ppf(double p, double a, double b)
{
    if (p <= 0.0) return 0.0;
    if (p >= 1.0) return 1.0;
    if (a == b && p == 0.5) return 0.5;
    double middle = at_beta_cdf(0.5, a, b);
    if (p == middle) return 0.5;
    return p < middle ? lower_half(p, a, b) : 1.0 - lower_half(1.0 - p, b, a);
}
