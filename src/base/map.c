#include "base/map.h"
#include <string.h>

typedef struct entry {
    char *key; /* NULL: empty */
    size_t size;
    uint64_t hash;
    int64_t value;
} entry;

struct at_map {
    entry *entries; /* open addressing, a power of two, at most 3/4 full */
    size_t capacity;
    size_t count;
};

static uint64_t hash_of(const char *key, size_t size)
{
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a, then a final mix */
    for (size_t i = 0; i < size; i++) h = (h ^ (unsigned char)key[i]) * 0x100000001b3u;
    h ^= h >> 32;
    return h * 0x9e3779b97f4a7c15u;
}

static entry *find(const at_map *map, const char *key, size_t size, uint64_t hash)
{
    for (size_t i = hash >> 7;; i++) {
        entry *e = &map->entries[i & (map->capacity - 1)];
        if (!e->key || (e->hash == hash && e->size == size && memcmp(e->key, key, size) == 0))
            return e;
    }
}

static bool grow(at_context *cx, at_map *map)
{
    at_map bigger = {AT_NEW_ARRAY(cx, entry, map->capacity * 2), map->capacity * 2, map->count};
    if (!bigger.entries) return false;
    for (size_t i = 0; i < map->capacity; i++) {
        entry *e = &map->entries[i];
        if (e->key) *find(&bigger, e->key, e->size, e->hash) = *e;
    }
    at_free(map->entries);
    *map = bigger;
    return true;
}

at_map *at_map_new(at_context *cx)
{
    at_map *map = AT_NEW(cx, at_map);
    if (!map) return NULL;
    map->capacity = 16;
    map->entries = AT_NEW_ARRAY(cx, entry, map->capacity);
    if (map->entries) return map;
    at_free(map);
    return NULL;
}

void at_map_free(at_map *map)
{
    if (!map) return;
    for (size_t i = 0; i < map->capacity; i++) at_free(map->entries[i].key);
    at_free(map->entries);
    at_free(map);
}

bool at_map_set(at_context *cx, at_map *map, const char *key, size_t size, int64_t value)
{
    if (!map || (map->count * 4 >= map->capacity * 3 && !grow(cx, map))) return false;
    uint64_t hash = hash_of(key, size);
    entry *e = find(map, key, size, hash);
    if (!e->key) {
        char *copy = at_alloc(cx, size + 1, 1);
        if (!copy) return false;
        *e = (entry){memcpy(copy, key, size), size, hash, 0};
        map->count++;
    }
    e->value = value;
    return true;
}

bool at_map_get(const at_map *map, const char *key, size_t size, int64_t *value)
{
    if (!map) return false;
    const entry *e = find(map, key, size, hash_of(key, size));
    if (!e->key) return false;
    *value = e->value;
    return true;
}

size_t at_map_count(const at_map *map)
{
    return map ? map->count : 0;
}
