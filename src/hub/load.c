/* From a name to a pipeline: what the public at_pipeline_load adds to at_pipeline_open. */
#include "hub/models.h"
#include "pipelines/pipeline.h"

at_pipeline *at_pipeline_load(at_context *cx, const char *model)
{
    char *path = at_model_find(cx, model);
    at_pipeline *pipeline = path ? at_pipeline_open(cx, path) : NULL;
    at_free(path);
    return pipeline;
}
