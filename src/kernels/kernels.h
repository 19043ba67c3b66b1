/* One table of kernels a device. On the CPU the table is filled with plain C (cpu/generic: the
   meaning of each operation), then overridden by what the processor has: vector code compiled for
   each instruction set (cpu/simd), and kernels written for one (cpu/x86, cpu/arm).
   ATELIER_CPU=generic|avx2|avx512|amx forces a table.

   A kernel may rely on what its operation has checked: shapes fit, out is contiguous, nothing is
   NULL but what is marked optional. It uses cx for threads (cx->threads, OpenMP) and scratch
   (at_scratch), whose failure it must survive. It looks at cx->cancelled between blocks when it can
   run for more than a moment. */
#ifndef AT_KERNELS_H
#define AT_KERNELS_H

#include "tensor/pool.h"
#include <atelier/ops.h>

typedef enum at_binary { AT_BINARY_ADD, AT_BINARY_SUB, AT_BINARY_MUL, AT_BINARY_DIV } at_binary;

/* What a product goes together with when it is finished, row by row: y = other + gate * y, or
   y = activation(other) * y. */
typedef struct at_product_with {
    const float *other; /* rows like y's, `stride` elements apart; NULL: nothing */
    int64_t stride;
    bool times; /* not added, but */
    at_activation activation;
    const float *gate; /* [n], one for each `gate_rows` rows, `gate_stride` apart; NULL: 1 */
    int64_t gate_rows, gate_stride;
} at_product_with;

/* y = activation(x W^T + bias), m rows of x, n rows of W, k columns. x and y are f32 with the given
   row strides (in elements); columns are adjacent. W is k adjacent elements a row, of any dtype. */
typedef struct at_matmul_args {
    int64_t m, n, k;
    const float *x;
    int64_t x_stride;
    const void *weight;
    at_dtype dtype;
    int64_t weight_stride; /* bytes from row to row */
    const float *bias;     /* [n] or NULL */
    at_activation activation;
    float *y;
    int64_t y_stride;
    at_precision precision; /* F32, BF16 or INT8, resolved: never AUTO */
    at_product_with with;
} at_matmul_args;

/* Convolution over frames, lines and columns (1 of those that an operation does not have):
   x [B,T,H,W,C], weight [O,C/groups,kt,kh,kw] as files have it (of block types the whole of it is
   blocks, rows need not be), y [B,T',H',W',O], contiguous. In each dimension,
   output position p sees through tap k position p * stride + k * dilation - before. Transposed, it
   sees the position i for which i * stride + k * dilation - before is p, if there is one. Beyond
   the edges are zeros or, where `replicate` says so (not transposed), what lies at the edge. */
typedef struct at_conv_args {
    int64_t batch, size[3], channels;  /* of x, f32 */
    int64_t out_size[3], out_channels; /* of y, f32 */
    int kernel[3], stride[3], before[3], dilation[3], groups;
    bool transposed, replicate[3];
    const float *x;
    const void *weight;
    at_dtype dtype;
    const float *bias; /* [O] or NULL */
    at_activation activation;
    float *y;
    at_precision precision;
} at_conv_args;

/* Strides in elements; the last dimension of q, k, v is adjacent. y [B,N,H,E] contiguous. */
typedef struct at_attention_args {
    int64_t batch, queries, keys, heads, groups, head_size, value_size;
    const float *q, *k, *v;
    int64_t q_stride[3], k_stride[3], v_stride[3]; /* batch, position, head */
    const float *bias; /* NULL, or added: strides for batch, head, query, key (0: broadcast) */
    const bool *seen;  /* NULL, or the boolean mask, same strides */
    int64_t mask_stride[4];
    bool causal;
    float scale;
    float *y;
    at_precision precision;
} at_attention_args;

