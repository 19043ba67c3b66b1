/* StableDiffusion3Pipeline, StableDiffusion3Img2ImgPipeline and StableDiffusion3InpaintPipeline
   (Diffusers), of Stable Diffusion 3 and 3.5: two CLIPs and T5 side by
   side, each of which may be missing, steer a transformer over the latents. */
#include "models/text_encoders/clip_text.h"
#include "models/text_encoders/t5_encoder.h"
#include "models/transformers/sd3.h"
#include "pipelines/guidance.h"
#include "pipelines/latent_run.h"
#include "pipelines/latent_start.h"
#include "pipelines/preview.h"
#include "pipelines/prompt.h"
#include "text/tokenizer.h"
#include <stdlib.h>

enum { TOKENS = 256, MOST_TOKENS = 512, CLIP_TOKENS = 77, MOST_SKIPPED = 64 };

/* A prompt, encoded, for each picture of the batch. */
typedef struct sd3_text {
    at_tensor *embeds; /* [B,77+M,joint]: CLIP's tokens, then T5's */
    at_tensor *pooled; /* [B,pooled] of both CLIPs */
} sd3_text;

/* One call of the pipeline. */
typedef struct sd3_run {
    at_latent_run base;
    at_module *transformer;
    at_sd3_info info;
    sd3_text text, negative; /* negative.embeds is NULL without guidance */
    int64_t skipped[MOST_SKIPPED];
    int skip_count;   /* layers that skip-layer guidance leaves out */
    int first, steps; /* of the scheduler's, after strength */
    at_latent_start start;
} sd3_run;

static sd3_run *own(at_latent_run *r)
{
    return (sd3_run *)r; /* base comes first */
}

static bool has(const at_latent_run *r, const char *name)
{
    const at_component *c = at_pipeline_component(r->pipeline, name);
    return c && c->class_name;
}

/* ---- words */

/* The tokens that both CLIPs take: as many as the first one's tokenizer says. */
static size_t clip_length(at_latent_run *r)
{
    if (!has(r, "tokenizer")) return CLIP_TOKENS;
    return at_tokenizer_max_length(at_pipeline_tokenizer(r->pipeline, "tokenizer"));
}

/* Tokens [1,N,D] and pooled text [1,P]; NULL where the model has no such CLIP. */
static at_pair encode_clip(at_latent_run *r, const char *encoder, const char *tokenizer,
                           const char *prompt, size_t length, int skip)
{
    at_pair out = {0};
    if (!has(r, encoder)) return out;
    at_tensor *ids = at_prompt_ids(r->pipeline, tokenizer, prompt, length);
    at_module *clip =
        at_pipeline_module(r->pipeline, encoder, at_clip_text_with_projection_class.name);
    if (!clip) return out;
    at_clip_text_output y = at_clip_text_forward(r->cx, clip, ids, -2 - skip);
    return (at_pair){y.hidden_state, y.text_embeds};
}

/* Zeros take the place of a CLIP that is not there: as wide as what it leaves open, for which the
   width of its pooled text stands. */
static at_tensor *pooled_of(at_latent_run *r, at_tensor *first, at_tensor *second)
{
    int64_t open = own(r)->info.pooled_projection_dim - at_dim(first, 1) - at_dim(second, 1);
    if (first && second) return at_join(r->cx, 1, first, second);
    at_tensor *none = at_zeros(r->cx, AT_F32, 2, (int64_t[]){1, open > 0 ? open : 0});
    return first ? at_join(r->cx, 1, first, none) : second ? at_join(r->cx, 1, none, second) : none;
}

/* Both CLIPs' tokens side by side, with zeros up to T5's width. -> [1,N,joint] */
static at_tensor *tokens_of(at_latent_run *r, at_pair first, at_pair second, size_t length)
{
    at_context *cx = r->cx;
    int64_t joint = own(r)->info.joint_attention_dim, N = (int64_t)length;
    int64_t before = own(r)->info.pooled_projection_dim - at_dim(second.second, 1);
    if (!first.first && !second.first) return at_zeros(cx, AT_F32, 3, (int64_t[]){1, N, joint});
    at_tensor *x = first.first && second.first ? at_join(cx, 2, first.first, second.first)
                   : first.first               ? first.first
                                               : at_pad(cx, second.first, 2, before, 0, 0.0f);
    int64_t width = at_dim(x, 2); /* the reference cuts what is too wide, too */
    return width > joint ? at_slice(cx, x, 2, 0, joint) : at_pad(cx, x, 2, 0, joint - width, 0.0f);
}

