/* FluxPipeline (Diffusers): CLIP's pooled text and T5's tokens steer a transformer over packed
   latents. Guidance is an input of the model; "true" guidance with a negative prompt is a second
   pass on top. */
#include "base/threads.h"
#include "models/autoencoders/autoencoder_kl.h"
#include "models/text_encoders/clip_text.h"
#include "models/text_encoders/t5_encoder.h"
#include "models/transformers/flux.h"
#include "pipelines/generation.h"
#include "pipelines/latents.h"
#include "pipelines/prompt.h"
#include "tensor/pool.h"
#include <atelier/image.h>
#include <unistd.h>

enum { PATCH = 2, DEFAULT_LATENTS = 128, DEFAULT_STEPS = 28, MOST_TOKENS = 512 };

/* A prompt, encoded, once for each picture of the batch. */
typedef struct flux_text {
    at_tensor *embeds; /* [B,M,joint] of T5 */
    at_tensor *pooled; /* [B,pooled] of CLIP */
} flux_text;

/* One call of the pipeline. */
typedef struct flux_run {
    at_context *cx;
    at_pipeline *pipeline;
    const at_generate_options *options; /* complete */
    int64_t height, width;              /* of the latents */
    at_module *transformer;
    at_scheduler *scheduler;
    at_noise *noise;
    flux_text text, negative;     /* negative.embeds is NULL without true guidance */
    at_tensor *txt_ids, *img_ids; /* [M,3], [N,3] */
    at_tensor *guidance;          /* [B], or NULL */
} flux_run;

/* ---- words */

static at_tensor *repeat(at_context *cx, at_tensor *x, int64_t count)
{
    if (!x || count == 1) return x;
    int64_t shape[AT_MAX_DIMS] = {count, at_dim(x, 1), at_dim(x, 2)};
    return at_expand(cx, x, x->dims, shape);
}

static flux_text encode_prompt(flux_run *r, const char *prompt)
{
    at_context *cx = r->cx;
    at_pipeline *p = r->pipeline;
    const at_generate_options *o = r->options;
    at_scope s = at_scope_begin(cx);
    at_tensor *words = at_prompt_ids(p, "tokenizer", prompt, 0);
    at_module *clip = at_pipeline_module(p, "text_encoder", at_clip_text_class.name);
    at_tensor *pooled = clip ? at_clip_text_forward(cx, clip, words, 0).pooler_output : NULL;

    at_tensor *pieces = at_prompt_ids(p, "tokenizer_2", prompt, (size_t)o->max_sequence_length);
    at_module *t5 = at_pipeline_module(p, "text_encoder_2", at_t5_encoder_class.name);
    at_tensor *embeds = t5 ? at_t5_encode(cx, t5, pieces, NULL) : NULL;
    at_scope_end(cx, s, &pooled, &embeds, NULL);
    return (flux_text){repeat(cx, embeds, o->count), repeat(cx, pooled, o->count)};
}

