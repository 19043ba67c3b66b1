/* HunyuanDiTPipeline (Diffusers): BERT's and mT5's tokens, with their masks, steer a transformer
   over latents of Stable Diffusion's kind. */
#include "models/text_encoders/bert.h"
#include "models/text_encoders/t5_encoder.h"
#include "models/transformers/hunyuan_dit.h"
#include "pipelines/guidance.h"
#include "pipelines/latent_run.h"
#include "pipelines/preview.h"
#include "pipelines/prompt.h"
#include <math.h>

enum { TOKENS = 77, TOKENS_T5 = 256, SQUARE = 1024, UNIT = 16, META_SIZES = 6 };

static const char *const T5_CLASSES[] = {"T5EncoderModel", "MT5EncoderModel", NULL};

/* A prompt as both encoders have it; for each picture, without the prompt first where guided. */
typedef struct hunyuan_text {
    at_tensor *embeds, *mask;       /* [B,77,D], [B,77] */
    at_tensor *embeds_t5, *mask_t5; /* [B,256,E], [B,256] */
} hunyuan_text;

/* One call of the pipeline. */
typedef struct hunyuan_run {
    at_latent_run base;
    bool guided;
    at_module *transformer;
    hunyuan_text text;
    at_tensor *rope, *sizes, *style; /* the last two are NULL from version 1.2 on */
} hunyuan_run;

static hunyuan_run *own(at_latent_run *r)
{
    return (hunyuan_run *)r; /* base comes first */
}

/* ---- words */

static hunyuan_text encode_prompt(at_latent_run *r, const char *prompt)
{
    at_context *cx = r->cx;
    at_pipeline *p = r->pipeline;
    int count = r->options->count;
    at_scope s = at_scope_begin(cx);
    at_prompt_tokens words = at_prompt_encode(p, "tokenizer", prompt, TOKENS, false);
    at_module *bert = at_pipeline_module(p, "text_encoder", at_bert_class.name);
    const at_bert_inputs in = {.input_ids = words.ids, .attention_mask = words.mask};
    at_tensor *embeds = bert ? at_bert_forward(cx, bert, &in).last_hidden_state : NULL;

    at_prompt_tokens pieces = at_prompt_encode(p, "tokenizer_2", prompt, TOKENS_T5, false);
    at_module *t5 = at_pipeline_module_of(p, "text_encoder_2", T5_CLASSES);
    at_tensor *embeds_t5 = t5 ? at_t5_encode(cx, t5, pieces.ids, pieces.mask) : NULL;
    at_scope_end(cx, s, &embeds, &words.mask, &embeds_t5, &pieces.mask, NULL);
    return (hunyuan_text){
        at_prompt_repeat(cx, embeds, count), at_prompt_repeat(cx, words.mask, count),
        at_prompt_repeat(cx, embeds_t5, count), at_prompt_repeat(cx, pieces.mask, count)};
}

static void encode(at_latent_run *r)
{
    at_context *cx = r->cx;
    const at_generate_options *o = r->options;
    hunyuan_run *h = own(r);
    h->guided = at_latent_guided(r, o->guidance);
    at_progress(cx, "encode", 0, 1 + h->guided);
    h->text = encode_prompt(r, o->prompt);
    at_progress(cx, "encode", 1, 1 + h->guided);
    if (!h->guided) return;
    hunyuan_text away = encode_prompt(r, o->negative ? o->negative : "");
    h->text = (hunyuan_text){at_join(cx, 0, away.embeds, h->text.embeds),
                             at_join(cx, 0, away.mask, h->text.mask),
                             at_join(cx, 0, away.embeds_t5, h->text.embeds_t5),
                             at_join(cx, 0, away.mask_t5, h->text.mask_t5)};
    at_progress(cx, "encode", 2, 2);
}

/* ---- noise to latents */

/* The transformer and what stays the same from step to step. */
static void prepare(at_latent_run *r)
{
    at_context *cx = r->cx;
    hunyuan_run *h = own(r);
    int64_t B = r->options->count * (h->guided ? 2 : 1);
    h->transformer = at_pipeline_module(r->pipeline, "transformer", at_hunyuan_dit_class.name);
    at_hunyuan_dit_info info = at_hunyuan_dit_info_of(h->transformer);
    if (!h->transformer) return;
    if (!info.learn_sigma || info.text_len != TOKENS || info.text_len_t5 != TOKENS_T5) {
        at_fail(cx, AT_ERROR_UNSUPPORTED,
                "HunyuanDiTPipeline: the transformer must learn sigma and take %d and %d tokens",
                TOKENS, TOKENS_T5);
        return;
    }
    at_scheduler_set_timesteps(cx, r->scheduler,
                               &(at_schedule_options){.steps = r->options->steps});
    h->rope = at_hunyuan_dit_rope(cx, h->transformer, r->height, r->width);
    if (!info.use_style_cond_and_image_meta_size) return;
    /* original size, target size, corner of the crop */
    float sizes[META_SIZES] = {SQUARE, SQUARE, (float)r->options->height, (float)r->options->width};
    at_tensor *one = at_from(cx, AT_F32, 2, (int64_t[]){1, META_SIZES}, sizes);
    h->sizes = at_contiguous(cx, at_prompt_repeat(cx, one, B));
    h->style = at_zeros(cx, AT_I32, 1, &B);
}

