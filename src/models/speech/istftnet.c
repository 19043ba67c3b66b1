#include "models/speech/istftnet.h"
#include <stdio.h>

int at_istftnet_scale(const at_istftnet *m)
{
    int64_t scale = m->stft.hop;
    for (int i = 0; i < m->stages; i++) scale *= m->rates[i];
    return (int)scale;
}

/* ---- forward */

at_tensor *at_istftnet_decode(at_context *cx, const at_istftnet *m, at_tensor *asr,
                              at_tensor *pitch, at_tensor *loudness, at_tensor *style)
{
    at_scope s = at_scope_begin(cx);
    at_tensor *F0 = at_convolve_1d(cx, &m->pitch_conv, pitch);      /* [1,N,1] */
    at_tensor *N = at_convolve_1d(cx, &m->loudness_conv, loudness); /* [1,N,1] */
    at_tensor *res = at_project(cx, &m->asr_res, asr);              /* [1,N,beside] */
    at_tensor *x = at_run_adain_block(cx, &m->encode, at_join(cx, 2, asr, F0, N), style);
    for (int i = 0; i < 4; i++) {
        x = at_run_adain_block(cx, &m->decode[i], at_join(cx, 2, x, res, F0, N), style);
        at_scope_keep(cx, s, &x, &res, &F0, &N, NULL);
    }
    at_scope_end(cx, s, &x, NULL);
    return x;
}

/* One value more at the beginning, the second: ReflectionPad1d((1, 0)). */
static at_tensor *reflect_left(at_context *cx, at_tensor *x)
{
    return at_join(cx, 1, at_slice(cx, x, 1, 1, 1), x);
}

/* The mean of what blocks of different kernel sizes make of x. */
static at_tensor *mean_of_blocks(at_context *cx, const at_istftnet *m, int stage, at_tensor *x,
                                 at_tensor *style)
{
    at_tensor *sum = NULL;
    at_scope s = at_scope_begin(cx);
    for (int j = 0; j < m->kernels; j++) {
        const at_snake_block *block = &m->resblocks[stage * m->kernels + j];
        at_tensor *y = at_run_snake_block(cx, block, x, style);
        sum = j ? at_add(cx, sum, y) : y;
        at_scope_keep(cx, s, &sum, NULL);
    }
    sum = at_affine(cx, sum, 1.0f / (float)m->kernels, 0);
    at_scope_end(cx, s, &sum, NULL);
    return sum;
}

at_tensor *at_istftnet_generate(at_context *cx, const at_istftnet *m, at_tensor *x,
                                at_tensor *pitch, at_tensor *style, at_generator *random)
{
    at_scope s = at_scope_begin(cx);
    at_tensor *source = at_sine_source(cx, at_view(cx, pitch, -1), at_istftnet_scale(m),
                                       m->source_linear.weight, m->source_linear.bias, random);
    at_tensor *har = at_stft(cx, source, m->stft);
    for (int i = 0; i < m->stages; i++) {
        x = at_convolve_transpose_1d(cx, &m->ups[i], at_leaky_relu(cx, x, 0.1f));
        if (i == m->stages - 1) x = reflect_left(cx, x);
        at_scope_keep(cx, s, &x, &har, NULL);
        at_tensor *noise = at_convolve_1d(cx, &m->noise_convs[i], har);
        x = at_add(cx, x, at_run_snake_block(cx, &m->noise_res[i], noise, style));
        at_scope_keep(cx, s, &x, &har, NULL);
        x = mean_of_blocks(cx, m, i, x, style);
        at_scope_keep(cx, s, &x, &har, NULL);
    }
    x = at_convolve_1d(cx, &m->conv_post, at_leaky_relu(cx, x, 0.01f));
    x = at_istft_of_logarithms(cx, x, m->stft);
    at_scope_end(cx, s, &x, NULL);
    return x;
}

/* ---- parameters */

static int64_t width_of(const at_istftnet *m, int stage)
{
    return m->initial >> (stage + 1);
}

static void item_name(char name[32], const char *list, int index)
{
    snprintf(name, 32, "%s.%d", list, index);
}

static void bind_stage(at_binder *b, at_istftnet *m, int i)
{
    static const int64_t apart[3] = {1, 3, 5};
    int64_t width = width_of(m, i), ahead = 1, bins = m->stft.points + 2;
    bool last = i == m->stages - 1;
    for (int j = i + 1; j < m->stages; j++) ahead *= m->rates[j];
    char name[32];
    item_name(name, "ups", i);
    at_bind_conv_transpose1d(b, name, &m->ups[i], 2 * width, width, (int)m->sizes[i],
                             (int)m->rates[i], (int)(m->sizes[i] - m->rates[i]) / 2);
    item_name(name, "noise_convs", i);
    at_bind_conv1d(b, name, &m->noise_convs[i], bins, width, last ? 1 : 2 * (int)ahead,
                   last ? 1 : (int)ahead, last ? 0 : (int)(ahead + 1) / 2);
    item_name(name, "noise_res", i);
    AT_BIND(b, name, at_bind_snake_block, &m->noise_res[i], width, last ? 11 : 7, apart, m->style);
    for (int j = 0; j < m->kernels; j++) {
        int at = i * m->kernels + j;
        item_name(name, "resblocks", at);
        AT_BIND(b, name, at_bind_snake_block, &m->resblocks[at], width, (int)m->kernel_sizes[j],
                m->dilations[j], m->style);
    }
}

