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

#endif
