#include "models/layouts/parts.h"
#include "models/layouts/autoencoder_tiny.h"
#include "models/layouts/flux.h"
#include "models/layouts/hunyuan.h"
#include "models/layouts/lumina2.h"
#include "models/layouts/mmdit.h"
#include "models/layouts/stable_diffusion.h"
#include "models/layouts/whisper.h"
#include <stdarg.h>
#include <stdio.h>

enum { LEVELS = 8, MOST = 1000 };

/* ---- looking */

static const at_weight *find(const at_weights *w, const char *prefix, const char *format,
                             va_list arguments)
{
    char name[256];
    int n = snprintf(name, sizeof name, "%s", prefix);
    if (n < 0 || (size_t)n >= sizeof name) return NULL;
    vsnprintf(name + n, sizeof name - (size_t)n, format, arguments);
    return at_weights_find(w, name);
}

const at_weight *at_part_find(const at_weights *weights, const char *prefix, const char *format,
                              ...)
{
    va_list arguments;
    va_start(arguments, format);
    const at_weight *w = find(weights, prefix, format, arguments);
    va_end(arguments);
    return w;
}

int64_t at_part_size(const at_weights *weights, int dim, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const at_weight *w = find(weights, "", format, arguments);
    va_end(arguments);
    return w && dim < w->dims ? w->shape[dim] : 0;
}

/* ---- forms */

static void name_same(at_context *cx, at_names *n, const at_weights *w, const char *prefix,
                      bool own)
{
    (void)w;
    (void)prefix;
    (void)own;
    at_names_add(cx, n, NULL, at_copy_text(cx, ""), at_copy_text(cx, ""));
}

/* CLIPTextModel of transformers 5 and of very old checkpoints has no "text_model."; of
   stable-diffusion.cpp the projection is inside, and as OpenCLIP has it. */
static void name_clip(at_context *cx, at_names *n, const at_weights *w, const char *prefix,
                      bool own)
{
    static const at_name_rule inside[] = {
        {"text_model.text_projection", "text_projection.weight", .transposed = true}, {NULL}};
    static const at_name_rule bare[] = {
        {"text_projection.", "text_projection."}, {"", "text_model."}, {NULL}};
    bool has_prefix =
        own || at_part_find(w, prefix, "text_model.embeddings.token_embedding.weight");
    if (has_prefix && !own) at_names_add_all(cx, n, inside);
    if (has_prefix)
        name_same(cx, n, w, prefix, own);
    else
        at_names_add_all(cx, n, bare);
}

/* llama.cpp's names of T5 */
static const at_name_rule llama_block[] = {
    {"attn_q.", "layer.0.SelfAttention.q."},
    {"attn_k.", "layer.0.SelfAttention.k."},
    {"attn_v.", "layer.0.SelfAttention.v."},
    {"attn_o.", "layer.0.SelfAttention.o."},
    {"attn_norm.", "layer.0.layer_norm."},
    {"attn_rel_b.", "layer.0.SelfAttention.relative_attention_bias."},
    {"ffn_gate.", "layer.1.DenseReluDense.wi_0."},
    {"ffn_up.", "layer.1.DenseReluDense.wi_1."},
    {"ffn_down.", "layer.1.DenseReluDense.wo."},
    {"ffn_norm.", "layer.1.layer_norm."},
    {NULL},
};

/* Of the first T5, whose feed-forward has no gate. */
static const at_name_rule llama_ungated[] = {{"ffn_up.", "layer.1.DenseReluDense.wi."}, {NULL}};

static void name_llama_t5(at_context *cx, at_names *n, const at_weights *w, const char *prefix,
                          bool own)
{
    static const at_name_rule fixed[] = {
        {"token_embd.", "shared."}, {"enc.output_norm.", "encoder.final_layer_norm."}, {NULL}};
    at_names_add_all(cx, n, fixed);
    for (int i = 0; i < MOST; i++) {
        if (!own && !at_part_find(w, prefix, "enc.blk.%d.attn_q.weight", i)) break;
        if (own && !at_part_find(w, "", "encoder.block.%d.layer.0.layer_norm.weight", i)) break;
        bool gated = own || at_part_find(w, prefix, "enc.blk.%d.ffn_gate.weight", i);
        for (int k = gated; k < 2; k++)
            at_names_add(cx, n, k ? llama_block : llama_ungated, at_format(cx, "enc.blk.%d.", i),
                         at_format(cx, "encoder.block.%d.", i));
    }
}

