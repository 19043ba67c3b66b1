#include "adapters/lora_keys.h"
#include <stdio.h>
#include <string.h>

/* The longest of two that end alike stands first. */
static const struct suffix {
    const char *text;
    at_lora_role role;
} suffixes[] = {
    /* kohya, LyCORIS, OneTrainer */
    {".lora_down.weight", AT_LORA_DOWN},
    {".lora_up.weight", AT_LORA_UP},
    {".lora_mid.weight", AT_LORA_MID},
    {".alpha", AT_LORA_ALPHA},
    {".dora_scale", AT_LORA_DORA},
    /* PEFT, and Diffusers of today */
    {".lora_A.default.weight", AT_LORA_DOWN},
    {".lora_B.default.weight", AT_LORA_UP},
    {".lora_B.default.bias", AT_LORA_UP_BIAS},
    {".lora_magnitude_vector.default.weight", AT_LORA_MAGNITUDE},
    {".lora_A.weight", AT_LORA_DOWN},
    {".lora_B.weight", AT_LORA_UP},
    {".lora_B.bias", AT_LORA_UP_BIAS},
    {".lora_magnitude_vector.weight", AT_LORA_MAGNITUDE},
    {".lora_magnitude_vector", AT_LORA_MAGNITUDE},
    /* Diffusers of old: attention processors, then layers */
    {"_lora.down.weight", AT_LORA_DOWN},
    {"_lora.up.weight", AT_LORA_UP},
    {".lora_linear_layer.down.weight", AT_LORA_DOWN},
    {".lora_linear_layer.up.weight", AT_LORA_UP},
    {".lora.down.weight", AT_LORA_DOWN},
    {".lora.up.weight", AT_LORA_UP},
    /* XLabs */
    {".down.weight", AT_LORA_DOWN},
    {".up.weight", AT_LORA_UP},
    /* LoHa, LoKr and full differences */
    {".hada_w1_a", AT_LORA_HADA_1A},
    {".hada_w1_b", AT_LORA_HADA_1B},
    {".hada_w2_a", AT_LORA_HADA_2A},
    {".hada_w2_b", AT_LORA_HADA_2B},
    {".hada_t1", AT_LORA_HADA_T1},
    {".hada_t2", AT_LORA_HADA_T2},
    {".lokr_w1", AT_LORA_KRON_1},
    {".lokr_w1_a", AT_LORA_KRON_1A},
    {".lokr_w1_b", AT_LORA_KRON_1B},
    {".lokr_w2", AT_LORA_KRON_2},
    {".lokr_w2_a", AT_LORA_KRON_2A},
    {".lokr_w2_b", AT_LORA_KRON_2B},
    {".lokr_t2", AT_LORA_KRON_T2},
    {".diff", AT_LORA_DIFF},
    {".diff_b", AT_LORA_DIFF_BIAS},
    {".w_norm", AT_LORA_DIFF},
    {".b_norm", AT_LORA_DIFF_BIAS},
};

/* Of LyCORIS, kohya and PEFT. */
static const struct {
    const char *text, *family;
} unread[] = {
    {".oft_blocks", "OFT or BOFT"},
    {".oft_diag", "OFT"},
    {".oft_R", "OFT"},
    {".oft_R.weight", "OFT"},
    {".boft_R", "BOFT"},
    {".boft_s", "BOFT"},
    {".a1.weight", "GLoRA"},
    {".b1.weight", "GLoRA"},
    {".on_input", "IA3"},
    {".ia3_l", "IA3"},
    {".vera_lambda_b", "VeRA"},
    {".vera_lambda_d", "VeRA"},
};

static const struct prefix {
    const char *text;
    at_lora_part part;
} prefixes[] = {
    {"lora_unet_", AT_LORA_DENOISER},
    {"lora_transformer_", AT_LORA_DENOISER},
    {"lycoris_", AT_LORA_DENOISER},
    {"model.diffusion_model.", AT_LORA_DENOISER},
    {"diffusion_model.", AT_LORA_DENOISER},
    {"unet.", AT_LORA_DENOISER},
    {"transformer.", AT_LORA_DENOISER},
    {"lora_te_", AT_LORA_CLIP},
    {"lora_te1_", AT_LORA_CLIP},
    {"text_encoder.", AT_LORA_CLIP},
    {"text_encoders.clip_l.transformer.", AT_LORA_CLIP},
    {"text_encoders.clip_l.", AT_LORA_CLIP},
    {"clip_l.transformer.", AT_LORA_CLIP},
    {"clip_l.", AT_LORA_CLIP},
    {"lora_te2_", AT_LORA_CLIP_2},
    {"text_encoder_2.", AT_LORA_CLIP_2},
    {"text_encoders.clip_g.transformer.", AT_LORA_CLIP_2},
    {"text_encoders.clip_g.", AT_LORA_CLIP_2},
    {"clip_g.transformer.", AT_LORA_CLIP_2},
    {"clip_g.", AT_LORA_CLIP_2},
    {"lora_te3_", AT_LORA_T5},
    {"text_encoder_3.", AT_LORA_T5},
    {"text_encoders.t5xxl.transformer.", AT_LORA_T5},
    {"text_encoders.t5xxl.", AT_LORA_T5},
    {"t5xxl.transformer.", AT_LORA_T5},
    {"t5xxl.", AT_LORA_T5},
};

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static at_lora_part take_prefix(const char **key)
{
    static const char peft[] = "base_model.model.";
    if (begins(*key, peft)) *key += sizeof peft - 1;
    for (size_t i = 0; i < AT_COUNT(prefixes); i++) {
        if (!begins(*key, prefixes[i].text)) continue;
        *key += strlen(prefixes[i].text);
        return prefixes[i].part;
    }
    return begins(*key, "text_model.") ? AT_LORA_CLIP : AT_LORA_DENOISER;
}

static bool ends(const char *text, size_t length, const char *with)
{
    size_t n = strlen(with);
    return n < length && strcmp(text + length - n, with) == 0;
}

/* Cuts the suffix off the length. */
static at_lora_role take_suffix(const char *key, size_t *length)
{
    for (size_t i = 0; i < AT_COUNT(suffixes); i++) {
        if (!ends(key, *length, suffixes[i].text)) continue;
        *length -= strlen(suffixes[i].text);
        return suffixes[i].role;
    }
    return AT_LORA_OTHER;
}

const char *at_lora_unread_family(const char *key)
{
    for (size_t i = 0; i < AT_COUNT(unread); i++)
        if (ends(key, strlen(key), unread[i].text)) return unread[i].family;
    return NULL;
}

bool at_lora_plain(const char *name, char *out, size_t size)
{
    size_t length = strlen(name);
    if (length >= size) return false;
    for (size_t i = 0; i <= length; i++) out[i] = name[i];
    for (char *c = out; *c; c++)
        if (*c == '.') *c = '_';
    return true;
}

bool at_lora_key_of(const char *key, at_lora_key *out)
{
    static const char processor[] = "_processor"; /* no layer's name has it */
    out->part = take_prefix(&key);
    size_t length = strlen(key);
    out->role = take_suffix(key, &length);
    if (length >= sizeof out->path || !at_lora_plain(key, out->path, sizeof out->path))
        return false;
    out->path[length] = 0;
    char *found = strstr(out->path, processor);
    if (found)
        memmove(found, found + sizeof processor - 1, strlen(found + sizeof processor - 1) + 1);
    return true;
}
