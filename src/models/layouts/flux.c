/* The names of Flux as Black Forest Labs publish it. */
#include "models/layouts/flux.h"

enum { MOST = 1000 };

static const at_name_rule fixed[] = {
    {"time_in.in_layer.", "time_text_embed.timestep_embedder.linear_1."},
    {"time_in.out_layer.", "time_text_embed.timestep_embedder.linear_2."},
    {"guidance_in.in_layer.", "time_text_embed.guidance_embedder.linear_1."},
    {"guidance_in.out_layer.", "time_text_embed.guidance_embedder.linear_2."},
    {"vector_in.in_layer.", "time_text_embed.text_embedder.linear_1."},
    {"vector_in.out_layer.", "time_text_embed.text_embedder.linear_2."},
    {"txt_in.", "context_embedder."},
    {"img_in.", "x_embedder."},
    {"final_layer.linear.", "proj_out."},
    /* shift, scale there; scale, shift here */
    {"final_layer.adaLN_modulation.1.", "norm_out.linear.", .halves_swapped = true},
    {NULL},
};

static const at_name_rule double_block[] = {
    {"img_mod.lin.", "norm1.linear."},
    {"txt_mod.lin.", "norm1_context.linear."},
    {"img_attn.qkv.", "attn.to_q.", 0, 1, 3},
    {"img_attn.qkv.", "attn.to_k.", 1, 2, 3},
    {"img_attn.qkv.", "attn.to_v.", 2, 3, 3},
    {"txt_attn.qkv.", "attn.add_q_proj.", 0, 1, 3},
    {"txt_attn.qkv.", "attn.add_k_proj.", 1, 2, 3},
    {"txt_attn.qkv.", "attn.add_v_proj.", 2, 3, 3},
    {"img_attn.norm.query_norm.scale", "attn.norm_q.weight"},
    {"img_attn.norm.key_norm.scale", "attn.norm_k.weight"},
    {"txt_attn.norm.query_norm.scale", "attn.norm_added_q.weight"},
    {"txt_attn.norm.key_norm.scale", "attn.norm_added_k.weight"},
    {"img_attn.proj.", "attn.to_out.0."},
    {"txt_attn.proj.", "attn.to_add_out."},
    {"img_mlp.0.", "ff.net.0.proj."},
    {"img_mlp.2.", "ff.net.2."},
    {"txt_mlp.0.", "ff_context.net.0.proj."},
    {"txt_mlp.2.", "ff_context.net.2."},
    {NULL},
};

/* linear1 is q, k, v and the four times wider entry of the feed-forward. */
static const at_name_rule single_block[] = {
    {"modulation.lin.", "norm.linear."},
    {"linear1.", "attn.to_q.", 0, 1, 7},
    {"linear1.", "attn.to_k.", 1, 2, 7},
    {"linear1.", "attn.to_v.", 2, 3, 7},
    {"linear1.", "proj_mlp.", 3, 7, 7},
    {"norm.query_norm.scale", "attn.norm_q.weight"},
    {"norm.key_norm.scale", "attn.norm_k.weight"},
    {"linear2.", "proj_out."},
    {NULL},
};

void at_names_flux(at_context *cx, at_names *n, const at_weights *w, const char *prefix, bool own)
{
    at_names_add_all(cx, n, fixed);
    for (int i = 0; i < MOST; i++) {
        if (!at_part_find(w, prefix,
                          own ? "transformer_blocks.%d.norm1.linear.weight"
                              : "double_blocks.%d.img_mod.lin.weight",
                          i))
            break;
        at_names_add(cx, n, double_block, at_format(cx, "double_blocks.%d.", i),
                     at_format(cx, "transformer_blocks.%d.", i));
    }
    for (int i = 0; i < MOST; i++) {
        if (!at_part_find(w, prefix,
                          own ? "single_transformer_blocks.%d.norm.linear.weight"
                              : "single_blocks.%d.modulation.lin.weight",
                          i))
            break;
        at_names_add(cx, n, single_block, at_format(cx, "single_blocks.%d.", i),
                     at_format(cx, "single_transformer_blocks.%d.", i));
    }
}
