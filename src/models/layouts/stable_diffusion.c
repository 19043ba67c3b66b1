/* The names of latent-diffusion's code (CompVis, Stability): UNet, autoencoder, OpenCLIP. */
#include "models/layouts/stable_diffusion.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { LEVELS = 8, MOST = 1000 };

/* ---- UNet2DConditionModel */

static const at_name_rule unet_fixed[] = {
    {"time_embed.0.", "time_embedding.linear_1."},
    {"time_embed.2.", "time_embedding.linear_2."},
    {"time_embed.cond_proj.", "time_embedding.cond_proj."},
    {"input_blocks.0.0.", "conv_in."},
    {"out.0.", "conv_norm_out."},
    {"out.2.", "conv_out."},
    {"label_emb.weight", "class_embedding.weight"},
    {NULL},
};

static const at_name_rule unet_added[] = {
    {"label_emb.0.0.", "add_embedding.linear_1."},
    {"label_emb.0.2.", "add_embedding.linear_2."},
    {NULL},
};

static const at_name_rule unet_class[] = {
    {"label_emb.0.0.", "class_embedding.linear_1."},
    {"label_emb.0.2.", "class_embedding.linear_2."},
    {NULL},
};

static const at_name_rule unet_resnet[] = {
    {"in_layers.0.", "norm1."},
    {"in_layers.2.", "conv1."},
    {"out_layers.0.", "norm2."},
    {"out_layers.3.", "conv2."},
    {"emb_layers.1.", "time_emb_proj."},
    {"skip_connection.", "conv_shortcut."},
    {NULL},
};

/* How many resnets each level has, and where the way up has its change of size. */
typedef struct unet_shape {
    int levels, down[LEVELS], up[LEVELS];
    bool up_attends[LEVELS];
    bool added; /* text_time rather than a class */
} unet_shape;

static unet_shape shape_of_file(const at_weights *w, const char *prefix)
{
    unet_shape s = {.levels = 1};
    for (int i = 1; i < MOST; i++) {
        if (at_part_find(w, prefix, "input_blocks.%d.0.op.weight", i)) {
            if (s.levels == LEVELS) break;
            s.levels++;
        } else if (at_part_find(w, prefix, "input_blocks.%d.0.in_layers.0.weight", i)) {
            s.down[s.levels - 1]++;
        } else {
            break;
        }
    }
    for (int i = 0, level = 0; i < MOST && level < s.levels; i++) {
        if (!at_part_find(w, prefix, "output_blocks.%d.0.in_layers.0.weight", i)) break;
        s.up[level]++;
        s.up_attends[level] = at_part_find(w, prefix, "output_blocks.%d.1.norm.weight", i);
        level += at_part_find(w, prefix, "output_blocks.%d.1.conv.weight", i) ||
                 at_part_find(w, prefix, "output_blocks.%d.2.conv.weight", i);
    }
    const at_weight *k = NULL; /* Stability's models with sizes as conditions have these widths */
    for (int64_t i = 0; !k && i < at_weights_count(w); i++)
        if (strstr(at_weights_at(w, i)->name, "attn2.to_k.weight")) k = at_weights_at(w, i);
    s.added = !k || k->dims < 2 || k->shape[1] != 1024;
    return s;
}

static unet_shape shape_of_class(const at_weights *w)
{
    unet_shape s = {.added = at_part_find(w, "", "add_embedding.linear_1.weight")};
    for (; s.levels < LEVELS; s.levels++) {
        int i = s.levels;
        while (s.down[i] < MOST &&
               at_part_find(w, "", "down_blocks.%d.resnets.%d.norm1.weight", i, s.down[i]))
            s.down[i]++;
        while (s.up[i] < MOST &&
               at_part_find(w, "", "up_blocks.%d.resnets.%d.norm1.weight", i, s.up[i]))
            s.up[i]++;
        s.up_attends[i] =
            at_part_find(w, "", "up_blocks.%d.attentions.%d.norm.weight", i, s.up[i] - 1);
        if (!s.down[i]) break;
    }
    return s;
}

