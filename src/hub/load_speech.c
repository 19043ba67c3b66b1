/* From a name to a model that hears: what the public at_transcriber_load adds to
   at_transcriber_open. */
#include "hub/models.h"
#include "pipelines/whisper/model.h"

at_transcriber *at_transcriber_load(at_context *cx, const char *model)
{
    static const char *const names[] = {"whisper-base", "openai/whisper-base", "whisper-tiny.en",
                                        NULL};
    char *path = at_model_find_default(cx, model, names, "atelier pull openai/whisper-base");
    at_transcriber *transcriber = path ? at_transcriber_open(cx, path) : NULL;
    at_free(path);
    return transcriber;
}
