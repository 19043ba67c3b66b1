/* Components that do not come from the folders of model_index.json: those of a single checkpoint,
   and those that the caller gives files of. */
#ifndef AT_PARTS_H
#define AT_PARTS_H

#include "models/layouts/layout.h"
#include "pipelines/pipeline.h"

/* What would be the model_index.json of a single file. *layout: at_layout_free. */
at_config *at_parts_index(at_context *cx, const char *path, at_layout **layout);

/* Gives the pipeline's components what the layout has of them, tokenizers and scheduler too. */
void at_parts_take_all(at_pipeline *pipeline, at_layout *layout);

/* Puts the files that the caller gives in the places of components. */
void at_parts_take_files(at_pipeline *pipeline, const at_model_files *files);

/* The autoencoder that makes previews from now on. */
bool at_parts_take_preview(at_pipeline *pipeline, const char *path);

/* The command line's option of a component: "text-encoder-2". */
const char *at_parts_option(const char *component);

#endif
