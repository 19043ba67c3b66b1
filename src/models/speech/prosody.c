#include "models/speech/prosody.h"
#include <stdio.h>

/* ---- TextEncoder */

at_tensor *at_encode_text(at_context *cx, const at_text_encoder *m, at_tensor *ids)
{
    at_scope s = at_scope_begin(cx);
    at_tensor *x = at_embedding(cx, m->embedding, ids); /* [1,N,width] */
    for (int i = 0; i < m->depth; i++) {
        x = at_convolve_1d(cx, &m->cnn[i].conv, x);
        x = at_leaky_relu(cx, at_layer_normalize(cx, &m->cnn[i].norm, x), 0.2f);
    }
    x = at_run_lstm(cx, &m->lstm, x);
    at_scope_end(cx, s, &x, NULL);
    return x;
}

static void bind_text_layer(at_binder *b, at_text_encoder_layer *m, int64_t width, int size)
{
    at_bind_conv1d(b, "0", &m->conv, width, width, size, 1, (size - 1) / 2);
    m->norm.eps = 1e-5f;
    at_bind_parameter(b, "1.gamma", &m->norm.weight, AT_PARAMETER_VECTOR, 1, &width);
    at_bind_parameter(b, "1.beta", &m->norm.bias, AT_PARAMETER_VECTOR, 1, &width);
}

void at_bind_text_encoder(at_binder *b, at_text_encoder *m, int64_t width, int size,
                          int64_t symbols)
{
    at_bind_embedding(b, "embedding", &m->embedding, symbols, width);
    AT_BIND_LIST(b, "cnn", m->depth, bind_text_layer, m->cnn, width, size);
    at_bind_lstm(b, "lstm", &m->lstm, width, width / 2);
}

/* ---- ProsodyPredictor */

/* x [1,N,C] with the style [1,S] beside each position -> [1,N,C+S] */
static at_tensor *beside(at_context *cx, at_tensor *x, at_tensor *style)
{
    int64_t N = at_dim(x, 1), S = at_dim(style, 1);
    at_tensor *each = at_expand(cx, at_view(cx, style, 1, 1, S), 3, (int64_t[]){1, N, S});
    return at_join(cx, 2, x, each);
}

/* AdaLayerNorm */
static at_tensor *normalize(at_context *cx, const at_nn_linear *fc, at_tensor *x, at_tensor *style)
{
    int64_t C = at_dim(x, 2);
    at_tensor *h = at_view(cx, at_project(cx, fc, style), 1, 1, 2 * C);
    at_tensor *gamma = at_slice(cx, h, 2, 0, C), *beta = at_slice(cx, h, 2, C, C);
    return at_norm_modulate(cx, x, beta, gamma, 1e-5f);
}

at_tensor *at_encode_durations(at_context *cx, const at_prosody *m, at_tensor *x, at_tensor *style)
{
    at_scope s = at_scope_begin(cx);
    x = beside(cx, x, style);
    for (int i = 0; i < m->layers; i++) {
        x = at_run_lstm(cx, &m->text_encoder[i].lstm, x);
        x = beside(cx, normalize(cx, &m->text_encoder[i].fc, x, style), style);
    }
    at_scope_end(cx, s, &x, NULL);
    return x;
}

at_tensor *at_predict_durations(at_context *cx, const at_prosody *m, at_tensor *d)
{
    at_scope s = at_scope_begin(cx);
    at_tensor *x = at_run_lstm(cx, &m->lstm, d);
    x = at_project_act(cx, &m->duration_proj, x, AT_SIGMOID); /* [1,N,longest]: frame by frame */
    int64_t N = at_dim(x, 1), longest = at_dim(x, 2);
    at_tensor *ones = at_full(cx, 1, 2, (int64_t[]){longest, 1});
    x = at_view(cx, at_matmul(cx, at_view(cx, x, N, longest), ones), N);
    at_scope_end(cx, s, &x, NULL);
    return x;
}

/* -> [1,2*F,1] */
static at_tensor *curve(at_context *cx, const at_adain_block *blocks, const at_nn_linear *proj,
                        at_tensor *x, at_tensor *style)
{
    for (int i = 0; i < 3; i++) x = at_run_adain_block(cx, &blocks[i], x, style);
    return at_project(cx, proj, x);
}

at_pair at_predict_curves(at_context *cx, const at_prosody *m, at_tensor *en, at_tensor *style)
{
    at_scope s = at_scope_begin(cx);
    at_tensor *x = at_run_lstm(cx, &m->shared, en); /* [1,F,width] */
    at_pair out = {curve(cx, m->pitch, &m->pitch_proj, x, style),
                   curve(cx, m->loudness, &m->loudness_proj, x, style)};
    at_scope_end(cx, s, &out.first, &out.second, NULL);
    return out;
}

static void bind_curve(at_binder *b, const char *name, at_adain_block *blocks, at_nn_linear *proj,
                       int64_t width, int64_t style)
{
    char full[32];
    for (int i = 0; i < 3; i++) {
        snprintf(full, sizeof full, "%s.%d", name, i);
        AT_BIND(b, full, at_bind_adain_block, &blocks[i], i < 2 ? width : width / 2,
                i < 1 ? width : width / 2, style, i == 1);
    }
    snprintf(full, sizeof full, "%s_proj", name);
    at_bind_linear(b, full, proj, width / 2, 1, AT_BIAS);
}

void at_bind_prosody(at_binder *b, at_prosody *m, int64_t width, int64_t style, int64_t longest)
{
    char name[48];
    for (int i = 0; i < m->layers; i++) { /* LSTMs and norms in turn */
        snprintf(name, sizeof name, "text_encoder.lstms.%d", 2 * i);
        at_bind_lstm(b, name, &m->text_encoder[i].lstm, width + style, width / 2);
        snprintf(name, sizeof name, "text_encoder.lstms.%d.fc", 2 * i + 1);
        at_bind_linear(b, name, &m->text_encoder[i].fc, style, 2 * width, AT_BIAS);
    }
    at_bind_lstm(b, "lstm", &m->lstm, width + style, width / 2);
    at_bind_linear(b, "duration_proj.linear_layer", &m->duration_proj, width, longest, AT_BIAS);
    at_bind_lstm(b, "shared", &m->shared, width + style, width / 2);
    bind_curve(b, "F0", m->pitch, &m->pitch_proj, width, style);
    bind_curve(b, "N", m->loudness, &m->loudness_proj, width, style);
}