static void name_ways(at_context *cx, at_names *n, const unet_shape *s)
{
    int at = 1;
    for (int l = 0; l < s->levels; l++) {
        for (int i = 0; i < s->down[l]; i++, at++) {
            at_names_add(cx, n, unet_resnet, at_format(cx, "input_blocks.%d.0.", at),
                         at_format(cx, "down_blocks.%d.resnets.%d.", l, i));
            at_names_add(cx, n, NULL, at_format(cx, "input_blocks.%d.1.", at),
                         at_format(cx, "down_blocks.%d.attentions.%d.", l, i));
        }
        if (l + 1 < s->levels)
            at_names_add(cx, n, NULL, at_format(cx, "input_blocks.%d.0.op.", at++),
                         at_format(cx, "down_blocks.%d.downsamplers.0.conv.", l));
    }
    at = 0;
    for (int l = 0; l < s->levels; l++)
        for (int i = 0; i < s->up[l]; i++, at++) {
            if (i == s->up[l] - 1)
                at_names_add(cx, n, NULL,
                             at_format(cx, "output_blocks.%d.%d.conv.", at, 1 + s->up_attends[l]),
                             at_format(cx, "up_blocks.%d.upsamplers.0.conv.", l));
            at_names_add(cx, n, unet_resnet, at_format(cx, "output_blocks.%d.0.", at),
                         at_format(cx, "up_blocks.%d.resnets.%d.", l, i));
            at_names_add(cx, n, NULL, at_format(cx, "output_blocks.%d.1.", at),
                         at_format(cx, "up_blocks.%d.attentions.%d.", l, i));
        }
}

void at_names_unet(at_context *cx, at_names *n, const at_weights *w, const char *prefix, bool own)
{
    unet_shape s = own ? shape_of_class(w) : shape_of_file(w, prefix);
    at_names_add_all(cx, n, unet_fixed);
    at_names_add_all(cx, n, s.added ? unet_added : unet_class);
    name_ways(cx, n, &s);
    for (int i = 0; i < 3; i++)
        at_names_add(
            cx, n, i == 1 ? NULL : unet_resnet, at_format(cx, "middle_block.%d.", i),
            at_format(cx, i == 1 ? "mid_block.attentions.%d." : "mid_block.resnets.%d.", i / 2));
}

/* ---- AutoencoderKL */

static const at_name_rule vae_resnet[] = {
    {"nin_shortcut.", "conv_shortcut."},
    {"", ""},
    {NULL},
};

static const at_name_rule vae_attention[] = {
    {"norm.", "group_norm."},
    {"q.", "to_q.", .is_matrix = true},
    {"k.", "to_k.", .is_matrix = true},
    {"v.", "to_v.", .is_matrix = true},
    {"proj_out.", "to_out.0.", .is_matrix = true},
    {"to_q.", "to_q.", .is_matrix = true}, /* stable-diffusion.cpp's */
    {"to_k.", "to_k.", .is_matrix = true},
    {"to_v.", "to_v.", .is_matrix = true},
    {"to_out.0.", "to_out.0.", .is_matrix = true},
    {NULL},
};

static const at_name_rule vae_fixed[] = {
    {"encoder.norm_out.", "encoder.conv_norm_out."},
    {"decoder.norm_out.", "decoder.conv_norm_out."},
    {"encoder.conv_", "encoder.conv_"},
    {"decoder.conv_", "decoder.conv_"},
    {"quant_conv.", "quant_conv."},
    {"post_quant_conv.", "post_quant_conv."},
    {NULL},
};

