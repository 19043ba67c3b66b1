#include "models/layouts/layout.h"
#include "models/layouts/parts.h"
#include "text/sentencepiece.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- families: what the files around the published weights say */

typedef struct family {
    const char *name, *pipeline;
    const char *components; /* of model_index.json */
    const char *scheduler;  /* scheduler_config.json */
    int unet_size, vae_size;
    double scaling, shift;
    const char *tokenizers[2];
} family;

/* OpenAI's CLIP tokenizer; the second pads with "!", as OpenCLIP's models want it. T5's vocabulary
   is not ours to give. */
#define CLIP_1 "tokenizers/clip"
#define CLIP_2 "tokenizers/clip_2"

#define VAE "\"vae\":[\"diffusers\",\"AutoencoderKL\"],"
#define UNET "\"unet\":[\"diffusers\",\"UNet2DConditionModel\"],"
#define CLIP(n, class)                                                     \
    "\"text_encoder" n "\":[\"transformers\",\"" class "\"],\"tokenizer" n \
                                                       "\":[\"transformers\",\"CLIPTokenizer\"],"
#define NO_CLIP "\"text_encoder\":[null,null],\"tokenizer\":[null,null],"
#define SCHEDULER(class) "\"scheduler\":[\"diffusers\",\"" class "\"],"
#define CHECKERS "\"safety_checker\":[null,null],\"feature_extractor\":[null,null]"
#define SD_INDEX(class) VAE UNET CLIP("", "CLIPTextModel") SCHEDULER(class) CHECKERS
#define XL_INDEX                                                                 \
    VAE UNET CLIP("", "CLIPTextModel") CLIP("_2", "CLIPTextModelWithProjection") \
        SCHEDULER("EulerDiscreteScheduler") "\"force_zeros_for_empty_prompt\":true"
#define BETAS "\"beta_start\":0.00085,\"beta_end\":0.012,\"beta_schedule\":\"scaled_linear\","
#define PNDM                                                                         \
    "\"_class_name\":\"PNDMScheduler\"," BETAS                                       \
    "\"clip_sample\":false,\"num_train_timesteps\":1000,\"set_alpha_to_one\":false," \
    "\"skip_prk_steps\":true,\"steps_offset\":1,\"trained_betas\":null"
#define DDIM                                                                                   \
    "\"_class_name\":\"DDIMScheduler\"," BETAS                                                 \
    "\"clip_sample\":false,\"num_train_timesteps\":1000,\"prediction_type\":\"v_prediction\"," \
    "\"set_alpha_to_one\":false,\"skip_prk_steps\":true,\"steps_offset\":1,\"trained_betas\":null"
#define EULER                                                                               \
    "\"_class_name\":\"EulerDiscreteScheduler\"," BETAS                                     \
    "\"clip_sample\":false,\"interpolation_type\":\"linear\",\"num_train_timesteps\":1000," \
    "\"prediction_type\":\"epsilon\",\"sample_max_value\":1.0,\"set_alpha_to_one\":false,"  \
    "\"skip_prk_steps\":true,\"steps_offset\":1,\"timestep_spacing\":\"leading\","          \
    "\"trained_betas\":null,\"use_karras_sigmas\":false"
#define FLUX_INDEX                                                                          \
    VAE CLIP("",                                                                            \
             "CLIPTextModel") "\"text_encoder_2\":[\"transformers\",\"T5EncoderModel\"],"   \
                              "\"tokenizer_2\":[\"transformers\",\"T5TokenizerFast\"],"     \
                              "\"transformer\":[\"diffusers\",\"FluxTransformer2DModel\"]," \
                              "\"scheduler\":[\"diffusers\",\"FlowMatchEulerDiscreteScheduler\"]"
#define LUMINA2_INDEX                                                    \
    VAE "\"text_encoder\":[\"transformers\",\"Gemma2Model\"],"           \
        "\"tokenizer\":[\"transformers\",\"GemmaTokenizerFast\"],"       \
        "\"transformer\":[\"diffusers\",\"Lumina2Transformer2DModel\"]," \
        "\"scheduler\":[\"diffusers\",\"FlowMatchEulerDiscreteScheduler\"]"
#define SD3_INDEX                                                                                  \
    VAE CLIP("", "CLIPTextModelWithProjection") CLIP(                                              \
        "_2",                                                                                      \
        "CLIPTextModelWithProjection") "\"text_encoder_3\":[\"transformers\",\"T5EncoderModel\"]," \
                                       "\"tokenizer_3\":[\"transformers\",\"T5TokenizerFast\"],"   \
                                       "\"transformer\":[\"diffusers\",\"SD3Transformer2DModel\"]" \
                                       ","                                                         \
                                       "\"scheduler\":[\"diffusers\","                             \
                                       "\"FlowMatchEulerDiscreteScheduler\"]"