/* v, or what the scheduler says that is predicted; of the output's halves the first: the other is
   variances. latents [B,h,w,C] */
static at_tensor *predict(at_latent_run *r, at_tensor *latents, int i)
{
    at_context *cx = r->cx;
    hunyuan_run *h = own(r);
    int64_t B = at_dim(latents, 0), C = at_dim(latents, 3);
    at_tensor *x = h->guided ? at_join(cx, 0, latents, latents) : latents;
    const at_hunyuan_dit_inputs inputs = {
        .hidden_states = x,
        .timestep = at_full(cx, (float)r->scheduler->timesteps[i], 1, (int64_t[]){at_dim(x, 0)}),
        .encoder_hidden_states = h->text.embeds,
        .text_embedding_mask = h->text.mask,
        .encoder_hidden_states_t5 = h->text.embeds_t5,
        .text_embedding_mask_t5 = h->text.mask_t5,
        .image_meta_size = h->sizes,
        .style = h->style,
        .rope = h->rope,
    };
    at_tensor *output = at_hunyuan_dit_forward(cx, h->transformer, &inputs);
    output = at_slice(cx, output, 3, 0, C);
    if (!h->guided) return output;
    at_tensor *cond = at_slice(cx, output, 0, B, B);
    output = at_latent_guide(r, cond, at_slice(cx, output, 0, 0, B), r->options->guidance);
    if (r->options->guidance_rescale <= 0) return output;
    return at_guidance_rescale(cx, output, cond, (float)r->options->guidance_rescale);
}

static at_tensor *denoise(at_latent_run *r)
{
    at_tensor *x = at_latent_noise(r, at_hunyuan_dit_info_of(own(r)->transformer).in_channels);
    if (r->scheduler) x = at_affine(r->cx, x, (float)r->scheduler->init_noise_sigma, 0.0f);
    return at_latent_steps(r, x, predict, NULL);
}

/* ---- the call */

/* map_to_standard_shapes: the sizes that it was trained on, of the nearest ratio the nearest area.
 */
static void bin_resolution(at_generate_options *o)
{
    static const double ratios[] = {1.0, 4.0 / 3.0, 3.0 / 4.0, 16.0 / 9.0, 9.0 / 16.0};
    static const int shapes[][3][2] = {{{1024, 1024}, {1280, 1280}},
                                       {{1024, 768}, {1152, 864}, {1280, 960}},
                                       {{768, 1024}, {864, 1152}, {960, 1280}},
                                       {{1280, 768}},
                                       {{768, 1280}}};
    int nearest = 0, best = 0;
    double ratio = (double)o->width / o->height, area = (double)o->width * o->height;
    for (int i = 1; i < (int)AT_COUNT(ratios); i++)
        if (fabs(ratios[i] - ratio) < fabs(ratios[nearest] - ratio)) nearest = i;
    const int(*of_ratio)[2] = shapes[nearest];
    for (int i = 1; i < 3 && of_ratio[i][0]; i++)
        if (fabs((double)of_ratio[i][0] * of_ratio[i][1] - area) <
            fabs((double)of_ratio[best][0] * of_ratio[best][1] - area))
            best = i;
    o->width = of_ratio[best][0];
    o->height = of_ratio[best][1];
}

static bool settle(at_pipeline *pipeline, at_generate_options *o, int scale)
{
    at_context *cx = pipeline->cx;
    at_module *transformer = at_pipeline_module(pipeline, "transformer", at_hunyuan_dit_class.name);
    const at_latent_defaults defaults = {.size = at_hunyuan_dit_info_of(transformer).sample_size *
                                                 scale,
                                         .unit = UNIT,
                                         .steps = 50,
                                         .guidance = 5.0,
                                         .tokens = TOKENS_T5,
                                         .most_tokens = TOKENS_T5};
    if (!transformer || !at_latent_settle(cx, o, &defaults)) return false;
    if (o->max_sequence_length != TOKENS_T5)
        return at_fail_false(cx, AT_ERROR_ARGUMENT, "HunyuanDiTPipeline always takes %d tokens",
                             TOKENS_T5);
    if (o->resolution_binning) bin_resolution(o);
    return true;
}

static const at_latent_class latents = {.size = sizeof(hunyuan_run),
                                        .colours = &at_colours_xl,
                                        .settle = settle,
                                        .encode = encode,
                                        .prepare = prepare,
                                        .denoise = denoise};

const at_pipeline_class at_hunyuan_dit_pipeline_class = {
    .name = "HunyuanDiTPipeline",
    .components = (const char *const[]){"tokenizer", "tokenizer_2", "text_encoder",
                                        "text_encoder_2", "transformer", "vae", "scheduler", NULL},
    .latents = &latents,
};
