#include "models/layouts/whisper.h"

enum { MOST = 1000 };

/* ---- CTranslate2: queries, keys and values in one, or keys and values of what the encoder heard
 */

#define NORM(theirs, ours)                       \
    {theirs "layer_norm/gamma", ours ".weight"}, \
    {                                            \
        theirs "layer_norm/beta", ours ".bias"   \
    }

static const at_name_rule ctranslate2_fixed[] = {
    {"encoder/conv1/", "encoder.conv1."},
    {"encoder/conv2/", "encoder.conv2."},
    {"encoder/position_encodings/encodings", "encoder.embed_positions.weight"},
    NORM("encoder/", "encoder.layer_norm"),
    {"encoder/num_heads", "encoder.num_heads"},
    {"decoder/embeddings/", "decoder.embed_tokens."},
    {"decoder/position_encodings/encodings", "decoder.embed_positions.weight"},
    NORM("decoder/", "decoder.layer_norm"),
    {"decoder/num_heads", "decoder.num_heads"},
    {NULL},
};

static const at_name_rule ctranslate2_layer[] = {
    {"self_attention/linear_0/", "self_attn.q_proj.", 0, 1, 3},
    {"self_attention/linear_0/", "self_attn.k_proj.", 1, 2, 3},
    {"self_attention/linear_0/", "self_attn.v_proj.", 2, 3, 3},
    {"self_attention/linear_1/", "self_attn.out_proj."},
    NORM("self_attention/", "self_attn_layer_norm"),
    {"attention/linear_0/", "encoder_attn.q_proj."},
    {"attention/linear_1/", "encoder_attn.k_proj.", 0, 1, 2},
    {"attention/linear_1/", "encoder_attn.v_proj.", 1, 2, 2},
    {"attention/linear_2/", "encoder_attn.out_proj."},
    NORM("attention/", "encoder_attn_layer_norm"),
    {"ffn/linear_0/", "fc1."},
    {"ffn/linear_1/", "fc2."},
    NORM("ffn/", "final_layer_norm"),
    {NULL},
};

/* ---- OpenAI */

static const at_name_rule openai_fixed[] = {
    {"encoder.conv1.", "encoder.conv1."},
    {"encoder.conv2.", "encoder.conv2."},
    {"encoder.positional_embedding", "encoder.embed_positions.weight"},
    {"encoder.ln_post.", "encoder.layer_norm."},
    {"decoder.token_embedding.", "decoder.embed_tokens."},
    {"decoder.positional_embedding", "decoder.embed_positions.weight"},
    {"decoder.ln.", "decoder.layer_norm."},
    {NULL},
};

static const at_name_rule openai_layer[] = {
    {"attn.query.", "self_attn.q_proj."},
    {"attn.key.", "self_attn.k_proj."},
    {"attn.value.", "self_attn.v_proj."},
    {"attn.out.", "self_attn.out_proj."},
    {"attn_ln.", "self_attn_layer_norm."},
    {"cross_attn.query.", "encoder_attn.q_proj."},
    {"cross_attn.key.", "encoder_attn.k_proj."},
    {"cross_attn.value.", "encoder_attn.v_proj."},
    {"cross_attn.out.", "encoder_attn.out_proj."},
    {"cross_attn_ln.", "encoder_attn_layer_norm."},
    {"mlp.0.", "fc1."},
    {"mlp.2.", "fc2."},
    {"mlp_ln.", "final_layer_norm."},
    {NULL},
};

/* ---- both */

/* layer: "%s.blocks.%d." with the side first; sign: a tensor that every layer has. */
static void add_layers(at_context *cx, at_names *n, const at_weights *w, const char *prefix,
                       bool own, const at_name_rule *rules, const char *separators,
                       const char *kind, const char *sign)
{
    static const char *const sides[] = {"encoder", "decoder"};
    for (size_t s = 0; s < AT_COUNT(sides); s++)
        for (int i = 0; i < MOST; i++) {
            char *theirs = at_format(cx, "%s%c%s%c%d%c", sides[s], separators[0], kind,
                                     separators[1], i, separators[2]);
            bool there =
                theirs && (own ? at_part_find(w, "", "%s.layers.%d.fc1.weight", sides[s], i)
                               : at_part_find(w, prefix, "%s%s", theirs, sign));
            if (!there) {
                at_free(theirs);
                break;
            }
            at_names_add(cx, n, rules, theirs, at_format(cx, "%s.layers.%d.", sides[s], i));
        }
}

void at_names_whisper_ctranslate2(at_context *cx, at_names *n, const at_weights *w,
                                  const char *prefix, bool own)
{
    at_names_add_all(cx, n, ctranslate2_fixed);
    add_layers(cx, n, w, prefix, own, ctranslate2_layer, "/_/", "layer", "ffn/linear_0/weight");
}

void at_names_whisper_openai(at_context *cx, at_names *n, const at_weights *w, const char *prefix,
                             bool own)
{
    at_names_add_all(cx, n, openai_fixed);
    add_layers(cx, n, w, prefix, own, openai_layer, "...", "blocks", "mlp.0.weight");
}

/* ---- the configuration */

static int64_t count_layers(const at_weights *w, const char *side)
{
    int64_t count = 0;
    while (count < MOST && at_part_find(w, "", "%s.layers.%d.fc1.weight", side, (int)count))
        count++;
    return count;
}

/* Said by the files of CTranslate2, OpenAI and whisper.cpp; else heads of 64, as all that were
   published. */
static int64_t heads_of(const at_weights *w, const char *side, int64_t width, int hint)
{
    if (hint > 0) return hint;
    const at_weight *said = at_part_find(w, "", "%s.num_heads", side);
    int16_t heads = 0;
    if (said && !said->coding && said->dtype == AT_I16 && said->bytes == 2)
        at_convert(AT_I16, said->file->data + said->offset, AT_I16, &heads, 1);
    return heads > 0 ? heads : AT_MAX(width / 64, 1);
}

cJSON *at_whisper_config(const at_weights *w, const at_part_hint *hint)
{
    cJSON *json = cJSON_CreateObject();
    int64_t width = at_part_size(w, 0, "encoder.conv1.weight");
    const struct {
        const char *key;
        int64_t value;
    } options[] = {
        {"vocab_size", at_part_size(w, 0, "decoder.embed_tokens.weight")},
        {"num_mel_bins", at_part_size(w, 1, "encoder.conv1.weight")},
        {"d_model", width},
        {"max_source_positions", at_part_size(w, 0, "encoder.embed_positions.weight")},
        {"max_target_positions", at_part_size(w, 0, "decoder.embed_positions.weight")},
        {"encoder_layers", count_layers(w, "encoder")},
        {"decoder_layers", count_layers(w, "decoder")},
        {"encoder_attention_heads", heads_of(w, "encoder", width, hint->heads[0])},
        {"decoder_attention_heads", heads_of(w, "decoder", width, hint->heads[1])},
        {"encoder_ffn_dim", at_part_size(w, 0, "encoder.layers.0.fc1.weight")},
        {"decoder_ffn_dim", at_part_size(w, 0, "decoder.layers.0.fc1.weight")},
    };
    cJSON_AddStringToObject(json, "_class_name", "WhisperForConditionalGeneration");
    for (size_t i = 0; i < AT_COUNT(options); i++)
        cJSON_AddNumberToObject(json, options[i].key, (double)options[i].value);
    return json;
}
