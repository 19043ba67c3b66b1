#include "pipelines/kokoro/speaker.h"
#include "base/file.h"
#include "base/threads.h"
#include "formats/weights.h"
#include <string.h>

static void destroy(void *object)
{
    at_speaker *s = object;
    at_module_free(s->module);
    at_map_free(s->symbols);
    at_free(s->folder);
    at_free(s);
}

void at_speaker_free(at_speaker *speaker)
{
    if (!speaker) return;
    at_disown(speaker->cx, speaker);
    destroy(speaker);
}

/* "vocab": symbols of one character and their ids. */
static void read_symbols(at_speaker *s, const at_config *config)
{
    at_context *cx = s->cx;
    const cJSON *vocab = cJSON_GetObjectItemCaseSensitive(at_config_json(config), "vocab"), *item;
    s->symbols = at_map_new(cx);
    if (!cJSON_IsObject(vocab))
        at_fail(cx, AT_ERROR_FORMAT, "%s: no \"vocab\"", at_config_what(config));
    cJSON_ArrayForEach(item, vocab)
    {
        double id = cJSON_IsNumber(item) ? item->valuedouble : -1;
        if (!(id >= 0 && id < (double)s->info.symbols) || id != (double)(int64_t)id)
            at_fail(cx, AT_ERROR_FORMAT, "%s: \"vocab\": \"%.40s\" must be a number below %lld",
                    at_config_what(config), item->string, (long long)s->info.symbols);
        if (!at_ok(cx)) return;
        at_map_set(cx, s->symbols, item->string, strlen(item->string), (int64_t)id);
    }
}

/* Weights under the names that transformers gives, or hexgrad. */
static at_weights *open_weights(at_context *cx, const char *folder)
{
    static const char *const names[] = {"kokoro-v1_0.pth", "kokoro-v1_1-zh.pth"};
    for (size_t i = 0; i < AT_COUNT(names); i++) {
        char *path = at_path_join(cx, folder, names[i]);
        bool there = path && at_file_exists(path);
        at_weights *weights = there ? at_weights_open(cx, path) : NULL;
        at_free(path);
        if (there) return weights;
    }
    return at_weights_open(cx, folder);
}

at_speaker *at_speaker_open(at_context *cx, const char *folder)
{
    double started = at_clock();
    at_speaker *s = at_ok(cx) ? AT_NEW(cx, at_speaker) : NULL;
    if (!s) return NULL;
    s->cx = cx;
    s->folder = at_copy_text(cx, folder);
    if (!at_own(cx, s, destroy)) return NULL;
    char *path = at_path_join(cx, folder, "config.json");
    at_config *config = path ? at_config_read(cx, path) : NULL;
    at_weights *weights = config ? open_weights(cx, folder) : NULL;
    s->module = at_module_load_weights(cx, config, weights, folder, "KModel");
    if (s->module) {
        s->info = at_kokoro_info_of(s->module);
        read_symbols(s, config);
    }
    at_weights_free(weights);
    at_config_free(config);
    at_free(path);
    s->load_seconds = at_clock() - started;
    if (at_ok(cx)) return s;
    at_speaker_free(s);
    return NULL;
}

int at_speaker_rate(const at_speaker *speaker)
{
    (void)speaker;
    return AT_KOKORO_RATE;
}
