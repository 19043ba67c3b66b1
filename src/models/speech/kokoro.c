#include "models/speech/kokoro.h"
#include "base/base.h"
#include <math.h>
#include <string.h>

at_kokoro_info at_kokoro_info_of(const at_module *module)
{
    const at_kokoro *m = (const at_kokoro *)module;
    return (at_kokoro_info){.style = 2 * m->style,
                            .longest = m->bert.positions,
                            .symbols = m->symbols,
                            .frame = 2 * at_istftnet_scale(&m->decoder)};
}

/* ---- forward */

/* Precisions of the two stages, by what the context was asked for. Int8 moves durations by whole
   frames, so it is for the sound alone; there it is what `auto` takes: 1.4 dB of the log-mel
   spectrum from f32, where ONNX Runtime's int8 is at 3.3 (docs/speaking.md). Gives the context's.
 */
static at_precision begin_stage(at_context *cx, bool sound)
{
    at_precision asked = cx->options.precision;
    if (sound && asked == AT_PRECISION_AUTO) cx->options.precision = AT_PRECISION_INT8;
    if (!sound && asked == AT_PRECISION_INT8) cx->options.precision = AT_PRECISION_BF16;
    return asked;
}

/* Whole frames, at least one a token: i32 [N]; their sum in *frames. */
static at_tensor *whole_frames(at_context *cx, at_tensor *predicted, double speed, int32_t end,
                               int64_t *frames)
{
    int64_t n = at_dim(predicted, 0);
    at_tensor *out = at_new(cx, AT_I32, n);
    *frames = 0;
    for (int64_t i = 0; out && predicted && i < n; i++) {
        float value = ((const float *)predicted->data)[i] / (float)speed;
        int32_t whole = value >= 1 ? (int32_t)AT_MIN(nearbyintf(value), 1e6f) : 1;
        if (end && i == n - 1) whole = AT_MIN(whole, end);
        ((int32_t *)out->data)[i] = whole;
        *frames += whole;
    }
    return out;
}

/* Each row of x [1,N,C] as often as its token lasts: [1,F,C] */
static at_tensor *stretch(at_context *cx, at_tensor *x, const at_tensor *durations, int64_t frames)
{
    at_tensor *rows = at_new(cx, AT_I32, 1, frames);
    int32_t *at = rows ? rows->data : NULL;
    for (int64_t i = 0; at && durations && i < durations->shape[0]; i++)
        for (int32_t j = ((const int32_t *)durations->data)[i]; j > 0; j--) *at++ = (int32_t)i;
    return at_embedding(cx, at_view(cx, x, at_dim(x, 1), at_dim(x, 2)), rows);
}

at_kokoro_plan at_kokoro_plan_of(at_context *cx, const at_module *module, at_tensor *ids,
                                 at_tensor *style, double speed, int32_t end)
{
    const at_kokoro *m = (const at_kokoro *)module;
    at_kokoro_plan out = {0};
    int64_t frames;
    if (!at_ok(cx) || !ids || !style) return out;
    if (at_dim(ids, 1) < 1 || at_dim(ids, 1) > m->bert.positions ||
        at_dim(style, 1) != 2 * m->style)
        return (at_kokoro_plan){
            at_fail(cx, AT_ERROR_SHAPE, "kokoro: ids %s, at most %lld of them, style %s",
                    at_shape_text(ids), (long long)m->bert.positions, at_shape_text(style))};
    at_precision asked = begin_stage(cx, false);
    at_scope s = at_scope_begin(cx);
    at_tensor *prosody = at_contiguous(cx, at_slice(cx, style, 1, m->style, m->style));
    at_tensor *x = at_project(cx, &m->bert_encoder, at_albert_forward(cx, &m->bert, ids));
    at_tensor *d = at_encode_durations(cx, &m->predictor, x, prosody); /* [1,N,width+style] */
    out.predicted = at_predict_durations(cx, &m->predictor, d);
    out.durations = whole_frames(cx, out.predicted, speed, end, &frames);
    at_pair curves =
        at_predict_curves(cx, &m->predictor, stretch(cx, d, out.durations, frames), prosody);
    out.pitch = curves.first;
    out.loudness = curves.second;
    out.asr = stretch(cx, at_encode_text(cx, &m->text_encoder, ids), out.durations, frames);
    at_scope_end(cx, s, &out.durations, &out.predicted, &out.asr, &out.pitch, &out.loudness, NULL);
    cx->options.precision = asked;
    return out;
}