/* [1,M,joint]: T5's, or zeros in its place */
static at_tensor *encode_t5(at_latent_run *r, const char *prompt)
{
    int64_t tokens = r->options->max_sequence_length;
    int64_t shape[] = {1, tokens, own(r)->info.joint_attention_dim};
    if (!has(r, "text_encoder_3")) return at_zeros(r->cx, AT_F32, 3, shape);
    at_tensor *ids = at_prompt_ids(r->pipeline, "tokenizer_3", prompt, (size_t)tokens);
    at_module *t5 = at_pipeline_module(r->pipeline, "text_encoder_3", at_t5_encoder_class.name);
    return t5 ? at_t5_encode(r->cx, t5, ids, NULL) : NULL;
}

static sd3_text encode_prompt(at_latent_run *r, const char *prompt, int skip)
{
    at_context *cx = r->cx;
    size_t length = clip_length(r);
    at_scope s = at_scope_begin(cx);
    at_pair first = encode_clip(r, "text_encoder", "tokenizer", prompt, length, skip);
    at_pair second = encode_clip(r, "text_encoder_2", "tokenizer_2", prompt, length, skip);
    at_tensor *pooled = pooled_of(r, first.second, second.second);
    at_tensor *embeds = at_join(cx, 1, tokens_of(r, first, second, length), encode_t5(r, prompt));
    at_scope_end(cx, s, &embeds, &pooled, NULL);
    return (sd3_text){at_prompt_repeat(cx, embeds, r->options->count),
                      at_prompt_repeat(cx, pooled, r->options->count)};
}

static void encode(at_latent_run *r)
{
    const at_generate_options *o = r->options;
    bool guided = at_latent_guided(r, o->guidance);
    own(r)->info = at_sd3_info_of(
        at_pipeline_module(r->pipeline, "transformer", at_sd3_transformer_class.name));
    at_progress(r->cx, "encode", 0, 1 + guided);
    own(r)->text = encode_prompt(r, o->prompt, o->clip_skip);
    at_progress(r->cx, "encode", 1, 1 + guided);
    if (!guided) return;
    own(r)->negative = encode_prompt(r, o->negative ? o->negative : "", 0); /* as the reference */
    at_progress(r->cx, "encode", 2, 2);
}

/* ---- noise to latents */

/* "7,8,9" */
static void read_skipped(at_latent_run *r, const char *list)
{
    sd3_run *s = own(r);
    for (const char *at = list; at && *at && at_ok(r->cx);) {
        char *end;
        long layer = strtol(at, &end, 10);
        if (end == at || layer < 0 || (*end && *end != ',') || s->skip_count == MOST_SKIPPED)
            at_fail(r->cx, AT_ERROR_ARGUMENT,
                    "skip_guidance_layers: \"%s\" is not a list of layers like 7,8,9", list);
        else
            s->skipped[s->skip_count++] = layer;
        at = *end ? end + 1 : end;
    }
}

static void prepare(at_latent_run *r)
{
    sd3_run *s = own(r);
    s->transformer = at_pipeline_module(r->pipeline, "transformer", at_sd3_transformer_class.name);
    read_skipped(r, r->options->skip_guidance_layers);
    int patch = s->info.patch_size;
    if (s->transformer) at_latent_set_flow(r, (r->height / patch) * (r->width / patch), false);
    at_latent_window_of_flow(r);
    if (!at_ok(r->cx)) return;
    s->first = r->scheduler->index;
    s->steps = r->options->steps - s->first / r->scheduler->class->order;
}

/* What the transformer says: noise - data. */
static at_tensor *ask(at_latent_run *r, at_tensor *latents, int i, const sd3_text *text, bool skip)
{
    const at_sd3_inputs inputs = {
        .hidden_states = latents,
        .encoder_hidden_states = text->embeds,
        .pooled_projections = text->pooled,
        .timestep =
            at_full(r->cx, (float)r->scheduler->timesteps[i], 1, (int64_t[]){at_dim(latents, 0)}),
        .skip_layers = own(r)->skipped,
        .skip_count = skip ? own(r)->skip_count : 0,
    };
    return at_sd3_forward(r->cx, own(r)->transformer, &inputs);
}

/* Guided away from the negative prompt, and for some of the steps from what a model without some of
   its layers says. */
