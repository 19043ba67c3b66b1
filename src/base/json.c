#include "base/json.h"
#include "base/file.h"
#include "base/map.h"
#include <math.h>
#include <string.h>

enum { JSON_LIMIT = 256 << 20, MOST_VALUES = 8 << 20 };

/* cJSON spends 64 bytes on a value that takes two in the text. Counts every value (and what looks
   like one inside strings). */
static bool too_many_values(const char *text, size_t size)
{
    size_t count = 0;
    for (size_t i = 0; i < size; i++) count += text[i] == ',' || text[i] == '[' || text[i] == '{';
    return count > MOST_VALUES;
}

cJSON *at_json_parse(at_context *cx, const char *text, size_t size, const char *what)
{
    if (!at_ok(cx)) return NULL;
    const char *end = text;
    if (too_many_values(text, size))
        return at_fail(cx, AT_ERROR_FORMAT, "%s: more than %d values", what, MOST_VALUES);
    if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) text += 3, size -= 3;
    cJSON *json = cJSON_ParseWithLengthOpts(text, size, &end, false);
    if (!json) {
        long line = 1;
        for (const char *c = text; end && c < end; c++) line += *c == '\n';
        return at_fail(cx, AT_ERROR_FORMAT, "%s: not valid JSON (line %ld)", what, line);
    }
    while (end < text + size && *end && strchr(" \t\r\n", *end)) end++;
    if (end >= text + size) return json;
    cJSON_Delete(json);
    return at_fail(cx, AT_ERROR_FORMAT, "%s: not valid JSON (something follows the value)", what);
}

cJSON *at_json_read(at_context *cx, const char *path)
{
    size_t size = 0;
    char *text = at_file_read(cx, path, JSON_LIMIT, &size);
    cJSON *json = text ? at_json_parse(cx, text, size, path) : NULL;
    at_free(text);
    return json;
}

struct at_config {
    cJSON *json;
    char *what;
    at_map *seen;
};

static at_config *config_of(at_context *cx, cJSON *json, const char *what)
{
    if (json && !cJSON_IsObject(json)) at_fail(cx, AT_ERROR_FORMAT, "%s: not a JSON object", what);
    at_config *config = at_ok(cx) && json ? AT_NEW(cx, at_config) : NULL;
    if (!config) {
        cJSON_Delete(json);
        return NULL;
    }
    *config = (at_config){json, at_copy_text(cx, what), at_map_new(cx)};
    if (config->what && config->seen) return config;
    at_config_free(config);
    return NULL;
}

at_config *at_config_read(at_context *cx, const char *path)
{
    return config_of(cx, at_json_read(cx, path), path);
}

at_config *at_config_parse(at_context *cx, const char *text, size_t size, const char *what)
{
    return config_of(cx, at_json_parse(cx, text, size, what), what);
}

void at_config_free(at_config *config)
{
    if (!config) return;
    cJSON_Delete(config->json);
    at_map_free(config->seen);
    at_free(config->what);
    at_free(config);
}

const cJSON *at_config_json(const at_config *config)
{
    return config ? config->json : NULL;
}

const char *at_config_what(const at_config *config)
{
    return config ? config->what : "";
}

const cJSON *at_config_item(at_config *config, const char *key)
{
    if (!config) return NULL;
    at_map_set(NULL, config->seen, key, strlen(key), 1);
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(config->json, key);
    return item && !cJSON_IsNull(item) ? item : NULL;
}

bool at_config_has(const at_config *config, const char *key)
{
    const cJSON *item = config ? cJSON_GetObjectItemCaseSensitive(config->json, key) : NULL;
    return item && !cJSON_IsNull(item);
}

static bool whole(const cJSON *item)
{
    return cJSON_IsNumber(item) && item->valuedouble == floor(item->valuedouble) &&
           fabs(item->valuedouble) <= 9007199254740992.0;
}

static void wrong_type(at_context *cx, const at_config *config, const char *key, const char *wanted)
{
    at_fail(cx, AT_ERROR_FORMAT, "%s: \"%s\" must be %s", config->what, key, wanted);
}

int64_t at_config_int(at_context *cx, at_config *config, const char *key, int64_t fallback)
{
    const cJSON *item = at_config_item(config, key);
    if (!item) return fallback;
    if (whole(item)) return (int64_t)item->valuedouble;
    wrong_type(cx, config, key, "a whole number");
    return fallback;
}

