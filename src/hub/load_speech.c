/* From a name to a model that hears: what the public at_transcriber_load adds to
   at_transcriber_open. */
#include "hub/models.h"
#include "pipelines/whisper/model.h"

/* What tools/weights/get.py fetches; the multilingual one first. */
static char *find_default(at_context *cx)
{
    static const char *const names[] = {"whisper-base", "whisper-tiny.en"};
    if (!at_ok(cx)) return NULL;
    for (size_t i = 0; i < AT_COUNT(names); i++) {
        char *path = at_model_find(cx, names[i]);
        if (path || at_error_status(cx) != AT_ERROR_FILE) return path;
        at_error_clear(cx);
    }
    return at_fail(cx, AT_ERROR_FILE,
                   "whisper-base: not here (fetch it with tools/weights/get.py whisper-base, or "
                   "give another model)");
}

at_transcriber *at_transcriber_load(at_context *cx, const char *model)
{
    char *path = model ? at_model_find(cx, model) : find_default(cx);
    at_transcriber *transcriber = path ? at_transcriber_open(cx, path) : NULL;
    at_free(path);
    return transcriber;
}
