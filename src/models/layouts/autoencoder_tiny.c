#include "models/layouts/autoencoder_tiny.h"

enum { STAGES = 8, LAYERS = 100 };

/* The decoder's Sequential begins with a clamp, which Diffusers does outside. */
static void add_numbers(at_context *cx, at_names *n, const char *ours, int clamp)
{
    for (int i = 0; i < LAYERS; i++)
        at_names_add(cx, n, NULL, at_format(cx, "%d.", i + clamp),
                     at_format(cx, "%s.layers.%d.", ours, i));
}

void at_names_tiny_encoder(at_context *cx, at_names *n, const at_weights *w, const char *prefix,
                           bool own)
{
    (void)w, (void)prefix, (void)own;
    add_numbers(cx, n, "encoder", 0);
}

void at_names_tiny_decoder(at_context *cx, at_names *n, const at_weights *w, const char *prefix,
                           bool own)
{
    (void)w, (void)prefix, (void)own;
    add_numbers(cx, n, "decoder", 1);
}

/* Blocks by stage, each of which a lone convolution ends (the first begins the whole). *last: the
   name of the last one. */
static int count_stages(const at_weights *w, const char *half, int blocks[STAGES], int *last)
{
    int stages = -1, count = 0;
    *last = 0;
    for (int i = 0; i < LAYERS && stages < STAGES; i++) {
        count += at_part_find(w, "", "%s.layers.%d.conv.0.weight", half, i) != NULL;
        if (!at_part_find(w, "", "%s.layers.%d.weight", half, i)) continue;
        if (stages >= 0) blocks[stages] = count;
        stages++;
        count = 0;
        *last = i;
    }
    return stages < 0 ? 0 : stages;
}

/* -> the number of the last layer */
static int add_half(cJSON *json, const at_weights *w, const char *half, const char *blocks_key,
                    const char *channels_key)
{
    int counts[STAGES], last;
    int stages = count_stages(w, half, counts, &last);
    int64_t channels = at_part_size(w, 0, "%s.layers.0.weight", half);
    cJSON *blocks = cJSON_AddArrayToObject(json, blocks_key);
    cJSON *list = cJSON_AddArrayToObject(json, channels_key);
    for (int i = 0; i < stages; i++) {
        cJSON_AddItemToArray(blocks, cJSON_CreateNumber(counts[i]));
        cJSON_AddItemToArray(list, cJSON_CreateNumber((double)channels));
    }
    return last;
}

cJSON *at_tiny_config(const at_weights *w, const at_part_hint *hint)
{
    (void)hint;
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "_class_name", "AutoencoderTiny");
    int down = add_half(json, w, "encoder", "num_encoder_blocks", "encoder_block_out_channels");
    int up = add_half(json, w, "decoder", "num_decoder_blocks", "decoder_block_out_channels");
    int64_t latents = at_part_size(w, 1, "decoder.layers.0.weight");
    if (!latents) latents = at_part_size(w, 0, "encoder.layers.%d.weight", down);
    int64_t in = at_part_size(w, 1, "encoder.layers.0.weight");
    int64_t out = at_part_size(w, 0, "decoder.layers.%d.weight", up);
    cJSON_AddNumberToObject(json, "in_channels", (double)(in ? in : 3));
    cJSON_AddNumberToObject(json, "out_channels", (double)(out ? out : 3));
    cJSON_AddNumberToObject(json, "latent_channels", (double)latents);
    return json;
}
