/* Layers: parameters with their forward. Names and defaults are torch.nn's and Diffusers'. */
#ifndef AT_NN_H
#define AT_NN_H

#include "nn/binder.h"
#include "nn/update.h"

/* ---- Linear */
typedef struct at_nn_linear {
    at_tensor *weight, *bias; /* [out,in] any dtype, [out] f32 or NULL */
    at_nn_update *updates;    /* what adapters add; NULL: nothing */
} at_nn_linear;

void at_bind_linear(at_binder *b, const char *name, at_nn_linear *m, int64_t in, int64_t out,
                    int bias);
at_tensor *at_project(at_context *cx, const at_nn_linear *m, at_tensor *x);
at_tensor *at_project_act(at_context *cx, const at_nn_linear *m, at_tensor *x,
                          at_activation activation);

/* residual + gate * the projection; gate [B,1,out], or NULL for 1 */
at_tensor *at_project_add(at_context *cx, const at_nn_linear *m, at_tensor *x, at_tensor *gate,
                          at_tensor *residual);
/* activation(other) * the projection */
at_tensor *at_project_mul(at_context *cx, const at_nn_linear *m, at_tensor *x, at_tensor *other,
                          at_activation activation);
/* Two sequences, each by its own layer, one behind the other: [B,N,in], [B,M,in] -> [B,N+M,out] */
at_tensor *at_project_pair(at_context *cx, const at_nn_linear *a, at_tensor *x,
                           const at_nn_linear *b, at_tensor *y);

/* ---- Conv2d, square kernels */
typedef struct at_nn_conv2d {
    at_tensor *weight, *bias; /* [out,k,k,in] any dtype, [out] f32 or NULL */
    at_conv_options options;
    at_nn_update *updates; /* what adapters add; NULL: nothing */
} at_nn_conv2d;

/* padding on all four sides */
void at_bind_conv2d(at_binder *b, const char *name, at_nn_conv2d *m, int64_t in, int64_t out,
                    int size, int stride, int padding);
/* The same without a bias. */
void at_bind_conv2d_bare(at_binder *b, const char *name, at_nn_conv2d *m, int64_t in, int64_t out,
                         int size, int stride, int padding);
at_tensor *at_convolve(at_context *cx, const at_nn_conv2d *m,
                       at_tensor *x); /* [B,H,W,in] -> [B,H',W',out] */

/* The same over sequences: the weight is [out,1,size,in]. */
void at_bind_conv1d(at_binder *b, const char *name, at_nn_conv2d *m, int64_t in, int64_t out,
                    int size, int stride, int padding);
at_tensor *at_convolve_1d(at_context *cx, const at_nn_conv2d *m,
                          at_tensor *x); /* [B,N,in] -> [B,N',out] */

/* ---- ConvTranspose1d: the weight is [out,1,size,in] */
typedef struct at_nn_conv_transpose1d {
    at_tensor *weight, *bias;
    at_conv_transpose1d_options options;
} at_nn_conv_transpose1d;

void at_bind_conv_transpose1d(at_binder *b, const char *name, at_nn_conv_transpose1d *m, int64_t in,
                              int64_t out, int size, int stride, int padding);
/* every channel for itself */
void at_bind_depthwise_transpose1d(at_binder *b, const char *name, at_nn_conv_transpose1d *m,
                                   int64_t channels, int size, int stride, int padding);
at_tensor *at_convolve_transpose_1d(at_context *cx, const at_nn_conv_transpose1d *m,
                                    at_tensor *x); /* [B,N,in] -> [B,N',out] */

/* ---- LSTM, one layer, bidirectional */
typedef struct at_nn_lstm {
    at_lstm_weights directions[2];
} at_nn_lstm;

void at_bind_lstm(at_binder *b, const char *name, at_nn_lstm *m, int64_t in, int64_t hidden);
at_tensor *at_run_lstm(at_context *cx, const at_nn_lstm *m,
                       at_tensor *x); /* [B,N,in] -> [B,N,2*hidden] */

/* ---- norms */
typedef struct at_nn_norm {
    at_tensor *weight, *bias; /* [C] f32; bias NULL for RMSNorm */
    float eps;
    int groups; /* GroupNorm */
} at_nn_norm;