#define AURAFLOW_INDEX                                                    \
    VAE "\"text_encoder\":[\"transformers\",\"UMT5EncoderModel\"],"       \
        "\"tokenizer\":[\"transformers\",\"LlamaTokenizerFast\"],"        \
        "\"transformer\":[\"diffusers\",\"AuraFlowTransformer2DModel\"]," \
        "\"scheduler\":[\"diffusers\",\"FlowMatchEulerDiscreteScheduler\"]"
#define HUNYUAN_INDEX                                                                       \
    VAE "\"text_encoder\":[\"transformers\",\"BertModel\"],"                                \
        "\"tokenizer\":[\"transformers\",\"BertTokenizer\"],"                               \
        "\"text_encoder_2\":[\"transformers\",\"T5EncoderModel\"],"                         \
        "\"tokenizer_2\":[\"transformers\",\"T5Tokenizer\"],"                               \
        "\"transformer\":[\"diffusers\",\"HunyuanDiT2DModel\"]," SCHEDULER("DDPMScheduler") \
            CHECKERS
#define DDPM(beta_end)                                                                      \
    "\"_class_name\":\"DDPMScheduler\",\"beta_start\":0.00085,\"beta_end\":" beta_end       \
    ",\"beta_schedule\":\"scaled_linear\",\"clip_sample\":false,\"clip_sample_range\":1.0," \
    "\"dynamic_thresholding_ratio\":0.995,\"num_train_timesteps\":1000,"                    \
    "\"prediction_type\":\"v_prediction\",\"rescale_betas_zero_snr\":false,"                \
    "\"sample_max_value\":1.0,\"steps_offset\":1,\"thresholding\":false,"                   \
    "\"timestep_spacing\":\"leading\",\"trained_betas\":null,\"variance_type\":\"fixed_small\""
#define FLOW(shift, dynamic)                                                          \
    "\"_class_name\":\"FlowMatchEulerDiscreteScheduler\",\"base_image_seq_len\":256," \
    "\"base_shift\":0.5,\"max_image_seq_len\":4096,\"max_shift\":1.15,"               \
    "\"num_train_timesteps\":1000,\"shift\":" shift ",\"use_dynamic_shifting\":" dynamic

enum {
    SD1,
    SD1_INPAINT,
    SD2,
    SD2_INPAINT,
    XL,
    XL_INPAINT,
    REFINER,
    PIX2PIX,
    FLUX_DEV,
    FLUX_SCHNELL,
    FLUX_FILL,
    FLUX_CONTROL,
    LUMINA2,
    SD3,
    AURAFLOW,
    HUNYUAN_1,
    HUNYUAN_1_2
};

