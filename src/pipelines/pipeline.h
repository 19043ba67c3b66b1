/* Pipelines: how models work together to do a job, behind the public at_pipeline. A pipeline class
   is found by the `_class_name` of model_index.json; its components are loaded when they are first
   used, and let go of, the longest unused first, when the memory budget has no room for the next.
 */
#ifndef AT_PIPELINE_H
#define AT_PIPELINE_H

#include "base/json.h"
#include "models/module.h"
#include "schedulers/scheduler.h"
#include <atelier/atelier.h>

typedef struct at_tokenizer at_tokenizer; /* text/tokenizer.h */

typedef struct at_pipeline_class {
    const char *name;                      /* "FluxPipeline" */
    const char *const *components;         /* what it uses, until NULL; others are passed over */
    const struct at_latent_class *latents; /* how it draws (latent_run.h) */
} at_pipeline_class;

typedef struct at_component {
    char *name;                 /* "text_encoder_2" */
    char *class_name;           /* "T5EncoderModel"; NULL where the index says null */
    char *folder;               /* or the file, or what stands for it in messages */
    at_config *config;          /* of a network that has no folder, else NULL */
    struct at_weights *weights; /* likewise, under the class's names */
    at_module *module;
    at_tokenizer *tokenizer;
    size_t bytes; /* of the module's weights, once asked for */
    int64_t used; /* when, by a counter */
    int adapted;  /* the set of adapters that the module carries (adapters.c) */
} at_component;

typedef struct at_adapters at_adapters;     /* adapters.h */
typedef struct at_embeddings at_embeddings; /* embeddings.h */

struct at_pipeline {
    at_context *cx;
    const at_pipeline_class *class;
    at_config *index; /* model_index.json */
    char *folder;     /* or the file */
    cJSON *scheduler; /* of a single file, else NULL */
    at_component *components;
    int count;
    int64_t uses;
    at_adapters *adapters;     /* NULL: never any */
    at_embeddings *embeddings; /* likewise */
    double load_seconds;       /* spent on loading since the last at_pipeline_take_load_seconds */
};

/* Opens the model in a folder or file that exists; hub/load.c comes here from a name. The context
   owns it. */
at_pipeline *at_pipeline_open(at_context *cx, const char *path);
at_pipeline *at_pipeline_open_files(at_context *cx, const at_model_files *files);

/* What is there in every pipeline besides: an autoencoder for previews, where one is given. */
#define AT_PREVIEW_VAE "preview_vae"

/* The entry of a component that the class uses; NULL: it uses none of this name. */
at_component *at_pipeline_component(const at_pipeline *pipeline, const char *name);

/* The component, loaded now if it was not. class_name: what it must be (NULL: what the index says).
   The pipeline owns it; a later call may let it go, so ask again before each use. NULL and the
   error on failure. */
at_module *at_pipeline_module(at_pipeline *pipeline, const char *component, const char *class_name);
/* The same where the index may name any of several classes (until NULL) with one forward. */
at_module *at_pipeline_module_of(at_pipeline *pipeline, const char *component,
                                 const char *const *class_names);
at_tokenizer *at_pipeline_tokenizer(at_pipeline *pipeline, const char *component);

/* A new scheduler from scheduler/scheduler_config.json, for one run: at_scheduler_free. */
at_scheduler *at_pipeline_scheduler(at_pipeline *pipeline, const char *sampler,
                                    const char *schedule);

/* Between stages: what the last one used goes back to the system as far as it is not needed to keep
   modules loaded. */
void at_pipeline_rest(at_pipeline *pipeline);

double at_pipeline_take_load_seconds(at_pipeline *pipeline);

extern const at_pipeline_class at_aura_flow_pipeline_class, at_stable_diffusion_3_pipeline_class,
    at_stable_diffusion_3_img2img_pipeline_class, at_stable_diffusion_3_inpaint_pipeline_class,
    at_flux_pipeline_class, at_flux_img2img_pipeline_class, at_flux_inpaint_pipeline_class,
    at_hunyuan_dit_pipeline_class, at_latent_consistency_pipeline_class,
    at_latent_consistency_img2img_pipeline_class, at_lumina2_pipeline_class,
    at_lumina2_text2img_pipeline_class, at_stable_diffusion_pipeline_class,
    at_stable_diffusion_img2img_pipeline_class, at_stable_diffusion_inpaint_pipeline_class,
    at_stable_diffusion_xl_pipeline_class, at_stable_diffusion_xl_img2img_pipeline_class,
    at_stable_diffusion_xl_inpaint_pipeline_class;

#endif
