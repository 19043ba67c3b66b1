/* AuraFlowPipeline (Diffusers), of AuraFlow 0.1 to 0.3: UMT5's tokens, with zeros for padding, and
   the latents' patches. */
#include "models/text_encoders/t5_encoder.h"
#include "models/transformers/auraflow.h"
#include "pipelines/guidance.h"
#include "pipelines/latent_run.h"
#include "pipelines/preview.h"
#include "pipelines/prompt.h"

enum { SIZE = 1024, TOKENS = 256, MOST_TOKENS = 65536 };

static const char *const ENCODER_CLASSES[] = {"UMT5EncoderModel", "T5EncoderModel", NULL};

/* One call of the pipeline. */
typedef struct aura_flow_run {
    at_latent_run base;
    at_module *transformer;
    at_tensor *text, *negative; /* [B,M,joint]; negative is NULL without guidance */
} aura_flow_run;

static aura_flow_run *own(at_latent_run *r)
{
    return (aura_flow_run *)r; /* base comes first */
}

/* ---- words */

static at_tensor *encode_prompt(at_latent_run *r, const char *prompt)
{
    at_context *cx = r->cx;
    const at_generate_options *o = r->options;
    at_scope s = at_scope_begin(cx);
    at_prompt_tokens pieces =
        at_prompt_encode(r->pipeline, "tokenizer", prompt, (size_t)o->max_sequence_length, false);
    at_module *umt5 = at_pipeline_module_of(r->pipeline, "text_encoder", ENCODER_CLASSES);
    at_tensor *embeds = umt5 ? at_t5_encode(cx, umt5, pieces.ids, pieces.mask) : NULL;
    at_tensor *mask = at_view(cx, at_cast(cx, pieces.mask, AT_F32), 1, o->max_sequence_length, 1);
    embeds = at_mul(cx, embeds, mask);
    at_scope_end(cx, s, &embeds, NULL);
    return at_prompt_repeat(cx, embeds, o->count);
}

static void encode(at_latent_run *r)
{
    const at_generate_options *o = r->options;
    bool guided = at_latent_guided(r, o->guidance);
    at_progress(r->cx, "encode", 0, 1 + guided);
    own(r)->text = encode_prompt(r, o->prompt);
    at_progress(r->cx, "encode", 1, 1 + guided);
    if (!guided) return;
    own(r)->negative = encode_prompt(r, o->negative ? o->negative : "");
    at_progress(r->cx, "encode", 2, 2);
}

/* ---- noise to latents */

static void prepare(at_latent_run *r)
{
    own(r)->transformer =
        at_pipeline_module(r->pipeline, "transformer", at_auraflow_transformer_class.name);
    if (r->scheduler)
        at_scheduler_set_timesteps(r->cx, r->scheduler,
                                   &(at_schedule_options){.steps = r->options->steps});
}

/* What the transformer says: noise - data. */
static at_tensor *ask(at_latent_run *r, at_tensor *latents, int i, at_tensor *text)
{
    float time = (float)r->scheduler->timesteps[i] / 1000.0f;
    const at_auraflow_inputs inputs = {
        .hidden_states = latents,
        .encoder_hidden_states = text,
        .timestep = at_full(r->cx, time, 1, (int64_t[]){at_dim(latents, 0)}),
    };
    return at_auraflow_forward(r->cx, own(r)->transformer, &inputs);
}

static at_tensor *predict(at_latent_run *r, at_tensor *latents, int i)
{
    at_tensor *cond = ask(r, latents, i, own(r)->text);
    if (!own(r)->negative) return cond;
    at_tensor *away = ask(r, latents, i, own(r)->negative);
    return at_latent_guide(r, cond, away, r->options->guidance);
}

static at_tensor *denoise(at_latent_run *r)
{
    int64_t channels = at_auraflow_info_of(own(r)->transformer).in_channels;
    return at_latent_steps(r, at_latent_noise(r, channels), predict, NULL);
}

/* ---- the call */

static bool settle(at_pipeline *pipeline, at_generate_options *o, int scale)
{
    at_context *cx = pipeline->cx;
    const at_latent_defaults defaults = {.size = SIZE,
                                         .unit = 1,
                                         .steps = 50,
                                         .guidance = 3.5,
                                         .tokens = TOKENS,
                                         .most_tokens = MOST_TOKENS};
    at_module *transformer =
        at_pipeline_module(pipeline, "transformer", at_auraflow_transformer_class.name);
    if (!transformer || !at_latent_settle(cx, o, &defaults)) return false;
    int patch = at_auraflow_info_of(transformer).patch_size, unit = scale * AT_MAX(patch, 2);
    if (o->width % unit || o->height % unit)
        return at_fail_false(cx, AT_ERROR_ARGUMENT, "size: %d x %d: sides must be multiples of %d",
                             o->width, o->height, unit);
    if (o->resolution_binning)
        return at_fail_false(cx, AT_ERROR_UNSUPPORTED,
                             "AuraFlowPipeline has no resolution binning");
    return true;
}

static const at_latent_class latents = {.size = sizeof(aura_flow_run),
                                        .colours = &at_colours_xl,
                                        .settle = settle,
                                        .encode = encode,
                                        .prepare = prepare,
                                        .denoise = denoise};

const at_pipeline_class at_aura_flow_pipeline_class = {
    .name = "AuraFlowPipeline",
    .components =
        (const char *const[]){"tokenizer", "text_encoder", "transformer", "vae", "scheduler", NULL},
    .latents = &latents,
};
