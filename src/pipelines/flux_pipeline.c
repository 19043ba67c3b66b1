/* FluxPipeline, FluxImg2ImgPipeline and FluxInpaintPipeline (Diffusers): CLIP's pooled text and
   T5's tokens steer a transformer over packed latents. Guidance is an input of the model; "true"
   guidance with a negative prompt is a second pass on top. */
#include "models/text_encoders/clip_text.h"
#include "models/text_encoders/t5_encoder.h"
#include "models/transformers/flux.h"
#include "pipelines/guidance.h"
#include "pipelines/latent_start.h"
#include "pipelines/latents.h"
#include "pipelines/preview.h"
#include "pipelines/prompt.h"
#include "pipelines/prompt_weights.h"

enum { PATCH = 2, DEFAULT_LATENTS = 128, DEFAULT_STEPS = 28, MOST_TOKENS = 512 };

/* A prompt, encoded, once for each picture of the batch. */
typedef struct flux_text {
    at_tensor *embeds; /* [B,M,joint] of T5 */
    at_tensor *pooled; /* [B,pooled] of CLIP */
} flux_text;

/* One call of the pipeline. */
typedef struct flux_run {
    at_latent_run base;
    at_module *transformer;
    flux_text text, negative;     /* negative.embeds is NULL without true guidance */
    at_tensor *txt_ids, *img_ids; /* [M,3], [N,3] */
    at_tensor *guidance;          /* [B], or NULL */
    at_latent_start start;        /* packed: [.,N,4C] */
} flux_run;

static flux_run *own(at_latent_run *r)
{
    return (flux_run *)r; /* base comes first */
}

/* ---- words */

static flux_text encode_prompt(at_latent_run *r, const char *prompt)
{
    at_context *cx = r->cx;
    at_pipeline *p = r->pipeline;
    const at_generate_options *o = r->options;
    at_scope s = at_scope_begin(cx);
    at_prompt_chunks words = at_prompt_chunk(p, "tokenizer", prompt, o->prompt_syntax, 0);
    at_module *clip = at_pipeline_module(p, "text_encoder", at_clip_text_class.name);
    at_tensor *pooled = clip ? at_clip_text_forward(cx, clip, words.ids, 0).pooler_output : NULL;
    pooled = at_prompt_pooled(cx, &words, pooled);

    at_prompt_chunks pieces =
        at_prompt_chunk(p, "tokenizer_2", prompt, o->prompt_syntax, (size_t)o->max_sequence_length);
    at_module *t5 = at_pipeline_module(p, "text_encoder_2", at_t5_encoder_class.name);
    at_tensor *embeds = t5 ? at_t5_encode(cx, t5, pieces.ids, NULL) : NULL;
    embeds = at_prompt_weigh(cx, &pieces, embeds);
    at_scope_end(cx, s, &pooled, &embeds, NULL);
    return (flux_text){at_prompt_repeat(cx, embeds, o->count),
                       at_prompt_repeat(cx, pooled, o->count)};
}

static void encode(at_latent_run *r)
{
    const at_generate_options *o = r->options;
    bool twice = o->true_guidance > 1.0 && o->negative;
    at_progress(r->cx, "encode", 0, 1 + twice);
    own(r)->text = encode_prompt(r, o->prompt);
    at_progress(r->cx, "encode", 1, 1 + twice);
    if (twice) {
        own(r)->negative = encode_prompt(r, o->negative);
        at_progress(r->cx, "encode", 2, 2);
    }
}

/* ---- what a run begins with */

/* (0, row, column) of each token; the text's stay zero. */
static at_tensor *image_ids(at_context *cx, int64_t rows, int64_t columns)
{
    at_tensor *ids = at_zeros(cx, AT_F32, 2, (int64_t[]){rows * columns, 3});
    float *id = ids ? ids->data : NULL;
    for (int64_t i = 0; ids && i < rows * columns; i++) {
        id[3 * i + 1] = (float)(i / columns);
        id[3 * i + 2] = (float)(i % columns);
    }
    return ids;
}

/* The transformer and what stays the same from step to step. */
static void prepare(at_latent_run *r)
{
    at_context *cx = r->cx;
    flux_run *f = own(r);
    const at_generate_options *o = r->options;
    int64_t rows = r->height / PATCH, columns = r->width / PATCH;
    f->transformer = at_pipeline_module(r->pipeline, "transformer", at_flux_transformer_class.name);
    bool flow_sigmas =
        r->scheduler && at_config_bool(cx, r->scheduler->config, "use_flow_sigmas", false);
    at_latent_set_flow(r, rows * columns, !flow_sigmas);
    at_latent_window_of_flow(r);
    f->img_ids = image_ids(cx, rows, columns);
    f->txt_ids = at_zeros(cx, AT_F32, 2, (int64_t[]){o->max_sequence_length, 3});
    if (at_flux_has_guidance(f->transformer))
        f->guidance = at_full(cx, (float)o->guidance, 1, (int64_t[]){o->count});
}

