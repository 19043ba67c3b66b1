/* Noise levels by the names that ComfyUI and A1111 have for them, as ComfyUI makes them of a
   model's table. */
#ifndef AT_K_SCHEDULES_H
#define AT_K_SCHEDULES_H

#include "schedulers/discrete.h"

typedef enum at_k_schedule {
    AT_K_NORMAL,
    AT_K_KARRAS,
    AT_K_EXPONENTIAL,
    AT_K_BETA,
    AT_K_SGM_UNIFORM,
    AT_K_SIMPLE,
    AT_K_DDIM_UNIFORM,
    AT_K_KL_OPTIMAL,
    AT_K_LINEAR_QUADRATIC,
    AT_K_AYS,
    AT_K_TURBO,
    AT_K_LAPLACE,
    AT_K_SCHEDULES
} at_k_schedule;

/* The levels that a model was trained on, the lowest first. */
typedef struct at_k_table {
    const at_discrete *discrete; /* NULL: a flow */
    int count;
    double shift; /* of a flow: s x / (1 + (s - 1) x) */
    const char
        *model; /* the pipeline's class, for tables that were made for one model; may be NULL */
} at_k_table;

const char *at_k_schedule_name(int schedule); /* NULL past the last */
int at_k_schedule_of(const char *name);       /* -1: none */
/* The name here of A1111's, in small and capital letters alike; others stay. */
const char *at_k_schedule_own_name(const char *name);

/* Levels for so many steps, the last of them 0; NULL after a failure. *count: how many steps they
   are (ddim_uniform and beta do not always keep to what is asked for). at_free frees them. */
double *at_k_levels(at_context *cx, const at_k_table *table, at_k_schedule schedule, int steps,
                    int *count);

/* The level that so much of the way goes by before, of 1 (ComfyUI's percent_to_sigma). */
double at_k_level_after(const at_k_table *table, double part);

/* What a network of the table is told of a level: a trained step, between them by the logarithm; of
   a flow the level times `trained`. */
double at_k_timestep(const at_k_table *table, double sigma, int trained);

/* The trained steps of AlignYourSteps for so many steps (diffusers' AysSchedules where they are
   ten). False, and failed, where there is no table for the model. */
bool at_ays_timesteps(at_context *cx, const at_k_table *table, double *timesteps, int steps);

#endif
