/* Operations on tensors, for model authors. Each checks its inputs, allocates its result in the
   current scope, runs the device's kernel and, when a tape is on, records how to go back. All are
   eager.

   Activations are f32 and may be strided views; an activation of another float type is cast first.
   Weights may have any dtype, block types included. Shapes are channels-last. Broadcasting follows
   numpy. */
#ifndef ATELIER_OPS_H
#define ATELIER_OPS_H

#include <atelier/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum at_activation {
    AT_IDENTITY,
    AT_RELU,
    AT_SILU,
    AT_GELU,       /* erf */
    AT_GELU_TANH,  /* gelu_new, gelu_pytorch_tanh, gelu-approximate */
    AT_QUICK_GELU, /* x * sigmoid(1.702 x) */
    AT_SIGMOID,
    AT_TANH,
    AT_ACTIVATIONS
} at_activation;

/* The names that config.json files use ("gelu_new", "quick_gelu", "swish", ...). */
AT_API bool at_activation_of(const char *name, at_activation *out);

/* ---- element by element */
AT_API at_tensor *at_add(at_context *cx, at_tensor *a, at_tensor *b);
AT_API at_tensor *at_sub(at_context *cx, at_tensor *a, at_tensor *b);
AT_API at_tensor *at_mul(at_context *cx, at_tensor *a, at_tensor *b);
AT_API at_tensor *at_div(at_context *cx, at_tensor *a, at_tensor *b);
AT_API at_tensor *at_affine(at_context *cx, at_tensor *x, float scale,
                            float shift); /* x * scale + shift */
AT_API at_tensor *at_clamp(at_context *cx, at_tensor *x, float low, float high);
AT_API at_tensor *at_activate(at_context *cx, at_tensor *x, at_activation activation);
AT_API at_tensor *at_leaky_relu(at_context *cx, at_tensor *x, float slope);
/* activation(x) * y, the gate of GEGLU, SwiGLU and T5's gated feed-forward; same shapes. */
AT_API at_tensor *at_activate_mul(at_context *cx, at_tensor *x, at_activation activation,
                                  at_tensor *y);
/* x + gate * y, the residual of a diffusion-transformer block; x, y [B,N,C], gate broadcasts to x.
 */
AT_API at_tensor *at_gated_add(at_context *cx, at_tensor *x, at_tensor *gate, at_tensor *y);

/* ---- norms over the last dimension, C values; weight and bias [C] or NULL */
AT_API at_tensor *at_layer_norm(at_context *cx, at_tensor *x, at_tensor *weight, at_tensor *bias,
                                float eps);
AT_API at_tensor *at_rms_norm(at_context *cx, at_tensor *x, at_tensor *weight, float eps);
/* The first N of dimension 1 with a weight of their own: x [B,N+M,...,C]. */
AT_API at_tensor *at_rms_norm_pair(at_context *cx, at_tensor *x, int64_t N, at_tensor *first,
                                   at_tensor *rest, float eps);
/* layer_norm(x) * (1 + scale) + shift without weights of its own: AdaLayerNorm. x [B,N,C], shift,
 * scale [B,1,C]. */
AT_API at_tensor *at_norm_modulate(at_context *cx, at_tensor *x, at_tensor *shift, at_tensor *scale,
                                   float eps);
/* x [B,...,C]: statistics over all positions and the C / groups channels of a group; then the
 * activation. */
AT_API at_tensor *at_group_norm(at_context *cx, at_tensor *x, int groups, at_tensor *weight,
                                at_tensor *bias, float eps, at_activation activation);

typedef struct at_instance_norm_options {
    float eps; /* 0 means 1e-5 */
    at_tensor
        *alpha;  /* [C]: then Snake (Ziyin et al. 2020), t + sin(alpha t)^2 / alpha; or NULL: */
    float slope; /* then LeakyReLU; 0 means 1, which is none */
} at_instance_norm_options;

/* AdaIN: each channel of x [B,...,C] over its positions, (x - mean) / sqrt(var + eps) * (1 + scale)
   + shift, then an activation; shift, scale [B,1,C] or [C]. options may be NULL. */
AT_API at_tensor *at_instance_norm(at_context *cx, at_tensor *x, at_tensor *shift, at_tensor *scale,
                                   const at_instance_norm_options *options);
AT_API at_tensor *at_softmax(at_context *cx, at_tensor *x); /* last dimension */

/* ---- products */
/* activation(x W^T + bias): x [...,K], weight [N,K] of any dtype, bias [N] f32 or NULL -> [...,N].
 */
AT_API at_tensor *at_linear(at_context *cx, at_tensor *x, at_tensor *weight, at_tensor *bias,
                            at_activation activation);
/* residual + gate (x W^T + bias): residual [...,N], gate [...,1,N] that broadcasts to it by its
   first dimension, or NULL. */
AT_API at_tensor *at_linear_add(at_context *cx, at_tensor *x, at_tensor *weight, at_tensor *bias,
                                at_tensor *residual, at_tensor *gate);
/* activation(other) (x W^T + bias): other [...,N] */
AT_API at_tensor *at_linear_mul(at_context *cx, at_tensor *x, at_tensor *weight, at_tensor *bias,
                                at_tensor *other, at_activation activation);
/* Two products, one below the other: x [B,N,K] and [B,M,K] -> [B,N+M,out], without a pass that
   joins them where B is 1. */