int at_config_range(at_context *cx, at_config *config, const char *key, int64_t fallback,
                    int64_t low, int64_t high)
{
    int64_t value = at_config_int(cx, config, key, fallback);
    if (value >= low && value <= high) return (int)value;
    if (config)
        at_fail(cx, AT_ERROR_FORMAT, "%s: \"%s\" is %lld, outside %lld to %lld", config->what, key,
                (long long)value, (long long)low, (long long)high);
    return (int)fallback;
}

double at_config_number(at_context *cx, at_config *config, const char *key, double fallback)
{
    const cJSON *item = at_config_item(config, key);
    if (!item) return fallback;
    if (cJSON_IsNumber(item) && isfinite(item->valuedouble)) return item->valuedouble;
    wrong_type(cx, config, key, "a number");
    return fallback;
}

bool at_config_bool(at_context *cx, at_config *config, const char *key, bool fallback)
{
    const cJSON *item = at_config_item(config, key);
    if (!item) return fallback;
    if (cJSON_IsBool(item)) return cJSON_IsTrue(item);
    wrong_type(cx, config, key, "true or false");
    return fallback;
}

const char *at_config_text(at_context *cx, at_config *config, const char *key, const char *fallback)
{
    const cJSON *item = at_config_item(config, key);
    if (!item) return fallback;
    if (cJSON_IsString(item)) return item->valuestring;
    wrong_type(cx, config, key, "a string");
    return fallback;
}

int at_config_ints(at_context *cx, at_config *config, const char *key, int64_t *out, int most,
                   const int64_t *fallback, int fallback_count)
{
    const cJSON *item = at_config_item(config, key), *element;
    int count = 0;
    if (!item) {
        for (; count < fallback_count && count < most; count++) out[count] = fallback[count];
        return count;
    }
    if (whole(item)) return out[0] = (int64_t)item->valuedouble, 1;
    if (!cJSON_IsArray(item)) return wrong_type(cx, config, key, "a list of whole numbers"), 0;
    cJSON_ArrayForEach(element, item)
    {
        if (!whole(element)) return wrong_type(cx, config, key, "a list of whole numbers"), 0;
        if (count == most) {
            at_fail(cx, AT_ERROR_FORMAT, "%s: \"%s\" has more than %d entries", config->what, key,
                    most);
            return 0;
        }
        out[count++] = (int64_t)element->valuedouble;
    }
    return count;
}

void at_config_expect_bool(at_context *cx, at_config *config, const char *key, bool fallback,
                           bool only)
{
    if (config && at_config_bool(cx, config, key, fallback) != only)
        at_fail(cx, AT_ERROR_UNSUPPORTED, "%s: \"%s\": %s is not supported (only %s)", config->what,
                key, only ? "false" : "true", only ? "true" : "false");
}

void at_config_expect_text(at_context *cx, at_config *config, const char *key, const char *fallback,
                           const char *only)
{
    const char *value = at_config_text(cx, config, key, fallback);
    if (config && (!value || strcmp(value, only) != 0))
        at_fail(cx, AT_ERROR_UNSUPPORTED, "%s: \"%s\": \"%s\" is not supported (only \"%s\")",
                config->what, key, value ? value : "null", only);
}

void at_config_ignore(at_config *config, const char *const *keys)
{
    for (; config && *keys; keys++) at_map_set(NULL, config->seen, *keys, strlen(*keys), 1);
}

static bool off(const cJSON *item)
{
    return cJSON_IsNull(item) || cJSON_IsFalse(item) ||
           (cJSON_IsString(item) && !item->valuestring[0]) ||
           ((cJSON_IsArray(item) || cJSON_IsObject(item)) && !item->child);
}

void at_config_finish(at_context *cx, at_config *config)
{
    const cJSON *item;
    int64_t seen;
    if (!config || at_failed(cx)) return;
    cJSON_ArrayForEach(item, config->json)
    {
        if (item->string[0] == '_' || off(item) ||
            at_map_get(config->seen, item->string, strlen(item->string), &seen))
            continue;
        at_fail(cx, AT_ERROR_UNSUPPORTED,
                "%s: the option \"%s\" is not known (remove it if it does not matter)",
                config->what, item->string);
        return;
    }
}