const at_part_form at_part_forms[] = {
    {AT_PART_UNET, "input_blocks.0.0.weight", at_names_unet},
    {AT_PART_UNET, "down_blocks.0.resnets.0.time_emb_proj.weight", name_same},
    {AT_PART_FLUX, "double_blocks.0.img_attn.norm.key_norm.scale", at_names_flux},
    {AT_PART_FLUX, "single_blocks.0.linear1.weight", at_names_flux},
    {AT_PART_FLUX, "time_text_embed.text_embedder.linear_1.weight", name_same},
    {AT_PART_VAE, "decoder.up.0.block.0.norm1.weight", at_names_vae},
    {AT_PART_VAE, "decoder.up_blocks.0.resnets.0.norm1.weight", name_same},
    {AT_PART_TINY_VAE, "decoder.layers.0.weight", name_same},
    {AT_PART_TINY_VAE, "19.bias", at_names_tiny_decoder}, /* the last layer of all published */
    {AT_PART_TINY_VAE, "14.bias", at_names_tiny_encoder},
    {AT_PART_CLIP, "text_model.embeddings.token_embedding.weight", name_clip},
    {AT_PART_CLIP, "embeddings.token_embedding.weight", name_clip},
    {AT_PART_OPEN_CLIP, "transformer.resblocks.0.attn.in_proj_weight", at_names_open_clip},
    {AT_PART_UMT5, "encoder.block.1.layer.0.SelfAttention.relative_attention_bias.weight",
     name_same},
    {AT_PART_UMT5, "enc.blk.1.attn_rel_b.weight", name_llama_t5},
    {AT_PART_T5, "encoder.block.0.layer.0.SelfAttention.q.weight", name_same},
    {AT_PART_T5, "enc.blk.0.attn_q.weight", name_llama_t5},
    {AT_PART_LUMINA2, "layers.0.attention.qkv.weight", at_names_lumina2},
    {AT_PART_LUMINA2, "layers.0.norm1.linear.weight", name_same},
    {AT_PART_GEMMA2, "model.layers.0.pre_feedforward_layernorm.weight", at_names_gemma2},
    {AT_PART_GEMMA2, "layers.0.pre_feedforward_layernorm.weight", name_same},
    {AT_PART_GEMMA2, "blk.0.post_ffw_norm.weight", at_names_gemma2_llama},
    {AT_PART_SD3, "joint_blocks.0.x_block.attn.qkv.weight", at_names_sd3},
    {AT_PART_SD3, "pos_embed.pos_embed", name_same},
    {AT_PART_AURAFLOW, "double_layers.0.attn.w2q.weight", at_names_auraflow},
    {AT_PART_AURAFLOW, "single_layers.0.modCX.1.weight", at_names_auraflow},
    {AT_PART_AURAFLOW, "register_tokens", name_same},
    {AT_PART_HUNYUAN, "mlp_t5.0.weight", at_names_hunyuan},
    {AT_PART_HUNYUAN, "time_extra_emb.pooler.positional_embedding", name_same},
    {AT_PART_BERT, "bert.embeddings.word_embeddings.weight", at_names_bert},
    {AT_PART_BERT, "embeddings.word_embeddings.weight", name_same},
    {AT_PART_WHISPER, "decoder/layer_0/attention/linear_1/weight", at_names_whisper_ctranslate2},
    {AT_PART_WHISPER, "decoder.blocks.0.cross_attn.key.weight", at_names_whisper_openai},
    {AT_PART_KINDS, NULL, NULL},
};

/* ---- configurations */

static void add_ints(cJSON *json, const char *key, const int64_t *values, int count)
{
    cJSON *list = cJSON_AddArrayToObject(json, key);
    for (int i = 0; i < count; i++)
        cJSON_AddItemToArray(list, cJSON_CreateNumber((double)values[i]));
}

static void add_int(cJSON *json, const char *key, int64_t value)
{
    cJSON_AddNumberToObject(json, key, (double)value);
}

/* The published count of groups, or the largest power of two that all channels are multiples of. */
static int64_t groups_of(const int64_t *channels, int levels)
{
    int64_t groups = 32;
    for (int i = 0; i < levels; i++)
        while (channels[i] % groups) groups /= 2;
    return groups;
}

/* The widths of the attention heads are not in the shapes. `published` heads where they fit. */
static int64_t heads_of(int64_t width, int64_t head, int64_t published)
{
    if (width % head == 0) return width / head;
    while (published > 1 && width % published) published--;
    return published;
}

typedef struct unet_sizes {
    int levels;
    int64_t channels[LEVELS], layers[LEVELS], heads[LEVELS];
    cJSON *down_types, *up_types, *depths, *up_depths; /* by level; the last two lists by layer */
    bool even; /* the same depth for all layers of a level */
    int64_t context;
    bool linear;
} unet_sizes;