AT_API at_tensor *at_linear_pair(at_context *cx, at_tensor *const *x, at_tensor *const *weight,
                                 at_tensor *const *bias);
/* a [...,M,K] times b [...,K,N], both activations; the leading dimensions broadcast. */
AT_API at_tensor *at_matmul(at_context *cx, at_tensor *a, at_tensor *b);

typedef struct at_conv_options {
    int stride[2];   /* down, right; 0 means 1 */
    int padding[4];  /* zeros above, below, left, right */
    int dilation[2]; /* 0 means 1 */
    int groups;      /* 0 means 1 */
    at_activation activation;
} at_conv_options;

/* x [B,H,W,C], weight [O,C/groups,kh,kw] of any dtype, as files have it, bias [O] or NULL
   -> [B,H',W',O] with H' = (H + above + below - dilation (kh - 1) - 1) / stride + 1. options may be
   NULL. */
AT_API at_tensor *at_conv2d(at_context *cx, at_tensor *x, at_tensor *weight, at_tensor *bias,
                            const at_conv_options *options);

typedef struct at_conv_transpose1d_options {
    int stride, padding, output_padding;
    int groups; /* 0 means 1 */
} at_conv_transpose1d_options;

/* torch.nn.ConvTranspose1d: x [B,N,C], weight [O,C/groups,1,k] of any dtype (bind turns the
   file's [C,O,k]), bias [O] or NULL -> [B,N',O] with N' = (N - 1) stride - 2 padding + k +
   output_padding. */
AT_API at_tensor *at_conv_transpose1d(at_context *cx, at_tensor *x, at_tensor *weight,
                                      at_tensor *bias, const at_conv_transpose1d_options *options);

/* The four gates (input, forget, cell, output) one below the other, as torch has them. */
typedef struct at_lstm_weights {
    at_tensor *weight_ih, *weight_hh; /* [4*H,C], [4*H,H] */
    at_tensor *bias_ih, *bias_hh;     /* [4*H] or NULL */
} at_lstm_weights;

/* torch.nn.LSTM, one layer from a state of zeros: x [B,N,C] -> [B,N,directions*H]. Of two
   directions the second goes from the end to the beginning. */
AT_API at_tensor *at_lstm(at_context *cx, at_tensor *x, int directions,
                          const at_lstm_weights *weights);

typedef struct at_attention_options {
    float scale;     /* 0 means 1 / sqrt(D) */
    bool causal;     /* query i sees keys up to i + (M - N) */
    at_tensor *mask; /* NULL, or broadcasting to [B,H,N,M]: bool (true: seen) or f32 (added to the
                        scores) */
} at_attention_options;

/* softmax(scale q k^T + mask) v by blocks of keys (flash attention: Dao et al. 2022); never N x M
   in memory. q [B,N,H,D], k [B,M,G,D], v [B,M,G,E] with H a multiple of G (grouped heads) ->
   [B,N,H,E]. A query that sees nothing gives zeros. */
AT_API at_tensor *at_attention(at_context *cx, at_tensor *q, at_tensor *k, at_tensor *v,
                               const at_attention_options *options);

/* ---- positions */
typedef enum at_rotary_pairs { AT_ROTARY_INTERLEAVED, AT_ROTARY_HALVES } at_rotary_pairs;

/* x [B,N,H,D]; table [N,R/2,2] or [B,N,R/2,2] of (cos, sin), R <= D: the first R values of each
   head turn. The pairs are (0,1), (2,3), ... as Flux has them, or (0,R/2), (1,R/2+1), ... as Llama
   has them. */
AT_API at_tensor *at_rotary(at_context *cx, at_tensor *x, at_tensor *table, at_rotary_pairs pairs);

typedef struct at_timestep_options {
    bool flip_sin_to_cos;
    float downscale_freq_shift;
    float scale;      /* 0 means 1 */
    float max_period; /* 0 means 10000 */
} at_timestep_options;

/* diffusers.models.embeddings.get_timestep_embedding: t [B] -> [B,dim]. */
AT_API at_tensor *at_timestep_embedding(at_context *cx, at_tensor *t, int64_t dim,
                                        const at_timestep_options *options);

/* ---- moving */
AT_API at_tensor *at_embedding(at_context *cx, at_tensor *table,
                               at_tensor *ids); /* [V,C] any dtype, i32 or i64 [...] -> [...,C] */
AT_API at_tensor *at_contiguous(at_context *cx, at_tensor *x); /* x itself when it is */
AT_API at_tensor *at_cast(at_context *cx, at_tensor *x,
                          at_dtype dtype); /* x itself when it has it */
AT_API at_tensor *at_concat(at_context *cx, int dim, int count, at_tensor *const *parts);
#define at_join(cx, dim, ...)                                                             \
    at_concat(cx, dim, (int)(sizeof((at_tensor *[]){__VA_ARGS__}) / sizeof(at_tensor *)), \
              (at_tensor *[]){__VA_ARGS__})
AT_API at_tensor *at_pad(at_context *cx, at_tensor *x, int dim, int64_t before, int64_t after,
                         float value);
AT_API at_tensor *at_upsample_nearest(at_context *cx, at_tensor *x, int64_t height,
                                      int64_t width); /* [B,H,W,C] */

/* ---- reductions over everything, to one element (dims 0) */
AT_API at_tensor *at_sum(at_context *cx, at_tensor *x);
AT_API at_tensor *at_mean(at_context *cx, at_tensor *x);

#ifdef __cplusplus
}
#endif
#endif
