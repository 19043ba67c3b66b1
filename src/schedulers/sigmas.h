/* What the schedulers share that count in noise levels as k-diffusion does (Karras et al. 2022): a
   sample is clean + sigma * noise, and the network sees it scaled to variance 1. */
#ifndef AT_SIGMAS_H
#define AT_SIGMAS_H

#include "schedulers/discrete.h"

/* The sigmas of a run, before any method interleaves others: n of them and timesteps, as
   EulerDiscreteScheduler.set_timesteps has them. at_free frees both. */
typedef struct at_sigma_run {
    int count;
    double *sigmas, *timesteps;
} at_sigma_run;

typedef struct at_sigma_options {
    double low, high;  /* sigma_min, sigma_max of a respacing; NAN: those of the run */
    bool log_linear;   /* interpolation_type */
    bool takes_sigmas; /* options->sigmas, the last of them the end; else they are refused */
    bool takes_timesteps;
} at_sigma_options;

bool at_sigma_run_make(at_context *cx, at_scheduler *s, const at_schedule_options *o,
                       const at_sigma_options *own, at_sigma_run *run);
void at_sigma_run_free(at_sigma_run *run);

/* init_noise_sigma, of s->sigmas. */
void at_sigma_init_noise(at_scheduler *s);

at_tensor *at_sigma_scale(at_context *cx, at_tensor *sample, float sigma);

/* ---- parts of classes */
at_tensor *at_sigma_scale_input(at_context *cx, at_scheduler *s, at_tensor *sample);
at_tensor *at_sigma_add_noise(at_context *cx, at_scheduler *s, at_tensor *sample, at_tensor *noise,
                              int index);

/* The middle of two levels' logarithms, as k-diffusion computes it. */
float at_log_middle(float a, float b);

/* Solves n equations a x = b by elimination with pivots: a is spent, b becomes x. */
void at_solve(double *a, int stride, double *b, int n);

/* What the network says of the clean sample. */
at_tensor *at_sigma_clean(at_context *cx, const at_discrete *d, at_tensor *output,
                          at_tensor *sample, float sigma);
/* The direction in which the noise grows: (sample - clean) / sigma. */
at_tensor *at_sigma_derivative(at_context *cx, const at_discrete *d, at_tensor *output,
                               at_tensor *sample, float sigma);

/* The integral from sigmas[0] to sigmas[1] of Lagrange's polynomial of level `which` of the `order`
   levels up to sigmas[0], sigmas[-1] the one before (k-diffusion's linear_multistep_coeff). */
double at_lms_integral(const float *sigmas, int order, int which);

#endif
