/* The model of a tokenizer.json, by its type. */
#include "text/tokenizer_parts.h"
#include <string.h>

/* Files from before the type was written: told apart by what they have. */
static const char *type_of(const cJSON *json)
{
    const char *type = at_json_text(cJSON_GetObjectItemCaseSensitive(json, "type"));
    if (type) return type;
    if (cJSON_GetObjectItemCaseSensitive(json, "merges")) return "BPE";
    if (cJSON_IsArray(cJSON_GetObjectItemCaseSensitive(json, "vocab"))) return "Unigram";
    if (cJSON_GetObjectItemCaseSensitive(json, "continuing_subword_prefix")) return "WordPiece";
    return "WordLevel";
}

at_model *at_model_parse(at_context *cx, const cJSON *json, const char *what)
{
    static const struct {
        const char *type;
        at_model *(*parse)(at_context *, const cJSON *, const char *);
    } models[] = {{"BPE", at_bpe_parse},
                  {"Unigram", at_unigram_parse},
                  {"WordPiece", at_wordpiece_parse},
                  {"WordLevel", at_wordlevel_parse}};
    if (!at_ok(cx)) return NULL;
    if (!cJSON_IsObject(json)) return at_fail(cx, AT_ERROR_FORMAT, "%s: no \"model\"", what);
    const char *type = type_of(json);
    for (size_t i = 0; i < AT_COUNT(models); i++)
        if (strcmp(type, models[i].type) == 0) return models[i].parse(cx, json, what);
    return at_fail(cx, AT_ERROR_UNSUPPORTED, "%s: the model \"%.40s\" is not supported", what,
                   type);
}

void at_model_free(at_model *model)
{
    if (!model) return;
    at_vocabulary_free(model->vocabulary);
    model->destroy(model);
}
