#include "models/speech/sine_source.h"
#include "tensor/pool.h"
#include <math.h>

enum { H = AT_SINE_HARMONICS };
static const float rate = 24000, voiced_from = 10, sine_amplitude = 0.1f, noise_deviation = 0.003f;

/* phase [N][H] at the middle of each of N stretches, in f32 as the reference rounds it: an error
   there is as much of a turn as it counts in turns. first: what the first of the reference's
   samples is ahead by. */
static void fill_phases(const float *pitch, int64_t n, int scale, const float *first, float *phase)
{
    /* the reference looks at a stretch in its middle, which is its first sample only here */
    float share = scale == 1 ? 1.0f : scale == 2 ? 0.5f : 0.0f;
    for (int h = 0; h < H; h++) {
        double sum = 0;
        for (int64_t i = 0; i < n; i++) {
            float turns = fmodf(pitch[i] * (float)(h + 1) / rate, 1.0f);
            if (turns < 0) turns += 1.0f;
            if (i == 0) turns += share * first[h];
            sum += turns;
            phase[i * H + h] = (float)sum * 2 * 3.14159274f * (float)scale;
        }
    }
}

/* The sample at `place`, between the middles of two stretches; the harmonics' noise `apart`. */
static float sample(const float *pitch, const float *phase, int64_t n, int scale, int64_t place,
                    const float *weight, float bias, const float *noise, int64_t apart)
{
    float at = (float)(1.0 / scale) * ((float)place + 0.5f) - 0.5f;
    if (at < 0) at = 0;
    int64_t i = (int64_t)at, next = i + (i < n - 1);
    float right = at - (float)i, left = 1.0f - right, sum = 0;
    bool voiced = pitch[place / scale] > voiced_from;
    float loudness = voiced ? noise_deviation : sine_amplitude / 3;
    for (int h = 0; h < H; h++) {
        float value = loudness * noise[h * apart];
        if (voiced)
            value +=
                sinf(fmaf(left, phase[i * H + h], right * phase[next * H + h])) * sine_amplitude;
        sum += weight[h] * value;
    }
    return tanhf(sum + bias);
}

at_tensor *at_sine_source(at_context *cx, at_tensor *pitch, int scale, at_tensor *weight,
                          at_tensor *bias, at_generator *random)
{
    if (!at_ok(cx) || !pitch || !weight || !bias) return NULL;
    int64_t n = at_dim(pitch, 0), samples = n * scale;
    at_scope s = at_scope_begin(cx);
    at_tensor *out = at_new(cx, AT_F32, samples), *phase = at_new(cx, AT_F32, n, H);
    at_tensor *noise = at_new(cx, AT_F32, H, samples), *unused = at_new(cx, AT_F32, samples);
    pitch = at_contiguous(cx, pitch);
    weight = at_contiguous(cx, at_cast(cx, weight, AT_F32));
    if (out && phase && noise && unused && pitch && weight) {
        float first[H];
        at_random_uniform(random, first, H);
        first[0] = 0;
        at_random_normal_serial(random, noise->data, samples * H);
        at_random_normal(random, unused->data, samples); /* drawn and never heard */
        fill_phases(pitch->data, n, scale, first, phase->data);
#pragma omp parallel for num_threads(cx->threads) schedule(static)
        for (int64_t i = 0; i < samples; i++)
            ((float *)out->data)[i] =
                sample(pitch->data, phase->data, n, scale, i, weight->data,
                       *(const float *)bias->data, (const float *)noise->data + i, samples);
    }
    at_scope_end(cx, s, &out, NULL);
    return out;
}