typedef struct at_kernels {
    const char *name;       /* "generic", "avx2", "avx512", "amx", "neon" */
    at_precision automatic; /* what AUTO means: the fastest that keeps the quality of bf16 */

    void (*matmul)(at_context *cx, const at_matmul_args *args);
    void (*conv)(at_context *cx, const at_conv_args *args);
    void (*attention)(at_context *cx, const at_attention_args *args);

    /* The parts of the packed products for each precision (cpu/gemm.h); NULL where the processor
       has no arithmetic for it: f32 is then taken. */
    const struct at_gemm *gemm[AT_PRECISION_INT8 + 1];

    /* The inner loops of convolution that are no product (cpu/conv.h); NULL in plain C. */
    const struct at_conv_parts *conv_parts;

    /* The inner loops of everything below (cpu/runs.h), which is what the sets differ in. */
    const struct at_runs *runs;

    /* a and b broadcast to out */
    void (*binary)(at_context *cx, at_binary kind, at_tensor *out, const at_tensor *a,
                   const at_tensor *b);
    void (*affine)(at_context *cx, at_tensor *out, const at_tensor *x, float scale, float shift);
    void (*clamp)(at_context *cx, at_tensor *out, const at_tensor *x, float low, float high);
    void (*activate)(at_context *cx, at_tensor *out, const at_tensor *x, at_activation activation);
    void (*activate_mul)(at_context *cx, at_tensor *out, const at_tensor *x,
                         at_activation activation, const at_tensor *y);
    void (*gated_add)(at_context *cx, at_tensor *out, const at_tensor *x, const at_tensor *gate,
                      const at_tensor *y);
    void (*leaky_relu)(at_context *cx, at_tensor *out, const at_tensor *x, float slope);

    /* rows of the last dimension, whose elements are adjacent (x, shift and scale may be views of
       any outer strides, table too); weight, bias contiguous [C] or NULL; shift and scale broadcast
       to x */
    void (*layer_norm)(at_context *cx, at_tensor *out, const at_tensor *x, const at_tensor *weight,
                       const at_tensor *bias, float eps);
    void (*rms_norm)(at_context *cx, at_tensor *out, const at_tensor *x, const at_tensor *weight,
                     float eps);
    void (*norm_modulate)(at_context *cx, at_tensor *out, const at_tensor *x,
                          const at_tensor *shift, const at_tensor *scale, float eps);
    void (*group_norm)(at_context *cx, at_tensor *out, const at_tensor *x, int groups,
                       const at_tensor *weight, const at_tensor *bias, float eps,
                       at_activation activation);
    /* x [B,...,C] contiguous, shift and scale contiguous [B or 1,C], alpha [C] or NULL: then x < 0
       times slope */
    void (*instance_norm)(at_context *cx, at_tensor *out, const at_tensor *x,
                          const at_tensor *shift, const at_tensor *scale, const at_tensor *alpha,
                          float slope, float eps);
    void (*softmax)(at_context *cx, at_tensor *out, const at_tensor *x);
    void (*rotary)(at_context *cx, at_tensor *out, const at_tensor *x, const at_tensor *table,
                   at_rotary_pairs pairs);

    /* out [B,N,D*H]; for each of D directions (the second from the end to the beginning) the
       products with the input, [B,N,4*H], and the weight on the state, [4*H,H]; all contiguous */
    void (*lstm)(at_context *cx, at_tensor *out, int directions, at_tensor *const *gates,
                 at_tensor *const *weight);

    /* moving; copy and fill for any dtype but the block types */
    void (*copy)(at_context *cx, at_tensor *out, const at_tensor *x); /* both may be views */
    void (*fill)(at_context *cx, at_tensor *out, float value);
    void (*cast)(at_context *cx, at_tensor *out, const at_tensor *x); /* contiguous, any dtypes */
    void (*embedding)(at_context *cx, at_tensor *out, const at_tensor *table,
                      const at_tensor *ids); /* all contiguous, ids within the table */
    void (*upsample_nearest)(at_context *cx, at_tensor *out, const at_tensor *x); /* x contiguous */
    void (*timestep_embedding)(at_context *cx, at_tensor *out, const at_tensor *t,
                               const at_timestep_options *options); /* t contiguous */
    void (*sum)(at_context *cx, at_tensor *out, const at_tensor *x, double scale);

    /* ways back; grad is d loss / d result, all f32 and contiguous */
    void (*activate_backward)(at_context *cx, at_tensor *out, const at_tensor *x,
                              at_activation activation, const at_tensor *grad);
    void (*clamp_backward)(at_context *cx, at_tensor *out, const at_tensor *x, float low,
                           float high, const at_tensor *grad);
    /* of (x - mean) / sqrt(var + eps) where centred, else x / sqrt(mean x^2 + eps); by rows */
    void (*norm_backward)(at_context *cx, at_tensor *out, const at_tensor *x, const at_tensor *grad,
                          float eps, bool centred);
    void (*softmax_backward)(at_context *cx, at_tensor *out, const at_tensor *y,
                             const at_tensor *grad);
    void (*embedding_backward)(at_context *cx, at_tensor *out, const at_tensor *ids,
                               const at_tensor *grad); /* adds to out */
    void (*upsample_backward)(at_context *cx, at_tensor *out, const at_tensor *grad); /* adds */

    /* count elements to f32, contiguous; the unpacking of weights */
    void (*to_f32)(at_dtype from, const void *in, float *out, int64_t count);
} at_kernels;

/* Sets cx->kernels by processor, ATELIER_CPU and cx->options.device; an impossible wish is kept as
 * an error. */
void at_kernels_select(at_context *cx);

/* The arithmetic that is used: what was asked for, or what AT_PRECISION_AUTO means here; where the
   table has none for it, the next better (a warning has said so). In INT8 only what pays is int8,
   the large products: the rest is BF16 where the table has it, or F32. */
at_precision at_precision_of(const at_context *cx);
const char *at_precision_name(at_precision precision); /* "auto", "f32", "bf16", "int8" */

/* Overrides of the table; each takes what it has. */
void at_kernels_generic(at_kernels *table);
void at_kernels_avx2(at_kernels *table);   /* x86 builds only */
void at_kernels_avx512(at_kernels *table); /* also looks for bf16 and vnni */
void at_kernels_amx(at_kernels *table);    /* avx512 with tiles for the products */
void at_kernels_neon(at_kernels *table);

/* at_run(cx, gated_add, out, x, gate, y): the device's kernel, unless something failed before. */
#define at_run(cx, kernel, out, ...)                                         \
    do {                                                                     \
        at_tensor *out_ = (out);                                             \
        if (out_ && at_ok(cx)) (cx)->kernels->kernel(cx, out_, __VA_ARGS__); \
    } while (0)

#endif
