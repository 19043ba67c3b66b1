/* Transformer2DModel (Diffusers) as UNets have it: a few transformer blocks over the positions of a
   picture, which also look at the text. */
#ifndef AT_TRANSFORMER_2D_H
#define AT_TRANSFORMER_2D_H

#include "nn/nn.h"

typedef struct at_cross_attention {
    int heads;
    at_nn_linear to_q, to_k, to_v, to_out;
} at_cross_attention;

/* BasicTransformerBlock with layer norms and GEGLU */
typedef struct at_basic_block {
    bool only_cross_attention; /* attn1 looks at the text too */
    at_nn_norm norm1, norm2, norm3;
    at_cross_attention attn1, attn2;
    at_nn_feed_forward ff;
} at_basic_block;

typedef struct at_transformer_2d {
    int depth;
    at_basic_block *transformer_blocks;
    at_nn_norm norm;
    at_nn_linear proj_in, proj_out;
} at_transformer_2d;

typedef struct at_transformer_2d_sizes {
    int64_t channels, cross_attention_dim;
    int heads, groups;
    bool only_cross_attention;
} at_transformer_2d_sizes;

/* m->depth and m->transformer_blocks are set already. Projections may be linear or 1x1
   convolutions in the file. */
void at_bind_transformer_2d(at_binder *b, at_transformer_2d *m,
                            const at_transformer_2d_sizes *sizes);

/* x [B,H,W,C], text [B,M,cross_attention_dim] */
void at_transformer_2d_forward(at_context *cx, const at_transformer_2d *m, at_tensor **x,
                               at_tensor *text);

#endif
