/* Tokens to ids and back. */
#include "text/tokenizer_parts.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct entry {
    size_t start; /* in bytes */
    size_t size;
    int32_t id;
} entry;

struct at_vocabulary {
    at_map *ids;
    at_text bytes; /* the tokens, one after the other */
    entry *entries;
    size_t count, capacity;
};

at_vocabulary *at_vocabulary_new(at_context *cx)
{
    at_vocabulary *v = at_ok(cx) ? AT_NEW(cx, at_vocabulary) : NULL;
    if (!v) return NULL;
    v->ids = at_map_new(cx);
    if (v->ids) return v;
    at_free(v);
    return NULL;
}

void at_vocabulary_free(at_vocabulary *v)
{
    if (!v) return;
    at_map_free(v->ids);
    at_text_free(&v->bytes);
    at_free(v->entries);
    at_free(v);
}

bool at_vocabulary_add(at_context *cx, at_vocabulary *v, const char *token, size_t size, int32_t id)
{
    if (v->count == v->capacity) {
        size_t capacity = v->capacity * 2 + 64;
        entry *entries = at_resize(cx, v->entries, capacity, sizeof *entries);
        if (!entries) return false;
        v->entries = entries;
        v->capacity = capacity;
    }
    size_t start = v->bytes.size;
    at_text_add(cx, &v->bytes, token, size);
    if (at_failed(cx) || !at_map_set(cx, v->ids, token, size, id)) return false;
    v->entries[v->count++] = (entry){start, size, id};
    return true;
}

bool at_vocabulary_id(const at_vocabulary *v, const char *token, size_t size, int32_t *id)
{
    int64_t value;
    if (!v || !at_map_get(v->ids, token, size, &value)) return false;
    *id = (int32_t)value;
    return true;
}

size_t at_vocabulary_count(const at_vocabulary *v)
{
    return v ? at_map_count(v->ids) : 0;
}

static int by_id(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    if (x->id != y->id) return x->id < y->id ? -1 : 1;
    return x->start < y->start ? -1 : x->start > y->start;
}

void at_vocabulary_finish(at_vocabulary *v)
{
    bool sorted = true;
    for (size_t i = 1; i < v->count && sorted; i++)
        sorted = v->entries[i - 1].id < v->entries[i].id;
    if (!sorted) qsort(v->entries, v->count, sizeof *v->entries, by_id);
}

const char *at_vocabulary_token(const at_vocabulary *v, int32_t id, size_t *size)
{
    size_t low = 0, high = v ? v->count : 0; /* the last entry with this id */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (v->entries[middle].id <= id)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0 || v->entries[low - 1].id != id) return NULL;
    *size = v->entries[low - 1].size;
    return v->bytes.data + v->entries[low - 1].start;
}

at_vocabulary *at_vocabulary_parse(at_context *cx, const cJSON *json, const char *what)
{
    if (!cJSON_IsObject(json))
        return at_fail(cx, AT_ERROR_FORMAT, "%s: \"vocab\" must be an object", what);
    at_vocabulary *v = at_vocabulary_new(cx);
    const cJSON *item;
    cJSON_ArrayForEach(item, json)
    {
        int32_t id;
        if (!v) break;
        if (!at_json_id(item, &id)) {
            at_fail(cx, AT_ERROR_FORMAT, "%s: the id of \"%.80s\" is not a whole number", what,
                    item->string);
            break;
        }
        if (!at_vocabulary_add(cx, v, item->string, strlen(item->string), id)) break;
    }
    if (v && !at_failed(cx)) return at_vocabulary_finish(v), v;
    at_vocabulary_free(v);
    return NULL;
}

bool at_vocabulary_byte(const at_vocabulary *v, unsigned char byte, int32_t *id)
{
    char name[8];
    int n = snprintf(name, sizeof name, "<0x%02X>", byte);
    return at_vocabulary_id(v, name, (size_t)n, id);
}
