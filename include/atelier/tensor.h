/* Tensors, for model authors: what they are, how they are made, viewed, kept and let go.

   Layout is channels-last, always: pictures [B,H,W,C], video [B,T,H,W,C], sequences and sound
   [B,N,C]. Only files speak NCHW. Activations are f32; weights have any dtype and are unpacked
   inside the heavy kernels.

   Memory belongs to scopes. Everything made between at_scope_begin and at_scope_end goes back to
   the pool at the end but what is kept, which then belongs to the scope around. Outside every scope
   it lives as long as the context. There is no free in a model.

   Every function gives NULL when the context has failed or an input is NULL. */
#ifndef ATELIER_TENSOR_H
#define ATELIER_TENSOR_H

#include <atelier/context.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { AT_MAX_DIMS = 6 };

/* Element types; the block types (GGUF's but for the last two) go block by block along the last
   dimension, in kernels [O,I,h,w] over all of it. */
typedef enum at_dtype {
    AT_F32,
    AT_F16,
    AT_BF16,
    AT_F8_E4M3, /* e4m3fn: no infinity, 448 the largest */
    AT_F8_E5M2,
    AT_F64,
    AT_I8,
    AT_U8,
    AT_I16,
    AT_U16,
    AT_I32,
    AT_U32,
    AT_I64,
    AT_U64,
    AT_BOOL,
    AT_Q8_0,
    AT_Q4_0,
    AT_Q4_1,
    AT_Q5_0,
    AT_Q5_1,
    AT_Q2_K,
    AT_Q3_K,
    AT_Q4_K,
    AT_Q5_K,
    AT_Q6_K,
    AT_NF4,  /* 64 codes of bitsandbytes' nf4 and their f32 scale; in no file as such */
    AT_F8_S, /* 64 of f8_e4m3 and their f32 scale; likewise */
    AT_DTYPES
} at_dtype;

typedef struct at_tensor at_tensor;

/* Readable by everybody; written by the engine only. */
struct at_tensor {
    at_dtype dtype;
    int dims;                   /* 0 (a scalar) to AT_MAX_DIMS */
    int64_t shape[AT_MAX_DIMS]; /* first the slowest */
    int64_t
        stride[AT_MAX_DIMS]; /* in elements; 0 where broadcast; block types are always contiguous */
    void *data;              /* the first element */
    struct at_storage *storage; /* the bytes' owner, counted */
    struct at_node *node;       /* how it was computed, when the tape recorded it */
    int references;
};

/* ---- dtypes */
AT_API const char *at_dtype_name(at_dtype dtype); /* "f32", "q4_K", ... */
AT_API bool at_dtype_of(const char *name, at_dtype *out);
AT_API int at_dtype_block(at_dtype dtype); /* elements a block: 1, 32, 64 or 256 */
AT_API size_t
at_dtype_block_bytes(at_dtype dtype); /* bytes a block (an element where the block is 1) */

/* count elements (a multiple of both blocks) from one dtype to another as IEEE 754, the OCP 8-bit
   formats and GGUF define them; the addresses need no alignment. Floats round to nearest, ties to
   even; too large becomes infinity, but 448 in f8_e4m3, which has none (as torch 2.15). Floats to
   integers truncate towards zero and are cut to the range, NaN is 0; integers to narrower ones keep
   their low bits. Block types are read bit for bit as ggml does, q8_0 to q5_1 also written so.
   False (and nothing written) for counts that do not fit. */
AT_API bool at_convert(at_dtype from, const void *in, at_dtype to, void *out, int64_t count);

/* ---- making */
AT_API at_tensor *at_empty(at_context *cx, at_dtype dtype, int dims, const int64_t *shape);
AT_API at_tensor *at_zeros(at_context *cx, at_dtype dtype, int dims, const int64_t *shape);
AT_API at_tensor *at_full(at_context *cx, float value, int dims, const int64_t *shape); /* f32 */
AT_API at_tensor *at_empty_like(at_context *cx, const at_tensor *x);
/* A copy of `data`, count elements laid out in C order. */
AT_API at_tensor *at_from(at_context *cx, at_dtype dtype, int dims, const int64_t *shape,
                          const void *data);

/* at_new(cx, AT_F32, 2, 77, 768): the shape as arguments. */
#define at_new(cx, dtype, ...)                                                     \
    at_empty(cx, dtype, (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), \
             (int64_t[]){__VA_ARGS__})

/* ---- views (no bytes move) */
/* Needs elements that lie so that the new shape can be a view; else copies. One entry may be -1. */
AT_API at_tensor *at_reshape(at_context *cx, at_tensor *x, int dims, const int64_t *shape);
#define at_view(cx, x, ...)                                                      \
    at_reshape(cx, x, (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), \
               (int64_t[]){__VA_ARGS__})
/* order[i] is the old dimension that becomes the new dimension i. */
AT_API at_tensor *at_permute(at_context *cx, at_tensor *x, const int *order);
#define at_transpose(cx, x, ...) at_permute(cx, x, (int[]){__VA_ARGS__})
/* Elements start to start + count of one dimension; dim may be negative (from the end). */
AT_API at_tensor *at_slice(at_context *cx, at_tensor *x, int dim, int64_t start, int64_t count);
AT_API at_tensor *at_expand(at_context *cx, at_tensor *x, int dims,
                            const int64_t *shape); /* broadcast */

/* ---- asking */
AT_API int64_t at_elements(const at_tensor *x);
AT_API size_t at_bytes(const at_tensor *x); /* of the elements as if contiguous */
AT_API bool at_is_contiguous(const at_tensor *x);
AT_API bool at_same_shape(const at_tensor *a, const at_tensor *b);
AT_API bool at_is_finite(const at_tensor *x); /* f32, contiguous: no NaN, no infinity */
AT_API bool at_has_shape(const at_tensor *x, int dims, const int64_t *shape); /* -1 fits anything */
AT_API bool at_broadcasts(const at_tensor *from, const at_tensor *to);        /* numpy's rules */
AT_API int64_t at_dim(const at_tensor *x, int dim); /* negative: from the end; 0 outside */
/* "[2,77,768] f16", for messages: the last few results stay valid. "(none)" for NULL. */
AT_API const char *at_shape_text(const at_tensor *x);

/* Copies out as f32 in C order; out has at_elements(x) places. */
AT_API bool at_read_f32(at_context *cx, at_tensor *x, float *out);

/* ---- scopes */
typedef struct at_scope {
    int64_t mark;
} at_scope;

AT_API at_scope at_scope_begin(at_context *cx);
/* Keeps the tensors that follow, given as pointers to the variables that hold them (at_tensor **),
   up to a NULL. After a failure they become NULL. */
AT_API void at_scope_end(at_context *cx, at_scope scope, ...);
/* The same in a loop: lets go of what the scope has so far but these, and the scope goes on. */
#define at_scope_keep at_scope_end

/* ---- gradients */
/* From here operations record how to go back, until at_tape_end. A parameter is watched first. */
AT_API bool at_tape_begin(at_context *cx);
AT_API void at_tape_watch(at_context *cx, at_tensor *parameter);
/* loss: one element. Fills in the gradients of all watched tensors that it depends on. */
AT_API bool at_backward(at_context *cx, at_tensor *loss);
/* The gradient of a watched tensor after at_backward, f32, its shape; NULL when the loss does not
 * depend on it. */
AT_API at_tensor *at_gradient(at_context *cx, const at_tensor *parameter);
AT_API void at_tape_end(at_context *cx);

#ifdef __cplusplus
}
#endif
#endif
