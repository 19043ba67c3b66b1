/* Schedulers: which noise levels a sampling run goes through, and how a step goes from one to the
   next. One interface for all classes of diffusers.schedulers:

       at_scheduler *s = at_scheduler_load(cx, "model/scheduler/scheduler_config.json", NULL, NULL);
       at_scheduler_set_timesteps(cx, s, &(at_schedule_options){.steps = 20});
       x = noise * s->init_noise_sigma;
       for (int i = 0; i < s->count; i++) {
           at_tensor *y = model(cx, at_scheduler_scale_input(cx, s, x), s->timesteps[i]);
           x = at_scheduler_step(cx, s, y, x, noise);
       }

   The scheduler knows where it is: each step moves its index on by one, and the timesteps are
   walked in order. A method that calls the model twice a step (Heun) has both calls in `timesteps`
   (`order` of them a step). A run that starts later (image to image) says so with
   at_scheduler_start.

   A class is one at_scheduler_class and a line in the registry (scheduler.c). What it keeps between
   steps (multi-step history, held by at_tensor_keep) is in its own struct, which starts with
   at_scheduler, and is let go of in `reset`. */
#ifndef AT_SCHEDULER_H
#define AT_SCHEDULER_H

#include "base/json.h"
#include "schedulers/noise.h"
#include <atelier/ops.h>

typedef struct at_scheduler at_scheduler;

/* How to divide a run, one of three ways; zeros where not given. With sigmas or timesteps, steps is
   0 or their number. */
typedef struct at_schedule_options {
    int steps;
    const double *sigmas;
    int sigma_count;
    const double *timesteps;
    int timestep_count;
    bool has_mu;
    double mu; /* shift by picture size, for schedulers with use_dynamic_shifting */
    /* LCM's: how many steps of its training these are taken from (0: the configuration's), and the
       share of them, from the end, that is gone through (0: all). */
    int original_steps;
    double strength;
} at_schedule_options;

typedef struct at_scheduler_class {
    const char *name;    /* "_class_name" */
    const char *sampler; /* the command line's name */
    size_t size;         /* of its own struct */
    int order;           /* model calls a step */
    bool takes_sigmas;   /* where the model is a flow */
    bool whole;      /* goes through all of its steps: neither from a picture nor to a refiner */
    bool takes_away; /* goes by what the model says without the prompt, too */

    /* Reads every option with the class's default; base/json.h. */
    void (*configure)(at_context *cx, at_scheduler *s, at_config *config);
    /* Fills in timesteps and sigmas with at_scheduler_schedule, and init_noise_sigma. */
    void (*set_timesteps)(at_context *cx, at_scheduler *s, const at_schedule_options *options);
    at_tensor *(*scale_input)(at_context *cx, at_scheduler *s, at_tensor *sample); /* or NULL */
    at_tensor *(*step)(at_context *cx, at_scheduler *s, at_tensor *output, at_tensor *sample,
                       at_noise *noise);
    at_tensor *(*add_noise)(at_context *cx, at_scheduler *s, at_tensor *sample, at_tensor *noise,
                            int index);
    void (*reset)(at_context *cx, at_scheduler *s);   /* lets history go; NULL: has none */
    void (*destroy)(at_context *cx, at_scheduler *s); /* lets tables go; NULL: has none */
} at_scheduler_class;

/* Readable by everybody. */
struct at_scheduler {
    const at_scheduler_class *class;
    at_config *config; /* pipelines read what they share with the scheduler there */
    double init_noise_sigma;
    int count;         /* model calls of this run */
    double *timesteps; /* count: what the model is called with */
    float *sigmas;     /* count + 1: noise levels, the last the end; NULL before set_timesteps */
    int index;         /* of the next step */
    at_tensor *away;   /* where the class takes it: what the model says without the prompt, set
                          before each step by who runs it */
    const char *model; /* the pipeline's class, for schedules made for one model; may be NULL */
    double eta;        /* how much noise DDIM draws anew: 0 none; set by who runs it */
};

/* path: a scheduler_config.json. sampler: NULL for the class that the file names, else the class of
   that name (the command line's, Diffusers', ComfyUI's or A1111's; "Karras" behind A1111's is a
   schedule) built from the same file, as Class.from_config does: keys that the class does not know
   are then passed over (otherwise they are refused). schedule: NULL or "default", or a name of
   docs/samplers.md; one that the class cannot go by makes it k-diffusion's sampler of that name. */
at_scheduler *at_scheduler_load(at_context *cx, const char *path, const char *sampler,
                                const char *schedule);
/* The same from the options themselves; path: how messages call them. */
at_scheduler *at_scheduler_make(at_context *cx, const cJSON *options, const char *path,
                                const char *sampler, const char *schedule);
void at_scheduler_free(at_context *cx, at_scheduler *s);

bool at_scheduler_set_timesteps(at_context *cx, at_scheduler *s,
                                const at_schedule_options *options);

/* Makes `index` the next step (set_begin_index); 0 after set_timesteps. */
bool at_scheduler_start(at_context *cx, at_scheduler *s, int index);

/* PNDM without its Runge-Kutta steps, whatever its file says; nothing for the others. */
void at_pndm_skip_prk(at_scheduler *s);

/* The sample as the model wants it at the next step. */
at_tensor *at_scheduler_scale_input(at_context *cx, at_scheduler *s, at_tensor *sample);

/* The sample after this step. output, sample: the same shape, f32. noise: for samplers that draw;
   may be NULL for the others. */
at_tensor *at_scheduler_step(at_context *cx, at_scheduler *s, at_tensor *output, at_tensor *sample,
                             at_noise *noise);

/* A clean sample with the noise of step `index` (0 to count). */
at_tensor *at_scheduler_add_noise(at_context *cx, at_scheduler *s, at_tensor *sample,
                                  at_tensor *noise, int index);

/* mu for a picture of so many tokens: a line through (base_image_seq_len, base_shift) and
   (max_image_seq_len, max_shift) of the configuration. calculate_shift of Diffusers' pipelines. */
double at_scheduler_mu(at_context *cx, const at_scheduler *s, int64_t tokens);

/* np.linspace(start, stop, count)[i], to the bit. */
double at_linspace(double start, double stop, int i, int count);

/* The name that --sampler takes, number i; NULL past the last. */
const char *at_sampler_name(int i);
const char *at_schedule_name(int i); /* likewise of --schedule */

/* ---- for the classes */

/* Room for count timesteps and count + 1 sigmas; the index goes to 0. */
bool at_scheduler_schedule(at_context *cx, at_scheduler *s, int count);

/* a x + b y */
at_tensor *at_blend(at_context *cx, float a, at_tensor *x, float b, at_tensor *y);

/* those of k-diffusion are in k_diffusion.h */
extern const at_scheduler_class at_ddim, at_ddpm, at_deis, at_dpm_multistep, at_dpm_sde,
    at_dpm_singlestep, at_edm_dpm_multistep, at_edm_euler, at_euler, at_euler_ancestral,
    at_flow_match_euler, at_flow_match_heun, at_flow_match_lcm, at_heun, at_kdpm2,
    at_kdpm2_ancestral, at_lcm, at_lms, at_pndm, at_tcd, at_unipc;

#endif
