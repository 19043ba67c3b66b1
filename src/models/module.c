#include "models/module.h"
#include "base/file.h"
#include "base/random.h"
#include "formats/weights.h"
#include "models/registry.h"
#include "tensor/pool.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct loader {
    at_module *module;
    at_weights *weights;
    const char *what;
    uint8_t *used;  /* by tensor of the file */
    at_dtype dtype; /* for weights made in memory: AT_DTYPES counts only */
    at_generator random;
    bool differs; /* of weights that are only looked at: one is missing or of another shape */
} loader;

static const at_module_class *class_of(const char *name)
{
    for (const at_module_class *const *c = at_module_classes; *c; c++)
        if (strcmp((*c)->name, name) == 0) return *c;
    return NULL;
}

/* Remembers a slot and the parameter in it, which the module holds from now on. */
static void hold(at_module *module, const at_parameter *p, at_tensor *x)
{
    at_context *cx = module->cx;
    int64_t elements = 1;
    for (int i = 0; i < p->dims; i++)
        if (!at_mul_size(elements, p->shape[i], &elements)) elements = 0;
    module->parameters += elements;
    if (!x) return;
    if (module->count == module->capacity) {
        int capacity = AT_MAX(64, module->capacity * 2);
        at_tensor ***slots = at_resize(cx, module->slots, (size_t)capacity, sizeof *slots);
        if (!slots) return;
        module->slots = slots;
        module->capacity = capacity;
    }
    module->slots[module->count++] = p->slot;
    *p->slot = at_tensor_keep(x);
}

/* ---- from files */

/* `name` with alias a; false when the alias does not apply or the result is too long. */
static bool rename_by(const at_alias *a, const char *name, char *out, size_t size)
{
    bool front = a->ours[0] == '^';
    const char *ours = a->ours + front, *at = front ? name : strstr(name, ours);
    if (!at || (front && strncmp(name, ours, strlen(ours)) != 0)) return false;
    int n = snprintf(out, size, "%.*s%s%s", (int)(at - name), name, a->theirs, at + strlen(ours));
    return n >= 0 && (size_t)n < size;
}

static const at_weight *find(const loader *l, const char *name)
{
    const at_weight *w = at_weights_find(l->weights, name);
    char other[512];
    for (const at_alias *a = l->module->class->aliases; !w && a && a->ours; a++)
        if (rename_by(a, name, other, sizeof other)) w = at_weights_find(l->weights, other);
    return w;
}

/* The shape as the model wants it; a linear layer may be stored as a 1x1 convolution. */
static bool shape_fits(const at_parameter *p, const at_weight *w)
{
    for (int i = 0; i < p->dims; i++)
        if (i >= w->dims || w->shape[i] != p->shape[i]) return false;
    for (int i = p->dims; i < w->dims; i++)
        if (w->shape[i] != 1) return false;
    return true;
}

static void wrong_shape(const loader *l, const at_parameter *p, const at_weight *w)
{
    char wanted[96] = "", got[96] = "";
    size_t a = 0, b = 0;
    for (int i = 0; i < p->dims && a < sizeof wanted - 24; i++)
        a += (size_t)snprintf(wanted + a, sizeof wanted - a, "%s%lld", i ? "," : "",
                              (long long)p->shape[i]);
    for (int i = 0; i < w->dims && b < sizeof got - 24; i++)
        b += (size_t)snprintf(got + b, sizeof got - b, "%s%lld", i ? "," : "",
                              (long long)w->shape[i]);
    at_fail(l->module->cx, AT_ERROR_FORMAT, "%s: %s is [%s], the configuration wants [%s]", l->what,
            w->name, got, wanted);
}

static bool is_kernel(const at_parameter *p)
{
    return p->kind == AT_PARAMETER_KERNEL || p->kind == AT_PARAMETER_TRANSPOSED_KERNEL;
}