/* Transformer blocks of one attention; -1: there is none. */
static int64_t depth_of(const at_weights *w, const char *block, int level, int layer)
{
    if (!at_part_find(w, "", "%s.%d.attentions.%d.norm.weight", block, level, layer)) return -1;
    int64_t depth = 0;
    while (depth < MOST &&
           at_part_find(w, "", "%s.%d.attentions.%d.transformer_blocks.%d.norm1.weight", block,
                        level, layer, (int)depth))
        depth++;
    return depth;
}

/* A list of depths by layer for one level; *depth: the last, -1 without attention. */
static cJSON *depths_of(const at_weights *w, const char *block, int level, int layers,
                        int64_t *depth, bool *even)
{
    cJSON *list = cJSON_CreateArray();
    *depth = -1;
    for (int i = 0; i < layers; i++) {
        int64_t own = depth_of(w, block, level, i);
        if (i && own != *depth) *even = false;
        *depth = own;
        cJSON_AddItemToArray(list, cJSON_CreateNumber((double)AT_MAX(own, 0)));
    }
    return list;
}

static bool attends(const cJSON *list)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, list) if (item->valuedouble > 0) return true;
    return false;
}

static void measure_unet(const at_weights *w, unet_sizes *s)
{
    int64_t depth;
    for (; s->levels < LEVELS; s->levels++) {
        int l = s->levels;
        s->channels[l] = at_part_size(w, 0, "down_blocks.%d.resnets.0.conv1.weight", l);
        if (!s->channels[l]) break;
        while (at_part_find(w, "", "down_blocks.%d.resnets.%d.conv1.weight", l, (int)s->layers[l]))
            s->layers[l]++;
        cJSON *list = depths_of(w, "down_blocks", l, (int)s->layers[l], &depth, &s->even);
        cJSON_AddItemToArray(
            s->down_types,
            cJSON_CreateString(attends(list) ? "CrossAttnDownBlock2D" : "DownBlock2D"));
        cJSON_AddItemToArray(s->depths, list);
        if (!s->context)
            s->context = at_part_size(w, 1,
                                      "down_blocks.%d.attentions.0.transformer_blocks.0.attn2.to_k."
                                      "weight",
                                      l);
        const at_weight *proj =
            at_part_find(w, "", "down_blocks.%d.attentions.0.proj_in.weight", l);
        if (proj) s->linear = proj->dims == 2;
    }
    for (int l = 0; l < s->levels; l++) {
        int layers = (int)s->layers[s->levels - 1 - l] + 1;
        cJSON *list = depths_of(w, "up_blocks", l, layers, &depth, &s->even);
        cJSON_AddItemToArray(
            s->up_types, cJSON_CreateString(attends(list) ? "CrossAttnUpBlock2D" : "UpBlock2D"));
        cJSON_AddItemToArray(s->up_depths, list);
    }
}

/* Stable Diffusion 1 has 8 heads everywhere, what came later heads of 64 channels. */
static void count_heads(unet_sizes *s, int64_t context)
{
    static const int64_t published[2][4] = {{5, 10, 20, 20}, {6, 12, 24, 24}};
    bool sixty_four = true;
    for (int l = 0; l < s->levels; l++) sixty_four = sixty_four && s->channels[l] % 64 == 0;
    for (int l = 0; l < s->levels; l++) {
        int64_t heads = s->linear ? published[context == 1280][AT_MIN(l, 3)] : 8;
        s->heads[l] = s->linear && sixty_four ? s->channels[l] / 64
                                              : heads_of(s->channels[l], INT64_MAX, heads);
    }
}

