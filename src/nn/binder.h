/* One walk over a model's parameters. A model describes each parameter once, in its bind function;
   the same walk loads, counts, lists, fills with random values and, later, saves, quantises,
   patches LoRAs in and collects what an optimiser trains: each is a visitor. */
#ifndef AT_BINDER_H
#define AT_BINDER_H

#include <atelier/ops.h>

typedef enum at_parameter_kind {
    AT_PARAMETER_MATRIX, /* [out,in]: stays as the file has it, mapped */
    AT_PARAMETER_TABLE,  /* [entries,channels]: likewise */
    AT_PARAMETER_KERNEL, /* [out,in,h,w], likewise; of one dimension, [out,in,n] is [out,in,1,n] */
    AT_PARAMETER_TRANSPOSED_KERNEL, /* of a transposed convolution: the file's [in,out,n] becomes
                                       [out,in,1,n] */
    AT_PARAMETER_VECTOR,            /* biases, norms: becomes f32 */
} at_parameter_kind;

typedef struct at_parameter {
    const char *name; /* the checkpoint's: "transformer_blocks.0.attn.to_q.weight" */
    at_tensor **slot;
    at_parameter_kind kind;
    int dims;
    int64_t shape[4];              /* as in the file */
    struct at_nn_update **updates; /* of a layer's weight: what adapters add to it; else NULL */
    bool optional;                 /* the slot stays NULL where the file lacks it */
} at_parameter;

typedef struct at_binder at_binder;
typedef void (*at_parameter_visitor)(at_binder *b, const at_parameter *parameter);

struct at_binder {
    at_context *cx;
    at_parameter_visitor visit;
    void *user;
    char prefix[384]; /* "transformer_blocks.0.attn." */
    size_t length;
};

enum { AT_NO_BIAS, AT_BIAS };

void at_bind_parameter(at_binder *b, const char *name, at_tensor **slot, at_parameter_kind kind,
                       int dims, const int64_t *shape);
void at_bind_optional(at_binder *b, const char *name, at_tensor **slot, at_parameter_kind kind,
                      int dims, const int64_t *shape);
/* "weight" of a layer that adapters can add to. */
void at_bind_weight(at_binder *b, at_tensor **slot, at_parameter_kind kind, int dims,
                    const int64_t *shape, struct at_nn_update **updates);

/* Enters and leaves a sub-module's name; AT_BIND and AT_BIND_LIST do both around a call. */
size_t at_bind_enter(at_binder *b, const char *name);
size_t at_bind_enter_item(at_binder *b, const char *name, int index);
void at_bind_leave(at_binder *b, size_t before);

#define AT_BIND(b, name, bind, ...)              \
    do {                                         \
        size_t before_ = at_bind_enter(b, name); \
        bind(b, __VA_ARGS__);                    \
        at_bind_leave(b, before_);               \
    } while (0)

/* bind(b, &array[i], ...) under "name.i" for i in 0 to count - 1. */
#define AT_BIND_LIST(b, name, count, bind, array, ...)        \
    do {                                                      \
        for (int i_ = 0; i_ < (count); i_++) {                \
            size_t before_ = at_bind_enter_item(b, name, i_); \
            bind(b, &(array)[i_], __VA_ARGS__);               \
            at_bind_leave(b, before_);                        \
        }                                                     \
    } while (0)

#endif
