/* The blocks of UNet2DConditionModel (Diffusers): resnets, transformers between them, and a
   convolution that halves or doubles the sides. Pictures are [B,H,W,C]. */
#ifndef AT_UNET_2D_BLOCKS_H
#define AT_UNET_2D_BLOCKS_H

#include "models/unets/transformer_2d.h"

/* ResnetBlock2D */
typedef struct at_unet_resnet {
    at_activation activation;
    bool scale_shift; /* the time scales and shifts; else it is added */
    float output_scale;
    at_nn_norm norm1, norm2;
    at_nn_conv2d conv1, conv2, conv_shortcut; /* the last where the channels change */
    at_nn_linear time_emb_proj;
} at_unet_resnet;

/* One level on the way down or up, or the middle. */
typedef struct at_unet_block {
    int layers, attentions_count; /* resnets, transformers: as many, none, or one fewer (middle) */
    at_unet_resnet *resnets;
    at_transformer_2d *attentions;
    at_nn_conv2d resample; /* downsamplers.0 or upsamplers.0; no weight at the last level */
} at_unet_block;

/* What the layers of a block have in common. */
typedef struct at_unet_block_sizes {
    int64_t time_dim;
    double eps, output_scale;
    at_activation activation;
    bool scale_shift;
    at_transformer_2d_sizes attention; /* its channels and groups are the resnets' too */
} at_unet_block_sizes;

/* Results on the way down, which the way up takes from the end. */
typedef struct at_unet_skips {
    at_tensor **items;
    int count;
} at_unet_skips;

/* What all blocks see: time [B,T], activated; text [B,M,D]. */
typedef struct at_unet_condition {
    at_tensor *time, *text;
} at_unet_condition;

/* m's counts and lists are set already. in: channels that come in. padding: 0 pads right and bottom
   only, as Downsample2D does. */
void at_bind_unet_down(at_binder *b, at_unet_block *m, const at_unet_block_sizes *sizes, int64_t in,
                       bool resamples, int padding);
void at_bind_unet_mid(at_binder *b, at_unet_block *m, const at_unet_block_sizes *sizes);
/* in: channels of the block before; skip: of the last result that it takes from the way down. */
void at_bind_unet_up(at_binder *b, at_unet_block *m, const at_unet_block_sizes *sizes, int64_t in,
                     int64_t skip, bool resamples);

void at_unet_down(at_context *cx, const at_unet_block *m, at_tensor **x,
                  const at_unet_condition *condition, at_unet_skips *skips);
void at_unet_mid(at_context *cx, const at_unet_block *m, at_tensor **x,
                 const at_unet_condition *condition);
void at_unet_up(at_context *cx, const at_unet_block *m, at_tensor **x,
                const at_unet_condition *condition, at_unet_skips *skips);

#endif
