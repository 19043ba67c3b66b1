/* From a name to a model that speaks: what the public at_speaker_load adds to at_speaker_open. */
#include "hub/models.h"
#include "pipelines/kokoro/speaker.h"

at_speaker *at_speaker_load(at_context *cx, const char *model)
{
    static const char *const names[] = {"kokoro", "hexgrad/Kokoro-82M", NULL};
    char *path = at_model_find_default(cx, model, names, "atelier pull hexgrad/Kokoro-82M");
    at_speaker *speaker = path ? at_speaker_open(cx, path) : NULL;
    at_free(path);
    return speaker;
}
