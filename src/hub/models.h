/* Where models lie, and what they are.

   A model is named by its folder under one of these, in this order: share/atelier/models and models
   beside and above the program and the library (installed, and in the build tree), the share folder
   that the build was configured for, ${ATELIER_HOME:-~/.cache/atelier}/models and
   ${ATELIER_HOME:-~/.cache/atelier}. "ORG/NAME", "ORG/NAME@REVISION" and "ORG/NAME/FILE" are what
   was pulled from the hub, by atelier or Python (hub/cache.h). */
#ifndef AT_MODELS_H
#define AT_MODELS_H

#include "formats/weights.h"

#define AT_DEFAULT_MODEL "emoji" /* the embedded one */

typedef struct at_model_entry {
    char *name; /* "emoji" */
    char *path;
    char *kind; /* as at_model_kind says */
    size_t bytes;
} at_model_entry;

/* The folder or file that `model` means: a path, or else a name; NULL is the embedded default. The
   caller frees it (at_free). NULL and AT_ERROR_FILE when there is no such model. */
char *at_model_find(at_context *cx, const char *model);

/* The same, where NULL is the first of these names (NULL-terminated) that is here; otherwise the
   error says the command that fetches one. */
char *at_model_find_default(at_context *cx, const char *model, const char *const *names,
                            const char *command);

/* All models with a name, sorted; a name found twice is listed once, with the path that it means.
   Gives their number (0 and the error kept on failure). */
int at_models_list(at_context *cx, at_model_entry **entries);
void at_models_list_free(at_model_entry *entries, int count);

/* What a folder says that it is: the class of a Diffusers folder's model_index.json, the class or
   architecture of a config.json, that of CTranslate2's Whisper by what its config.json has instead;
   "unknown" otherwise. The caller frees it. */
char *at_model_kind(at_context *cx, const char *folder);

/* What a set of weights without a description looks like, by its tensors' names: the class
   ("FluxTransformer2DModel"), "LoRA" and the like, or "unknown". */
const char *at_weights_kind(const at_weights *weights);

/* Bytes of all files in a folder, or of the file. */
size_t at_model_bytes(const char *path);

#endif
