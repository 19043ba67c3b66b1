/* Fields of tokenizer.json. */
#include "text/tokenizer_parts.h"
#include <math.h>
#include <string.h>

enum { DEEPEST = 32 }; /* Sequences in Sequences */

const char *at_json_text(const cJSON *item)
{
    return cJSON_IsString(item) ? item->valuestring : NULL;
}

bool at_json_id(const cJSON *item, int32_t *id)
{
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0) || item->valuedouble > INT32_MAX ||
        item->valuedouble != floor(item->valuedouble))
        return false;
    *id = (int32_t)item->valuedouble;
    return true;
}

const char *at_field_text(at_context *cx, const cJSON *json, const char *key, const char *what)
{
    const char *text = at_json_text(cJSON_GetObjectItemCaseSensitive(json, key));
    return text ? text : at_fail(cx, AT_ERROR_FORMAT, "%s: \"%s\" must be a string", what, key);
}

bool at_field_bool(at_context *cx, const cJSON *json, const char *key, bool fallback,
                   const char *what)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, key);
    if (!item || cJSON_IsNull(item)) return fallback;
    if (cJSON_IsBool(item)) return cJSON_IsTrue(item);
    return at_fail_false(cx, AT_ERROR_FORMAT, "%s: \"%s\" must be true or false", what, key);
}

int64_t at_field_count(at_context *cx, const cJSON *json, const char *key, int64_t fallback,
                       int64_t most, const char *what)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, key);
    if (!item || cJSON_IsNull(item)) return fallback;
    if (cJSON_IsNumber(item) && item->valuedouble >= 0 && item->valuedouble <= (double)most &&
        item->valuedouble == floor(item->valuedouble))
        return (int64_t)item->valuedouble;
    at_fail(cx, AT_ERROR_FORMAT, "%s: \"%s\" must be a whole number from 0 to %lld", what, key,
            (long long)most);
    return fallback;
}

typedef bool step_function(at_context *cx, void *stage, const cJSON *step, const char *type,
                           const char *what);

static bool each_step(at_context *cx, const cJSON *json, const char *list, const char *what,
                      step_function *one, void *stage, int depth)
{
    if (!at_ok(cx)) return false;
    const char *type = at_field_text(cx, json, "type", what);
    if (!type) return false;
    if (strcmp(type, "Sequence") != 0) return one(cx, stage, json, type, what) && !at_failed(cx);
    const cJSON *steps = cJSON_GetObjectItemCaseSensitive(json, list), *step;
    if (!cJSON_IsArray(steps))
        return at_fail_false(cx, AT_ERROR_FORMAT, "%s: a Sequence without \"%s\"", what, list);
    if (depth == DEEPEST)
        return at_fail_false(cx, AT_ERROR_FORMAT, "%s: Sequences are nested too deeply", what);
    cJSON_ArrayForEach(step, steps)
    {
        if (!each_step(cx, step, list, what, one, stage, depth + 1)) return false;
    }
    return true;
}

bool at_each_step(at_context *cx, const cJSON *json, const char *list, const char *what,
                  step_function *one, void *stage)
{
    return each_step(cx, json, list, what, one, stage, 0);
}
