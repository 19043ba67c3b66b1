/* `atelier bench models`: slices of models at their real widths, with random weights made in
 * memory. */
#include "base/random.h"
#include "cli/bench_kernels.h"
#include "kernels/kernels.h"
#include "models/autoencoders/autoencoder_kl.h"
#include "models/transformers/auraflow.h"
#include "models/transformers/flux.h"
#include "models/transformers/hunyuan_dit.h"
#include "models/transformers/lumina2.h"
#include "models/transformers/sd3.h"
#include "models/unets/unet_2d_condition.h"
#include <string.h>

typedef struct bench_model {
    const char *name;
    const char *config; /* the class's options; what is not said is its default */
    at_tensor *(*run)(at_context *cx, const at_module *module);
} bench_model;

static at_tensor *noise(at_context *cx, int dims, const int64_t *shape)
{
    at_generator random;
    at_generator_seed(&random, AT_RNG_CPU, 1);
    at_tensor *x = at_empty(cx, AT_F32, dims, shape);
    if (x) at_random_normal(&random, x->data, at_elements(x));
    return x;
}

#define NOISE(cx, ...) \
    noise(cx, (int)(sizeof((int64_t[]){__VA_ARGS__}) / 8), (int64_t[]){__VA_ARGS__})

/* 512 tokens of text, 1024 of a 512 x 512 picture */
static at_tensor *flux_slice(at_context *cx, const at_module *flux)
{
    enum { TEXT = 512, SIDE = 32 };
    at_tensor *ids = at_zeros(cx, AT_F32, 2, (int64_t[]){SIDE * SIDE, 3});
    for (int i = 0; ids && i < SIDE * SIDE; i++) {
        ((float *)ids->data)[3 * i + 1] = (float)(i / SIDE);
        ((float *)ids->data)[3 * i + 2] = (float)(i % SIDE);
    }
    at_flux_inputs in = {
        .hidden_states = NOISE(cx, 1, SIDE * SIDE, 64),
        .encoder_hidden_states = NOISE(cx, 1, TEXT, 4096),
        .pooled_projections = NOISE(cx, 1, 768),
        .timestep = at_full(cx, 0.5f, 1, (int64_t[]){1}),
        .guidance = at_full(cx, 3.5f, 1, (int64_t[]){1}),
        .img_ids = ids,
        .txt_ids = at_zeros(cx, AT_F32, 2, (int64_t[]){TEXT, 3}),
    };
    return at_flux_forward(cx, flux, &in);
}

/* 333 tokens of text, 1024 patches of a 512 x 512 picture */
static at_tensor *hunyuan_slice(at_context *cx, const at_module *hunyuan)
{
    enum { SIDE = 64 };
    at_hunyuan_dit_inputs in = {
        .hidden_states = NOISE(cx, 1, SIDE, SIDE, 4),
        .timestep = at_full(cx, 500.0f, 1, (int64_t[]){1}),
        .encoder_hidden_states = NOISE(cx, 1, 77, 1024),
        .text_embedding_mask = at_full(cx, 1.0f, 2, (int64_t[]){1, 77}),
        .encoder_hidden_states_t5 = NOISE(cx, 1, 256, 2048),
        .text_embedding_mask_t5 = at_full(cx, 1.0f, 2, (int64_t[]){1, 256}),
        .rope = at_hunyuan_dit_rope(cx, hunyuan, SIDE, SIDE),
    };
    return at_hunyuan_dit_forward(cx, hunyuan, &in);
}

/* 128 tokens of text, 1024 patches of a 512 x 512 picture */
static at_tensor *lumina2_slice(at_context *cx, const at_module *lumina)
{
    enum { SIDE = 64, TEXT = 128 };
    at_tensor *all = at_new(cx, AT_BOOL, 1, TEXT);
    if (all) memset(all->data, 1, TEXT);
    at_lumina2_inputs in = {
        .hidden_states = NOISE(cx, 1, SIDE, SIDE, 16),
        .timestep = at_full(cx, 0.5f, 1, (int64_t[]){1}),
        .encoder_hidden_states = NOISE(cx, 1, TEXT, 2304),
        .encoder_attention_mask = all,
    };
    return at_lumina2_forward(cx, lumina, &in);
}

