/* What the schedulers over a table of trained steps share: their options, which of the steps a run
   goes through, the noise levels (sigma: the noise's deviation over the sample's share) between
   them, and what a network's output says of the clean sample. As Diffusers computes them: tables in
   f32, what numpy computes in f64. */
#ifndef AT_DISCRETE_H
#define AT_DISCRETE_H

#include "schedulers/alphas.h"
#include "schedulers/respacing.h"
#include "schedulers/scheduler.h"

typedef enum at_prediction {
    AT_PREDICTS_NOISE,
    AT_PREDICTS_SAMPLE,
    AT_PREDICTS_VELOCITY,
    AT_PREDICTS_FLOW
} at_prediction;

typedef enum at_step_spacing { AT_LEADING, AT_LINSPACE, AT_TRAILING } at_step_spacing;

typedef struct at_discrete {
    at_scheduler base;
    float *alphas; /* alphas_cumprod */
    int trained;   /* of them */
    int offset;    /* steps_offset */
    int steps;     /* num_inference_steps of this run */
    at_prediction prediction;
    at_step_spacing spacing;
    at_respacing respacing;
    float clip; /* of the clean sample; 0: none */
    bool thresholding;
    double quantile, sample_max; /* of thresholding */
    float final_alpha;           /* behind the last step: 1, or that of trained step 0 */
} at_discrete;

static inline at_discrete *at_discrete_of(at_scheduler *s)
{
    return (at_discrete *)s; /* base comes first */
}

/* Reads the table's options (alphas.h), steps_offset, prediction_type and timestep_spacing. */
void at_discrete_configure(at_context *cx, at_discrete *d, at_config *k, at_step_spacing spacing,
                           const at_alphas_defaults *defaults);
/* thresholding, dynamic_thresholding_ratio, sample_max_value. */
void at_discrete_configure_thresholding(at_context *cx, at_discrete *d, at_config *k);
/* These, and clip_sample, clip_sample_range. */
void at_discrete_configure_clean(at_context *cx, at_discrete *d, at_config *k, bool thresholds,
                                 bool clips);
void at_discrete_destroy(at_context *cx, at_scheduler *s); /* a class's destroy */

/* The place of an option's value among names (until NULL); the first is the default. */
int at_config_choice(at_context *cx, at_config *k, const char *key, const char *const *names);

/* Step i, from the noisiest on, of `count` of the `last` first trained steps; not rounded where the
   spacing is linspace. extra: as many more steps that linspace and leading count with and do not
   take. */
double at_discrete_timestep(const at_discrete *d, int i, int count, int last, int extra);
/* How many steps there are: `count`, but as np.arange rounds where they are trailing. */
int at_discrete_count(const at_discrete *d, int count, int last);

/* For classes that go through whole steps: refuses other wishes, makes room for the steps and
   `extra` more; when the timesteps are filled in, their sigmas; add_noise of such a class. */
bool at_discrete_whole_steps(at_context *cx, at_scheduler *s, const at_schedule_options *o,
                             int extra);
bool at_discrete_table_sigmas(at_context *cx, at_scheduler *s);
at_tensor *at_discrete_add_noise(at_context *cx, at_scheduler *s, at_tensor *sample,
                                 at_tensor *noise, int index);

/* The table's noise level of a trained step, between the steps on the line between them. */
float at_discrete_table_sigma(const at_discrete *d, int step);
double at_discrete_sigma(const at_discrete *d, double timestep);
/* And back, by the logarithm (_sigma_to_t). */
double at_discrete_step_of_sigma(const at_discrete *d, double sigma);

/* What a multi-step method keeps of the steps before, the newest first. */
typedef struct at_history {
    at_tensor *x[4];
    int count;
} at_history;

void at_history_push(at_context *cx, at_history *h, at_tensor *x);
void at_history_clear(at_context *cx, at_history *h);

/* Cuts each picture as d->thresholding says. */
at_tensor *at_discrete_threshold(at_context *cx, const at_discrete *d, at_tensor *x);
/* The clean sample, of a sample that is alpha * clean + sigma * noise. */
at_tensor *at_discrete_clean(at_context *cx, const at_discrete *d, at_tensor *output,
                             at_tensor *sample, float alpha, float sigma);
/* And the noise in it, as the network says, whatever is cut off the clean sample. */
at_tensor *at_discrete_noise(at_context *cx, const at_discrete *d, at_tensor *output,
                             at_tensor *sample, float alpha, float sigma);

#endif