/* One number a level where all layers of a level have it, on both ways. */
static void add_depths(cJSON *json, const at_weights *w, unet_sizes *s)
{
    int64_t depths[LEVELS];
    int levels = cJSON_GetArraySize(s->depths);
    int64_t mid = 0;
    while (
        mid < MOST &&
        at_part_find(w, "", "mid_block.attentions.0.transformer_blocks.%d.norm1.weight", (int)mid))
        mid++;
    bool has_mid = at_part_find(w, "", "mid_block.resnets.0.norm1.weight") != NULL;
    for (int l = 0; l < levels; l++) {
        const cJSON *down = cJSON_GetArrayItem(cJSON_GetArrayItem(s->depths, l), 0);
        const cJSON *up = cJSON_GetArrayItem(cJSON_GetArrayItem(s->up_depths, levels - 1 - l), 0);
        depths[l] = (int64_t)AT_MAX(down ? down->valuedouble : 0, up ? up->valuedouble : 0);
        if (l == levels - 1 && !depths[l]) depths[l] = mid;
        bool same = (!down || !down->valuedouble || (int64_t)down->valuedouble == depths[l]) &&
                    (!up || !up->valuedouble || (int64_t)up->valuedouble == depths[l]);
        s->even = s->even && same;
        if (!depths[l]) depths[l] = 1;
    }
    if (has_mid && !mid)
        cJSON_AddStringToObject(json, "mid_block_type", "UNetMidBlock2D");
    else if (!has_mid)
        cJSON_AddNullToObject(json, "mid_block_type");
    if (s->even && (!mid || mid == depths[levels - 1])) {
        add_ints(json, "transformer_layers_per_block", depths, levels);
        cJSON_Delete(s->depths);
        cJSON_Delete(s->up_depths);
        return;
    }
    if (mid) /* the middle's is read from the last level's list */
        cJSON_ReplaceItemInArray(cJSON_GetArrayItem(s->depths, levels - 1), 0,
                                 cJSON_CreateNumber((double)mid));
    cJSON_AddItemToObject(json, "transformer_layers_per_block", s->depths);
    cJSON_AddItemToObject(json, "reverse_transformer_layers_per_block", s->up_depths);
}

static cJSON *unet_config(const at_weights *w, const at_part_hint *hint)
{
    unet_sizes s = {.down_types = cJSON_CreateArray(),
                    .up_types = cJSON_CreateArray(),
                    .depths = cJSON_CreateArray(),
                    .up_depths = cJSON_CreateArray(),
                    .even = true};
    cJSON *json = cJSON_CreateObject();
    measure_unet(w, &s);
    count_heads(&s, s.context);
    cJSON_AddStringToObject(json, "_class_name", "UNet2DConditionModel");
    add_int(json, "sample_size", hint->sample_size);
    add_int(json, "in_channels", at_part_size(w, 1, "conv_in.weight"));
    add_int(json, "out_channels", at_part_size(w, 0, "conv_out.weight"));
    add_ints(json, "block_out_channels", s.channels, s.levels);
    add_ints(json, "layers_per_block", s.layers, s.levels);
    add_ints(json, "attention_head_dim", s.heads, s.levels);
    add_int(json, "norm_num_groups", groups_of(s.channels, s.levels));
    if (s.context) add_int(json, "cross_attention_dim", s.context);
    cJSON_AddItemToObject(json, "down_block_types", s.down_types);
    cJSON_AddItemToObject(json, "up_block_types", s.up_types);
    cJSON_AddBoolToObject(json, "use_linear_projection", s.linear);
    add_depths(json, w, &s);
    int64_t added = at_part_size(w, 1, "add_embedding.linear_1.weight");
    int64_t class = at_part_size(w, 1, "class_embedding.linear_1.weight");
    if (added) {
        cJSON_AddStringToObject(json, "addition_embed_type", "text_time");
        add_int(json, "addition_time_embed_dim", hint->time_dim);
    }
    if (class) cJSON_AddStringToObject(json, "class_embed_type", "projection");
    if (added || class) add_int(json, "projection_class_embeddings_input_dim", added + class);
    int64_t time_cond = at_part_size(w, 1, "time_embedding.cond_proj.weight");
    if (time_cond) add_int(json, "time_cond_proj_dim", time_cond);
    return json;
}

static cJSON *flux_config(const at_weights *w, const at_part_hint *hint)
{
    (void)hint;
    cJSON *json = cJSON_CreateObject();
    int64_t layers = 0, single = 0, dim = at_part_size(w, 0, "x_embedder.weight");
    while (layers < MOST &&
           at_part_find(w, "", "transformer_blocks.%d.norm1.linear.weight", (int)layers))
        layers++;
    while (single < MOST &&
           at_part_find(w, "", "single_transformer_blocks.%d.norm.linear.weight", (int)single))
        single++;
    int64_t head = AT_MAX(at_part_size(w, 0, "transformer_blocks.0.attn.norm_q.weight"),
                          at_part_size(w, 0, "single_transformer_blocks.0.attn.norm_q.weight"));
    cJSON_AddStringToObject(json, "_class_name", "FluxTransformer2DModel");
    int64_t in = at_part_size(w, 1, "x_embedder.weight"),
            out = at_part_size(w, 0, "proj_out.weight");
    add_int(json, "in_channels", in);
    if (in != out) add_int(json, "out_channels", out);
    add_int(json, "num_layers", layers);
    add_int(json, "num_single_layers", single);
    add_int(json, "attention_head_dim", head);
    add_int(json, "num_attention_heads", head ? dim / head : 0);
    add_int(json, "joint_attention_dim", at_part_size(w, 1, "context_embedder.weight"));
    add_int(json, "pooled_projection_dim",
            at_part_size(w, 1, "time_text_embed.text_embedder.linear_1.weight"));
    cJSON_AddBoolToObject(
        json, "guidance_embeds",
        at_part_find(w, "", "time_text_embed.guidance_embedder.linear_1.weight") != NULL);
    /* 16, 56, 56 of 128 as published; 4, 4, 8 of 16 in the tiny models that circulate. */
    int64_t first = AT_MAX(head / 8, 4), rest = head == 16 ? 8 : (head - first) / 2 & ~(int64_t)1;
    int64_t second = head == 16 ? 4 : rest;
    add_ints(json, "axes_dims_rope", (int64_t[]){head - second - rest, second, rest}, 3);
    return json;
}