static void name_half(at_context *cx, at_names *n, const char *half, int levels)
{
    bool down = strcmp(half, "encoder") == 0;
    const char *theirs = down ? "down" : "up", *ours = down ? "down_blocks" : "up_blocks";
    for (int i = 0; i < levels; i++) {
        int their_level = down ? i : levels - 1 - i; /* theirs counts from the picture */
        at_names_add(cx, n, NULL,
                     at_format(cx, "%s.%s.%d.%ssample.conv.", half, theirs, their_level, theirs),
                     at_format(cx, "%s.%s.%d.%ssamplers.0.conv.", half, ours, i, theirs));
        for (int j = 0; j < 8; j++)
            at_names_add(cx, n, vae_resnet,
                         at_format(cx, "%s.%s.%d.block.%d.", half, theirs, their_level, j),
                         at_format(cx, "%s.%s.%d.resnets.%d.", half, ours, i, j));
    }
    for (int i = 0; i < 2; i++)
        at_names_add(cx, n, vae_resnet, at_format(cx, "%s.mid.block_%d.", half, i + 1),
                     at_format(cx, "%s.mid_block.resnets.%d.", half, i));
    at_names_add(cx, n, vae_attention, at_format(cx, "%s.mid.attn_1.", half),
                 at_format(cx, "%s.mid_block.attentions.0.", half));
}

void at_names_vae(at_context *cx, at_names *n, const at_weights *w, const char *prefix, bool own)
{
    int levels = 0;
    while (levels < LEVELS && at_part_find(w, prefix,
                                           own ? "decoder.up_blocks.%d.resnets.0.norm1.weight"
                                               : "decoder.up.%d.block.0.norm1.weight",
                                           levels))
        levels++;
    at_names_add_all(cx, n, vae_fixed);
    name_half(cx, n, "encoder", levels);
    name_half(cx, n, "decoder", levels);
}

/* ---- OpenCLIP's text encoder */

static const at_name_rule open_clip_fixed[] = {
    {"positional_embedding", "text_model.embeddings.position_embedding.weight"},
    {"token_embedding.", "text_model.embeddings.token_embedding."},
    {"ln_final.", "text_model.final_layer_norm."},
    {NULL},
};

static const at_name_rule open_clip_projection[] = {
    {"text_projection", "text_projection.weight", .transposed = true},
    {NULL},
};

static const at_name_rule open_clip_layer[] = {
    {"attn.in_proj_weight", "self_attn.q_proj.weight", 0, 1, 3},
    {"attn.in_proj_weight", "self_attn.k_proj.weight", 1, 2, 3},
    {"attn.in_proj_weight", "self_attn.v_proj.weight", 2, 3, 3},
    {"attn.in_proj_bias", "self_attn.q_proj.bias", 0, 1, 3},
    {"attn.in_proj_bias", "self_attn.k_proj.bias", 1, 2, 3},
    {"attn.in_proj_bias", "self_attn.v_proj.bias", 2, 3, 3},
    {"attn.out_proj.", "self_attn.out_proj."},
    {"ln_1.", "layer_norm1."},
    {"ln_2.", "layer_norm2."},
    {"mlp.c_fc.", "mlp.fc1."},
    {"mlp.c_proj.", "mlp.fc2."},
    {NULL},
};

/* Stable Diffusion 2 takes the last hidden state but one: published files have a 24th layer that
   Diffusers' encoder leaves away, and a projection that nobody uses. */
void at_names_open_clip(at_context *cx, at_names *n, const at_weights *w, const char *prefix,
                        bool own)
{
    bool penultimate = strcmp(prefix, "cond_stage_model.model.") == 0;
    int layers = 0;
    while (layers < MOST && at_part_find(w, own ? "" : prefix,
                                         own ? "text_model.encoder.layers.%d.layer_norm1.weight"
                                             : "transformer.resblocks.%d.ln_1.weight",
                                         layers))
        layers++;
    if (penultimate && layers == 24) layers = 23;
    at_names_add_all(cx, n, open_clip_fixed);
    if (!penultimate) at_names_add_all(cx, n, open_clip_projection);
    for (int i = 0; i < layers; i++)
        at_names_add(cx, n, open_clip_layer, at_format(cx, "transformer.resblocks.%d.", i),
                     at_format(cx, "text_model.encoder.layers.%d.", i));
}
