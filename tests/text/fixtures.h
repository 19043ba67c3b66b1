/* The fixtures of tools/reference/tokenizer_fixtures.py. */
#ifndef TESTS_TEXT_FIXTURES_H
#define TESTS_TEXT_FIXTURES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/text.h"
#include "text/tokenizer.h"

typedef struct bytes {
    char *data;
    size_t size;
} bytes;

static inline bytes from_hex(const cJSON *item)
{
    const char *hex = item->valuestring;
    bytes b = {malloc(strlen(hex) / 2 + 1), strlen(hex) / 2};
    for (size_t i = 0; i < b.size; i++) {
        unsigned value;
        sscanf(hex + 2 * i, "%2x", &value);
        b.data[i] = (char)value;
    }
    b.data[b.size] = 0;
    return b;
}

static inline cJSON *read_fixture(at_context *cx, const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/tokenizers/%s", AT_FIXTURES, name);
    cJSON *json = at_json_read(cx, path);
    if (!json) fail_msg("%s", at_error_text(cx));
    return json;
}

/* Shows the first place where two lists of ids differ; 0 when they do not. */
static inline int differs(const char *what, int row, const at_ids *got, const cJSON *wanted)
{
    int count = cJSON_GetArraySize(wanted), i = 0;
    const cJSON *item = wanted->child;
    for (; item && (size_t)i < got->count; item = item->next, i++)
        if (item->valueint != got->ids[i]) break;
    if (!item && got->count == (size_t)count) return 0;
    fprintf(stderr, "%s, text %d: %zu ids, wanted %d; at %d: %d, wanted %d\n", what, row,
            got->count, count, i, (size_t)i < got->count ? got->ids[i] : -1,
            item ? item->valueint : -1);
    return 1;
}

static inline int text_differs(const char *what, int row, const char *got, size_t size,
                               const cJSON *wanted)
{
    bytes b = from_hex(wanted);
    int bad = !got || size != b.size || memcmp(got, b.data, size) != 0;
    if (bad)
        fprintf(stderr, "%s, text %d: \"%s\" (%zu), wanted \"%s\" (%zu)\n", what, row,
                got ? got : "", size, b.data, b.size);
    free(b.data);
    return bad;
}

#endif
