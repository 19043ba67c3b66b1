/* What the samplers of k-diffusion's form have in common: k_diffusion.c runs them and has those of
   k-diffusion itself, k_added.c those that ComfyUI and A1111 added. */
#ifndef AT_K_SAMPLER_H
#define AT_K_SAMPLER_H

#include "schedulers/k_diffusion.h"

typedef struct at_k_run {
    at_discrete base; /* of a flow without the table */
    at_k_schedule schedule;
    bool flow, dynamic; /* dynamic: the shift is e^mu */
    double shift;
    float *shown;           /* count: the level that the network is called at */
    int *stage;             /* count: which call of its step this is, from 0 */
    at_tensor *start;       /* where a step of several calls began; NULL before its first */
    at_tensor *start_clean; /* and what the network said there */
    at_history clean, slopes;
    at_tensor *state, *drawn; /* of some samplers: a sample, and noise that goes on counting */
    float lowest, highest;    /* the last level above 0; the first, as the schedule has it */
    double noisy[2];          /* of sa_solver: the levels between which it adds noise, */
    float tau;                /* and whether the last step did */
    double way;               /* of dpm_adaptive: how far it tries to go, by the logarithm */
} at_k_run;

/* A call: the sample, and the clean sample that the network sees in it at level `shown`, on the way
   from sigma to next. */
typedef struct at_k_call {
    at_tensor *x, *clean;
    at_tensor *away; /* the clean sample without the prompt; NULL where nobody asks for it */
    float sigma, next, shown;
    int stage; /* of the step's calls, from 0 */
    bool ends; /* the last of them */
    at_noise *noise;
} at_k_call;

typedef at_tensor *at_k_move(at_context *cx, at_scheduler *s, const at_k_call *c);

/* A class: one move a step, or several calls, of which all but the first go by `later`. */
typedef struct at_k_class {
    at_scheduler_class class;
    at_k_move *move, *later;
    /* The level of call `stage` (from 1) of the step from x[0] to x[1], which takes `calls`. */
    double (*level)(const double *x, int stage, int calls, bool flow);
    /* How many calls step i of `steps` takes, of `asked`; NULL: one, or two where there is a level,
       but one to 0. */
    int (*calls)(int i, int steps, int asked);
    /* Levels of its own, of those of the schedule. */
    double *(*levels)(at_context *cx, double *x, int *count);
    bool not_on_flows;
    bool jumps;     /* its levels may jump up, by noise */
    bool discards;  /* the level before the last, of one more, as A1111 and ComfyUI do */
    bool by_karras; /* where no schedule is said, as A1111 does */
    bool below_1;   /* on flows it begins a little below 1, where there is a logarithm */
    bool keeps;     /* its history goes on from step to step, though they take several calls */
} at_k_class;

#define AT_K_ADDED(name) at_tensor *at_k_##name(at_context *, at_scheduler *, const at_k_call *)

AT_K_ADDED(lcm);
AT_K_ADDED(ddpm);
AT_K_ADDED(ipndm);
AT_K_ADDED(ipndm_v);
AT_K_ADDED(gradient_estimation);
AT_K_ADDED(gradient_estimation_cfg_pp);
AT_K_ADDED(res_multistep);
AT_K_ADDED(res_multistep_cfg_pp);
AT_K_ADDED(res_multistep_ancestral);
AT_K_ADDED(res_multistep_ancestral_cfg_pp);
AT_K_ADDED(er_sde);
AT_K_ADDED(heunpp2);
AT_K_ADDED(euler_cfg_pp);
AT_K_ADDED(euler_ancestral_cfg_pp);
AT_K_ADDED(dpmpp_2m_cfg_pp);
AT_K_ADDED(dpmpp_2s_ancestral_cfg_pp);
AT_K_ADDED(exp_heun_2_x0);
AT_K_ADDED(exp_heun_2_x0_sde);
AT_K_ADDED(seeds_2);
AT_K_ADDED(seeds_3);
AT_K_ADDED(cfgpp_ud10_ab);
AT_K_ADDED(sa_solver);
AT_K_ADDED(sa_solver_pece);
AT_K_ADDED(dpm_adaptive);

int at_k_heunpp2_calls(int i, int steps, int asked);
int at_k_seeds_3_calls(int i, int steps, int asked);
int at_k_pece_calls(int i, int steps, int asked);
int at_k_three_calls(int i, int steps, int asked);
double at_k_heunpp2_level(const double *x, int stage, int calls, bool flow);
double at_k_same_level(const double *x, int stage, int calls, bool flow);
double *at_k_restart_levels(at_context *cx, double *x, int *count);
double *at_k_adaptive_levels(at_context *cx, double *x, int *count);

/* ---- of k_diffusion.c */

at_k_run *at_k_run_of(at_scheduler *s);

/* x in the place of what was kept there; NULL: nothing. */
void at_k_keep(at_context *cx, at_tensor **place, at_tensor *x);
/* Along the line to the clean sample, until `part` of the noise is left. */
at_tensor *at_k_toward(at_context *cx, at_tensor *x, at_tensor *clean, float part);
at_tensor *at_k_slope(at_context *cx, at_tensor *x, at_tensor *clean, float sigma);
at_tensor *at_k_with_noise(at_context *cx, at_tensor *x, float by, at_noise *noise);
/* How far down an ancestral step goes from sigma, for noise to bring it up to `next` again. */
float at_k_down(float sigma, float next);
/* How much of the clean sample there is at a level: 1, but on flows. */
float at_k_signal(const at_scheduler *s, float sigma);
/* Half the logarithm of signal to noise at a level, on flows and else; and the level of it. */
double at_k_half_log_snr(bool flow, double sigma);
double at_k_level_of_snr(bool flow, double half_log_snr);
/* How far apart two levels are by it. */
double at_k_snr_way(const at_scheduler *s, float from, float to);
/* In equal parts of that from x[0] to x[1], so many as there are calls. */
double at_k_snr_level(const double *x, int stage, int calls, bool flow);
/* The slopes of DPM-Solver's step of three calls pushed, and where this one leads. */
at_tensor *at_k_dpm_fast(at_context *cx, at_scheduler *s, const at_k_call *c);
/* One more step behind the last. */
bool at_k_one_more(at_context *cx, at_scheduler *s, double from, double to);
/* log(sigma[i] / sigma[i + 1]), i counted from the present step of one call. */
float at_k_length(const at_scheduler *s, int i);

#endif