static cJSON *vae_config(const at_weights *w, const at_part_hint *hint)
{
    cJSON *json = cJSON_CreateObject(), *down, *up;
    int64_t channels[LEVELS] = {0}, layers = 0;
    int levels = 0;
    while (levels < LEVELS &&
           at_part_find(w, "", "decoder.up_blocks.%d.resnets.0.conv1.weight", levels))
        levels++;
    for (int i = 0; i < levels; i++)
        channels[levels - 1 - i] =
            at_part_size(w, 0, "decoder.up_blocks.%d.resnets.0.conv1.weight", i);
    while (layers < MOST &&
           at_part_find(w, "", "decoder.up_blocks.0.resnets.%d.conv1.weight", (int)layers))
        layers++;
    cJSON_AddStringToObject(json, "_class_name", "AutoencoderKL");
    add_int(json, "in_channels", AT_MAX(at_part_size(w, 1, "encoder.conv_in.weight"), 3));
    add_int(json, "out_channels", at_part_size(w, 0, "decoder.conv_out.weight"));
    add_int(json, "latent_channels", at_part_size(w, 1, "decoder.conv_in.weight"));
    add_ints(json, "block_out_channels", channels, levels);
    add_int(json, "layers_per_block", AT_MAX(layers - 1, 1));
    add_int(json, "norm_num_groups", groups_of(channels, levels));
    add_int(json, "sample_size", hint->sample_size);
    cJSON_AddNumberToObject(json, "scaling_factor", hint->scaling);
    if (hint->shift != 0.0) cJSON_AddNumberToObject(json, "shift_factor", hint->shift);
    cJSON_AddBoolToObject(json, "use_quant_conv", at_part_find(w, "", "quant_conv.weight") != NULL);
    cJSON_AddBoolToObject(json, "use_post_quant_conv",
                          at_part_find(w, "", "post_quant_conv.weight") != NULL);
    cJSON_AddBoolToObject(json, "mid_block_add_attention",
                          at_part_find(w, "", "decoder.mid_block.attentions.0.group_norm.weight") !=
                              NULL);
    down = cJSON_AddArrayToObject(json, "down_block_types");
    up = cJSON_AddArrayToObject(json, "up_block_types");
    for (int i = 0; i < levels; i++) {
        cJSON_AddItemToArray(down, cJSON_CreateString("DownEncoderBlock2D"));
        cJSON_AddItemToArray(up, cJSON_CreateString("UpDecoderBlock2D"));
    }
    return json;
}

static cJSON *clip_config(const at_weights *w, const at_part_hint *hint)
{
    cJSON *json = cJSON_CreateObject();
    int64_t layers = 0, width = at_part_size(w, 1, "text_model.embeddings.token_embedding.weight");
    while (layers < MOST &&
           at_part_find(w, "", "text_model.encoder.layers.%d.layer_norm1.weight", (int)layers))
        layers++;
    int64_t projection = at_part_size(w, 0, "text_projection.weight");
    cJSON_AddStringToObject(json, "model_type", "clip_text_model");
    add_int(json, "vocab_size", at_part_size(w, 0, "text_model.embeddings.token_embedding.weight"));
    add_int(json, "max_position_embeddings",
            at_part_size(w, 0, "text_model.embeddings.position_embedding.weight"));
    add_int(json, "hidden_size", width);
    add_int(json, "intermediate_size",
            at_part_size(w, 0, "text_model.encoder.layers.0.mlp.fc1.weight"));
    add_int(json, "num_hidden_layers", layers);
    add_int(json, "num_attention_heads", heads_of(width, 64, 4));
    add_int(json, "projection_dim", projection ? projection : width);
    /* OpenAI's have 12 layers, OpenCLIP's of HF's layout 23 and more (ComfyUI's rule, too) */
    cJSON_AddStringToObject(json, "hidden_act", layers > 22 ? "gelu" : hint->gelu);
    cJSON_AddNumberToObject(json, "layer_norm_eps", 1e-5);
    add_int(json, "eos_token_id", 2);
    return json;
}