/* 333 tokens of text, 1024 patches of a 512 x 512 picture */
static at_tensor *sd3_slice(at_context *cx, const at_module *sd3)
{
    enum { SIDE = 64, TEXT = 77 + 256 };
    at_sd3_inputs in = {
        .hidden_states = NOISE(cx, 1, SIDE, SIDE, 16),
        .encoder_hidden_states = NOISE(cx, 1, TEXT, 4096),
        .pooled_projections = NOISE(cx, 1, 2048),
        .timestep = at_full(cx, 500.0f, 1, (int64_t[]){1}),
    };
    return at_sd3_forward(cx, sd3, &in);
}

/* 256 tokens of text, 1024 patches of a 512 x 512 picture */
static at_tensor *auraflow_slice(at_context *cx, const at_module *auraflow)
{
    enum { SIDE = 64, TEXT = 256 };
    at_auraflow_inputs in = {
        .hidden_states = NOISE(cx, 1, SIDE, SIDE, 4),
        .encoder_hidden_states = NOISE(cx, 1, TEXT, 2048),
        .timestep = at_full(cx, 0.5f, 1, (int64_t[]){1}),
    };
    return at_auraflow_forward(cx, auraflow, &in);
}

/* A step with guidance: two pictures of 512 x 512, 77 tokens of text each */
static at_tensor *sd15_unet(at_context *cx, const at_module *unet)
{
    at_unet_inputs in = {
        .sample = NOISE(cx, 2, 64, 64, 4),
        .timestep = at_full(cx, 500.0f, 1, (int64_t[]){2}),
        .encoder_hidden_states = NOISE(cx, 2, 77, 768),
    };
    return at_unet_forward(cx, unet, &in);
}

/* One picture of 1024 x 1024 */
static at_tensor *sdxl_unet(at_context *cx, const at_module *unet)
{
    at_unet_inputs in = {
        .sample = NOISE(cx, 1, 128, 128, 4),
        .timestep = at_full(cx, 500.0f, 1, (int64_t[]){1}),
        .encoder_hidden_states = NOISE(cx, 1, 77, 2048),
        .text_embeds = NOISE(cx, 1, 1280),
        .time_ids =
            at_from(cx, AT_F32, 2, (int64_t[]){1, 6}, (float[]){1024, 1024, 0, 0, 1024, 1024}),
    };
    return at_unet_forward(cx, unet, &in);
}

static at_tensor *vae_decode(at_context *cx, const at_module *vae)
{
    int64_t channels = at_autoencoder_kl_info_of(vae).latent_channels;
    return at_autoencoder_kl_decode(cx, vae, NOISE(cx, 1, 64, 64, channels), false);
}

#define VAE_LEVELS                                                                            \
    "\"_class_name\": \"AutoencoderKL\", \"block_out_channels\": [128, 256, 512, 512], "      \
    "\"layers_per_block\": 2, \"down_block_types\": [\"DownEncoderBlock2D\", "                \
    "\"DownEncoderBlock2D\", \"DownEncoderBlock2D\", \"DownEncoderBlock2D\"], "               \
    "\"up_block_types\": [\"UpDecoderBlock2D\", \"UpDecoderBlock2D\", \"UpDecoderBlock2D\", " \
    "\"UpDecoderBlock2D\"]"

