/* Lumina2Pipeline (Diffusers), of Lumina-Image 2.0: Gemma 2's tokens, as many as the prompt has,
   and the latents' patches in one row. */
#include "models/text_encoders/gemma2.h"
#include "models/transformers/lumina2.h"
#include "pipelines/guidance.h"
#include "pipelines/latent_run.h"
#include "pipelines/preview.h"
#include "pipelines/prompt.h"

enum { TOKENS = 256, MOST_TOKENS = 512, SCALE = 8, UNIT = 16, HIDDEN_STATE = -2 };

static const char SYSTEM_PROMPT[] =
    "You are an assistant designed to generate superior images with the superior degree of "
    "image-text alignment based on textual prompts or user prompts.";

static const char *const GEMMA_CLASSES[] = {"Gemma2Model", "Gemma2ForCausalLM", NULL};

/* A prompt, encoded, for each picture of the batch. */
typedef struct lumina2_text {
    at_tensor *embeds, *mask; /* [B,M,E], bool [B,M] */
} lumina2_text;

/* One call of the pipeline. */
typedef struct lumina2_run {
    at_latent_run base;
    at_module *transformer;
    lumina2_text text, negative; /* negative.embeds is NULL without guidance */
} lumina2_run;

static lumina2_run *own(at_latent_run *r)
{
    return (lumina2_run *)r; /* base comes first */
}

/* ---- words */

static lumina2_text encode_prompt(at_latent_run *r, const char *prompt)
{
    at_context *cx = r->cx;
    const at_generate_options *o = r->options;
    at_scope s = at_scope_begin(cx);
    at_prompt_tokens pieces =
        at_prompt_encode(r->pipeline, "tokenizer", prompt, (size_t)o->max_sequence_length, true);
    at_module *gemma = at_pipeline_module_of(r->pipeline, "text_encoder", GEMMA_CLASSES);
    at_tensor *embeds =
        gemma ? at_gemma2_encode(cx, gemma, pieces.ids, pieces.mask, HIDDEN_STATE) : NULL;
    at_scope_end(cx, s, &embeds, &pieces.mask, NULL);
    return (lumina2_text){at_prompt_repeat(cx, embeds, o->count),
                          at_prompt_repeat(cx, pieces.mask, o->count)};
}

/* The system prompt stands before the positive prompt only. */
static void encode(at_latent_run *r)
{
    at_context *cx = r->cx;
    const at_generate_options *o = r->options;
    bool guided = at_latent_guided(r, o->guidance);
    char *prompt = at_format(cx, "%s <Prompt Start> %s", o->system_prompt, o->prompt);
    at_progress(cx, "encode", 0, 1 + guided);
    if (prompt) own(r)->text = encode_prompt(r, prompt);
    at_free(prompt);
    at_progress(cx, "encode", 1, 1 + guided);
    if (!guided) return;
    own(r)->negative = encode_prompt(r, o->negative ? o->negative : "");
    at_progress(cx, "encode", 2, 2);
}

/* ---- noise to latents */

/* Where the schedule depends on the size, the reference takes the number of channels for it. */
static void prepare(at_latent_run *r)
{
    own(r)->transformer =
        at_pipeline_module(r->pipeline, "transformer", at_lumina2_transformer_class.name);
    at_latent_set_flow(r, at_lumina2_info_of(own(r)->transformer).in_channels, true);
}

/* What the transformer says, which is data - noise, as noise - data. time from 0, all noise, to 1.
 */
static at_tensor *ask(at_latent_run *r, at_tensor *latents, float time, const lumina2_text *text)
{
    const at_lumina2_inputs inputs = {
        .hidden_states = latents,
        .timestep = at_full(r->cx, time, 1, (int64_t[]){r->options->count}),
        .encoder_hidden_states = text->embeds,
        .encoder_attention_mask = text->mask,
    };
    return at_affine(r->cx, at_lumina2_forward(r->cx, own(r)->transformer, &inputs), -1.0f, 0.0f);
}

/* Guided in the first part of the steps. */
static at_tensor *predict(at_latent_run *r, at_tensor *latents, int i)
{
    at_context *cx = r->cx;
    const at_generate_options *o = r->options;
    double trained = (double)at_config_int(cx, r->scheduler->config, "num_train_timesteps", 1000);
    float time = 1.0f - (float)r->scheduler->timesteps[i] / (float)trained;
    at_tensor *output = ask(r, latents, time, &own(r)->text);
    if (own(r)->negative.embeds && (double)(i + 1) / o->steps <= o->cfg_trunc_ratio) {
        at_tensor *cond = output;
        output = ask(r, latents, time, &own(r)->negative);
        output = at_latent_guide(r, cond, output, o->guidance);
        if (!o->no_cfg_normalization) output = at_guidance_normalize(cx, output, cond);
    }
    return output;
}

static at_tensor *denoise(at_latent_run *r)
{
    int64_t channels = at_lumina2_info_of(own(r)->transformer).in_channels;
    return at_latent_steps(r, at_latent_noise(r, channels), predict, NULL);
}

/* ---- the call */

static bool settle(at_pipeline *pipeline, at_generate_options *o, int scale)
{
    at_context *cx = pipeline->cx;
    at_module *transformer =
        at_pipeline_module(pipeline, "transformer", at_lumina2_transformer_class.name);
    const at_latent_defaults defaults = {.size =
                                             at_lumina2_info_of(transformer).sample_size * SCALE,
                                         .unit = 1,
                                         .steps = 30,
                                         .guidance = 4.0,
                                         .tokens = TOKENS,
                                         .most_tokens = MOST_TOKENS};
    if (!transformer || !at_latent_settle(cx, o, &defaults)) return false;
    if (!o->system_prompt) o->system_prompt = SYSTEM_PROMPT;
    if (o->cfg_trunc_ratio == 0) o->cfg_trunc_ratio = 1.0;
    if (scale != SCALE)
        return at_fail_false(cx, AT_ERROR_UNSUPPORTED,
                             "Lumina2Pipeline: the autoencoder makes %d pixels of a latent, not %d",
                             scale, SCALE);
    if (o->width % UNIT || o->height % UNIT)
        return at_fail_false(cx, AT_ERROR_ARGUMENT, "size: %d x %d: sides must be multiples of %d",
                             o->width, o->height, UNIT);
    if (o->resolution_binning)
        return at_fail_false(cx, AT_ERROR_UNSUPPORTED, "Lumina2Pipeline has no resolution binning");
    return true;
}

static const at_latent_class latents = {.size = sizeof(lumina2_run),
                                        .colours = &at_colours_flux,
                                        .settle = settle,
                                        .encode = encode,
                                        .prepare = prepare,
                                        .denoise = denoise};

static const char *const COMPONENTS[] = {"tokenizer", "text_encoder", "transformer",
                                         "vae",       "scheduler",    NULL};

const at_pipeline_class at_lumina2_pipeline_class = {
    .name = "Lumina2Pipeline",
    .components = COMPONENTS,
    .latents = &latents,
};

/* what it was called when Lumina-Image 2.0 came out */
const at_pipeline_class at_lumina2_text2img_pipeline_class = {
    .name = "Lumina2Text2ImgPipeline",
    .components = COMPONENTS,
    .latents = &latents,
};
