/* JSON (cJSON) with errors that go to the context, and configurations whose unread keys are
 * reported. */
#ifndef AT_JSON_H
#define AT_JSON_H

#include "base/base.h"
#include <cjson/cJSON.h>

/* what: how messages call it, mostly the path. Nothing may follow the value but white space. */
cJSON *at_json_parse(at_context *cx, const char *text, size_t size, const char *what);
cJSON *at_json_read(at_context *cx, const char *path); /* cJSON_Delete frees it */

/* A configuration as the reference class reads it: each option is asked for by name with the
   class's default. A key of the wrong type fails; null means the default. at_config_finish refuses
   what nobody asked for. */
typedef struct at_config at_config;

at_config *at_config_read(at_context *cx, const char *path);
at_config *at_config_parse(at_context *cx, const char *text, size_t size, const char *what);
void at_config_free(at_config *config);
const cJSON *at_config_json(const at_config *config);
const char *at_config_what(const at_config *config);

int64_t at_config_int(at_context *cx, at_config *config, const char *key, int64_t fallback);
double at_config_number(at_context *cx, at_config *config, const char *key, double fallback);
bool at_config_bool(at_context *cx, at_config *config, const char *key, bool fallback);
const char *at_config_text(at_context *cx, at_config *config, const char *key,
                           const char *fallback);

/* Reads up to `most` integers of a list (a single integer counts as a list of one) and gives how
   many; the fallback list when the key is missing. */
int at_config_ints(at_context *cx, at_config *config, const char *key, int64_t *out, int most,
                   const int64_t *fallback, int fallback_count);
const cJSON *at_config_item(at_config *config,
                            const char *key); /* any type, marked as read; NULL: missing or null */
bool at_config_has(const at_config *config,
                   const char *key); /* there and not null; not marked as read */

/* An integer in [low, high], else AT_ERROR_FORMAT naming key and range. */
int at_config_range(at_context *cx, at_config *config, const char *key, int64_t fallback,
                    int64_t low, int64_t high);

/* Options that change the result and that atelier computes in one way only: another value is
 * refused by name. */
void at_config_expect_bool(at_context *cx, at_config *config, const char *key, bool fallback,
                           bool only);
void at_config_expect_text(at_context *cx, at_config *config, const char *key, const char *fallback,
                           const char *only);

/* Keys that never change the result (a NULL-terminated list). */
void at_config_ignore(at_config *config, const char *const *keys);

/* Refuses every key that was neither read nor ignored, by name; keys with a leading underscore, and
   values null, false, "" and empty lists are passed over. Does nothing when cx has failed. */
void at_config_finish(at_context *cx, at_config *config);

#endif
