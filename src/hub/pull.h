/* atelier pull: a repository of a Hugging Face style hub into the cache that Python shares. */
#ifndef AT_PULL_H
#define AT_PULL_H

#include "hub/listing.h"

typedef struct at_pulled {
    char *path; /* what at_model_find gives for the name from now on; NULL: files to choose from */
    char commit[41];
    char **files; /* names in the repository */
    int file_count;
    size_t bytes;   /* of all of them */
    size_t fetched; /* of those that came now */
} at_pulled;

/* Fetches what at_hub_choose marks of `name` ("ORG/NAME[/FILE][@REVISION]"), file by file, each
   there whole and checked (SHA-256, or git's SHA-1) or not at all; what was broken off goes on
   where it was. The revision's ref is written last: a model that is not whole has no name. With
   HF_HUB_OFFLINE nothing is asked, and what is here is found.
   choice->file is not looked at: the name says it. False with the error kept. */
bool at_hub_pull(at_context *cx, const char *name, const at_hub_choice *choice, at_pulled *pulled);
void at_pulled_free(at_pulled *pulled);

#endif
