/* A network's fixture: its folder, and one of its io files. */
#ifndef AT_TEST_NETWORKS_H
#define AT_TEST_NETWORKS_H

#include "models/module.h"
#include "parity.h"

typedef struct network {
    at_context *cx;
    at_module *module;
    at_weights *io;
} network;

static inline network network_open(const char *name, const char *io)
{
    char path[512];
    network n = {.cx = f32_context()};
    snprintf(path, sizeof path, "%s/networks/%s", AT_FIXTURES, name);
    n.module = at_module_load(n.cx, path, NULL);
    snprintf(path, sizeof path, "%s/networks/%s/%s.safetensors", AT_FIXTURES, name, io);
    n.io = at_weights_open(n.cx, path);
    assert_fine(n.cx);
    assert_true(at_module_parameters(n.module) > 0);
    return n;
}

static inline void network_close(network n)
{
    at_module_free(n.module);
    at_weights_free(n.io);
    at_context_free(n.cx);
}

/* An input that only some cases have, cast; NULL where there is none. */
static inline at_tensor *network_optional(const network *n, const char *name, at_dtype dtype)
{
    at_tensor *x = at_weights_get(n->cx, n->io, name);
    return x ? at_cast(n->cx, x, dtype) : NULL;
}

/* A configuration that a class refuses, with an error that has `message` in it. */
static inline void assert_refused(const char *class_name, const char *json, const char *message)
{
    at_context *cx = f32_context();
    at_config *config = at_config_parse(cx, json, strlen(json), "config.json");
    assert_null(at_module_make(cx, config, class_name, AT_DTYPES, 0));
    if (!strstr(at_error_text(cx), message))
        fail_msg("\"%s\" is not in \"%s\"", message, at_error_text(cx));
    at_config_free(config);
    at_context_free(cx);
}

#endif
