/* Modules: networks that load from a folder with a config.json, found by the class name in it. */
#ifndef AT_MODULE_H
#define AT_MODULE_H

#include "base/json.h"
#include "nn/nn.h"

typedef struct at_module at_module;

/* Another spelling of names in checkpoints: the first `ours` in a name becomes `theirs`; "^" is the
 * beginning. */
typedef struct at_alias {
    const char *ours, *theirs;
} at_alias;

typedef struct at_module_class {
    const char *name; /* `_class_name`, or one of `architectures` */
    size_t size;      /* of the model's struct, which begins with an at_module */
    void (*configure)(at_context *cx, at_config *config,
                      at_module *self);          /* reads every option, allocates lists */
    void (*bind)(at_binder *b, at_module *self); /* describes every parameter */
    const at_alias *aliases;                     /* NULL, or until an entry without `ours` */
    const char *const *ignored; /* NULL, or tensors that do not matter, by suffix */
} at_module_class;

struct at_module {
    at_context *cx;
    const at_module_class *class;
    at_tensor ***slots; /* all parameters' places */
    int count, capacity;
    void *lists[8]; /* memory of at_module_list */
    int list_count;
    int64_t parameters;
    struct at_module_change *changes; /* by adapters, the last made first */
    struct at_weights *weights;       /* the mapped files, NULL for weights made in memory */
};

/* Loads folder/config.json and the weights beside it. The class must be `wanted` (NULL: any known
   one). Freed with at_module_free, at the latest before the context. */
at_module *at_module_load(at_context *cx, const char *folder, const char *wanted);

/* The same from a configuration and weights under the class's names, wherever they come from, which
   the module keeps. what: how messages call them. */
at_module *at_module_load_weights(at_context *cx, at_config *config, struct at_weights *weights,
                                  const char *what, const char *wanted);

/* Whether these weights are all that a network of this configuration has, and of its sizes. */
bool at_module_fits(at_context *cx, at_config *config, struct at_weights *weights,
                    const char *wanted);

/* From the configuration alone: with random weights of a given dtype (f32, f16, bf16, or a block
   type where rows allow), scaled so that activations stay in range; or with none (AT_DTYPES), to
   count. For benchmarks and plans. */
at_module *at_module_make(at_context *cx, at_config *config, const char *wanted, at_dtype dtype,
                          uint64_t seed);
void at_module_free(at_module *module); /* NULL is fine */

/* Zeroed memory that lives as long as the module, for its lists of blocks. */
void *at_module_list(at_module *module, int64_t count, size_t size);

int64_t at_module_parameters(const at_module *module);

/* An option that names an activation; identity where it is null and `fallback` too. */
at_activation at_config_activation(at_context *cx, at_config *config, const char *key,
                                   const char *fallback);

/* ---- what adapters change, until at_module_restore; the weights themselves stay as they are */
/* Adds a copy of `update` to the end of a layer's list; the module holds its tensors. */
bool at_module_update(at_module *module, at_nn_update **list, const at_nn_update *update);
/* Puts x in the place of a parameter. */
bool at_module_replace(at_module *module, at_tensor **slot, at_tensor *x);
void at_module_restore(at_module *module);

/* All parameters, again: the walk of the class over this module. */
void at_module_walk(at_module *module, at_parameter_visitor visit, void *user);

#endif
