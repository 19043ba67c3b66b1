/* The cache of the Hugging Face hub, shared with Python's huggingface_hub (its docs: "Understand
   caching"): models--ORG--NAME/refs/REVISION holds a commit, snapshots/COMMIT/FILE is a link to
   blobs/ETAG. It lies in $HF_HUB_CACHE, or else in hub under $HF_HOME, or else in
   ${XDG_CACHE_HOME:-~/.cache}/huggingface/hub. */
#ifndef AT_CACHE_H
#define AT_CACHE_H

#include "base/base.h"

/* What "ORG/NAME[/FILE][@REVISION]" means; an older repository may have no ORG (and then no FILE).
 */
typedef struct at_hub_name {
    char repo[97];
    char file[1024];    /* "": the whole repository */
    char revision[256]; /* a branch, a tag or a commit; "main" where none is given */
} at_hub_name;

/* False where the text is no such name. */
bool at_hub_name_read(at_hub_name *name, const char *text);

/* Names that a server gives become files: a relative path without "..", empty or very long parts,
   backslashes and control characters. */
bool at_hub_path_is_safe(const char *path);

bool at_hub_is_commit(const char *revision); /* 40 hexadecimal digits */

/* True where an environment variable is set to 1, on, yes or true. */
bool at_hub_flag(const char *variable);

/* A file of the hub's home ($HF_HOME, or its default): "token". The caller frees it, as all paths
   here. */
char *at_hub_home(at_context *cx, const char *file);
char *at_hub_cache(at_context *cx);
char *at_hub_repo_folder(at_context *cx, const char *repo);

/* The snapshot's folder; NULL without an error where it is not here. */
char *at_hub_snapshot(at_context *cx, const at_hub_name *name);

/* What a model of this name is opened by: the file, or the snapshot's folder where that has a
   description, or else its only file of weights. NULL without an error where it is not here; with
   one where there are several files to choose from. */
char *at_hub_find(at_context *cx, const at_hub_name *name);

/* Every name in the cache that at_hub_find opens, with the path: repositories by their refs, and
   the files of those that hold several. */
typedef void (*at_hub_visit)(at_context *cx, void *user, const char *name, const char *path);
void at_hub_list(at_context *cx, at_hub_visit visit, void *user);

/* By its suffix. */
bool at_hub_is_weights(const char *path);

#endif
