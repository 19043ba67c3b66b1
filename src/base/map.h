/* A hash map from byte strings to 64-bit values. Keys are copied. */
#ifndef AT_MAP_H
#define AT_MAP_H

#include "base/base.h"

typedef struct at_map at_map;

at_map *at_map_new(at_context *cx);
void at_map_free(at_map *map);

/* Sets or replaces; false on no memory. */
bool at_map_set(at_context *cx, at_map *map, const char *key, size_t size, int64_t value);

/* False when the key is not there; *value is then left alone. map may be NULL. */
bool at_map_get(const at_map *map, const char *key, size_t size, int64_t *value);
size_t at_map_count(const at_map *map);

#endif
