/* One file of tests/fixtures/ops: tensors "<case>.<tensor>" and the scalars of each case. */
#ifndef TESTS_FIXTURE_GROUP_H
#define TESTS_FIXTURE_GROUP_H

#include "base/json.h"
#include "parity.h"

typedef struct group {
    at_context *cx;
    at_weights *tensors;
    cJSON *cases;
    const char *name; /* of the case at hand */
    const cJSON *scalars;
} group;

static inline group open_group(const char *name)
{
    char path[512];
    group g = {.cx = f32_context()};
    snprintf(path, sizeof path, AT_FIXTURES "/ops/%s.safetensors", name);
    g.tensors = at_weights_open(g.cx, path);
    snprintf(path, sizeof path, AT_FIXTURES "/ops/%s.json", name);
    g.cases = at_json_read(g.cx, path);
    assert_fine(g.cx);
    return g;
}

static inline void close_group(group *g)
{
    assert_fine(g->cx);
    cJSON_Delete(g->cases);
    at_context_free(g->cx);
}

/* A tensor of the case at hand; NULL when it has none of that name. */
static inline at_tensor *get(group *g, const char *name)
{
    char full[128];
    snprintf(full, sizeof full, "%s.%s", g->name, name);
    return at_weights_get(g->cx, g->tensors, full);
}

static inline double number(const group *g, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(g->scalars, key);
    return cJSON_IsNumber(item) ? item->valuedouble : cJSON_IsTrue(item);
}

static inline at_activation activation_named(const char *name)
{
    at_activation activation = AT_IDENTITY;
    if (!at_activation_of(name, &activation)) fail_msg("no activation %s", name);
    return activation;
}

/* Whether an item of `cases` belongs to an operation; makes it the case at hand. */
static inline bool take_case(group *g, const cJSON *item, const char *operation)
{
    size_t length = strlen(operation);
    g->name = item->string;
    g->scalars = item;
    return strncmp(item->string, operation, length) == 0 && item->string[length] == '.';
}

#define EACH_CASE(g, operation)                                          \
    for (const cJSON *item = (g)->cases->child; item; item = item->next) \
        if (take_case(g, item, operation))

/* The part of the case's name behind the dot. */
static inline const char *variant(const group *g)
{
    return strchr(g->name, '.') + 1;
}

#endif