static const family families[] = {
    [SD1] = {"Stable Diffusion 1",
             "StableDiffusionPipeline",
             SD_INDEX("PNDMScheduler"),
             PNDM,
             64,
             512,
             0.18215,
             0,
             {CLIP_1}},
    [SD1_INPAINT] = {"Stable Diffusion 1, inpainting",
                     "StableDiffusionInpaintPipeline",
                     SD_INDEX("PNDMScheduler"),
                     PNDM,
                     64,
                     512,
                     0.18215,
                     0,
                     {CLIP_1}},
    [SD2] = {"Stable Diffusion 2",
             "StableDiffusionPipeline",
             SD_INDEX("DDIMScheduler"),
             DDIM,
             96,
             768,
             0.18215,
             0,
             {CLIP_2}},
    [SD2_INPAINT] = {"Stable Diffusion 2, inpainting",
                     "StableDiffusionInpaintPipeline",
                     SD_INDEX("PNDMScheduler"),
                     PNDM,
                     64,
                     512,
                     0.18215,
                     0,
                     {CLIP_2}},
    [XL] = {"Stable Diffusion XL",
            "StableDiffusionXLPipeline",
            XL_INDEX,
            EULER,
            128,
            1024,
            0.13025,
            0,
            {CLIP_1, CLIP_2}},
    [XL_INPAINT] = {"Stable Diffusion XL, inpainting",
                    "StableDiffusionXLInpaintPipeline",
                    XL_INDEX,
                    EULER,
                    128,
                    1024,
                    0.13025,
                    0,
                    {CLIP_1, CLIP_2}},
    [REFINER] = {"Stable Diffusion XL, refiner",
                 "StableDiffusionXLImg2ImgPipeline",
                 VAE UNET NO_CLIP CLIP("_2", "CLIPTextModelWithProjection")
                     SCHEDULER("EulerDiscreteScheduler") "\"force_zeros_for_empty_prompt\":false,"
                                                         "\"requires_aesthetics_score\":true",
                 EULER,
                 128,
                 1024,
                 0.13025,
                 0,
                 {NULL, CLIP_2}},
    [PIX2PIX] = {"InstructPix2Pix",
                 "StableDiffusionInstructPix2PixPipeline",
                 SD_INDEX("PNDMScheduler"),
                 PNDM,
                 64,
                 512,
                 0.18215,
                 0,
                 {CLIP_1}},
    [FLUX_DEV] = {"Flux.1 dev",
                  "FluxPipeline",
                  FLUX_INDEX,
                  FLOW("3.0", "true"),
                  0,
                  1024,
                  0.3611,
                  0.1159,
                  {CLIP_1}},
    [FLUX_SCHNELL] = {"Flux.1 schnell",
                      "FluxPipeline",
                      FLUX_INDEX,
                      FLOW("1.0", "false"),
                      0,
                      1024,
                      0.3611,
                      0.1159,
                      {CLIP_1}},
    [FLUX_FILL] = {"Flux.1 Fill",
                   "FluxFillPipeline",
                   FLUX_INDEX,
                   FLOW("3.0", "true"),
                   0,
                   1024,
                   0.3611,
                   0.1159,
                   {CLIP_1}},
    [FLUX_CONTROL] = {"Flux.1 Canny or Depth",
                      "FluxControlPipeline",
                      FLUX_INDEX,
                      FLOW("3.0", "true"),
                      0,
                      1024,
                      0.3611,
                      0.1159,
                      {CLIP_1}},
    [LUMINA2] = {"Lumina-Image 2.0",
                 "Lumina2Pipeline",
                 LUMINA2_INDEX,
                 FLOW("6.0", "false"),
                 1024,
                 1024,
                 0.3611,
                 0.1159,
                 {NULL}},
    [SD3] = {"Stable Diffusion 3",
             "StableDiffusion3Pipeline",
             SD3_INDEX,
             FLOW("3.0", "false"),
             0,
             1024,
             1.5305,
             0.0609,
             {CLIP_1, CLIP_2}},
    [AURAFLOW] = {"AuraFlow",
                  "AuraFlowPipeline",
                  AURAFLOW_INDEX,
                  FLOW("1.73", "false"),
                  0,
                  1024,
                  0.13025,
                  0,
                  {NULL}},
    [HUNYUAN_1] = {"HunyuanDiT 1.0, 1.1",
                   "HunyuanDiTPipeline",
                   HUNYUAN_INDEX,
                   DDPM("0.03"),
                   128,
                   512,
                   0.13025,
                   0,
                   {NULL}},
    [HUNYUAN_1_2] = {"HunyuanDiT 1.2",
                     "HunyuanDiTPipeline",
                     HUNYUAN_INDEX,
                     DDPM("0.018"),
                     128,
                     512,
                     0.13025,
                     0,
                     {NULL}},
};

/* ---- where networks are in a file */

