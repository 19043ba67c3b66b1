/* The names of Stable Diffusion 3 and 3.5 as Stability publishes them, and of AuraFlow as fal. */
#include "models/layouts/mmdit.h"

enum { MOST = 1000 };

/* ---- Stable Diffusion 3 */

static const at_name_rule sd3_fixed[] = {
    {"x_embedder.proj.", "pos_embed.proj."},
    {"pos_embed", "pos_embed.pos_embed"},
    {"t_embedder.mlp.0.", "time_text_embed.timestep_embedder.linear_1."},
    {"t_embedder.mlp.2.", "time_text_embed.timestep_embedder.linear_2."},
    {"y_embedder.mlp.0.", "time_text_embed.text_embedder.linear_1."},
    {"y_embedder.mlp.2.", "time_text_embed.text_embedder.linear_2."},
    {"context_embedder.", "context_embedder."},
    {"final_layer.linear.", "proj_out."},
    /* shift, scale there; scale, shift here */
    {"final_layer.adaLN_modulation.1.", "norm_out.linear.", .halves_swapped = true},
    {NULL},
};

/* The last block's text has a norm of its own kind: scale, shift here. */
#define SD3_BLOCK(last)                                                                           \
    {"x_block.adaLN_modulation.1.", "norm1.linear."},                                             \
        {"context_block.adaLN_modulation.1.", "norm1_context.linear.", .halves_swapped = (last)}, \
        {"x_block.attn.qkv.", "attn.to_q.", 0, 1, 3},                                             \
        {"x_block.attn.qkv.", "attn.to_k.", 1, 2, 3},                                             \
        {"x_block.attn.qkv.", "attn.to_v.", 2, 3, 3},                                             \
        {"x_block.attn2.qkv.", "attn2.to_q.", 0, 1, 3},                                           \
        {"x_block.attn2.qkv.", "attn2.to_k.", 1, 2, 3},                                           \
        {"x_block.attn2.qkv.", "attn2.to_v.", 2, 3, 3},                                           \
        {"context_block.attn.qkv.", "attn.add_q_proj.", 0, 1, 3},                                 \
        {"context_block.attn.qkv.", "attn.add_k_proj.", 1, 2, 3},                                 \
        {"context_block.attn.qkv.", "attn.add_v_proj.", 2, 3, 3},                                 \
        {"x_block.attn.ln_q.", "attn.norm_q."}, {"x_block.attn.ln_k.", "attn.norm_k."},           \
        {"x_block.attn2.ln_q.", "attn2.norm_q."}, {"x_block.attn2.ln_k.", "attn2.norm_k."},       \
        {"context_block.attn.ln_q.", "attn.norm_added_q."},                                       \
        {"context_block.attn.ln_k.", "attn.norm_added_k."},                                       \
        {"x_block.attn.proj.", "attn.to_out.0."}, {"x_block.attn2.proj.", "attn2.to_out.0."},     \
        {"context_block.attn.proj.", "attn.to_add_out."}, {"x_block.mlp.fc1.", "ff.net.0.proj."}, \
        {"x_block.mlp.fc2.", "ff.net.2."}, {"context_block.mlp.fc1.", "ff_context.net.0.proj."},  \
        {"context_block.mlp.fc2.", "ff_context.net.2."},                                          \
    {                                                                                             \
        NULL                                                                                      \
    }

static const at_name_rule sd3_block[] = {SD3_BLOCK(false)};
static const at_name_rule sd3_last_block[] = {SD3_BLOCK(true)};

static bool has_block(const at_weights *w, const char *prefix, bool own, int i)
{
    return at_part_find(w, prefix,
                        own ? "transformer_blocks.%d.norm1.linear.weight"
                            : "joint_blocks.%d.x_block.adaLN_modulation.1.weight",
                        i) != NULL;
}

void at_names_sd3(at_context *cx, at_names *n, const at_weights *w, const char *prefix, bool own)
{
    at_names_add_all(cx, n, sd3_fixed);
    for (int i = 0; i < MOST && has_block(w, prefix, own, i); i++)
        at_names_add(cx, n, has_block(w, prefix, own, i + 1) ? sd3_block : sd3_last_block,
                     at_format(cx, "joint_blocks.%d.", i),
                     at_format(cx, "transformer_blocks.%d.", i));
}

/* ---- AuraFlow */

static const at_name_rule auraflow_fixed[] = {
    {"register_tokens", "register_tokens"},
    {"positional_encoding", "pos_embed.pos_embed"},
    {"init_x_linear.", "pos_embed.proj."},
    {"cond_seq_linear.", "context_embedder."},
    {"t_embedder.mlp.0.", "time_step_proj.linear_1."},
    {"t_embedder.mlp.2.", "time_step_proj.linear_2."},
    {"final_linear.", "proj_out."},
    {"modF.1.", "norm_out.linear.", .halves_swapped = true},
    {NULL},
};

#define FEED_FORWARD(theirs, ours)                                                \
    {theirs ".c_fc1.", ours ".linear_1."}, {theirs ".c_fc2.", ours ".linear_2."}, \
    {                                                                             \
        theirs ".c_proj.", ours ".out_projection."                                \
    }

static const at_name_rule auraflow_joint[] = {
    {"modX.1.", "norm1.linear."},
    {"modC.1.", "norm1_context.linear."},
    {"attn.w2q.", "attn.to_q."},
    {"attn.w2k.", "attn.to_k."},
    {"attn.w2v.", "attn.to_v."},
    {"attn.w2o.", "attn.to_out.0."},
    {"attn.w1q.", "attn.add_q_proj."},
    {"attn.w1k.", "attn.add_k_proj."},
    {"attn.w1v.", "attn.add_v_proj."},
    {"attn.w1o.", "attn.to_add_out."},
    FEED_FORWARD("mlpX", "ff"),
    FEED_FORWARD("mlpC", "ff_context"),
    {NULL},
};

static const at_name_rule auraflow_single[] = {
    {"modCX.1.", "norm1.linear."},
    {"attn.w1q.", "attn.to_q."},
    {"attn.w1k.", "attn.to_k."},
    {"attn.w1v.", "attn.to_v."},
    {"attn.w1o.", "attn.to_out.0."},
    FEED_FORWARD("mlp", "ff"),
    {NULL},
};

static void add_blocks(at_context *cx, at_names *n, const at_weights *w, const char *prefix,
                       const at_name_rule *rules, const char *theirs, const char *ours,
                       const char *sign)
{
    for (int i = 0; i < MOST && at_part_find(w, prefix, "%s.%d.%s.weight", sign ? theirs : ours, i,
                                             sign ? sign : "norm1.linear");
         i++)
        at_names_add(cx, n, rules, at_format(cx, "%s.%d.", theirs, i),
                     at_format(cx, "%s.%d.", ours, i));
}

void at_names_auraflow(at_context *cx, at_names *n, const at_weights *w, const char *prefix,
                       bool own)
{
    at_names_add_all(cx, n, auraflow_fixed);
    add_blocks(cx, n, w, prefix, auraflow_joint, "double_layers", "joint_transformer_blocks",
               own ? NULL : "modX.1");
    add_blocks(cx, n, w, prefix, auraflow_single, "single_layers", "single_transformer_blocks",
               own ? NULL : "modCX.1");
}
