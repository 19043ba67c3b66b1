/* One call of a pipeline that goes from words through latents to pictures: what all of these have
   in common. A pipeline declares an at_latent_class; its run's struct begins with an at_latent_run,
   and its `generate` is at_latent_generate. */
#ifndef AT_LATENT_RUN_H
#define AT_LATENT_RUN_H

#include "pipelines/pipeline.h"

typedef struct at_latent_run {
    at_context *cx;
    at_pipeline *pipeline;
    const struct at_latent_class *class;
    const at_generate_options *options; /* complete; count and seed are this run's own */
    int begin, total;                   /* its first picture of the call's total */
    int64_t height, width;              /* of the latents */
    at_scheduler *scheduler;
    at_noise *noise; /* a stream for each picture */
    at_noise *lead;  /* that of the call's first picture where it is none of these, else NULL */
    at_tensor *from; /* what an earlier run hands on: latents [B,h,w,C], clean but for a refiner's,
                        or pictures [B,H,W,3] in -1..1; NULL: nothing */
    bool from_pictures;
    int steps_before; /* of a first pass at a smaller size; 0: this is no second one */
    int last;         /* the scheduler's steps end before this one; 0: all of them */
    int taken;        /* calls of the network */
} at_latent_run;

/* What a run does between two steps of the scheduler. */
typedef at_tensor *(*at_latent_step)(at_latent_run *run, at_tensor *latents, int i);

typedef struct at_latent_class {
    size_t size;     /* of the run's struct, which begins with an at_latent_run */
    bool starts;     /* also from pictures */
    bool normalized; /* latents are those of the autoencoder by its latents_mean and latents_std */
    bool unshifted;  /* what was painted in a mask is decoded without its shift_factor */
    bool weighs;     /* prompts may have weights (prompt_weights.h) */
    bool embeds;     /* and textual inversions (embeddings.h) */
    bool pairs;      /* there may be another prompt for the second text encoder */
    bool edits;      /* parts joined by AND, and texts that change over a run (prompt_plan.h) */
    /* Fills in the reference's defaults and checks its limits; scale: pixels a latent. */
    bool (*settle)(at_pipeline *pipeline, at_generate_options *o, int scale);
    void (*encode)(at_latent_run *run); /* the prompts */
    /* The network and what stays the same from step to step; sets the scheduler's steps. */
    void (*prepare)(at_latent_run *run);
    at_tensor *(*denoise)(at_latent_run *run); /* -> latents [B,h,w,C], as the autoencoder codes */
    at_tensor *(*unpack)(at_latent_run *run, at_tensor *x); /* to [B,h,w,C] of what steps take */
    const struct at_latent_colours *colours; /* of its latents (preview.h), or NULL */
    int patch;                               /* sides of latents are multiples of it; 0 is 1 */
} at_latent_class;

at_generation *at_latent_generate(at_pipeline *pipeline, const at_generate_options *options);

/* ---- for the classes */

/* What a pipeline takes where the options say nothing, and its limits. */
typedef struct at_latent_defaults {
    int size; /* pixels of a side */
    int unit; /* sides are multiples of it */
    int steps;
    double guidance;
    int tokens, most_tokens; /* max_sequence_length */
} at_latent_defaults;

bool at_latent_settle(at_context *cx, at_generate_options *o, const at_latent_defaults *d);

/* [B,h,w,C]: the noise of the seeds, or the caller's file. */
at_tensor *at_latent_noise(at_latent_run *run, int64_t channels);

/* The autoencoder; NULL and the error on failure. */
at_module *at_latent_autoencoder(const at_latent_run *run);

/* Latents [...,C] as the autoencoder codes them, and back to those that the run goes through: its
   scaling_factor and shift_factor, or its latents_mean and latents_std. */
at_tensor *at_latent_unscale(const at_latent_run *run, at_tensor *latents);
at_tensor *at_latent_scale(const at_latent_run *run, at_tensor *latents, bool normalized);

/* Whether the autoencoder must work in tiles for its memory's sake. */
bool at_latent_needs_tiles(const at_latent_run *run);

/* Steps of a flow, which the scheduler shifts for so many tokens: from sigmas of equal parts down
   from 1 where `equal`, else its own. */
void at_latent_set_flow(at_latent_run *run, int64_t tokens, bool equal);

/* Whether the network is asked without the prompt too: guidance above 1, or a sampler that wants to
   know. */
bool at_latent_guided(const at_latent_run *run, double guidance);
/* at_guidance, of which the scheduler learns what was said without the prompt. */
at_tensor *at_latent_guide(at_latent_run *run, at_tensor *cond, at_tensor *away, double guidance);

/* The scheduler's steps from its next one to run->last. predict: what the network says to latents,
   scaled for it, at the scheduler's step i. after: what becomes of the latents after it; may be
   NULL. */
at_tensor *at_latent_steps(at_latent_run *run, at_tensor *latents, at_latent_step predict,
                           at_latent_step after);

#endif
