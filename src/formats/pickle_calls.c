/* The names that torch's files may use, and what calling them gives. */
#include "formats/pickle.h"
#include <string.h>

static bool is_dict(const at_pickle_value *v)
{
    return v->kind == AT_PICKLE_DICT;
}

/* ---- containers */

/* OrderedDict(), dict(), or of one list of pairs. */
static at_pickle_value *make_dict(at_pickle *p, const at_pickle_name *self,
                                  const at_pickle_list *args)
{
    (void)self;
    at_pickle_value *dict = at_pickle_new(p, AT_PICKLE_DICT);
    if (!dict || args->count == 0) return dict;
    const at_pickle_value *pairs = args->items[0];
    if (args->count != 1 || (pairs->kind != AT_PICKLE_LIST && !is_dict(pairs))) return NULL;
    for (int64_t i = 0; i < pairs->list.count; i++) {
        at_pickle_value *pair = pairs->list.items[i];
        bool plain = is_dict(pairs);
        if (!plain && (pair->kind != AT_PICKLE_LIST || pair->list.count != 2)) return NULL;
        if (plain ? !at_pickle_append(p, &dict->list, pair)
                  : !at_pickle_append(p, &dict->list, pair->list.items[0]) ||
                        !at_pickle_append(p, &dict->list, pair->list.items[1]))
            return NULL;
    }
    return dict;
}

static at_pickle_value *make_list(at_pickle *p, const at_pickle_name *self,
                                  const at_pickle_list *args)
{
    (void)self;
    at_pickle_value *list = at_pickle_new(p, AT_PICKLE_LIST);
    if (!list || args->count == 0) return list;
    if (args->count != 1 || args->items[0]->kind != AT_PICKLE_LIST) return NULL;
    for (int64_t i = 0; i < args->items[0]->list.count; i++)
        if (!at_pickle_append(p, &list->list, args->items[0]->list.items[i])) return NULL;
    return list;
}

static at_pickle_value *make_other(at_pickle *p, const at_pickle_name *self,
                                   const at_pickle_list *args)
{
    (void)self;
    (void)args;
    return at_pickle_new(p, AT_PICKLE_OTHER);
}

/* ---- tensors */

static bool read_sizes(const at_pickle_value *list, int64_t *out, int *count)
{
    if (list->kind != AT_PICKLE_LIST || list->list.count > AT_MAX_DIMS) return false;
    *count = (int)list->list.count;
    for (int i = 0; i < *count; i++) {
        const at_pickle_value *item = list->list.items[i];
        if (item->kind != AT_PICKLE_WHOLE || item->whole < 0) return false;
        out[i] = item->whole;
    }
    return true;
}

/* (storage, offset, size, stride, ...) */
static at_pickle_value *make_tensor(at_pickle *p, const at_pickle_list *args, at_dtype dtype)
{
    at_pickle_value *value = at_pickle_new(p, AT_PICKLE_TENSOR);
    at_pickle_tensor *t = at_pickle_memory(p, sizeof *t);
    int strides;
    if (!value || !t || args->count < 4) return NULL;
    at_pickle_value *const *a = args->items;
    if (a[0]->kind != AT_PICKLE_STORAGE || a[1]->kind != AT_PICKLE_WHOLE || a[1]->whole < 0 ||
        !read_sizes(a[2], t->shape, &t->dims) || !read_sizes(a[3], t->stride, &strides) ||
        strides != t->dims)
        return NULL;
    t->storage = a[0]->storage;
    t->offset = a[1]->whole;
    t->dtype = dtype == AT_DTYPES ? t->storage->dtype : dtype;
    value->tensor = t;
    return value;
}

static at_pickle_value *rebuild_tensor(at_pickle *p, const at_pickle_name *self,
                                       const at_pickle_list *args)
{
    (void)self;
    return make_tensor(p, args, AT_DTYPES);
}

/* (storage, offset, size, stride, requires_grad, hooks, dtype, ...): over untyped bytes */
static at_pickle_value *rebuild_tensor_v3(at_pickle *p, const at_pickle_name *self,
                                          const at_pickle_list *args)
{
    (void)self;
    const at_pickle_value *dtype = args->count > 6 ? args->items[6] : NULL;
    if (!dtype || dtype->kind != AT_PICKLE_NAME || dtype->name->dtype == AT_DTYPES) return NULL;
    return make_tensor(p, args, dtype->name->dtype);
}

/* (data, requires_grad, hooks[, state]) */
static at_pickle_value *rebuild_parameter(at_pickle *p, const at_pickle_name *self,
                                          const at_pickle_list *args)
{
    (void)p;
    (void)self;
    return args->count >= 1 && args->items[0]->kind == AT_PICKLE_TENSOR ? args->items[0] : NULL;
}