static cJSON *t5_config(const at_weights *w, const at_part_hint *hint)
{
    (void)hint;
    static const char layer[] = "encoder.block.0.layer";
    cJSON *json = cJSON_CreateObject();
    int64_t layers = 0, width = at_part_size(w, 1, "%s.0.SelfAttention.q.weight", layer);
    int64_t heads = at_part_size(w, 1, "%s.0.SelfAttention.relative_attention_bias.weight", layer);
    while (layers < MOST &&
           at_part_find(w, "", "encoder.block.%d.layer.0.layer_norm.weight", (int)layers))
        layers++;
    bool gated = at_part_find(w, "", "%s.1.DenseReluDense.wi_0.weight", layer);
    bool every = at_part_find(w, "",
                              "encoder.block.1.layer.0.SelfAttention."
                              "relative_attention_bias.weight");
    cJSON_AddStringToObject(json, "model_type", every ? "umt5" : "t5");
    add_int(json, "vocab_size",
            AT_MAX(at_part_size(w, 0, "shared.weight"),
                   at_part_size(w, 0, "encoder.embed_tokens.weight")));
    add_int(json, "d_model", width);
    add_int(json, "d_kv",
            heads ? at_part_size(w, 0, "%s.0.SelfAttention.q.weight", layer) / heads : 0);
    add_int(json, "d_ff",
            at_part_size(
                w, 0, gated ? "%s.1.DenseReluDense.wi_0.weight" : "%s.1.DenseReluDense.wi.weight",
                layer));
    add_int(json, "num_layers", layers);
    add_int(json, "num_heads", heads);
    add_int(json, "relative_attention_num_buckets",
            at_part_size(w, 0, "%s.0.SelfAttention.relative_attention_bias.weight", layer));
    cJSON_AddStringToObject(json, "feed_forward_proj", gated ? "gated-gelu" : "relu");
    return json;
}

static int64_t count_layers(const at_weights *w, const char *kind, const char *leaf)
{
    int64_t count = 0;
    while (count < MOST && at_part_find(w, "", "%s.%d.%s.weight", kind, (int)count, leaf)) count++;
    return count;
}

/* The feed-forward's width is said as a multiple of itself, rounded up to from half of it. */
static cJSON *lumina2_config(const at_weights *w, const at_part_hint *hint)
{
    enum { PATCHES = 2 * 2, SHORTEST = 128 };
    cJSON *json = cJSON_CreateObject();
    int64_t dim = at_part_size(w, 0, "x_embedder.weight");
    int64_t in = at_part_size(w, 1, "x_embedder.weight") / PATCHES;
    int64_t out = at_part_size(w, 0, "norm_out.linear_2.weight") / PATCHES;
    int64_t inner = at_part_size(w, 0, "layers.0.feed_forward.linear_1.weight");
    int64_t head = at_part_size(w, 0, "layers.0.attn.norm_q.weight"), axis = head / 6 * 2;
    int64_t keys = at_part_size(w, 0, "layers.0.attn.to_k.weight");
    cJSON_AddStringToObject(json, "_class_name", "Lumina2Transformer2DModel");
    add_int(json, "sample_size", hint->sample_size >= SHORTEST ? hint->sample_size / 8 : 128);
    add_int(json, "in_channels", in);
    if (in != out) add_int(json, "out_channels", out);
    add_int(json, "hidden_size", dim);
    add_int(json, "num_layers", count_layers(w, "layers", "ffn_norm1"));
    add_int(json, "num_refiner_layers", count_layers(w, "noise_refiner", "ffn_norm1"));
    add_int(json, "num_attention_heads", head ? dim / head : 0);
    add_int(json, "num_kv_heads", head ? keys / head : 0);
    add_int(json, "multiple_of", inner);
    if (dim)
        cJSON_AddNumberToObject(json, "ffn_dim_multiplier", (double)inner / (8.0 * (double)dim));
    add_int(json, "cap_feat_dim",
            at_part_size(w, 1, "time_caption_embed.caption_embedder.1.weight"));
    add_ints(json, "axes_dim_rope", (int64_t[]){head - 2 * axis, axis, axis}, 3);
    return json;
}