void at_bind_layer_norm(at_binder *b, const char *name, at_nn_norm *m, int64_t channels,
                        double eps);
void at_bind_rms_norm(at_binder *b, const char *name, at_nn_norm *m, int64_t channels, double eps);
void at_bind_group_norm(at_binder *b, const char *name, at_nn_norm *m, int64_t channels, int groups,
                        double eps);
at_tensor *at_layer_normalize(at_context *cx, const at_nn_norm *m, at_tensor *x); /* LayerNorm */
at_tensor *at_rms_normalize(at_context *cx, const at_nn_norm *m, at_tensor *x);   /* RMSNorm */
/* The first N of x [B,N+M,H,D] by a, the rest by b. */
at_tensor *at_rms_normalize_pair(at_context *cx, const at_nn_norm *a, const at_nn_norm *b,
                                 at_tensor *x, int64_t N);
at_tensor *at_group_normalize(at_context *cx, const at_nn_norm *m, at_tensor *x,
                              at_activation activation);

/* ---- Embedding */
void at_bind_embedding(at_binder *b, const char *name, at_tensor **table, int64_t entries,
                       int64_t channels);

/* ---- FeedForward (Diffusers): net.0.proj, activation, net.2. GEGLU's net.0.proj gives values and
   gates side by side: value * gelu(gate). */
typedef struct at_nn_feed_forward {
    at_nn_linear in, out;
    at_activation activation;
    bool gated;
} at_nn_feed_forward;

void at_bind_feed_forward(at_binder *b, const char *name, at_nn_feed_forward *m, int64_t channels,
                          int64_t inner, at_activation activation);
void at_bind_geglu(at_binder *b, const char *name, at_nn_feed_forward *m, int64_t channels,
                   int64_t inner);
at_tensor *at_feed_forward(at_context *cx, const at_nn_feed_forward *m, at_tensor *x);
/* residual + gate * that; gate [B,1,channels], or NULL for 1 */
at_tensor *at_feed_forward_add(at_context *cx, const at_nn_feed_forward *m, at_tensor *x,
                               at_tensor *gate, at_tensor *residual);

/* ---- TimestepEmbedding and PixArtAlphaTextProjection: linear_1, activation, linear_2 */
typedef struct at_nn_embedder {
    at_nn_linear linear_1, linear_2;
} at_nn_embedder;

void at_bind_embedder(at_binder *b, const char *name, at_nn_embedder *m, int64_t in, int64_t out);
at_tensor *at_embed(at_context *cx, const at_nn_embedder *m, at_tensor *x,
                    at_activation activation);

/* ---- AdaLayerNormZero and its kin: Linear(silu(temb)) cut into pieces */
/* temb [B,D], m: D -> count * width. Fills pieces[0..count-1], each [B,1,width]. */
void at_modulation_pieces(at_context *cx, const at_nn_linear *m, at_tensor *temb, int count,
                          at_tensor **pieces);

typedef struct at_modulation {
    at_tensor *shift[2], *scale[2], *gate[2]; /* [B,1,D]: for attention, for feed-forward */
} at_modulation;

/* AdaLayerNormZero's order: shift, scale, gate of attention, then of feed-forward. */
at_modulation at_modulate(at_context *cx, const at_nn_linear *m, at_tensor *temb);

/* ---- heads */
at_tensor *at_split_heads(at_context *cx, at_tensor *x, int64_t heads); /* [B,N,H*D] -> [B,N,H,D] */
at_tensor *at_merge_heads(at_context *cx, at_tensor *x);                /* and back */

/* ---- rotary positions
   Angles in f64 as Diffusers' get_1d_rotary_pos_embed(use_real, repeat_interleave_real) has them
   for Flux: positions [n][axes], the axes' sizes side by side. -> [n, sum/2, 2] of (cos, sin). */
at_tensor *at_rotary_table(at_context *cx, int64_t n, int axes, const int64_t *sizes,
                           const float *positions, double theta);

typedef struct at_pair {
    at_tensor *first, *second;
} at_pair;

#endif