static const struct place {
    at_part_kind kind;
    const char *prefix, *part;
    const char *gelu;
} places[] = {
    {AT_PART_UNET, "model.diffusion_model.", "unet"},
    {AT_PART_UNET, "diffusion_model.", "unet"},
    {AT_PART_UNET, "", "unet"},
    /* AuraFlow's own names are some of Stable Diffusion 3's too, and these of Flux' */
    {AT_PART_AURAFLOW, "model.diffusion_model.", "transformer"},
    {AT_PART_AURAFLOW, "model.", "transformer"},
    {AT_PART_AURAFLOW, "", "transformer"},
    {AT_PART_SD3, "model.diffusion_model.", "transformer"},
    {AT_PART_SD3, "", "transformer"},
    {AT_PART_FLUX, "model.diffusion_model.", "transformer"},
    {AT_PART_FLUX, "diffusion_model.", "transformer"},
    {AT_PART_FLUX, "", "transformer"},
    {AT_PART_LUMINA2, "model.diffusion_model.", "transformer"},
    {AT_PART_LUMINA2, "", "transformer"},
    {AT_PART_HUNYUAN, "model.diffusion_model.", "transformer"},
    {AT_PART_HUNYUAN, "model.", "transformer"},
    {AT_PART_HUNYUAN, "ema.", "transformer"},
    {AT_PART_HUNYUAN, "module.", "transformer"},
    {AT_PART_HUNYUAN, "", "transformer"},
    {AT_PART_VAE, "first_stage_model.", "vae"},
    {AT_PART_VAE, "vae.", "vae"},
    {AT_PART_VAE, "", "vae"},
    {AT_PART_TINY_VAE, "", "vae"},
    {AT_PART_CLIP, "cond_stage_model.transformer.", "text_encoder", "quick_gelu"},
    {AT_PART_CLIP, "conditioner.embedders.0.transformer.", "text_encoder", "quick_gelu"},
    {AT_PART_CLIP, "text_encoders.clip_l.transformer.", "text_encoder", "quick_gelu"},
    {AT_PART_OPEN_CLIP, "cond_stage_model.model.", "text_encoder", "gelu"},
    {AT_PART_CLIP, "cond_stage_model.1.transformer.", "text_encoder_2", "gelu"},
    {AT_PART_CLIP, "text_encoders.clip_g.transformer.", "text_encoder_2", "gelu"},
    {AT_PART_OPEN_CLIP, "conditioner.embedders.1.model.", "text_encoder_2", "gelu"},
    {AT_PART_OPEN_CLIP, "conditioner.embedders.0.model.", "text_encoder_2", "gelu"},
    {AT_PART_CLIP, "", "text_encoder", "quick_gelu"},
    {AT_PART_OPEN_CLIP, "", "text_encoder", "gelu"},
    {AT_PART_T5, "text_encoders.t5xxl.transformer.", "text_encoder_2"},
    {AT_PART_UMT5, "text_encoders.pile_t5xl.transformer.", "text_encoder"},
    {AT_PART_UMT5, "", "text_encoder"},
    {AT_PART_T5, "text_encoders.mt5xl.transformer.", "text_encoder_2"},
    {AT_PART_T5, "", "text_encoder_2"},
    {AT_PART_BERT, "text_encoders.hydit_clip.transformer.", "text_encoder"},
    {AT_PART_BERT, "", "text_encoder"},
    {AT_PART_GEMMA2, "text_encoders.gemma2_2b.transformer.", "text_encoder"},
    {AT_PART_GEMMA2, "", "text_encoder"},
    {AT_PART_WHISPER, "", "whisper"},
};

static const char *const class_names[AT_PART_KINDS] = {
    [AT_PART_UNET] = "UNet2DConditionModel",
    [AT_PART_FLUX] = "FluxTransformer2DModel",
    [AT_PART_VAE] = "AutoencoderKL",
    [AT_PART_TINY_VAE] = "AutoencoderTiny",
    [AT_PART_CLIP] = "CLIPTextModel",
    [AT_PART_OPEN_CLIP] = "CLIPTextModel",
    [AT_PART_T5] = "T5EncoderModel",
    [AT_PART_LUMINA2] = "Lumina2Transformer2DModel",
    [AT_PART_GEMMA2] = "Gemma2Model",
    [AT_PART_SD3] = "SD3Transformer2DModel",
    [AT_PART_AURAFLOW] = "AuraFlowTransformer2DModel",
    [AT_PART_UMT5] = "UMT5EncoderModel",
    [AT_PART_HUNYUAN] = "HunyuanDiT2DModel",
    [AT_PART_BERT] = "BertModel",
    [AT_PART_WHISPER] = "WhisperForConditionalGeneration",
};

/* A place that a file has. */
typedef struct found {
    const struct place *place;
    const at_part_form *form;
} found;

typedef struct reader {
    at_context *cx;
    at_weights *weights;
    at_layout *layout;
    found found[AT_LAYOUT_PARTS];
    const family *family;
    int64_t taken;
    bool v_prediction;
} reader;

static const at_part_form *form_at(const at_weights *w, const struct place *p)
{
    for (const at_part_form *f = at_part_forms; f->sign; f++)
        if (f->kind == p->kind && at_part_find(w, p->prefix, "%s", f->sign)) return f;
    return NULL;
}

static const at_layout_part *part_of_class(const at_layout *l, const char *class_name)
{
    for (int i = 0; i < l->count; i++)
        if (strcmp(l->parts[i].class_name, class_name) == 0) return &l->parts[i];
    return NULL;
}

/* Finds each part once: the first place that is there. In Stable Diffusion 3 T5 is the third
   encoder and both CLIPs have projections; UMT5 has all that T5 has. */
