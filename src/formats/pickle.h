/* Python's pickle format, as far as torch.save needs it: a stream of instructions for a stack
   machine, read into plain values. Nothing is ever executed: a name in the stream is looked up in a
   short table of what torch's files call (pickle_calls.c), and any other name is refused. */
#ifndef AT_PICKLE_H
#define AT_PICKLE_H

#include "base/map.h"
#include <atelier/tensor.h>

typedef enum at_pickle_kind {
    AT_PICKLE_NONE,
    AT_PICKLE_BOOL,  /* whole */
    AT_PICKLE_WHOLE, /* whole */
    AT_PICKLE_REAL,  /* real */
    AT_PICKLE_TEXT,  /* text: str and bytes */
    AT_PICKLE_LIST,  /* list: also tuples and sets */
    AT_PICKLE_DICT,  /* list: key, value, key, value */
    AT_PICKLE_NAME,  /* name: a class or function that the table has */
    AT_PICKLE_STORAGE,
    AT_PICKLE_TENSOR,
    AT_PICKLE_OTHER, /* harmless and of no use: a device, a number of numpy, a large integer */
    AT_PICKLE_MARK,  /* only inside */
} at_pickle_kind;

typedef struct at_pickle_value at_pickle_value;
typedef struct at_pickle at_pickle;

typedef struct at_pickle_list {
    at_pickle_value **items;
    int64_t count, capacity;
} at_pickle_list;

typedef struct at_pickle_text {
    const char *bytes; /* in the stream; no zero byte behind them */
    size_t size;
} at_pickle_text;

typedef struct at_pickle_storage {
    at_pickle_text key; /* where the bytes are, as the file around the stream says */
    at_dtype dtype;
    int64_t count; /* elements */
} at_pickle_storage;

typedef struct at_pickle_tensor {
    const at_pickle_storage *storage;
    at_dtype dtype; /* the storage's, or another over the same bytes */
    int dims;
    int64_t shape[AT_MAX_DIMS], stride[AT_MAX_DIMS];
    int64_t offset; /* in elements of dtype */
} at_pickle_tensor;

struct at_pickle_value {
    at_pickle_kind kind;
    union {
        int64_t whole;
        double real;
        at_pickle_text text;
        at_pickle_list list;
        const struct at_pickle_name *name;
        at_pickle_storage *storage;
        at_pickle_tensor *tensor;
    };
};

/* Reads one pickle from *at on and moves *at behind it. The result owns every value; their texts
   are in `data`. what: the file, for messages. */
at_pickle *at_pickle_read(at_context *cx, const char *what, const uint8_t *data, size_t size,
                          size_t *at);
void at_pickle_free(at_pickle *pickle); /* NULL is fine */
const at_pickle_value *at_pickle_root(const at_pickle *pickle);

/* The value of a text key, or NULL; also where `dict` is none. */
const at_pickle_value *at_pickle_item(const at_pickle_value *dict, const char *key);
bool at_pickle_is(const at_pickle_value *value, const char *text);

/* The bytes of an element of every storage, by its key. */
bool at_pickle_each_storage(at_context *cx, const at_pickle *pickle, at_map *sizes);

/* ---- between pickle.c and pickle_calls.c */

/* What the table says of a name; args is a list. Gives the value of name(*args), NULL when they are
   not what the function takes. */
typedef struct at_pickle_name {
    const char *module, *name;
    at_pickle_value *(*call)(at_pickle *pickle, const struct at_pickle_name *self,
                             const at_pickle_list *args);
    at_dtype dtype; /* of a storage's class, or of the dtype that it is */
} at_pickle_name;

const at_pickle_name *at_pickle_find_name(at_pickle_text module, at_pickle_text name);
at_pickle_value *at_pickle_new(at_pickle *pickle, at_pickle_kind kind);
bool at_pickle_append(at_pickle *pickle, at_pickle_list *list, at_pickle_value *value);
void *at_pickle_memory(at_pickle *pickle, size_t size); /* zeroed; the pickle's */

#endif
