/* What the hub says that a repository holds, and which of it atelier reads. */
#ifndef AT_LISTING_H
#define AT_LISTING_H

#include "base/json.h"

typedef struct at_hub_file {
    char *name; /* "unet/config.json"; any bytes that the server likes */
    bool chosen;
    /* filled in when it is fetched */
    bool here;    /* in the snapshot already */
    int64_t size; /* bytes */
    char etag[129];
} at_hub_file;

typedef struct at_hub_listing {
    char commit[41];
    at_hub_file *files; /* sorted by name */
    int count;
} at_hub_listing;

/* The answer of /api/models/REPO/revision/REVISION: "sha" and "siblings". NULL with the error kept.
 */
at_hub_listing *at_hub_listing_read(at_context *cx, const char *text, size_t size,
                                    const char *what);
void at_hub_listing_free(at_hub_listing *listing);
at_hub_file *at_hub_listing_find(const at_hub_listing *listing, const char *name);

typedef struct at_hub_choice {
    const char *variant; /* "fp16"; NULL: the full precision, or what there is */
    const char *file;    /* only this one; "" or NULL: what fits */
    /* Globs over whole names ('*' matches '/' too). With `include` those files and no others. */
    const char **include, **exclude;
    int include_count, exclude_count;
} at_hub_choice;

/* Marks what is to be fetched: what `choice` says, or else a Diffusers folder's components by its
   model_index.json, or the configuration, tokenizer, voices and weights at the top. Of the weights
   of one folder one form is taken: safetensors before PyTorch's, one variant, a whole file before
   shards. Fails where nothing fits, where there are several models to choose from, and where a
   name is not safe. what: the repository in messages.

   index: model_index.json, which a Diffusers repository has; NULL where it has none. */
bool at_hub_choose(at_context *cx, at_hub_listing *listing, const at_hub_choice *choice,
                   const cJSON *index, const char *what);

#endif