static at_tensor *predict(at_latent_run *r, at_tensor *latents, int i)
{
    at_context *cx = r->cx;
    const at_generate_options *o = r->options;
    at_tensor *cond = ask(r, latents, i, &own(r)->text, false);
    if (!own(r)->negative.embeds) return cond;
    at_tensor *away = ask(r, latents, i, &own(r)->negative, false);
    at_tensor *output = at_latent_guide(r, cond, away, o->guidance);
    int step = i - own(r)->first, steps = own(r)->steps;
    bool within =
        step > steps * o->skip_layer_guidance_start && step < steps * o->skip_layer_guidance_stop;
    if (!own(r)->skip_count || !within) return output;
    at_tensor *worse = ask(r, latents, i, &own(r)->text, true);
    at_tensor *back =
        at_affine(cx, at_sub(cx, cond, worse), (float)o->skip_layer_guidance_scale, 0.0f);
    return at_add(cx, output, back);
}

static at_tensor *blend(at_latent_run *r, at_tensor *latents, int i)
{
    return at_latent_blend(r, &own(r)->start, latents, i);
}

static at_tensor *denoise(at_latent_run *r)
{
    at_latent_start *start = &own(r)->start;
    *start = at_latent_begin(r, own(r)->info.in_channels, AT_START_BLENDS);
    /* again: the autoencoder may have taken its place */
    own(r)->transformer =
        at_pipeline_module(r->pipeline, "transformer", at_sd3_transformer_class.name);
    return at_latent_steps(r, start->latents, predict, start->mask ? blend : NULL);
}

/* ---- the call */

static bool settle(at_pipeline *pipeline, at_generate_options *o, int scale)
{
    at_context *cx = pipeline->cx;
    at_module *transformer =
        at_pipeline_module(pipeline, "transformer", at_sd3_transformer_class.name);
    at_sd3_info info = at_sd3_info_of(transformer);
    const at_latent_defaults defaults = {.size = (int)info.sample_size * scale,
                                         .unit = 1,
                                         .steps = o->init ? 50 : 28,
                                         .guidance = 7.0,
                                         .tokens = TOKENS,
                                         .most_tokens = MOST_TOKENS};
    if (!transformer || !at_latent_settle(cx, o, &defaults)) return false;
    if (!o->has_skip_layer_guidance) {
        if (o->skip_layer_guidance_scale == 0) o->skip_layer_guidance_scale = 2.8;
        if (o->skip_layer_guidance_start == 0) o->skip_layer_guidance_start = 0.01;
        if (o->skip_layer_guidance_stop == 0) o->skip_layer_guidance_stop = 0.2;
    }
    int unit = scale * info.patch_size;
    if (o->width % unit || o->height % unit)
        return at_fail_false(cx, AT_ERROR_ARGUMENT, "size: %d x %d: sides must be multiples of %d",
                             o->width, o->height, unit);
    if (o->init && o->strength == 0) o->strength = 0.6;
    if (!at_latent_check_start(cx, o) || !at_latent_check_whole(cx, o)) return false;
    if (o->clip_skip < 0)
        return at_fail_false(cx, AT_ERROR_ARGUMENT, "clip_skip: %d is below 0", o->clip_skip);
    if (o->resolution_binning)
        return at_fail_false(cx, AT_ERROR_UNSUPPORTED,
                             "StableDiffusion3Pipeline has no resolution binning");
    return true;
}

static const at_latent_class latents = {.size = sizeof(sd3_run),
                                        .starts = true,
                                        .unshifted = true, /* as the reference */
                                        .colours = &at_colours_sd3,
                                        .patch = 2,
                                        .settle = settle,
                                        .encode = encode,
                                        .prepare = prepare,
                                        .denoise = denoise};

static const char *const components[] = {
    "tokenizer",      "tokenizer_2", "tokenizer_3", "text_encoder", "text_encoder_2",
    "text_encoder_3", "transformer", "vae",         "scheduler",    NULL};

const at_pipeline_class at_stable_diffusion_3_pipeline_class = {
    .name = "StableDiffusion3Pipeline", .components = components, .latents = &latents};
const at_pipeline_class at_stable_diffusion_3_img2img_pipeline_class = {
    .name = "StableDiffusion3Img2ImgPipeline", .components = components, .latents = &latents};
const at_pipeline_class at_stable_diffusion_3_inpaint_pipeline_class = {
    .name = "StableDiffusion3InpaintPipeline", .components = components, .latents = &latents};
