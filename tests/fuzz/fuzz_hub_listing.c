#include "fuzz.h"
#include "hub/cache.h"
#include "hub/listing.h"
#include <string.h>

/* What a hub answers, and what is chosen of it: only names that are safe to write. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char index[] = "{\"unet\": [\"diffusers\", \"U\"], \"vae\": [\"d\", \"V\"]}";
    const char *globs[] = {"*a*", "*[!b].?son"};
    at_hub_choice choices[] = {{0},
                               {.variant = "fp16"},
                               {.file = "a/b.json"},
                               {.include = globs, .include_count = 2},
                               {.exclude = globs, .exclude_count = 1}};
    at_context *cx = at_context_new(NULL);
    at_hub_choice *choice = size ? &choices[data[0] % AT_COUNT(choices)] : &choices[0];
    cJSON *json = size && data[0] & 64 ? at_json_parse(cx, index, strlen(index), "index") : NULL;
    const char *text = (const char *)data + (size > 0);
    at_hub_listing *listing = at_hub_listing_read(cx, text, size - (size > 0), "t/t");
    if (!listing != at_failed(cx)) abort();
    bool fine = listing && at_hub_choose(cx, listing, choice, json, "t/t");
    for (int i = 0; fine && i < listing->count; i++)
        if (listing->files[i].chosen && !at_hub_path_is_safe(listing->files[i].name)) abort();
    at_hub_listing_free(listing);
    cJSON_Delete(json);
    fuzz_end(cx);
    return 0;
}