static const bench_model models[] = {
    {"auraflow_slice_1_3_1280",
     "{\"_class_name\": \"AuraFlowTransformer2DModel\", \"num_mmdit_layers\": 1, "
     "\"num_single_dit_layers\": 3}",
     auraflow_slice},
    {"flux_slice_2_4_1536",
     "{\"_class_name\": \"FluxTransformer2DModel\", \"num_layers\": 2, \"num_single_layers\": 4, "
     "\"guidance_embeds\": true}",
     flux_slice},
    {"flux_vae_decode_512",
     "{" VAE_LEVELS
     ", \"latent_channels\": 16, \"use_quant_conv\": false, \"use_post_quant_conv\": false}",
     vae_decode},
    {"hunyuan_dit_slice_4_1024",
     "{\"_class_name\": \"HunyuanDiT2DModel\", \"in_channels\": 4, \"patch_size\": 2, "
     "\"hidden_size\": 1408, \"num_layers\": 4, \"mlp_ratio\": 4.3637, "
     "\"use_style_cond_and_image_meta_size\": false}",
     hunyuan_slice},
    {"lumina2_slice_4_1152",
     "{\"_class_name\": \"Lumina2Transformer2DModel\", \"num_layers\": 4, "
     "\"num_refiner_layers\": 0, \"cap_feat_dim\": 2304}",
     lumina2_slice},
    {"sd35_large_slice_4_1357",
     "{\"_class_name\": \"SD3Transformer2DModel\", \"num_layers\": 4, "
     "\"num_attention_heads\": 38, \"caption_projection_dim\": 2432, "
     "\"pos_embed_max_size\": 64, \"qk_norm\": \"rms_norm\"}",
     sd3_slice},
    {"sd35_medium_slice_4_1357",
     "{\"_class_name\": \"SD3Transformer2DModel\", \"num_layers\": 4, "
     "\"num_attention_heads\": 24, \"caption_projection_dim\": 1536, "
     "\"pos_embed_max_size\": 64, \"qk_norm\": \"rms_norm\", "
     "\"dual_attention_layers\": [0, 1]}",
     sd3_slice},
    {"sd15_unet_512_b2",
     "{\"_class_name\": \"UNet2DConditionModel\", \"cross_attention_dim\": 768, "
     "\"attention_head_dim\": 8}",
     sd15_unet},
    {"sdxl_unet_1024_b1",
     "{\"_class_name\": \"UNet2DConditionModel\", \"block_out_channels\": [320, 640, 1280], "
     "\"down_block_types\": [\"DownBlock2D\", \"CrossAttnDownBlock2D\", "
     "\"CrossAttnDownBlock2D\"], \"up_block_types\": [\"CrossAttnUpBlock2D\", "
     "\"CrossAttnUpBlock2D\", \"UpBlock2D\"], \"cross_attention_dim\": 2048, "
     "\"attention_head_dim\": [5, 10, 20], \"transformer_layers_per_block\": [1, 2, 10], "
     "\"use_linear_projection\": true, \"addition_embed_type\": \"text_time\", "
     "\"addition_time_embed_dim\": 256, \"projection_class_embeddings_input_dim\": 2816}",
     sdxl_unet},
    {"sd15_vae_decode_512", "{" VAE_LEVELS ", \"latent_channels\": 4}", vae_decode},
};

typedef struct loaded {
    const bench_model *model;
    const at_module *module;
} loaded;

static void run_model(at_context *cx, const void *args)
{
    const loaded *l = args;
    at_scope s = at_scope_begin(cx);
    l->model->run(cx, l->module);
    at_scope_end(cx, s, NULL);
}

void at_bench_models(at_context *cx, const char *only, cJSON *report)
{
    cJSON *list = cJSON_AddArrayToObject(report, "models");
    for (size_t i = 0; i < AT_COUNT(models) && at_ok(cx); i++) {
        const bench_model *model = &models[i];
        if (!at_bench_wanted(model->name, only)) continue;
        at_memory_peak_reset(cx);
        at_config *config = at_config_parse(cx, model->config, strlen(model->config), model->name);
        at_module *module = at_module_make(cx, config, NULL, AT_BF16, 1);
        double seconds = module ? at_bench_median(cx, run_model, &(loaded){model, module}) : 0;
        at_module_free(module);
        at_config_free(config);
        if (!at_ok(cx)) return;
        cJSON *entry = cJSON_CreateObject();
        cJSON_AddStringToObject(entry, "name", model->name);
        cJSON_AddStringToObject(entry, "precision", at_precision_name(at_precision_of(cx)));
        cJSON_AddNumberToObject(entry, "seconds", seconds);
        cJSON_AddNumberToObject(entry, "peak_bytes", (double)at_memory_peak(cx));
        cJSON_AddItemToArray(list, entry);
    }
}
