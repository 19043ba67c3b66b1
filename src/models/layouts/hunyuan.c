/* The names of HunyuanDiT as Tencent publishes it, which ComfyUI keeps, and those of BERT there. */
#include "models/layouts/hunyuan.h"
#include "models/layouts/parts.h"

enum { MOST = 1000 };

static const at_name_rule fixed[] = {
    {"x_embedder.proj.", "pos_embed.proj."},
    {"text_embedding_padding", "text_embedding_padding"},
    {"mlp_t5.0.", "text_embedder.linear_1."},
    {"mlp_t5.2.", "text_embedder.linear_2."},
    {"pooler.", "time_extra_emb.pooler."},
    {"t_embedder.mlp.0.", "time_extra_emb.timestep_embedder.linear_1."},
    {"t_embedder.mlp.2.", "time_extra_emb.timestep_embedder.linear_2."},
    {"extra_embedder.0.", "time_extra_emb.extra_embedder.linear_1."},
    {"extra_embedder.2.", "time_extra_emb.extra_embedder.linear_2."},
    {"style_embedder.", "time_extra_emb.style_embedder."},
    {"final_layer.linear.", "proj_out."},
    /* shift, scale there; scale, shift here */
    {"final_layer.adaLN_modulation.1.", "norm_out.linear.", .halves_swapped = true},
    {NULL},
};

/* The second norm there is before the feed-forward, the third before the text. */
static const at_name_rule block[] = {
    {"attn1.Wqkv.", "attn1.to_q.", 0, 1, 3},
    {"attn1.Wqkv.", "attn1.to_k.", 1, 2, 3},
    {"attn1.Wqkv.", "attn1.to_v.", 2, 3, 3},
    {"attn1.q_norm.", "attn1.norm_q."},
    {"attn1.k_norm.", "attn1.norm_k."},
    {"attn1.out_proj.", "attn1.to_out.0."},
    {"attn2.q_proj.", "attn2.to_q."},
    {"attn2.kv_proj.", "attn2.to_k.", 0, 1, 2},
    {"attn2.kv_proj.", "attn2.to_v.", 1, 2, 2},
    {"attn2.q_norm.", "attn2.norm_q."},
    {"attn2.k_norm.", "attn2.norm_k."},
    {"attn2.out_proj.", "attn2.to_out.0."},
    {"default_modulation.1.", "norm1.linear."},
    {"norm1.", "norm1.norm."},
    {"norm2.", "norm3."},
    {"norm3.", "norm2."},
    {"mlp.fc1.", "ff.net.0.proj."},
    {"mlp.fc2.", "ff.net.2."},
    {"skip_norm.", "skip_norm."},
    {"skip_linear.", "skip_linear."},
    {NULL},
};

void at_names_hunyuan(at_context *cx, at_names *n, const at_weights *w, const char *prefix,
                      bool own)
{
    const char *sign = own ? "blocks.%d.norm1.linear.weight" : "blocks.%d.norm1.weight";
    at_names_add_all(cx, n, fixed);
    for (int i = 0; i < MOST && at_part_find(w, prefix, sign, i); i++)
        at_names_add(cx, n, block, at_format(cx, "blocks.%d.", i), at_format(cx, "blocks.%d.", i));
}

void at_names_bert(at_context *cx, at_names *n, const at_weights *w, const char *prefix, bool own)
{
    static const at_name_rule rules[] = {{"bert.", ""}, {NULL}};
    (void)w;
    (void)prefix;
    (void)own;
    at_names_add_all(cx, n, rules);
}
