#include "models/speech/stft.h"
#include "kernels/kernels.h"
#include <math.h>

static const double turn = 6.283185307179586;

static double hann(int i, int points)
{
    return 0.5 - 0.5 * cos(turn * i / points);
}

void at_stft_waves(float *out, int points)
{
    int bins = points / 2 + 1;
    for (int bin = 0; bin < bins; bin++)
        for (int i = 0; i < points; i++) {
            double angle = turn * ((int64_t)bin * i % points) / points;
            bool real = bin == 0 || bin == bins - 1;
            out[bin * points + i] = (float)(hann(i, points) * cos(angle));
            out[(bins + bin) * points + i] = real ? 0 : (float)(-hann(i, points) * sin(angle));
        }
}

/* the way back [points][points+2], the window in it */
static at_tensor *waves_back(at_context *cx, int points)
{
    int bins = points / 2 + 1;
    at_tensor *w = at_new(cx, AT_F32, points, points + 2);
    float *row = w ? w->data : NULL;
    for (int i = 0; row && i < points; i++, row += points + 2)
        for (int bin = 0; bin < bins; bin++) {
            double angle = turn * ((int64_t)bin * i % points) / points;
            bool real = bin == 0 || bin == bins - 1;
            double by = hann(i, points) * (real ? 1 : 2) / points;
            row[bin] = (float)(by * cos(angle));
            row[bins + bin] = real ? 0 : (float)(-by * sin(angle));
        }
    return w;
}

/* [N + 2 * around]: reflected at both ends, the ends themselves not twice */
static at_tensor *reflected(at_context *cx, at_tensor *sound, int64_t around)
{
    int64_t n = at_dim(sound, 0);
    at_tensor *out = at_new(cx, AT_F32, n + 2 * around);
    if (!out) return NULL;
    const float *x = sound->data;
    float *y = out->data;
    for (int64_t i = 0; i < n + 2 * around; i++) {
        int64_t at = i < around ? around - i : i - around;
        y[i] = x[at < n ? at : 2 * n - 2 - at];
    }
    return out;
}

void at_stft_multiply(at_context *cx, float *y, int64_t frames, const float *x, int64_t step,
                      const float *w, int64_t rows, int64_t size)
{
    at_matmul_args product = {
        .m = frames,
        .n = rows,
        .k = size,
        .x = x,
        .x_stride = step,
        .weight = w,
        .dtype = AT_F32,
        .weight_stride = size * (int64_t)sizeof(float),
        .y = y,
        .y_stride = rows,
        .precision = AT_PRECISION_F32,
    };
    cx->kernels->matmul(cx, &product);
}

at_tensor *at_stft(at_context *cx, at_tensor *sound, at_stft_size size)
{
    if (!at_ok(cx) || !sound) return NULL;
    int64_t n = at_dim(sound, 0), bins = size.points / 2 + 1;
    if (n <= size.points / 2)
        return at_fail(cx, AT_ERROR_SHAPE, "stft: %s is too short for %d points",
                       at_shape_text(sound), size.points);
    at_scope s = at_scope_begin(cx);
    at_tensor *x = reflected(cx, at_contiguous(cx, sound), size.points / 2);
    at_tensor *w = at_new(cx, AT_F32, size.points + 2, size.points);
    at_tensor *y = at_new(cx, AT_F32, 1, n / size.hop + 1, 2 * bins);
    if (x && w && y) {
        at_stft_waves(w->data, size.points);
        at_stft_multiply(cx, y->data, y->shape[1], x->data, size.hop, w->data, 2 * bins,
                         size.points);
#pragma omp parallel for num_threads(cx->threads) schedule(static)
        for (int64_t f = 0; f < y->shape[1]; f++) {
            float *re = (float *)y->data + f * 2 * bins, *im = re + bins;
            for (int64_t i = 0; i < bins; i++) {
                /* of a frame that mirrors itself (the first) only rounding says on which side of
                   half a turn its angles lie: they become half a turn */
                if (fabsf(im[i]) <= 1e-6f * fabsf(re[i])) im[i] = 0;
                float length = sqrtf(re[i] * re[i] + im[i] * im[i]), angle = atan2f(im[i], re[i]);
                re[i] = length, im[i] = angle;
            }
        }
    }
    at_scope_end(cx, s, &y, NULL);
    return y;
}

/* Frames [F][points] added up `hop` apart, over what the squares of the window add up to. */
static void overlap(at_context *cx, at_tensor *out, const at_tensor *frames, at_stft_size size)
{
    int64_t F = frames->shape[1], half = size.points / 2;
#pragma omp parallel for num_threads(cx->threads) schedule(static)
    for (int64_t i = 0; i < out->shape[0]; i++) {
        int64_t at = i + half, last = at / size.hop;
        double sum = 0, weight = 0;
        for (int64_t f = last < F ? last : F - 1; f >= 0 && at - f * size.hop < size.points; f--) {
            int64_t j = at - f * size.hop;
            double window = hann((int)j, size.points);
            sum += ((const float *)frames->data)[f * size.points + j];
            weight += window * window;
        }
        ((float *)out->data)[i] = (float)(sum / weight);
    }
}

at_tensor *at_istft_of_logarithms(at_context *cx, at_tensor *x, at_stft_size size)
{
    if (!at_ok(cx) || !x) return NULL;
    int64_t F = at_dim(x, 1), bins = size.points / 2 + 1;
    at_scope s = at_scope_begin(cx);
    at_tensor *z = at_new(cx, AT_F32, 1, F, 2 * bins), *w = waves_back(cx, size.points);
    at_tensor *frames = at_new(cx, AT_F32, 1, F, size.points);
    at_tensor *out = at_new(cx, AT_F32, (F - 1) * size.hop);
    x = at_contiguous(cx, x);
    if (x && z && w && frames && out) {
#pragma omp parallel for num_threads(cx->threads) schedule(static)
        for (int64_t f = 0; f < F; f++) {
            const float *in = (const float *)x->data + f * 2 * bins;
            float *re = (float *)z->data + f * 2 * bins;
            for (int64_t i = 0; i < bins; i++) {
                float length = expf(in[i]), angle = sinf(in[bins + i]);
                re[i] = length * cosf(angle);
                re[bins + i] = length * sinf(angle);
            }
        }
        at_stft_multiply(cx, frames->data, F, z->data, 2 * bins, w->data, size.points, 2 * bins);
        overlap(cx, out, frames, size);
    }
    at_scope_end(cx, s, &out, NULL);
    return out;
}
