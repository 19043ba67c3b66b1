/* From names to models: what the public functions that load add to those that open. */
#include "hub/models.h"
#include "pipelines/kokoro/speaker.h"
#include "pipelines/pipeline.h"
#include "pipelines/whisper/model.h"

at_pipeline *at_pipeline_load_files(at_context *cx, const at_model_files *files)
{
    at_model_files found = *files;
    const char **parts[] = {&found.model,        &found.transformer,    &found.vae,
                            &found.text_encoder, &found.text_encoder_2, &found.text_encoder_3,
                            &found.tokenizer,    &found.tokenizer_2,    &found.tokenizer_3};
    char *paths[AT_COUNT(parts)] = {0};
    for (size_t i = 0; i < AT_COUNT(parts); i++)
        if (i == 0 || *parts[i]) *parts[i] = paths[i] = at_model_find(cx, *parts[i]);
    at_pipeline *pipeline = at_ok(cx) ? at_pipeline_open_files(cx, &found) : NULL;
    for (size_t i = 0; i < AT_COUNT(parts); i++) at_free(paths[i]);
    return pipeline;
}

at_pipeline *at_pipeline_load(at_context *cx, const char *model)
{
    return at_pipeline_load_files(cx, &(at_model_files){.model = model});
}

at_speaker *at_speaker_load(at_context *cx, const char *model)
{
    static const char *const names[] = {"kokoro", "hexgrad/Kokoro-82M", NULL};
    char *path = at_model_find_default(cx, model, names, "atelier pull hexgrad/Kokoro-82M");
    at_speaker *speaker = path ? at_speaker_open(cx, path) : NULL;
    at_free(path);
    return speaker;
}

at_transcriber *at_transcriber_load(at_context *cx, const char *model)
{
    static const char *const names[] = {"whisper-base", "openai/whisper-base", "whisper-tiny.en",
                                        NULL};
    char *path = at_model_find_default(cx, model, names, "atelier pull openai/whisper-base");
    at_transcriber *transcriber = path ? at_transcriber_open(cx, path) : NULL;
    at_free(path);
    return transcriber;
}
