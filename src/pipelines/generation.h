/* What a pipeline's call gives back. */
#ifndef AT_GENERATION_H
#define AT_GENERATION_H

#include "pipelines/pipeline.h"

/* With copies of the options' texts, room for options->count images and none made yet. The context
   owns it. */
at_generation *at_generation_new(at_pipeline *pipeline, const at_generate_options *used);

#endif