static void find_parts(reader *r)
{
    at_layout *l = r->layout;
    for (size_t i = 0; i < AT_COUNT(places) && l->count < AT_LAYOUT_PARTS; i++) {
        const struct place *p = &places[i];
        bool sd3 = l->count && r->found[0].place->kind == AT_PART_SD3, t5 = p->kind == AT_PART_T5;
        const char *name = sd3 && t5 ? "text_encoder_3" : p->part;
        const at_part_form *form = at_layout_find(l, name) ? NULL : form_at(r->weights, p);
        if (!form || (t5 && part_of_class(l, class_names[AT_PART_UMT5]))) continue;
        at_layout_part *part = &l->parts[l->count];
        snprintf(part->name, sizeof part->name, "%s", name);
        part->class_name = class_names[p->kind];
        bool clip = p->kind == AT_PART_CLIP || p->kind == AT_PART_OPEN_CLIP;
        if (clip && (sd3 || strcmp(name, "text_encoder_2") == 0))
            part->class_name = "CLIPTextModelWithProjection";
        if (!l->count) snprintf(l->sign, sizeof l->sign, "%s%s", p->prefix, form->sign);
        r->found[l->count++] = (found){p, form};
    }
}

static bool rename_parts(reader *r)
{
    for (int i = 0; i < r->layout->count && at_ok(r->cx); i++) {
        at_names names = {0};
        const char *prefix = r->found[i].place->prefix;
        r->found[i].form->names(r->cx, &names, r->weights, prefix, false);
        r->layout->parts[i].weights = at_names_apply(r->cx, &names, r->weights, prefix, &r->taken);
        at_names_free(&names);
    }
    return at_ok(r->cx);
}

/* ---- the family */

static const found *found_of(const reader *r, const char *part)
{
    for (int i = 0; i < r->layout->count; i++)
        if (strcmp(r->layout->parts[i].name, part) == 0) return &r->found[i];
    return NULL;
}

static int64_t context_of(const at_weights *unet)
{
    for (int64_t i = 0; i < at_weights_count(unet); i++) {
        const at_weight *w = at_weights_at(unet, i);
        if (strstr(w->name, "attn2.to_k.weight") && w->dims == 2) return w->shape[1];
    }
    return 0;
}

static const family *flux_family(const at_weights *w)
{
    int64_t in = at_part_size(w, 1, "x_embedder.weight"),
            out = at_part_size(w, 0, "proj_out.weight");
    bool guided = at_part_find(w, "", "time_text_embed.guidance_embedder.linear_1.weight");
    if (in == 2 * out) return &families[FLUX_CONTROL];
    if (in > 2 * out) return &families[FLUX_FILL];
    return &families[guided ? FLUX_DEV : FLUX_SCHNELL];
}

static const family *hunyuan_family(const at_weights *w)
{
    bool styled = at_part_find(w, "", "time_extra_emb.style_embedder.weight");
    return &families[styled ? HUNYUAN_1 : HUNYUAN_1_2];
}

/* By the text encoders beside it, or else by what a lone UNet takes. */
static const family *unet_family(const reader *r, const at_weights *unet)
{
    const found *first = found_of(r, "text_encoder"), *second = found_of(r, "text_encoder_2");
    int64_t in = at_part_size(unet, 1, "conv_in.weight"), context = context_of(unet);
    bool added = at_part_find(unet, "", "add_embedding.linear_1.weight");
    bool alone = !first && !second, two = context == 1024;
    bool refiner = second && strcmp(second->place->prefix, "conditioner.embedders.0.model.") == 0;
    if (first && first->form->kind == AT_PART_OPEN_CLIP) two = true;
    if (refiner || (alone && added && context == 1280)) return &families[REFINER];
    if (second || added) return &families[in == 9 ? XL_INPAINT : XL];
    if (in == 8) return &families[PIX2PIX];
    if (two) return &families[in == 9 ? SD2_INPAINT : SD2];
    return &families[in == 9 ? SD1_INPAINT : SD1];
}

static bool choose_family(reader *r)
{
    at_layout_part *unet = at_layout_find(r->layout, "unet");
    at_layout_part *flux = at_layout_find(r->layout, "transformer");
    if (at_part_find(r->weights, "", "edm_mean"))
        return at_fail_false(
            r->cx, AT_ERROR_UNSUPPORTED,
            "%s: a Playground v2.5 checkpoint, whose EDM sampling is not supported",
            at_weights_at(r->weights, 0)->file->path);
    const found *transformer = found_of(r, "transformer");
    at_part_kind kind = transformer ? transformer->form->kind : AT_PART_KINDS;
    bool lumina = kind == AT_PART_LUMINA2;
    r->family = lumina                     ? &families[LUMINA2]
                : kind == AT_PART_SD3      ? &families[SD3]
                : kind == AT_PART_AURAFLOW ? &families[AURAFLOW]
                : kind == AT_PART_HUNYUAN  ? hunyuan_family(flux->weights)
                : flux                     ? flux_family(flux->weights)
                : unet                     ? unet_family(r, unet->weights)
                                           : NULL;
    if (lumina && at_part_find(r->weights, transformer->place->prefix, "x_pad_token"))
        return at_fail_false(r->cx, AT_ERROR_UNSUPPORTED,
                             "%s: a Z-Image checkpoint, which is not supported",
                             at_weights_at(r->weights, 0)->file->path);
    return true;
}

