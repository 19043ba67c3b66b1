/* The adapters that a pipeline's networks carry: opened once, put on and taken off between calls
   without loading anything again. */
#ifndef AT_PIPELINE_ADAPTERS_H
#define AT_PIPELINE_ADAPTERS_H

#include "pipelines/pipeline.h"

/* From now on the networks carry these LoRAs and no others. The first time that a set is used, all
   networks that it may change are loaded, to see what matches. */
bool at_adapters_use(at_pipeline *pipeline, const at_lora_use *loras, int count);

/* Brings a network that was just asked for to what the pipeline carries now. */
bool at_adapters_apply(at_pipeline *pipeline, at_component *component);
void at_adapters_free(at_adapters *adapters); /* NULL is fine */

#endif
