#include "models/layouts/targets.h"
#include <string.h>

#define UNET "input_blocks.0.0.weight"
#define VAE "decoder.up.0.block.0.norm1.weight"
#define CLIP "text_model.embeddings.token_embedding.weight"
#define OPEN_CLIP "transformer.resblocks.0.attn.in_proj_weight"
#define FLUX "double_blocks.0.img_attn.norm.key_norm.scale"
#define T5 "encoder.block.0.layer.0.SelfAttention.q.weight"
#define SD3 "joint_blocks.0.x_block.attn.qkv.weight"
#define AURAFLOW "single_layers.0.modCX.1.weight"
#define UMT5 "encoder.block.1.layer.0.SelfAttention.relative_attention_bias.weight"
#define HUNYUAN "mlp_t5.0.weight"
#define BERT "bert.embeddings.word_embeddings.weight"
#define LUMINA2 "layers.0.attention.qkv.weight"
#define GEMMA2 "model.layers.0.pre_feedforward_layernorm.weight"

static const at_layout_target targets[] = {
    {"StableDiffusionXL", "unet", "model.diffusion_model.", UNET},
    {"StableDiffusionXL", "vae", "first_stage_model.", VAE},
    {"StableDiffusionXL", "text_encoder", "conditioner.embedders.0.transformer.", CLIP},
    {"StableDiffusionXL", "text_encoder_2", "conditioner.embedders.0.model.", OPEN_CLIP,
     .alone = true},
    {"StableDiffusionXL", "text_encoder_2", "conditioner.embedders.1.model.", OPEN_CLIP},
    {"StableDiffusion3", "transformer", "model.diffusion_model.", SD3},
    {"StableDiffusion3", "vae", "first_stage_model.", VAE},
    {"StableDiffusion3", "text_encoder", "text_encoders.clip_l.transformer.", CLIP},
    {"StableDiffusion3", "text_encoder_2", "text_encoders.clip_g.transformer.", CLIP},
    {"StableDiffusion3", "text_encoder_3", "text_encoders.t5xxl.transformer.", T5},
    {"StableDiffusion", "unet", "model.diffusion_model.", UNET},
    {"StableDiffusion", "vae", "first_stage_model.", VAE},
    {"StableDiffusion", "text_encoder", "cond_stage_model.model.", OPEN_CLIP, .open_clip = true},
    {"StableDiffusion", "text_encoder", "cond_stage_model.transformer.", CLIP},
    {"Flux", "transformer", "model.diffusion_model.", FLUX},
    {"Flux", "vae", "vae.", VAE},
    {"Flux", "text_encoder", "text_encoders.clip_l.transformer.", CLIP},
    {"Flux", "text_encoder_2", "text_encoders.t5xxl.transformer.", T5},
    {"AuraFlow", "transformer", "model.diffusion_model.", AURAFLOW},
    {"AuraFlow", "vae", "vae.", VAE},
    {"AuraFlow", "text_encoder", "text_encoders.pile_t5xl.transformer.", UMT5},
    {"HunyuanDiT", "transformer", "model.diffusion_model.", HUNYUAN},
    {"HunyuanDiT", "vae", "vae.", VAE},
    {"HunyuanDiT", "text_encoder", "text_encoders.hydit_clip.transformer.", BERT},
    {"HunyuanDiT", "text_encoder_2", "text_encoders.mt5xl.transformer.", T5},
    {"Lumina2", "transformer", "model.diffusion_model.", LUMINA2},
    {"Lumina2", "vae", "vae.", VAE},
    {"Lumina2", "text_encoder", "text_encoders.gemma2_2b.transformer.", GEMMA2},
};

const at_layout_target *at_layout_target_of(const char *pipeline, const char *component,
                                            bool open_clip, bool alone)
{
    for (size_t i = 0; i < AT_COUNT(targets); i++) {
        const at_layout_target *t = &targets[i];
        if (strncmp(pipeline, t->pipeline, strlen(t->pipeline)) == 0 &&
            strcmp(component, t->component) == 0 && (!t->open_clip || open_clip) &&
            (!t->alone || alone))
            return t;
    }
    return NULL;
}

const at_layout_pieces *at_layout_pieces_of(const char *pipeline, const char *component)
{
    static const at_layout_pieces all[] = {
        {"HunyuanDiT", "tokenizer_2", "spiece.model", "text_encoders.mt5xl.spiece_model"},
        {"Lumina2", "tokenizer", "tokenizer.model", "text_encoders.spiece_model"},
    };
    for (size_t i = 0; i < AT_COUNT(all); i++)
        if (strncmp(pipeline, all[i].pipeline, strlen(all[i].pipeline)) == 0 &&
            strcmp(component, all[i].component) == 0)
            return &all[i];
    return NULL;
}

const at_part_form *at_layout_target_form(const at_layout_target *target)
{
    const at_part_form *form = at_part_forms;
    while (form->sign && strcmp(form->sign, target->sign) != 0) form++;
    return form;
}

const char *at_layout_architecture(const char *class_name)
{
    static const char *const names[][2] = {
        {"StableDiffusionXL", "sdxl"},
        {"StableDiffusion3", "sd3"},
        {"StableDiffusion", "sd1"},
        {"Flux", "flux"},
        {"SD3", "sd3"},
        {"AuraFlow", "aura"},
        {"HunyuanDiT", "hydit"},
        {"Lumina2", "lumina2"},
        {"T5", "t5encoder"},
        {"UMT5", "t5encoder"},
    };
    for (size_t i = 0; i < AT_COUNT(names); i++)
        if (strncmp(class_name, names[i][0], strlen(names[i][0])) == 0) return names[i][1];
    return "unknown";
}