/* ---- what the model predicts */

static bool is(const char *text, const char *other)
{
    return text && strcmp(text, other) == 0;
}

static bool predicts(reader *r, bool v, const char *why)
{
    snprintf(r->layout->prediction, sizeof r->layout->prediction, "%s, %s",
             v ? "v_prediction" : "epsilon", why);
    r->v_prediction = v;
    return true;
}

/* Of the published models of Stable Diffusion 2 at full size: this bias is larger where v is
   predicted (a rule of ComfyUI's; it says nothing of other shapes). */
static bool predicts_by_bias(reader *r, const at_weights *unet)
{
    static const char name[] = "up_blocks.3.attentions.2.transformer_blocks.0.norm1.bias";
    at_tensor *x = at_part_size(unet, 0, name) == 320 ? at_weights_get(r->cx, unet, name) : NULL;
    float *values = x ? at_alloc(r->cx, 320, sizeof *values) : NULL;
    double sum = 0, squares = 0;
    if (!values || !at_read_f32(r->cx, x, values)) {
        at_free(values);
        return false;
    }
    for (int i = 0; i < 320; i++) sum += values[i], squares += (double)values[i] * values[i];
    at_free(values);
    double deviation = sqrt(fmax(squares / 320 - sum * sum / (320.0 * 320.0), 0));
    return deviation > 0 && deviation <= 0.09 &&
           predicts(r, false, "by the size of its last attention's bias");
}

static void choose_prediction(reader *r)
{
    const at_weights *w = r->weights;
    const char *said = at_weights_metadata(w, "modelspec.prediction_type");
    const char *architecture = at_weights_metadata(w, "modelspec.architecture");
    const char *steps = at_weights_metadata(w, "global_step");
    at_layout_part *unet = at_layout_find(r->layout, "unet");
    bool two = r->family == &families[SD2];
    if (!unet) return;
    if (said)
        predicts(r, said[0] == 'v', "its metadata say (modelspec.prediction_type)");
    else if (is(at_weights_metadata(w, "ss_v_parameterization"), "True"))
        predicts(r, true, "its metadata say (ss_v_parameterization)");
    else if (at_part_find(w, "", "v_pred"))
        predicts(r, true, "it has a tensor v_pred");
    else if (two && is(architecture, "stable-diffusion-v2-512"))
        predicts(r, false, "its metadata say (modelspec.architecture)");
    else if (two && is(steps, "875000"))
        predicts(r, false, "after 875000 steps, the base model of 512 pixels");
    else if (two && !predicts_by_bias(r, unet->weights))
        predicts(r, true, "as published");
}

/* ---- configurations */

static cJSON *parse(at_context *cx, const char *text, const char *what)
{
    return at_json_parse(cx, text, strlen(text), what);
}

/* What `atelier convert` has written there, or what the shapes tell. */
static cJSON *config_of(reader *r, int i)
{
    at_layout_part *part = &r->layout->parts[i];
    char key[48];
    snprintf(key, sizeof key, "atelier.%s", part->name);
    const char *own = at_weights_metadata(r->weights, key);
    if (own) return parse(r->cx, own, key);
    part->inferred = true;
    const family *f = r->family;
    bool vae = r->found[i].form->kind == AT_PART_VAE;
    at_part_hint hint = {
        .gelu = r->found[i].place->gelu, .scaling = 0.18215, .sample_size = 512, .time_dim = 256};
    if (hint.gelu && f && (f == &families[SD2] || f == &families[SD2_INPAINT])) hint.gelu = "gelu";
    if (f) {
        hint.scaling = f->scaling;
        hint.shift = f->shift;
        hint.sample_size = vae ? f->vae_size : f->unet_size;
        if (f == &families[SD2] && !r->v_prediction) hint.sample_size = vae ? 512 : 64;
        at_layout_part *text = at_layout_find(r->layout, "text_encoder_2");
        int64_t pooled = text ? at_part_size(text->weights, 0, "text_projection.weight") : 1280;
        int64_t added = at_part_size(part->weights, 1, "add_embedding.linear_1.weight");
        int ids = f == &families[REFINER] ? 5 : 6;
        if (added > pooled && (added - pooled) % ids == 0) hint.time_dim = (added - pooled) / ids;
    } else if (vae && at_part_size(part->weights, 1, "decoder.conv_in.weight") == 16) {
        hint.scaling = families[FLUX_DEV].scaling;
        hint.shift = families[FLUX_DEV].shift;
    }
    const char *heads[] = {at_weights_metadata(r->weights, "dims.n_audio_head"),
                           at_weights_metadata(r->weights, "dims.n_text_head")};
    for (int side = 0; side < 2; side++)
        if (heads[side]) hint.heads[side] = (int)strtol(heads[side], NULL, 10);
    return at_part_config(r->cx, r->found[i].form->kind, part->weights, &hint);
}