at_tensor *at_kokoro_say(at_context *cx, const at_module *module, const at_kokoro_plan *plan,
                         at_tensor *style, at_generator *random)
{
    const at_kokoro *m = (const at_kokoro *)module;
    at_precision asked = begin_stage(cx, true);
    at_scope s = at_scope_begin(cx);
    at_tensor *voice = at_contiguous(cx, at_slice(cx, style, 1, 0, m->style));
    at_tensor *x =
        at_istftnet_decode(cx, &m->decoder, plan->asr, plan->pitch, plan->loudness, voice);
    x = at_istftnet_generate(cx, &m->decoder, x, plan->pitch, voice, random);
    at_scope_end(cx, s, &x, NULL);
    cx->options.precision = asked;
    return x;
}

/* ---- parameters and configuration */

static void bind(at_binder *b, at_module *module)
{
    at_kokoro *m = (at_kokoro *)module;
    size_t before = at_bind_enter(b, "bert");
    at_albert_bind(b, &m->bert);
    at_bind_leave(b, before);
    at_bind_linear(b, "bert_encoder", &m->bert_encoder, m->bert.width, m->width, AT_BIAS);
    AT_BIND(b, "predictor", at_bind_prosody, &m->predictor, m->width, m->style,
            m->longest_duration);
    AT_BIND(b, "text_encoder", at_bind_text_encoder, &m->text_encoder, m->width, m->text_size,
            m->symbols);
    AT_BIND(b, "decoder", at_istftnet_bind, &m->decoder);
}

/* An object in the configuration, as one of its own. */
static at_config *part_of(at_context *cx, at_config *k, const char *key)
{
    const cJSON *item = at_config_item(k, key);
    char *text = cJSON_IsObject(item) ? cJSON_PrintUnformatted(item) : NULL;
    char *what = text ? at_format(cx, "%s: \"%s\"", at_config_what(k), key) : NULL;
    at_config *part = what ? at_config_parse(cx, text, strlen(text), what) : NULL;
    if (!text) at_fail(cx, AT_ERROR_FORMAT, "%s: no \"%s\"", at_config_what(k), key);
    cJSON_free(text);
    at_free(what);
    return part;
}

static void configure(at_context *cx, at_config *k, at_module *module)
{
    at_kokoro *m = (at_kokoro *)module;
    static const char *const harmless[] = {"vocab", /* text/phonemes.c */
                                           "dropout", "dim_in", "max_conv_dim", "multispeaker",
                                           "n_mels", /* never used */
                                           NULL};
    at_config_ignore(k, harmless);
    m->symbols = at_config_range(cx, k, "n_token", 178, 1, 1 << 20);
    m->width = at_config_range(cx, k, "hidden_dim", 512, 4, 1 << 16);
    m->style = at_config_range(cx, k, "style_dim", 128, 1, 1 << 16);
    m->longest_duration = at_config_range(cx, k, "max_dur", 50, 1, 1 << 16);
    m->predictor.layers = m->text_encoder.depth = at_config_range(cx, k, "n_layer", 3, 0, 1000);
    m->text_size = at_config_range(cx, k, "text_encoder_kernel_size", 5, 1, 1023);
    if ((m->width % 2 || m->text_size % 2 == 0) && at_ok(cx))
        at_fail(cx, AT_ERROR_UNSUPPORTED,
                "%s: \"hidden_dim\" must be even and \"text_encoder_kernel_size\" odd",
                at_config_what(k));
    at_config *bert = part_of(cx, k, "plbert"), *vocoder = part_of(cx, k, "istftnet");
    if (bert && vocoder) {
        at_albert_configure(cx, bert, module, &m->bert, m->symbols);
        at_istftnet_configure(cx, vocoder, &m->decoder, m->width, m->style);
        at_config_finish(cx, bert);
        at_config_finish(cx, vocoder);
    }
    at_config_free(bert);
    at_config_free(vocoder);
    m->predictor.text_encoder =
        at_module_list(module, m->predictor.layers, sizeof *m->predictor.text_encoder);
    m->text_encoder.cnn =
        at_module_list(module, m->text_encoder.depth, sizeof *m->text_encoder.cnn);
}

/* The published file has each part as DataParallel wraps it. */
static const at_alias aliases[] = {
    {"^bert.", "bert.module."},           {"^bert_encoder.", "bert_encoder.module."},
    {"^predictor.", "predictor.module."}, {"^text_encoder.", "text_encoder.module."},
    {"^decoder.", "decoder.module."},     {NULL, NULL}};
static const char *const ignored[] = {"bert.pooler.weight",
                                      "bert.pooler.bias",
                                      "bert.module.pooler.weight",
                                      "bert.module.pooler.bias",
                                      "embeddings.position_ids",
                                      "embeddings.token_type_ids",
                                      NULL};

const at_module_class at_kokoro_class = {
    .name = "KModel",
    .size = sizeof(at_kokoro),
    .configure = configure,
    .bind = bind,
    .aliases = aliases,
    .ignored = ignored,
};