static void bind_generator(at_binder *b, at_istftnet *m)
{
    at_bind_linear(b, "m_source.l_linear", &m->source_linear, AT_SINE_HARMONICS, 1, AT_BIAS);
    for (int i = 0; i < m->stages; i++) bind_stage(b, m, i);
    at_bind_conv1d(b, "conv_post", &m->conv_post, width_of(m, m->stages - 1), m->stft.points + 2, 7,
                   1, 3);
}

void at_istftnet_bind(at_binder *b, at_istftnet *m)
{
    int64_t wide = m->channels + 2 + m->beside;
    AT_BIND(b, "encode", at_bind_adain_block, &m->encode, m->hidden + 2, m->channels, m->style,
            false);
    for (int i = 0; i < 4; i++) {
        char name[32];
        item_name(name, "decode", i);
        AT_BIND(b, name, at_bind_adain_block, &m->decode[i], wide, i < 3 ? m->channels : m->initial,
                m->style, i == 3);
    }
    at_bind_conv1d(b, "F0_conv", &m->pitch_conv, 1, 1, 3, 2, 1);
    at_bind_conv1d(b, "N_conv", &m->loudness_conv, 1, 1, 3, 2, 1);
    at_bind_linear(b, "asr_res.0", &m->asr_res, m->hidden, m->beside, AT_BIAS);
    AT_BIND(b, "generator", bind_generator, m);
}

/* Each an odd size with three dilations. */
static void read_blocks(at_context *cx, at_config *k, at_istftnet *m)
{
    static const int64_t sizes[] = {3, 7, 11};
    m->kernels =
        at_config_ints(cx, k, "resblock_kernel_sizes", m->kernel_sizes, AT_ISTFTNET_MOST, sizes, 3);
    const cJSON *lists = at_config_item(k, "resblock_dilation_sizes"), *list;
    bool fine = cJSON_IsArray(lists) && cJSON_GetArraySize(lists) >= m->kernels;
    int i = 0;
    cJSON_ArrayForEach(list, lists)
    {
        if (i == m->kernels) break; /* the reference takes pairs as long as there are both */
        for (int d = 0; d < 3; d++) {
            const cJSON *item = cJSON_GetArrayItem(list, d);
            double apart = cJSON_IsNumber(item) ? item->valuedouble : 0;
            fine = fine && apart >= 1 && apart <= 1024 && apart == (double)(int)apart;
            m->dilations[i][d] = fine ? (int64_t)apart : 1;
        }
        i++;
    }
    for (int j = 0; j < m->kernels; j++)
        fine = fine && m->kernel_sizes[j] % 2 == 1 && m->kernel_sizes[j] >= 1 &&
               m->kernel_sizes[j] <= 1023;
    if (!fine || m->kernels < 1)
        at_fail(cx, AT_ERROR_UNSUPPORTED,
                "%s: the blocks must be of odd kernel sizes with three dilations each",
                at_config_what(k));
}

void at_istftnet_configure(at_context *cx, at_config *k, at_istftnet *m, int64_t hidden,
                           int64_t style)
{
    static const int64_t rates[] = {10, 6}, sizes[] = {20, 12};
    m->hidden = hidden;
    m->style = style;
    /* not options of the reference, which has them in its code: for small networks in tests */
    m->channels = at_config_range(cx, k, "decoder_channels", 1024, 1, 1 << 16);
    m->beside = at_config_range(cx, k, "asr_res_channels", 64, 1, 1 << 16);
    m->initial = at_config_range(cx, k, "upsample_initial_channel", 512, 2, 1 << 16);
    m->stages = at_config_ints(cx, k, "upsample_rates", m->rates, AT_ISTFTNET_MOST, rates, 2);
    int given =
        at_config_ints(cx, k, "upsample_kernel_sizes", m->sizes, AT_ISTFTNET_MOST, sizes, 2);
    m->stft.points = at_config_range(cx, k, "gen_istft_n_fft", 20, 4, 4096);
    m->stft.hop = at_config_range(cx, k, "gen_istft_hop_size", 5, 1, 4096);
    read_blocks(cx, k, m);
    bool fine = m->stages >= 1 && given == m->stages && m->stft.points % 2 == 0 &&
                m->stft.hop <= m->stft.points / 2;
    int64_t scale = m->stft.hop;
    for (int i = 0; fine && i < m->stages; i++) {
        fine = m->rates[i] >= 1 && m->rates[i] <= 1024 && m->sizes[i] >= m->rates[i] &&
               m->sizes[i] <= 4096 && (m->sizes[i] - m->rates[i]) % 2 == 0 &&
               m->initial % (2LL << i) == 0;
        scale *= m->rates[i];
        fine = fine && scale <= 1 << 16;
    }
    if (!fine && at_ok(cx))
        at_fail(cx, AT_ERROR_UNSUPPORTED,
                "%s: upsampling by such rates and kernel sizes is not supported",
                at_config_what(k));
}