static bool is_inside(const at_mapping *file, const void *data)
{
    uintptr_t at = (uintptr_t)data, start = (uintptr_t)file->data;
    return at >= start && at - start < file->size;
}

static void load_parameter(at_binder *b, const at_parameter *p)
{
    loader *l = b->user;
    at_context *cx = b->cx;
    const at_weight *w = find(l, p->name);
    if (!w && p->optional) return;
    if (!w) {
        at_fail(cx, AT_ERROR_FORMAT, "%s: the tensor %s is missing", l->what, p->name);
        return;
    }
    l->used[w - at_weights_at(l->weights, 0)] = 1;
    if (!shape_fits(p, w)) {
        wrong_shape(l, p, w);
        return;
    }
    bool blocks = at_dtype_block(w->dtype) > 1;
    bool real = w->dtype <= AT_F64 || blocks;
    bool turned = p->kind == AT_PARAMETER_TRANSPOSED_KERNEL;
    bool cut = blocks && !is_kernel(p) && p->shape[p->dims - 1] % at_dtype_block(w->dtype);
    if (!real || (blocks && turned) || cut) {
        at_fail(cx, AT_ERROR_FORMAT, "%s: %s cannot be of type %s", l->what, w->name,
                at_dtype_name(w->dtype));
        return;
    }
    at_scope s = at_scope_begin(cx);
    at_tensor *x = at_weights_get(cx, l->weights, w->name);
    if (p->kind == AT_PARAMETER_VECTOR || w->dtype == AT_F64) x = at_cast(cx, x, AT_F32);
    if (w->dims != p->dims) x = at_reshape(cx, x, p->dims, p->shape);
    if (is_kernel(p) && p->dims == 3) x = at_view(cx, x, p->shape[0], p->shape[1], 1, p->shape[2]);
    if (turned) x = at_contiguous(cx, at_transpose(cx, x, 1, 0, 2, 3));
    hold(l->module, p, x);
    if (x && !is_inside(w->file, x->data)) at_mapping_forget(w->file, w->offset, w->bytes);
    at_scope_end(cx, s, NULL);
}

static void compare_parameter(at_binder *b, const at_parameter *p)
{
    loader *l = b->user;
    const at_weight *w = find(l, p->name);
    if (w) l->used[w - at_weights_at(l->weights, 0)] = 1;
    if (w ? !shape_fits(p, w) : !p->optional) l->differs = true;
}

static bool ignored(const at_module_class *class, const char *name)
{
    size_t n = strlen(name);
    for (const char *const *i = class->ignored; i && *i; i++) {
        size_t k = strlen(*i);
        if (k <= n && strcmp(name + n - k, *i) == 0) return true;
    }
    return false;
}

static int64_t count_unused(const loader *l, const char **first)
{
    int64_t unused = 0;
    for (int64_t i = 0; i < at_weights_count(l->weights); i++) {
        const char *name = at_weights_at(l->weights, i)->name;
        if (l->used[i] || ignored(l->module->class, name)) continue;
        if (!unused++) *first = name;
    }
    return unused;
}

static void report_unused(const loader *l)
{
    const char *first = NULL;
    int64_t unused = count_unused(l, &first);
    if (unused)
        at_log(l->module->cx, AT_LOG_WARNING,
               "%s: %lld tensors are not part of the model and not used (%s, ...)", l->what,
               (long long)unused, first);
}

/* ---- in memory */

static void random_rows(loader *l, at_tensor *x, double mean, double deviation)
{
    int64_t row = x->dims ? x->shape[x->dims - 1] : 1, rows = row ? at_elements(x) / row : 0;
    size_t bytes = (size_t)(row / at_dtype_block(x->dtype)) * at_dtype_block_bytes(x->dtype);
    float *values = at_scratch(l->module->cx, (size_t)row * sizeof *values);
    for (int64_t r = 0; values && r < rows; r++) {
        for (int64_t i = 0; i < row;
             i++) { /* uniform, of the deviation asked for: fast, and as good here */
            uint32_t bits = at_random_u32(&l->random);
            values[i] = (float)(mean + deviation * 3.4641016 * (bits * 0x1p-32 - 0.5));
        }
        at_convert(AT_F32, values, x->dtype, (char *)x->data + (size_t)r * bytes, row);
    }
    at_scratch_free(l->module->cx, values);
}