/* Heads have 256 channels, as published but for the largest; else there are two of keys. */
static cJSON *gemma2_config(const at_weights *w, const at_part_hint *hint)
{
    (void)hint;
    cJSON *json = cJSON_CreateObject();
    int64_t queries = at_part_size(w, 0, "layers.0.self_attn.q_proj.weight");
    int64_t keys = at_part_size(w, 0, "layers.0.self_attn.k_proj.weight");
    int64_t head = keys % 256 ? keys / 2 : 256;
    cJSON_AddStringToObject(json, "model_type", "gemma2");
    add_int(json, "vocab_size", at_part_size(w, 0, "embed_tokens.weight"));
    add_int(json, "hidden_size", at_part_size(w, 1, "embed_tokens.weight"));
    add_int(json, "intermediate_size", at_part_size(w, 0, "layers.0.mlp.gate_proj.weight"));
    add_int(json, "num_hidden_layers", count_layers(w, "layers", "input_layernorm"));
    add_int(json, "num_attention_heads", head ? queries / head : 0);
    add_int(json, "num_key_value_heads", head ? keys / head : 0);
    add_int(json, "head_dim", head);
    return json;
}

static int64_t side_of(int64_t area)
{
    int64_t side = 0;
    while ((side + 1) * (side + 1) <= area) side++;
    return side;
}

/* Heads have 64 channels where no norm of theirs says otherwise. */
static cJSON *sd3_config(const at_weights *w, const at_part_hint *hint)
{
    (void)hint;
    cJSON *json = cJSON_CreateObject();
    int64_t dim = at_part_size(w, 0, "pos_embed.proj.weight"), dual[MOST];
    int64_t patch = at_part_size(w, 2, "pos_embed.proj.weight");
    int64_t head = at_part_size(w, 0, "transformer_blocks.0.attn.norm_q.weight");
    int64_t layers = count_layers(w, "transformer_blocks", "norm1.linear");
    int count = 0;
    for (int i = 0; i < layers; i++)
        if (at_part_find(w, "", "transformer_blocks.%d.attn2.to_q.weight", i)) dual[count++] = i;
    int64_t heads = head ? dim / head : heads_of(dim, 64, 4);
    cJSON_AddStringToObject(json, "_class_name", "SD3Transformer2DModel");
    add_int(json, "sample_size", 128);
    add_int(json, "patch_size", patch);
    add_int(json, "in_channels", at_part_size(w, 1, "pos_embed.proj.weight"));
    add_int(json, "num_layers", layers);
    add_int(json, "attention_head_dim", dim / AT_MAX(heads, 1));
    add_int(json, "num_attention_heads", heads);
    add_int(json, "joint_attention_dim", at_part_size(w, 1, "context_embedder.weight"));
    add_int(json, "caption_projection_dim", dim);
    add_int(json, "pooled_projection_dim",
            at_part_size(w, 1, "time_text_embed.text_embedder.linear_1.weight"));
    add_int(json, "out_channels", at_part_size(w, 0, "proj_out.weight") / AT_MAX(patch * patch, 1));
    add_int(json, "pos_embed_max_size", side_of(at_part_size(w, 1, "pos_embed.pos_embed")));
    add_ints(json, "dual_attention_layers", dual, count);
    if (head) cJSON_AddStringToObject(json, "qk_norm", "rms_norm");
    return json;
}

/* Heads of 256 channels and patches of 2 x 2, as published. */
static cJSON *auraflow_config(const at_weights *w, const at_part_hint *hint)
{
    enum { PATCHES = 2 * 2 };
    (void)hint;
    cJSON *json = cJSON_CreateObject();
    int64_t dim = at_part_size(w, 0, "pos_embed.proj.weight"), heads = heads_of(dim, 256, 2);
    cJSON_AddStringToObject(json, "_class_name", "AuraFlowTransformer2DModel");
    add_int(json, "patch_size", 2);
    add_int(json, "in_channels", at_part_size(w, 1, "pos_embed.proj.weight") / PATCHES);
    add_int(json, "out_channels", at_part_size(w, 0, "proj_out.weight") / PATCHES);
    add_int(json, "num_mmdit_layers", count_layers(w, "joint_transformer_blocks", "norm1.linear"));
    add_int(json, "num_single_dit_layers",
            count_layers(w, "single_transformer_blocks", "norm1.linear"));
    add_int(json, "attention_head_dim", dim / AT_MAX(heads, 1));
    add_int(json, "num_attention_heads", heads);
    add_int(json, "joint_attention_dim", at_part_size(w, 1, "context_embedder.weight"));
    add_int(json, "caption_projection_dim", dim);
    add_int(json, "pos_embed_max_size", at_part_size(w, 1, "pos_embed.pos_embed"));
    return json;
}