static void set_text(cJSON *json, const char *key, cJSON *value)
{
    cJSON_DeleteItemFromObjectCaseSensitive(json, key);
    cJSON_AddItemToObject(json, key, value);
}

void at_layout_set_scaling(cJSON *config, const char *pipeline)
{
    for (size_t i = 0; i < AT_COUNT(families); i++) {
        if (strcmp(families[i].pipeline, pipeline) != 0) continue;
        set_text(config, "scaling_factor", cJSON_CreateNumber(families[i].scaling));
        set_text(config, "shift_factor", cJSON_CreateNumber(families[i].shift));
        return;
    }
}

static void write_scheduler(reader *r)
{
    at_layout *l = r->layout;
    const char *own = at_weights_metadata(r->weights, "atelier.scheduler");
    char *text = own ? at_copy_text(r->cx, own) : at_format(r->cx, "{%s}", r->family->scheduler);
    l->scheduler = text ? parse(r->cx, text, "atelier.scheduler") : NULL;
    at_free(text);
    if (!l->scheduler || own || !l->prediction[0]) return;
    set_text(l->scheduler, "prediction_type",
             cJSON_CreateString(r->v_prediction ? "v_prediction" : "epsilon"));
    if (at_part_find(r->weights, "", "ztsnr"))
        set_text(l->scheduler, "rescale_betas_zero_snr", cJSON_CreateTrue());
}

static void write_index(reader *r)
{
    at_layout *l = r->layout;
    const char *own = at_weights_metadata(r->weights, "atelier.model_index");
    char *text = own ? at_copy_text(r->cx, own)
                     : at_format(r->cx, "{\"_class_name\":\"%s\",%s}", r->family->pipeline,
                                 r->family->components);
    l->index = text ? parse(r->cx, text, "atelier.model_index") : NULL;
    at_free(text);
    if (r->family == &families[SD3] && !own && !at_layout_find(l, "text_encoder_3"))
        set_text(l->index, "text_encoder_3", cJSON_Parse("[null,null]")); /* T5 is often left out */
    l->family = r->family->name;
    l->pipeline = r->family->pipeline;
    memcpy(l->tokenizers, r->family->tokenizers, sizeof l->tokenizers);
}

/* ---- tokenizers: ComfyUI keeps sentencepiece's file beside the text encoder, as bytes */

static const struct {
    const char *name, *encoder, *part;
} pieces[] = {
    {"text_encoders.mt5xl.spiece_model", "T5EncoderModel", "tokenizer_2"},
    {"text_encoders.spiece_model", "Gemma2Model", "tokenizer"},
    {"spiece_model", "T5EncoderModel", "tokenizer_2"},
    {"spiece_model", "UMT5EncoderModel", "tokenizer"},
    {"spiece_model", "Gemma2Model", "tokenizer"},
};

/* Of GGUF's metadata. */
static bool flag_of(const reader *r, const char *key, bool fallback)
{
    const char *text = at_weights_metadata(r->weights, key);
    return text ? is(text, "true") : fallback;
}

/* T5's has a hundred ids more than pieces, which mT5's table of embeddings has no rows for. Of byte
   pairs is Pile-T5's, which AuraFlow has: Llama's, with an end and no beginning where nothing is
   said. */
static cJSON *t5_tokenizer(reader *r, const at_layout_part *encoder, const at_weight *w)
{
    at_sentencepiece spm = {0};
    if (!at_sentencepiece_parse(r->cx, w->file->data + w->offset, w->bytes, w->name, &spm))
        return NULL;
    int64_t more = at_part_size(encoder->weights, 0, "shared.weight") - (int64_t)spm.count;
    bool byte_pairs = spm.model == AT_SPM_BPE;
    at_sentencepiece_free(&spm);
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "tokenizer_class", byte_pairs ? "LlamaTokenizer" : "T5Tokenizer");
    if (byte_pairs) {
        cJSON_AddBoolToObject(json, "add_bos_token",
                              flag_of(r, "tokenizer.ggml.add_bos_token", false));
        cJSON_AddBoolToObject(json, "add_eos_token",
                              flag_of(r, "tokenizer.ggml.add_eos_token", true));
        cJSON_AddStringToObject(json, "pad_token", "<s>");
    } else {
        cJSON_AddNumberToObject(json, "extra_ids", more >= 100 ? 100 : 0);
    }
    return json;
}