static void encode(flux_run *r)
{
    const at_generate_options *o = r->options;
    bool twice = o->true_guidance > 1.0 && o->negative;
    at_progress(r->cx, "encode", 0, 1 + twice);
    r->text = encode_prompt(r, o->prompt);
    at_progress(r->cx, "encode", 1, 1 + twice);
    if (twice) {
        r->negative = encode_prompt(r, o->negative);
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

/* Equal steps down from 1, which the scheduler shifts for so many tokens. */
static void set_schedule(flux_run *r, int64_t tokens)
{
    at_context *cx = r->cx;
    at_scheduler *s = r->scheduler;
    int steps = r->options->steps;
    double *sigmas = s ? AT_NEW_ARRAY(cx, double, steps) : NULL;
    if (!sigmas) return;
    for (int i = 0; i < steps; i++) sigmas[i] = at_linspace(1.0, 1.0 / steps, i, steps);
    bool own = at_config_bool(cx, s->config, "use_flow_sigmas", false);
    at_schedule_options o = {.steps = steps, .has_mu = true, .mu = at_scheduler_mu(cx, s, tokens)};
    if (!own) {
        o.sigmas = sigmas;
        o.sigma_count = steps;
    }
    at_scheduler_set_timesteps(cx, s, &o);
    at_free(sigmas);
}

/* [B,N,4C]: the noise of the seeds, or the caller's file. */
static at_tensor *first_latents(flux_run *r)
{
    at_context *cx = r->cx;
    int64_t channels = at_flux_in_channels(r->transformer) / (PATCH * PATCH);
    int64_t shape[4] = {r->options->count, r->height, r->width, channels};
    at_scope s = at_scope_begin(cx);
    at_tensor *x = r->options->latents ? at_latents_read(cx, r->options->latents, shape)
                                       : at_noise_draw(cx, r->noise, 4, shape);
    x = at_latents_pack(cx, x);
    at_scope_end(cx, s, &x, NULL);
    if (r->noise) r->noise->channels_first = false; /* samplers draw packed latents */
    return x;
}

/* ---- noise to latents */

/* What the transformer predicts: noise - data. latents [B,N,4C], sigma 1 to 0. */
static at_tensor *predict(flux_run *r, at_tensor *latents, float sigma, const flux_text *text)
{
    const at_flux_inputs inputs = {
        .hidden_states = latents,
        .encoder_hidden_states = text->embeds,
        .pooled_projections = text->pooled,
        .timestep = at_full(r->cx, sigma, 1, (int64_t[]){r->options->count}),
        .guidance = r->guidance,
        .img_ids = r->img_ids,
        .txt_ids = r->txt_ids,
    };
    return at_flux_forward(r->cx, r->transformer, &inputs);
}

static at_tensor *denoise(flux_run *r, at_tensor *latents)
{
    at_context *cx = r->cx;
    at_scheduler *s = r->scheduler;
    if (!at_ok(cx)) return NULL;
    at_progress(cx, "denoise", 0, s->count);
    for (int i = 0; i < s->count && at_ok(cx); i++) {
        at_scope scope = at_scope_begin(cx);
        float sigma = (float)s->timesteps[i] / 1000.0f;
        at_tensor *output = predict(r, latents, sigma, &r->text);
        if (r->negative.embeds) {
            at_tensor *away = predict(r, latents, sigma, &r->negative);
            float scale = (float)r->options->true_guidance;
            output = at_blend(cx, 1.0f, away, scale, at_sub(cx, output, away));
        }
        latents = at_scheduler_step(cx, s, output, latents, r->noise);
        at_scope_end(cx, scope, &latents, NULL);
        at_progress(cx, "denoise", i + 1, s->count);
    }
    return at_latents_unpack(cx, latents, r->height, r->width);
}

/* ---- latents to pictures */

/* Whole is what the reference does; in tiles where the decoder's largest layers (about six of them
   are alive at once) do not fit into the budget, or into half of the machine's memory. */
static bool needs_tiles(const flux_run *r, const at_autoencoder_kl_info *info)
{
    double pixels = (double)r->options->width * r->options->height;
    double bytes = 6.0 * pixels * (double)info->channels * sizeof(float);
    double budget = (double)at_pool_budget(r->cx), used = (double)at_memory_used(r->cx);
    if (budget > 0 && bytes > budget - used) return true;
    return bytes > 0.5 * (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
}

static void decode(flux_run *r, at_tensor *latents, at_generation *made)
{
    at_context *cx = r->cx;
    at_module *vae = at_pipeline_module(r->pipeline, "vae", at_autoencoder_kl_class.name);
    if (!vae) return;
    at_autoencoder_kl_info info = at_autoencoder_kl_info_of(vae);
    bool tiled = needs_tiles(r, &info);
    float scale = (float)(1.0 / info.scaling_factor), shift = (float)info.shift_factor;
    at_progress(cx, "decode", 0, made->count);
    for (int i = 0; i < made->count && at_ok(cx); i++) {
        at_scope s = at_scope_begin(cx);
        at_tensor *z = at_affine(cx, at_slice(cx, latents, 0, i, 1), scale, shift);
        at_tensor *x = at_autoencoder_kl_decode(cx, vae, z, tiled);
        x = at_affine(cx, at_view(cx, x, at_dim(x, 1), at_dim(x, 2), at_dim(x, 3)), 0.5f, 0.5f);
        made->images[i] = at_image_from_tensor(cx, x);
        at_scope_end(cx, s, NULL);
        at_progress(cx, "decode", i + 1, made->count);
    }
}

/* ---- the call */

/* Fills in the reference's defaults and checks its limits. unit: the pixels of a token's side, to
   whose multiples sizes are rounded down. */
static bool settle(at_context *cx, at_generate_options *o, int unit)
{
    if (!o->prompt) o->prompt = "";
    if (!o->width) o->width = DEFAULT_LATENTS * unit / PATCH;
    if (!o->height) o->height = DEFAULT_LATENTS * unit / PATCH;
    if (!o->steps) o->steps = DEFAULT_STEPS;
    if (!o->count) o->count = 1;
    if (!o->max_sequence_length) o->max_sequence_length = MOST_TOKENS;
    if (!o->has_guidance) o->guidance = 3.5;
    o->has_guidance = true;
    o->width -= o->width % unit;
    o->height -= o->height % unit;
    if (o->width <= 0 || o->height <= 0)
        return at_fail_false(cx, AT_ERROR_ARGUMENT, "size: a side is below %d pixels", unit);
    if (o->count < 0 || o->steps < 0)
        return at_fail_false(cx, AT_ERROR_ARGUMENT, "%d pictures of %d steps", o->count, o->steps);
    if (o->max_sequence_length < 0 || o->max_sequence_length > MOST_TOKENS)
        return at_fail_false(cx, AT_ERROR_ARGUMENT, "%d tokens: more than %d",
                             o->max_sequence_length, MOST_TOKENS);
    if (o->resolution_binning)
        return at_fail_false(cx, AT_ERROR_UNSUPPORTED, "FluxPipeline has no resolution binning");
    return true;
}

/* The transformer and what stays the same from step to step. */
static void prepare(flux_run *r)
{
    at_context *cx = r->cx;
    const at_generate_options *o = r->options;
    int64_t rows = r->height / PATCH, columns = r->width / PATCH;
    r->transformer = at_pipeline_module(r->pipeline, "transformer", at_flux_transformer_class.name);
    r->scheduler = at_pipeline_scheduler(r->pipeline, o->sampler, o->schedule);
    r->noise = at_noise_new(cx, o->rng, o->seed, o->count, true);
    set_schedule(r, rows * columns);
    r->img_ids = image_ids(cx, rows, columns);
    r->txt_ids = at_zeros(cx, AT_F32, 2, (int64_t[]){o->max_sequence_length, 3});
    if (at_flux_has_guidance(r->transformer))
        r->guidance = at_full(cx, (float)o->guidance, 1, (int64_t[]){o->count});
}

/* Seconds since `since`, without those spent on loading, which go to timings->load. */
static double seconds_since(flux_run *r, double since, at_timings *timings)
{
    double loading = at_pipeline_take_load_seconds(r->pipeline);
    timings->load += loading;
    return at_clock() - since - loading;
}

static void run(flux_run *r, at_generation *made)
{
    at_timings *timings = &made->timings;
    at_context *cx = r->cx;
    at_scope s = at_scope_begin(cx);
    double since = at_clock();
    encode(r);
    timings->encode = seconds_since(r, since, timings);
    prepare(r);
    if (r->scheduler) made->used.sampler = r->scheduler->class->sampler;

    since = at_clock();
    at_tensor *latents = denoise(r, first_latents(r));
    timings->step = seconds_since(r, since, timings) / r->options->steps;

    since = at_clock();
    decode(r, latents, made);
    timings->decode = seconds_since(r, since, timings);
    if (r->options->save_latents) at_latents_write(cx, r->options->save_latents, latents);
    at_scope_end(cx, s, NULL);
}

static at_generation *generate(at_pipeline *pipeline, const at_generate_options *options)
{
    at_context *cx = pipeline->cx;
    at_generate_options o = *options;
    at_module *vae = at_pipeline_module(pipeline, "vae", at_autoencoder_kl_class.name);
    if (!vae) return NULL;
    int scale = at_autoencoder_kl_info_of(vae).scale;
    at_generation *made = settle(cx, &o, PATCH * scale) ? at_generation_new(pipeline, &o) : NULL;
    if (!made) return NULL;

    flux_run r = {.cx = cx,
                  .pipeline = pipeline,
                  .options = &made->used,
                  .height = o.height / scale,
                  .width = o.width / scale};
    run(&r, made);
    at_noise_free(r.noise);
    at_scheduler_free(cx, r.scheduler);
    if (at_ok(cx)) return made;
    at_generation_free(made);
    return NULL;
}

const at_pipeline_class at_flux_pipeline_class = {
    .name = "FluxPipeline",
    .components = (const char *const[]){"tokenizer", "tokenizer_2", "text_encoder",
                                        "text_encoder_2", "transformer", "vae", "scheduler", NULL},
    .generate = generate,
};