/* (function, type, args, state): the function is one of the above, the type one of torch's own */
static at_pickle_value *rebuild_from_type(at_pickle *p, const at_pickle_name *self,
                                          const at_pickle_list *args)
{
    if (args->count < 3 || args->items[0]->kind != AT_PICKLE_NAME ||
        args->items[2]->kind != AT_PICKLE_LIST)
        return NULL;
    const at_pickle_name *function = args->items[0]->name;
    if (!function->call || function->call == self->call) return NULL;
    return function->call(p, function, &args->items[2]->list);
}

/* ---- the table */

#define STORAGE(name, dtype)       \
    {                              \
        "torch", name, NULL, dtype \
    }
#define DTYPE STORAGE
#define CALL(module, name, call)      \
    {                                 \
        module, name, call, AT_DTYPES \
    }

static const at_pickle_name names[] = {
    CALL("collections", "OrderedDict", make_dict),
    CALL("builtins", "dict", make_dict),
    CALL("__builtin__", "dict", make_dict),
    CALL("builtins", "list", make_list),
    CALL("__builtin__", "list", make_list),
    CALL("builtins", "tuple", make_list),
    CALL("__builtin__", "tuple", make_list),
    CALL("builtins", "set", make_list),
    CALL("__builtin__", "set", make_list),
    CALL("builtins", "frozenset", make_list),
    CALL("__builtin__", "frozenset", make_list),
    CALL("torch.nn.modules.container", "ParameterDict", make_dict),
    CALL("torch", "Size", make_list),
    CALL("torch", "device", make_other),
    CALL("torch._utils", "_rebuild_tensor", rebuild_tensor),
    CALL("torch._utils", "_rebuild_tensor_v2", rebuild_tensor),
    CALL("torch._utils", "_rebuild_tensor_v3", rebuild_tensor_v3),
    CALL("torch._utils", "_rebuild_parameter", rebuild_parameter),
    CALL("torch._utils", "_rebuild_parameter_with_state", rebuild_parameter),
    CALL("torch._tensor", "_rebuild_from_type_v2", rebuild_from_type),
    CALL("torch", "Tensor", NULL),
    CALL("torch.nn.parameter", "Parameter", NULL),
    STORAGE("FloatStorage", AT_F32),
    STORAGE("HalfStorage", AT_F16),
    STORAGE("BFloat16Storage", AT_BF16),
    STORAGE("DoubleStorage", AT_F64),
    STORAGE("LongStorage", AT_I64),
    STORAGE("IntStorage", AT_I32),
    STORAGE("ShortStorage", AT_I16),
    STORAGE("CharStorage", AT_I8),
    STORAGE("ByteStorage", AT_U8),
    STORAGE("BoolStorage", AT_BOOL),
    STORAGE("UntypedStorage", AT_U8),
    {"torch.storage", "UntypedStorage", NULL, AT_U8},
    DTYPE("float32", AT_F32),
    DTYPE("float16", AT_F16),
    DTYPE("bfloat16", AT_BF16),
    DTYPE("float64", AT_F64),
    DTYPE("float8_e4m3fn", AT_F8_E4M3),
    DTYPE("float8_e5m2", AT_F8_E5M2),
    DTYPE("int64", AT_I64),
    DTYPE("int32", AT_I32),
    DTYPE("int16", AT_I16),
    DTYPE("int8", AT_I8),
    DTYPE("uint8", AT_U8),
    DTYPE("uint16", AT_U16),
    DTYPE("uint32", AT_U32),
    DTYPE("uint64", AT_U64),
    DTYPE("bool", AT_BOOL),
    /* Found in published checkpoints of Stable Diffusion 1, beside the tensors. */
    CALL("pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint", NULL),
    CALL("pytorch_lightning.callbacks", "ModelCheckpoint", NULL),
    CALL("numpy.core.multiarray", "scalar", make_other),
    CALL("numpy._core.multiarray", "scalar", make_other),
    CALL("numpy", "dtype", make_other),
    CALL("_codecs", "encode", make_other),
};

static bool same(at_pickle_text text, const char *name)
{
    return strlen(name) == text.size && memcmp(name, text.bytes, text.size) == 0;
}

const at_pickle_name *at_pickle_find_name(at_pickle_text module, at_pickle_text name)
{
    for (size_t i = 0; i < AT_COUNT(names); i++)
        if (same(module, names[i].module) && same(name, names[i].name)) return &names[i];
    return NULL;
}
