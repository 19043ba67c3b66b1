/* What the multi-step solvers share that count in lambda, half the logarithm of the signal-to-noise
   ratio (DPM-Solver: Lu et al. 2022; DEIS: Zhang and Chen 2022; UniPC: Zhao et al. 2023): options,
   the levels of a run, and what they make of a network's output. */
#ifndef AT_LAMBDAS_H
#define AT_LAMBDAS_H

#include "schedulers/discrete.h"

enum { AT_MOST_ORDER = 3 };

typedef struct at_lambda_solver {
    at_discrete base;
    int order;
    bool lower_order_final;
    bool flow;       /* use_flow_sigmas: a sample is (1 - sigma) clean + sigma noise */
    double edm_data; /* sigma_data of an EDM model: a sample is clean + sigma noise; 0: none */
    double flow_shift, shift_terminal;
    bool dynamic;     /* flow_shift is e^mu */
    double low, high; /* sigma_min, sigma_max of a respacing; NAN: the table's */
    bool ends_at_min; /* final_sigmas_type */
    bool cosine; /* the betas' schedule: timesteps of DPM-Solver then stay between whole ones */
    double lambda_min; /* steps noisier than that are left out */
    at_history outputs;
} at_lambda_solver;

/* A level: sample = alpha * clean + sigma * noise; lambda = log(alpha / sigma). */
typedef struct at_level {
    double alpha, sigma, lambda;
} at_level;

at_level at_lambda_level(const at_lambda_solver *m, float sigma);

/* solver_order, lower_order_final, thresholding. */
void at_lambda_configure_solver(at_context *cx, at_lambda_solver *m, at_config *k);
/* These, the table's options, respacings and flow sigmas: what all over a table have. */
void at_lambda_configure(at_context *cx, at_lambda_solver *m, at_config *k,
                         const at_alphas_defaults *betas, bool lu);
/* Timesteps and sigmas but the last. */
bool at_lambda_levels(at_context *cx, at_lambda_solver *m, const at_schedule_options *o);

/* What the network says of the clean sample, or of the noise, at the next step. */
at_tensor *at_lambda_clean(at_context *cx, const at_lambda_solver *m, at_tensor *output,
                           at_tensor *sample);
at_tensor *at_lambda_noise(at_context *cx, const at_lambda_solver *m, at_tensor *output,
                           at_tensor *sample);

/* ---- parts of classes */
at_tensor *at_lambda_add_noise(at_context *cx, at_scheduler *s, at_tensor *sample, at_tensor *noise,
                               int index);
void at_lambda_reset(at_context *cx, at_scheduler *s);

#endif