static void make_parameter(at_binder *b, const at_parameter *p)
{
    loader *l = b->user;
    at_context *cx = b->cx;
    if (l->dtype == AT_DTYPES) {
        hold(l->module, p, NULL);
        return;
    }
    at_scope s = at_scope_begin(cx);
    int dims = is_kernel(p) ? 4 : p->dims;
    int64_t shape[4], fan_in = 1;
    memcpy(shape, p->shape, sizeof shape);
    if (is_kernel(p)) {
        bool line = p->dims == 3, turned = p->kind == AT_PARAMETER_TRANSPOSED_KERNEL;
        shape[0] = p->shape[turned], shape[1] = p->shape[!turned];
        shape[2] = line ? 1 : p->shape[2], shape[3] = p->shape[3 - line];
    }
    for (int i = 1; i < dims; i++) fan_in *= shape[i];
    bool vector = p->kind == AT_PARAMETER_VECTOR;
    bool rows_fit = shape[dims - 1] % at_dtype_block(l->dtype) == 0;
    at_dtype dtype =
        vector || (at_dtype_block(l->dtype) > 1 && (!rows_fit || is_kernel(p))) ? AT_F32 : l->dtype;
    at_tensor *x = at_empty(cx, dtype, dims, shape);
    size_t n = strlen(p->name);
    bool scale = vector && n >= 6 && strcmp(p->name + n - 6, "weight") == 0;
    if (x)
        random_rows(l, x, scale ? 1.0 : 0.0,
                    vector                          ? 0.1
                    : p->kind == AT_PARAMETER_TABLE ? 1.0
                                                    : 1.0 / sqrt((double)fan_in));
    hold(l->module, p, x);
    at_scope_end(cx, s, NULL);
}

/* ---- both */

static const char *text_of(const cJSON *item)
{
    return cJSON_IsString(item) ? item->valuestring : NULL;
}

/* The class that a network is read as. `architectures` says which class wrote it and gives way to
   what the model's index wants, as in transformers. */
static const char *class_name(at_context *cx, const at_config *config, const char *wanted)
{
    const cJSON *json = at_config_json(config);
    const char *what = at_config_what(config);
    const char *own = text_of(cJSON_GetObjectItemCaseSensitive(json, "_class_name"));
    const cJSON *writers = cJSON_GetObjectItemCaseSensitive(json, "architectures");
    if (own && wanted && strcmp(own, wanted) != 0)
        return at_fail(cx, AT_ERROR_UNSUPPORTED, "%s: the class is %s, here it must be %s", what,
                       own, wanted);
    if (!own) own = wanted;
    if (!own) own = text_of(cJSON_GetArrayItem(writers, 0));
    if (!own)
        at_fail(cx, AT_ERROR_FORMAT, "%s: names no class (\"_class_name\" or \"architectures\")",
                what);
    return own;
}

static at_module *configured(at_context *cx, at_config *config, const char *wanted)
{
    if (!config) return NULL;
    const char *what = at_config_what(config), *name = class_name(cx, config, wanted);
    if (!name) return NULL;
    const at_module_class *class = class_of(name);
    if (!class)
        return at_fail(cx, AT_ERROR_UNSUPPORTED, "%s: the class %s is not supported", what, name);
    at_module *module = at_alloc(cx, 1, class->size);
    if (!module) return NULL;
    module->cx = cx;
    module->class = class;
    static const char *const harmless[] = {"architectures", "_class_name", NULL};
    at_config_ignore(config, harmless);
    class->configure(cx, config, module);
    at_config_finish(cx, config);
    if (at_ok(cx)) return module;
    at_module_free(module);
    return NULL;
}

