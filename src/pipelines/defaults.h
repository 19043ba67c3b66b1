/* A model's own values for what a call leaves out. */
#ifndef AT_DEFAULTS_H
#define AT_DEFAULTS_H

#include "base/base.h"
#include <atelier/atelier.h>

/* Fills in what the options leave at zero from generation_config.json in the model's folder, where
   there is one: an object with the names of the reference pipeline's arguments (width, height,
   num_inference_steps, guidance_scale, true_cfg_scale, max_sequence_length). Diffusers itself has
   no such file: its defaults are in the pipeline's code, and come after. */
void at_generate_defaults(at_context *cx, const char *folder, at_generate_options *options);

#endif
