/* Blocks of StyleTTS 2 (Li et al. 2023) whose instance norms are scaled and shifted by a style
   vector: kokoro/istftnet.py. style [1,S]; x [1,N,C]. */
#ifndef AT_ADAIN_H
#define AT_ADAIN_H

#include "nn/nn.h"

/* AdaIN1d */
typedef struct at_adain {
    at_nn_linear fc;          /* S -> scale, shift */
    at_tensor *weight, *bias; /* [C] of the norm itself; most checkpoints have none */
} at_adain;

/* AdainResBlk1d, LeakyReLU of 0.2 */
typedef struct at_adain_block {
    at_adain norm1, norm2;
    at_nn_conv2d conv1, conv2;
    at_nn_linear conv1x1; /* where the channels change */
    bool has_conv1x1, upsamples;
    at_nn_conv_transpose1d pool;
} at_adain_block;

void at_bind_adain_block(at_binder *b, at_adain_block *m, int64_t in, int64_t out, int64_t style,
                         bool upsamples);
at_tensor *at_run_adain_block(at_context *cx, const at_adain_block *m, at_tensor *x,
                              at_tensor *style); /* [1,N,in] -> [1,N or 2*N,out] */

/* AdaINResBlock1: three times a dilated convolution and a plain one, Snake before each */
typedef struct at_snake_block {
    at_nn_conv2d convs1[3], convs2[3];
    at_adain adain1[3], adain2[3];
    at_tensor *alpha1[3], *alpha2[3]; /* [1,C,1] */
} at_snake_block;

void at_bind_snake_block(at_binder *b, at_snake_block *m, int64_t channels, int size,
                         const int64_t dilation[3], int64_t style);
at_tensor *at_run_snake_block(at_context *cx, const at_snake_block *m, at_tensor *x,
                              at_tensor *style); /* [1,N,C] -> [1,N,C] */

#endif
