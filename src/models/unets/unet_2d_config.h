/* The configuration of UNet2DConditionModel (Diffusers), every option computed or refused. */
#ifndef AT_UNET_2D_CONFIG_H
#define AT_UNET_2D_CONFIG_H

#include "base/json.h"
#include <atelier/ops.h>

enum { AT_UNET_MAX_LEVELS = 8, AT_UNET_MAX_LAYERS = 16 };

typedef enum at_unet_class_embed {
    AT_UNET_CLASS_NONE,
    AT_UNET_CLASS_TABLE,
    AT_UNET_CLASS_TIMESTEP,
    AT_UNET_CLASS_IDENTITY,
    AT_UNET_CLASS_PROJECTION,
    AT_UNET_CLASS_SIMPLE,
} at_unet_class_embed;

/* A block's resnets and transformers; the transformer blocks of each of these. */
typedef struct at_unet_layers {
    int resnets, attentions, depth[AT_UNET_MAX_LAYERS];
} at_unet_layers;

typedef struct at_unet_config {
    int64_t in_channels, out_channels, sample_size[2]; /* 0: not said */
    int levels, groups, downsample_padding, conv_in_kernel, conv_out_kernel;
    int64_t channels[AT_UNET_MAX_LEVELS], heads[AT_UNET_MAX_LEVELS];
    int64_t cross_attention_dim[AT_UNET_MAX_LEVELS];
    bool only_cross_attention[AT_UNET_MAX_LEVELS];
    at_unet_layers down[AT_UNET_MAX_LEVELS], mid, up[AT_UNET_MAX_LEVELS]; /* in running order */
    double eps, mid_scale, freq_shift;
    bool center_input_sample, flip_sin_to_cos, scale_shift, class_concat, text_time;
    at_activation activation, post_activation, embedding_activation;
    at_unet_class_embed class_embed;
    int64_t time_dim, time_cond_dim, classes, encoder_hid_dim; /* 0: none */
    int64_t projection_dim, addition_time_dim;
} at_unet_config;

void at_unet_config_read(at_context *cx, at_config *config, at_unet_config *c);

typedef struct at_unet_totals {
    int64_t resnets, attentions, blocks;
} at_unet_totals;

at_unet_totals at_unet_totals_of(const at_unet_config *c);
int at_unet_skip_count(const at_unet_config *c); /* results kept on the way down */
const char *at_unet_class_embed_name(at_unet_class_embed kind);

#endif