/* Pictures of 128 latents a side, as published. */
static cJSON *hunyuan_config(const at_weights *w, const at_part_hint *hint)
{
    (void)hint;
    cJSON *json = cJSON_CreateObject();
    int64_t dim = at_part_size(w, 0, "pos_embed.proj.weight");
    int64_t in = at_part_size(w, 1, "pos_embed.proj.weight");
    int64_t patch = at_part_size(w, 2, "pos_embed.proj.weight");
    int64_t head = at_part_size(w, 0, "blocks.0.attn1.norm_q.weight");
    int64_t inner = at_part_size(w, 1, "blocks.0.ff.net.2.weight");
    int64_t pieces = at_part_size(w, 0, "time_extra_emb.pooler.positional_embedding") - 1;
    cJSON_AddStringToObject(json, "_class_name", "HunyuanDiT2DModel");
    cJSON_AddStringToObject(json, "activation_fn", "gelu-approximate");
    add_int(json, "num_attention_heads", head ? dim / head : 0);
    add_int(json, "attention_head_dim", head);
    add_int(json, "hidden_size", dim);
    add_int(json, "in_channels", in);
    add_int(json, "patch_size", patch);
    add_int(json, "sample_size", 128);
    add_int(json, "num_layers", count_layers(w, "blocks", "norm1.linear"));
    if (dim) /* the reference cuts the product down to a whole number */
        cJSON_AddNumberToObject(json, "mlp_ratio", ((double)inner + 0.5) / (double)dim);
    cJSON_AddBoolToObject(json, "learn_sigma",
                          at_part_size(w, 0, "proj_out.weight") != in * patch * patch);
    add_int(json, "cross_attention_dim", at_part_size(w, 1, "blocks.0.attn2.to_k.weight"));
    add_int(json, "cross_attention_dim_t5", at_part_size(w, 1, "text_embedder.linear_1.weight"));
    add_int(json, "pooled_projection_dim",
            at_part_size(w, 0, "time_extra_emb.pooler.c_proj.weight"));
    add_int(json, "text_len", at_part_size(w, 0, "text_embedding_padding") - pieces);
    add_int(json, "text_len_t5", pieces);
    cJSON_AddBoolToObject(json, "use_style_cond_and_image_meta_size",
                          at_part_find(w, "", "time_extra_emb.style_embedder.weight") != NULL);
    return json;
}

/* Heads have 64 channels, as published. */
static cJSON *bert_config(const at_weights *w, const at_part_hint *hint)
{
    (void)hint;
    cJSON *json = cJSON_CreateObject();
    int64_t width = at_part_size(w, 1, "embeddings.word_embeddings.weight"), layers = 0;
    while (layers < MOST &&
           at_part_find(w, "", "encoder.layer.%d.output.dense.weight", (int)layers))
        layers++;
    cJSON_AddStringToObject(json, "model_type", "bert");
    add_int(json, "vocab_size", at_part_size(w, 0, "embeddings.word_embeddings.weight"));
    add_int(json, "hidden_size", width);
    add_int(json, "num_hidden_layers", layers);
    add_int(json, "num_attention_heads", heads_of(width, 64, 4));
    add_int(json, "intermediate_size",
            at_part_size(w, 0, "encoder.layer.0.intermediate.dense.weight"));
    add_int(json, "max_position_embeddings",
            at_part_size(w, 0, "embeddings.position_embeddings.weight"));
    add_int(json, "type_vocab_size", at_part_size(w, 0, "embeddings.token_type_embeddings.weight"));
    cJSON_AddBoolToObject(json, "add_pooling_layer",
                          at_part_find(w, "", "pooler.dense.weight") != NULL);
    return json;
}

cJSON *at_part_config(at_context *cx, at_part_kind kind, const at_weights *weights,
                      const at_part_hint *hint)
{
    static cJSON *(*const makers[AT_PART_KINDS])(const at_weights *, const at_part_hint *) = {
        [AT_PART_UNET] = unet_config,        [AT_PART_FLUX] = flux_config,
        [AT_PART_VAE] = vae_config,          [AT_PART_CLIP] = clip_config,
        [AT_PART_OPEN_CLIP] = clip_config,   [AT_PART_T5] = t5_config,
        [AT_PART_SD3] = sd3_config,          [AT_PART_AURAFLOW] = auraflow_config,
        [AT_PART_UMT5] = t5_config,          [AT_PART_LUMINA2] = lumina2_config,
        [AT_PART_GEMMA2] = gemma2_config,    [AT_PART_WHISPER] = at_whisper_config,
        [AT_PART_TINY_VAE] = at_tiny_config, [AT_PART_HUNYUAN] = hunyuan_config,
        [AT_PART_BERT] = bert_config,
    };
    cJSON *json = at_ok(cx) ? makers[kind](weights, hint) : NULL;
    if (at_ok(cx) && !json) at_fail(cx, AT_ERROR_MEMORY, "out of memory");
    return json;
}
