/* From a name to a pipeline: what the public at_pipeline_load adds to at_pipeline_open. */
#include "hub/models.h"
#include "pipelines/pipeline.h"

at_pipeline *at_pipeline_load_files(at_context *cx, const at_model_files *files)
{
    at_model_files found = *files;
    char *path = at_model_find(cx, files->model);
    found.model = path;
    at_pipeline *pipeline = path ? at_pipeline_open_files(cx, &found) : NULL;
    at_free(path);
    return pipeline;
}

at_pipeline *at_pipeline_load(at_context *cx, const char *model)
{
    return at_pipeline_load_files(cx, &(at_model_files){.model = model});
}
