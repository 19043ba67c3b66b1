#include "hub/listing.h"
#include "hub/cache.h"
#include <stdlib.h>
#include <string.h>

void at_hub_listing_free(at_hub_listing *listing)
{
    if (!listing) return;
    for (int i = 0; i < listing->count; i++) at_free(listing->files[i].name);
    at_free(listing->files);
    at_free(listing);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const at_hub_file *)a)->name, ((const at_hub_file *)b)->name);
}

at_hub_file *at_hub_listing_find(const at_hub_listing *listing, const char *name)
{
    at_hub_file key = {.name = (char *)(uintptr_t)name};
    if (!listing->count) return NULL;
    return bsearch(&key, listing->files, (size_t)listing->count, sizeof key, by_name);
}

at_hub_listing *at_hub_listing_read(at_context *cx, const char *text, size_t size, const char *what)
{
    cJSON *json = at_json_parse(cx, text, size, what);
    const cJSON *siblings = cJSON_GetObjectItemCaseSensitive(json, "siblings"), *item;
    const char *commit = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "sha"));
    if (json && (!cJSON_IsArray(siblings) || !commit || !at_hub_is_commit(commit)))
        at_fail(cx, AT_ERROR_FORMAT, "%s: the answer is not a hub's list of files", what);
    at_hub_listing *listing = at_ok(cx) ? AT_NEW(cx, at_hub_listing) : NULL;
    if (listing) {
        memcpy(listing->commit, commit, sizeof listing->commit);
        listing->files = AT_NEW_ARRAY(cx, at_hub_file, AT_MAX(cJSON_GetArraySize(siblings), 1));
        cJSON_ArrayForEach(item, siblings)
        {
            const cJSON *name = cJSON_GetObjectItemCaseSensitive(item, "rfilename");
            if (!at_ok(cx) || !cJSON_IsString(name)) continue;
            listing->files[listing->count].name = at_copy_text(cx, name->valuestring);
            if (at_ok(cx)) listing->count++;
        }
        if (listing->count)
            qsort(listing->files, (size_t)listing->count, sizeof *listing->files, by_name);
    }
    cJSON_Delete(json);
    if (at_ok(cx)) return listing;
    at_hub_listing_free(listing);
    return NULL;
}
