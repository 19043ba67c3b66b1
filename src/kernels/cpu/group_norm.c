/* Group norm and instance norm over channels-last data: threads share the positions, each sums up
   its channels in double; then the channels of a group are put together and everything is scaled in
   a second pass.
 */
#include "kernels/cpu/elementwise.h"
#include "kernels/cpu/runs.h"
#include "kernels/cpu/walk.h"
#include <math.h>
#include <string.h>

enum { SHARE = 64 }; /* positions that a thread takes at a time */

typedef struct job {
    int64_t positions, channels, shares;
    int groups, threads;
    double *sums;                /* [threads, 2, C] */
    float *mean, *scale, *shift; /* [C] */
} job;

static void sum_channels(at_context *cx, const job *j, const float *x)
{
    int64_t channels = j->channels;
    memset(j->sums, 0, (size_t)(j->threads * 2 * channels) * sizeof(double));
#pragma omp parallel for num_threads(j->threads) schedule(static)
    for (int64_t t = 0; t < j->threads; t++) {
        int64_t first = j->shares * t / j->threads * SHARE;
        int64_t end = AT_MIN(j->shares * (t + 1) / j->threads * SHARE, j->positions);
        double *sum = j->sums + t * 2 * channels;
        if (end > first)
            cx->kernels->runs->channel_sums(end - first, channels, x + first * channels, sum,
                                            sum + channels);
    }
}

static void find_scales(const job *j, const float *weight, const float *bias, float eps)
{
    int64_t width = j->channels / j->groups;
    double count = (double)(width * j->positions);
    for (int64_t g = 0; g < j->groups; g++) {
        double sum = 0, square = 0;
        for (int64_t t = 0; t < j->threads; t++) {
            const double *sums = j->sums + t * 2 * j->channels + g * width;
            for (int64_t c = 0; c < width; c++) {
                sum += sums[c];
                square += sums[j->channels + c];
            }
        }
        double mean = sum / count, variance = fmax(square / count - mean * mean, 0);
        double scale = 1 / sqrt(variance + eps);
        if (square != square) scale = square; /* fmax would lose a NaN */
        for (int64_t c = g * width; c < (g + 1) * width; c++) {
            double by = scale * (weight ? weight[c] : 1);
            j->mean[c] = (float)mean; /* what the rounding loses goes into the shift */
            j->scale[c] = (float)by;
            j->shift[c] = (float)((bias ? bias[c] : 0) - (mean - j->mean[c]) * by);
        }
    }
}

/* Fills in a job over x; gives room for `more` floats behind it, NULL without memory. j->sums is
   to be freed. */
static float *begin(at_context *cx, job *j, const at_tensor *x, int groups, int64_t more)
{
    int64_t channels = x->shape[x->dims - 1], each = at_elements(x) / x->shape[0];
    *j = (job){.positions = each / channels, .channels = channels, .groups = groups};
    j->threads = at_threads_for(cx, each);
    j->shares = (j->positions + SHARE - 1) / SHARE;
    size_t doubles = (size_t)(j->threads * 2 * channels);
    size_t floats = (size_t)(3 * channels + more);
    j->sums = at_scratch(cx, doubles * sizeof(double) + floats * sizeof(float));
    if (!j->sums) return NULL;
    j->mean = (float *)(j->sums + doubles);
    j->scale = j->mean + channels;
    j->shift = j->scale + channels;
    return j->shift + channels;
}

static void group_norm(at_context *cx, at_tensor *out, const at_tensor *x, int groups,
                       const at_tensor *weight, const at_tensor *bias, float eps,
                       at_activation activation)
{
    int64_t channels = x->shape[x->dims - 1];
    if (!at_elements(x)) return;
    job j;
    if (!begin(cx, &j, x, groups, 0)) return;
    for (int64_t b = 0; b < x->shape[0]; b++) {
        const float *in = (const float *)x->data + b * j.positions * channels;
        float *y = (float *)out->data + b * j.positions * channels;
        sum_channels(cx, &j, in);
        find_scales(&j, weight ? weight->data : NULL, bias ? bias->data : NULL, eps);
#pragma omp parallel for num_threads(j.threads) schedule(static)
        for (int64_t s = 0; s < j.shares; s++) {
            int64_t at = s * SHARE * channels, count = AT_MIN(SHARE, j.positions - s * SHARE);
            cx->kernels->runs->channel_norm(count, channels, y + at, in + at, j.mean, j.scale,
                                            j.shift, activation);
        }
    }
    at_scratch_free(cx, j.sums);
}

/* A group a channel, its scale and shift from outside. */
static void instance_norm(at_context *cx, at_tensor *out, const at_tensor *x,
                          const at_tensor *shift, const at_tensor *scale, const at_tensor *alpha,
                          float slope, float eps)
{
    int64_t channels = x->shape[x->dims - 1];
    if (!at_elements(x)) return;
    job j;
    float *room = begin(cx, &j, x, (int)channels, 2 * channels);
    if (!room) return;
    float *by = room, *inverse = room + channels;
    for (int64_t c = 0; alpha && c < channels; c++) inverse[c] = 1 / ((float *)alpha->data)[c];
    for (int64_t b = 0; b < x->shape[0]; b++) {
        const float *in = (const float *)x->data + b * j.positions * channels;
        float *y = (float *)out->data + b * j.positions * channels;
        const float *more = (const float *)scale->data + (scale->shape[0] > 1 ? b * channels : 0);
        const float *add = (const float *)shift->data + (shift->shape[0] > 1 ? b * channels : 0);
        for (int64_t c = 0; c < channels; c++) by[c] = 1 + more[c];
        sum_channels(cx, &j, in);
        find_scales(&j, by, add, eps);
#pragma omp parallel for num_threads(j.threads) schedule(static)
        for (int64_t s = 0; s < j.shares; s++) {
            int64_t at = s * SHARE * channels, count = AT_MIN(SHARE, j.positions - s * SHARE);
            const at_runs *runs = cx->kernels->runs;
            if (alpha) {
                runs->channel_snake(count, channels, y + at, in + at, j.mean, j.scale, j.shift,
                                    alpha->data, inverse);
                continue;
            }
            runs->channel_norm(count, channels, y + at, in + at, j.mean, j.scale, j.shift,
                               AT_IDENTITY);
            if (slope != 1) runs->leaky(count * channels, y + at, y + at, slope);
        }
    }
    at_scratch_free(cx, j.sums);
}

void at_cpu_group_norm(at_kernels *table)
{
    table->group_norm = group_norm;
    table->instance_norm = instance_norm;
}