static void find_tokenizers(reader *r)
{
    static const char gemma[] = "{\"tokenizer_class\":\"GemmaTokenizer\",\"add_bos_token\":true}";
    at_layout *l = r->layout;
    for (size_t i = 0; i < AT_COUNT(pieces) && l->count < AT_LAYOUT_PARTS && at_ok(r->cx); i++) {
        const at_weight *w = at_weights_find(r->weights, pieces[i].name);
        const at_layout_part *encoder = part_of_class(l, pieces[i].encoder);
        if (!w || w->dims != 1 || !encoder) continue;
        bool t5 = strstr(encoder->class_name, "T5") != NULL;
        cJSON *config = t5 ? t5_tokenizer(r, encoder, w) : parse(r->cx, gemma, pieces[i].name);
        const cJSON *class_name = cJSON_GetObjectItemCaseSensitive(config, "tokenizer_class");
        if (!class_name) {
            cJSON_Delete(config);
            if (at_ok(r->cx)) at_fail(r->cx, AT_ERROR_MEMORY, "out of memory");
            return;
        }
        at_layout_part *part = &l->parts[l->count++];
        snprintf(part->name, sizeof part->name, "%s", pieces[i].part);
        part->config = config;
        part->class_name = class_name->valuestring;
        part->weights = at_weights_derive(r->cx, r->weights);
        if (part->weights) at_weights_add(r->cx, part->weights, AT_LAYOUT_PIECES, w, NULL);
    }
}

/* ---- the whole */

/* Beside the networks: what training leaves behind, and what can be computed. */
static bool is_known_rest(const char *name)
{
    static const char *const parts[] = {
        "model_ema.",    "alphas_cumprod", "betas",       "posterior_", "sqrt_",
        "log_one_minus", "lvlb_weights",   "logvar",      "denoiser.",  "logit_scale",
        "position_ids",  "attn_mask",      "scaled_fp8",  "v_pred",     "ztsnr",
        "embed_tokens",  "norm_final",     "spiece_model"};
    for (size_t i = 0; i < AT_COUNT(parts); i++)
        if (strstr(name, parts[i])) return true;
    return false;
}

static void count_unused(reader *r)
{
    int64_t known = 0;
    for (int64_t i = 0; i < at_weights_count(r->weights); i++)
        known += is_known_rest(at_weights_at(r->weights, i)->name);
    r->layout->unused = AT_MAX(0, at_weights_count(r->weights) - r->taken - known);
}

at_layout *at_layout_of(at_context *cx, at_weights *weights)
{
    at_layout *l = at_ok(cx) && weights ? AT_NEW(cx, at_layout) : NULL;
    if (!l) return NULL;
    reader r = {.cx = cx, .weights = weights, .layout = l};
    find_parts(&r);
    l->networks = l->count;
    bool fine = l->count && rename_parts(&r) && choose_family(&r);
    if (fine && r.family) {
        choose_prediction(&r);
        write_scheduler(&r);
        write_index(&r);
    } else if (fine) {
        l->family = l->count == 1 ? l->parts[0].class_name : "several networks";
    }
    for (int i = 0; fine && i < l->count && at_ok(cx); i++) l->parts[i].config = config_of(&r, i);
    if (fine && at_ok(cx)) {
        count_unused(&r);
        find_tokenizers(&r);
    }
    if (fine && at_ok(cx)) return l;
    at_layout_free(l);
    return NULL;
}

void at_layout_free(at_layout *layout)
{
    if (!layout) return;
    for (int i = 0; i < layout->count; i++) {
        cJSON_Delete(layout->parts[i].config);
        at_weights_free(layout->parts[i].weights);
        at_free(layout->parts[i].folder);
    }
    cJSON_Delete(layout->index);
    cJSON_Delete(layout->scheduler);
    at_free(layout);
}

at_layout_part *at_layout_find(at_layout *layout, const char *name)
{
    for (int i = 0; layout && i < layout->count; i++)
        if (strcmp(layout->parts[i].name, name) == 0) return &layout->parts[i];
    return NULL;
}