/* ---- noise to latents */

/* What the transformer says. latents [B,N,4C], sigma 1 to 0. */
static at_tensor *ask(at_latent_run *r, at_tensor *latents, float sigma, const flux_text *text)
{
    const flux_run *f = own(r);
    const at_flux_inputs inputs = {
        .hidden_states = latents,
        .encoder_hidden_states = text->embeds,
        .pooled_projections = text->pooled,
        .timestep = at_full(r->cx, sigma, 1, (int64_t[]){r->options->count}),
        .guidance = f->guidance,
        .img_ids = f->img_ids,
        .txt_ids = f->txt_ids,
    };
    return at_flux_forward(r->cx, f->transformer, &inputs);
}

/* noise - data, with true guidance where there is a negative prompt */
static at_tensor *predict(at_latent_run *r, at_tensor *latents, int i)
{
    float sigma = (float)r->scheduler->timesteps[i] / 1000.0f;
    at_tensor *output = ask(r, latents, sigma, &own(r)->text);
    if (!own(r)->negative.embeds) return output;
    at_tensor *away = ask(r, latents, sigma, &own(r)->negative);
    return at_latent_guide(r, output, away, r->options->true_guidance);
}

static at_tensor *blend(at_latent_run *r, at_tensor *latents, int i)
{
    return at_latent_blend(r, &own(r)->start, latents, i);
}

/* The mask is the same for all channels of a latent. */
static at_latent_start pack(at_context *cx, at_latent_start s)
{
    at_latent_start out = {.latents = at_latents_pack(cx, s.latents)};
    if (!s.mask) return out;
    int64_t shape[4] = {1, at_dim(s.image, 1), at_dim(s.image, 2), at_dim(s.image, 3)};
    out.image = at_latents_pack(cx, s.image);
    out.noise = at_latents_pack(cx, s.noise);
    out.mask = at_latents_pack(cx, at_contiguous(cx, at_expand(cx, s.mask, 4, shape)));
    return out;
}

static at_tensor *unpack(at_latent_run *r, at_tensor *x)
{
    return at_latents_unpack(r->cx, x, r->height, r->width);
}

static at_tensor *denoise(at_latent_run *r)
{
    at_context *cx = r->cx;
    flux_run *f = own(r);
    int64_t channels = at_flux_in_channels(f->transformer) / (PATCH * PATCH);
    const int rules = AT_START_BLENDS | AT_START_SHARES | AT_START_MIXES;
    f->start = pack(cx, at_latent_begin(r, channels, rules));
    /* again: the autoencoder may have taken its place */
    f->transformer = at_pipeline_module(r->pipeline, "transformer", at_flux_transformer_class.name);
    if (r->noise) r->noise->channels_first = false; /* samplers draw packed latents */
    at_tensor *x = at_latent_steps(r, f->start.latents, predict, f->start.mask ? blend : NULL);
    return unpack(r, x);
}

/* ---- the call */

static bool settle(at_pipeline *pipeline, at_generate_options *o, int scale)
{
    const at_latent_defaults defaults = {.size = DEFAULT_LATENTS * scale,
                                         .unit = PATCH * scale,
                                         .steps = DEFAULT_STEPS,
                                         .guidance = o->init ? 7.0 : 3.5,
                                         .tokens = MOST_TOKENS,
                                         .most_tokens = MOST_TOKENS};
    if (o->init && o->strength == 0) o->strength = 0.6;
    if (o->resolution_binning)
        return at_fail_false(pipeline->cx, AT_ERROR_UNSUPPORTED,
                             "FluxPipeline has no resolution binning");
    return at_latent_check_start(pipeline->cx, o) && at_latent_check_whole(pipeline->cx, o) &&
           at_latent_settle(pipeline->cx, o, &defaults);
}

static const at_latent_class latents = {.size = sizeof(flux_run),
                                        .unpack = unpack,
                                        .colours = &at_colours_flux,
                                        .patch = PATCH,
                                        .starts = true,
                                        .weighs = true,
                                        .settle = settle,
                                        .encode = encode,
                                        .prepare = prepare,
                                        .denoise = denoise};

static const char *const components[] = {"tokenizer",      "tokenizer_2", "text_encoder",
                                         "text_encoder_2", "transformer", "vae",
                                         "scheduler",      NULL};

const at_pipeline_class at_flux_pipeline_class = {
    .name = "FluxPipeline", .components = components, .latents = &latents};
const at_pipeline_class at_flux_img2img_pipeline_class = {
    .name = "FluxImg2ImgPipeline", .components = components, .latents = &latents};
const at_pipeline_class at_flux_inpaint_pipeline_class = {
    .name = "FluxInpaintPipeline", .components = components, .latents = &latents};
