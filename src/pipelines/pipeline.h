/* Pipelines: how models work together to do a job, behind the public at_pipeline. */
#ifndef AT_PIPELINE_H
#define AT_PIPELINE_H

#include "base/base.h"
#include <atelier/atelier.h>

/* Opens the model in a folder or file that exists; hub/load.c comes here from a name. */
at_pipeline *at_pipeline_open(at_context *cx, const char *path);

#endif
