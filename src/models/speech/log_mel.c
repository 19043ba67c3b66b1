#include "models/speech/log_mel.h"
#include "models/speech/stft.h"
#include "tensor/pool.h"
#include <math.h>

/* Bins 0 to 200 of a 400-point transform. */
enum { BINS = AT_MEL_WINDOW / 2 + 1, ROWS = 2 * BINS, SLICE = 256 };

struct at_log_mel {
    int bands;
    float *waves;   /* [ROWS][400], at_stft_waves */
    float *weights; /* [bands][BINS] */
    int *first;     /* bins below it have no weight in the band, as none from last on */
    int *last;
};

/* Slaney's Auditory Toolbox: linear to 1000 Hz, then 27 steps per factor of 6.4. */
static double mel_to_hertz(double mel)
{
    return mel < 15.0 ? mel * 200.0 / 3.0 : 1000.0 * exp((mel - 15.0) * log(6.4) / 27.0);
}

static double hertz_to_mel(double hertz)
{
    return hertz < 1000.0 ? hertz * 3.0 / 200.0 : 15.0 + log(hertz / 1000.0) * 27.0 / log(6.4);
}

/* librosa.filters.mel(sr=16000, n_fft=400): triangles of the same area */
static void fill_weights(at_log_mel *m)
{
    double top = hertz_to_mel(AT_MEL_RATE / 2.0);
    for (int b = 0; b < m->bands; b++) {
        double low = mel_to_hertz(top * b / (m->bands + 1));
        double mid = mel_to_hertz(top * (b + 1) / (m->bands + 1));
        double high = mel_to_hertz(top * (b + 2) / (m->bands + 1));
        float *w = m->weights + b * BINS;
        m->first[b] = BINS;
        for (int i = 0; i < BINS; i++) {
            double hertz = (double)i * AT_MEL_RATE / AT_MEL_WINDOW;
            double up = (hertz - low) / (mid - low), down = (high - hertz) / (high - mid);
            w[i] = (float)(fmax(0.0, fmin(up, down)) * 2.0 / (high - low));
            if (w[i] <= 0) continue;
            m->first[b] = AT_MIN(m->first[b], i);
            m->last[b] = i + 1;
        }
    }
}

at_log_mel *at_log_mel_new(at_context *cx, int bands)
{
    at_log_mel *m = AT_NEW(cx, at_log_mel);
    if (!m) return NULL;
    m->bands = bands;
    m->waves = AT_NEW_ARRAY(cx, float, ROWS *AT_MEL_WINDOW);
    m->weights = AT_NEW_ARRAY(cx, float, bands *BINS);
    m->first = AT_NEW_ARRAY(cx, int, bands);
    m->last = AT_NEW_ARRAY(cx, int, bands);
    if (!m->waves || !m->weights || !m->first || !m->last) {
        at_log_mel_free(m);
        return NULL;
    }
    at_stft_waves(m->waves, AT_MEL_WINDOW);
    fill_weights(m);
    return m;
}

void at_log_mel_free(at_log_mel *m)
{
    if (!m) return;
    at_free(m->waves);
    at_free(m->weights);
    at_free(m->first);
    at_free(m->last);
    at_free(m);
}

/* spectrum [ROWS] -> out [bands] */
static void bands_of(const at_log_mel *m, const float *spectrum, float *out)
{
    float power[BINS];
    for (int i = 0; i < BINS; i++) {
        float re = spectrum[i], im = spectrum[BINS + i];
        power[i] = re * re + im * im;
    }
    for (int b = 0; b < m->bands; b++) {
        float sum = 0;
        for (int i = m->first[b]; i < m->last[b]; i++) sum += m->weights[b * BINS + i] * power[i];
        out[b] = log10f(fmaxf(sum, 1e-10f));
    }
}

bool at_log_mel_frames(at_context *cx, const at_log_mel *m, const float *samples, int64_t frames,
                       float *out)
{
    float *spectrum = at_ok(cx) ? at_scratch(cx, sizeof(float) * SLICE * ROWS) : NULL;
    for (int64_t at = 0; spectrum && at < frames && at_ok(cx); at += SLICE) {
        int64_t some = AT_MIN(frames - at, SLICE);
        at_stft_multiply(cx, spectrum, some, samples + at * AT_MEL_HOP, AT_MEL_HOP, m->waves, ROWS,
                         AT_MEL_WINDOW);
#pragma omp parallel for num_threads(cx->threads) schedule(static)
        for (int64_t i = 0; i < some; i++)
            bands_of(m, spectrum + i * ROWS, out + (at + i) * m->bands);
    }
    at_scratch_free(cx, spectrum);
    return at_ok(cx);
}

void at_log_mel_scale(float *values, int64_t count, float loudest)
{
    for (int64_t i = 0; i < count; i++)
        values[i] = (fmaxf(values[i], loudest - 8.0f) + 4.0f) / 4.0f;
}
