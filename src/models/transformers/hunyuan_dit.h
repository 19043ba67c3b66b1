/* HunyuanDiT2DModel (Diffusers): HunyuanDiT 1.0, 1.1 and 1.2. */
#ifndef AT_HUNYUAN_DIT_H
#define AT_HUNYUAN_DIT_H

#include "models/module.h"

typedef struct at_hunyuan_dit_inputs {
    at_tensor *hidden_states;            /* [B,H,W,C], latents */
    at_tensor *timestep;                 /* [B] */
    at_tensor *encoder_hidden_states;    /* [B,text_len,D] of BERT */
    at_tensor *text_embedding_mask;      /* [B,text_len]: 1 for a token, 0 for padding */
    at_tensor *encoder_hidden_states_t5; /* [B,text_len_t5,E] of mT5 */
    at_tensor *text_embedding_mask_t5;   /* [B,text_len_t5] */
    at_tensor *image_meta_size;          /* [B,6], to version 1.1; NULL from 1.2 on */
    at_tensor *style;                    /* i32 [B], to version 1.1; NULL from 1.2 on */
    at_tensor *rope;                     /* of at_hunyuan_dit_rope */
} at_hunyuan_dit_inputs;

typedef struct at_hunyuan_dit_info {
    int patch_size, sample_size, text_len, text_len_t5;
    int64_t in_channels;
    bool learn_sigma; /* the output has twice as many channels, the second half variances */
    bool use_style_cond_and_image_meta_size;
} at_hunyuan_dit_info;

extern const at_module_class at_hunyuan_dit_class;

at_hunyuan_dit_info at_hunyuan_dit_info_of(const at_module *hunyuan); /* zeros for NULL */

/* Where the patches of a picture lie, for latents of that size: squeezed into the middle of the
   square of 512 x 512 pixels. -> [N,head_dim/2,2] */
at_tensor *at_hunyuan_dit_rope(at_context *cx, const at_module *hunyuan, int64_t height,
                               int64_t width);

/* -> [B,H,W,C or 2C]; height and width rounded down to whole patches */
at_tensor *at_hunyuan_dit_forward(at_context *cx, const at_module *hunyuan,
                                  const at_hunyuan_dit_inputs *in);

#endif
