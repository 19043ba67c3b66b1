/* The names of Lumina-Image 2.0 as Alpha-VLLM publishes it, which ComfyUI keeps, and those of
   Gemma 2 there. */
#include "models/layouts/lumina2.h"

enum { MOST = 1000, RATIOS = 8 };

static const at_name_rule fixed[] = {
    {"x_embedder.", "x_embedder."},
    {"cap_embedder.", "time_caption_embed.caption_embedder."},
    {"t_embedder.mlp.0.", "time_caption_embed.timestep_embedder.linear_1."},
    {"t_embedder.mlp.2.", "time_caption_embed.timestep_embedder.linear_2."},
    {"final_layer.adaLN_modulation.1.", "norm_out.linear_1."},
    {"final_layer.linear.", "norm_out.linear_2."},
    {NULL},
};

#define BLOCK(norm1)                                                                              \
    {"attention.out.", "attn.to_out.0."}, {"attention.q_norm.", "attn.norm_q."},                  \
        {"attention.k_norm.", "attn.norm_k."}, {"attention_norm1.", norm1},                       \
        {"attention_norm2.", "norm2."}, {"ffn_norm1.", "ffn_norm1."},                             \
        {"ffn_norm2.", "ffn_norm2."}, {"feed_forward.w1.", "feed_forward.linear_1."},             \
        {"feed_forward.w2.", "feed_forward.linear_2."},                                           \
        {"feed_forward.w3.", "feed_forward.linear_3."}, {"adaLN_modulation.1.", "norm1.linear."}, \
    {                                                                                             \
        NULL                                                                                      \
    }

static const at_name_rule block[] = {BLOCK("norm1.norm.")};
static const at_name_rule context_block[] = {BLOCK("norm1.")};

/* Queries of n heads for each head of keys and of values, all in one. */
#define QKV(n)                                                      \
    {                                                               \
        {"", "to_q.", 0, n, n + 2}, {"", "to_k.", n, n + 1, n + 2}, \
            {"", "to_v.", n + 1, n + 2, n + 2}, {NULL},             \
    }

static const at_name_rule qkv[RATIOS][4] = {QKV(1), QKV(2), QKV(3), QKV(4),
                                            QKV(5), QKV(6), QKV(7), QKV(8)};

/* Heads of queries for each of keys: qkv is [q + 2 k, D], out [D, q]. */
static int64_t ratio_of(const at_weights *w, const char *prefix, bool own)
{
    const at_weight *out = at_part_find(
        w, prefix, own ? "layers.0.attn.to_out.0.weight" : "layers.0.attention.out.weight");
    const at_weight *keys = at_part_find(
        w, prefix, own ? "layers.0.attn.to_k.weight" : "layers.0.attention.qkv.weight");
    if (!out || !keys || out->dims < 2 || keys->dims < 1) return 1;
    int64_t q = out->shape[1], k = own ? keys->shape[0] : (keys->shape[0] - q) / 2;
    return k > 0 && q % k == 0 && q / k <= RATIOS ? q / k : 1;
}

static void add_blocks(at_context *cx, at_names *n, const at_weights *w, const char *prefix,
                       const char *kind, const at_name_rule *rules, const at_name_rule *fused)
{
    for (int i = 0; i < MOST; i++) { /* both layouts call this norm the same */
        if (!at_part_find(w, prefix, "%s.%d.ffn_norm1.weight", kind, i)) break;
        at_names_add(cx, n, fused, at_format(cx, "%s.%d.attention.qkv.", kind, i),
                     at_format(cx, "%s.%d.attn.", kind, i));
        at_names_add(cx, n, rules, at_format(cx, "%s.%d.", kind, i),
                     at_format(cx, "%s.%d.", kind, i));
    }
}

void at_names_lumina2(at_context *cx, at_names *n, const at_weights *w, const char *prefix,
                      bool own)
{
    const at_name_rule *fused = qkv[AT_MAX(ratio_of(w, prefix, own), 1) - 1];
    at_names_add_all(cx, n, fixed);
    add_blocks(cx, n, w, prefix, "noise_refiner", block, fused);
    add_blocks(cx, n, w, prefix, "context_refiner", context_block, fused);
    add_blocks(cx, n, w, prefix, "layers", block, fused);
}

/* llama.cpp keeps 1 + weight of the norms. */
static const at_name_rule llama_block[] = {
    {"attn_q.", "self_attn.q_proj."},
    {"attn_k.", "self_attn.k_proj."},
    {"attn_v.", "self_attn.v_proj."},
    {"attn_output.", "self_attn.o_proj."},
    {"attn_norm.", "input_layernorm.", .less_one = true},
    {"post_attention_norm.", "post_attention_layernorm.", .less_one = true},
    {"ffn_norm.", "pre_feedforward_layernorm.", .less_one = true},
    {"post_ffw_norm.", "post_feedforward_layernorm.", .less_one = true},
    {"ffn_gate.", "mlp.gate_proj."},
    {"ffn_up.", "mlp.up_proj."},
    {"ffn_down.", "mlp.down_proj."},
    {NULL},
};

void at_names_gemma2_llama(at_context *cx, at_names *n, const at_weights *w, const char *prefix,
                           bool own)
{
    static const at_name_rule outside[] = {
        {"token_embd.", "embed_tokens."}, {"output_norm.", "norm.", .less_one = true}, {NULL}};
    const char *sign = own ? "layers.%d.input_layernorm.weight" : "blk.%d.attn_norm.weight";
    at_names_add_all(cx, n, outside);
    for (int i = 0; i < MOST && at_part_find(w, prefix, sign, i); i++)
        at_names_add(cx, n, llama_block, at_format(cx, "blk.%d.", i),
                     at_format(cx, "layers.%d.", i));
}

void at_names_gemma2(at_context *cx, at_names *n, const at_weights *w, const char *prefix, bool own)
{
    static const at_name_rule rules[] = {{"model.", ""}, {NULL}};
    (void)w;
    (void)prefix;
    (void)own;
    at_names_add_all(cx, n, rules);
}