void at_module_walk(at_module *module, at_parameter_visitor visit, void *user)
{
    at_binder binder = {.cx = module->cx, .visit = visit, .user = user};
    module->class->bind(&binder, module);
}

static bool walk(at_module *module, at_parameter_visitor visit, loader *l)
{
    at_module_walk(module, visit, l);
    return at_ok(module->cx);
}

at_module *at_module_load_weights(at_context *cx, at_config *config, at_weights *weights,
                                  const char *what, const char *wanted)
{
    at_module *module = at_ok(cx) && weights ? configured(cx, config, wanted) : NULL;
    if (!module) return NULL;
    module->weights = at_weights_keep(weights);
    loader l = {.module = module, .what = what, .weights = weights};
    l.used = at_alloc(cx, (size_t)at_weights_count(weights), 1);
    bool fine = l.used && walk(module, load_parameter, &l);
    if (fine) report_unused(&l);
    at_free(l.used);
    if (fine) return module;
    at_module_free(module);
    return NULL;
}

bool at_module_fits(at_context *cx, at_config *config, at_weights *weights, const char *wanted)
{
    const char *first = NULL;
    at_module *module = at_ok(cx) && weights ? configured(cx, config, wanted) : NULL;
    loader l = {.module = module, .weights = weights};
    if (module) l.used = at_alloc(cx, (size_t)at_weights_count(weights), 1);
    bool fits =
        l.used && walk(module, compare_parameter, &l) && !l.differs && !count_unused(&l, &first);
    at_free(l.used);
    at_module_free(module);
    return fits;
}

at_module *at_module_load(at_context *cx, const char *folder, const char *wanted)
{
    if (!at_ok(cx)) return NULL;
    char *path = at_path_join(cx, folder, "config.json");
    at_config *config = path ? at_config_read(cx, path) : NULL;
    at_weights *weights = config ? at_weights_open(cx, folder) : NULL;
    at_module *module = at_module_load_weights(cx, config, weights, folder, wanted);
    at_weights_free(weights);
    at_config_free(config);
    at_free(path);
    return module;
}

at_module *at_module_make(at_context *cx, at_config *config, const char *wanted, at_dtype dtype,
                          uint64_t seed)
{
    at_module *module = at_ok(cx) ? configured(cx, config, wanted) : NULL;
    if (!module) return NULL;
    loader l = {.module = module, .what = at_config_what(config), .dtype = dtype};
    at_generator_seed(&l.random, AT_RNG_CPU, seed);
    if (walk(module, make_parameter, &l)) return module;
    at_module_free(module);
    return NULL;
}

void at_module_free(at_module *module)
{
    if (!module) return;
    at_module_restore(module);
    for (int i = 0; i < module->count; i++) at_tensor_release(module->cx, *module->slots[i]);
    at_free(module->slots);
    for (int i = 0; i < module->list_count; i++) at_free(module->lists[i]);
    at_weights_drop(module->weights);
    at_free(module);
}

void *at_module_list(at_module *module, int64_t count, size_t size)
{
    if (module->list_count == (int)AT_COUNT(module->lists) || count < 0) return NULL;
    void *list = at_alloc(module->cx, (size_t)count, size);
    if (list) module->lists[module->list_count++] = list;
    return list;
}

int64_t at_module_parameters(const at_module *module)
{
    return module ? module->parameters : 0;
}

at_activation at_config_activation(at_context *cx, at_config *config, const char *key,
                                   const char *fallback)
{
    at_activation activation = AT_IDENTITY;
    const char *name = at_config_text(cx, config, key, fallback);
    if (name && !at_activation_of(name, &activation))
        at_fail(cx, AT_ERROR_UNSUPPORTED, "%s: \"%s\": \"%s\" is not supported",
                at_config_what(config), key, name);
    return activation;
}
