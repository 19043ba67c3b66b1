#include "pipelines/whisper/gate.h"
#include <stdlib.h>
#include <string.h>

/* Levels are log10 of power: 1 is 10 dB. A sound of full scale has about 0. */
static const float silent = -7.0f; /* nothing is louder than the last bits of 16 */
static const float steady = 0.3f;  /* nothing stands out from the noise */

enum {
    SMOOTH = 25, /* frames of 10 ms: a syllable */
    EDGE = 20,   /* kept before and behind a voice */
};

static int by_level(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return x < y ? -1 : x > y;
}

/* The mean over a syllable around each frame. */
static float *smoothed(at_context *cx, const float *levels, int64_t count)
{
    float *out = AT_NEW_ARRAY(cx, float, count + 1);
    double sum = 0;
    for (int64_t i = 0; out && i < count + SMOOTH / 2; i++) {
        if (i < count) sum += (double)levels[i];
        if (i >= SMOOTH) sum -= (double)levels[i - SMOOTH];
        int64_t at = i - SMOOTH / 2, from = AT_MAX(i - SMOOTH + 1, 0), to = AT_MIN(i + 1, count);
        if (at >= 0 && to > from) out[at] = (float)(sum / (double)(to - from));
    }
    return out;
}

/* The level that a voice stands out from: above it by `steady` in these frames. */
static float threshold_of(at_context *cx, const float *smooth, int64_t count)
{
    float *sorted = AT_NEW_ARRAY(cx, float, count + 1);
    if (!sorted) return silent;
    memcpy(sorted, smooth, sizeof *sorted * (size_t)count);
    qsort(sorted, (size_t)count, sizeof *sorted, by_level);
    float noise = sorted[count / 10] + steady;
    at_free(sorted);
    return noise > silent ? noise : silent;
}

bool at_gate_hears(at_context *cx, const float *levels, int64_t count)
{
    float *smooth = smoothed(cx, levels, count);
    if (!smooth) return true;
    float threshold = threshold_of(cx, smooth, count);
    bool heard = false;
    for (int64_t i = 0; i < count && !heard; i++) heard = smooth[i] > threshold;
    at_free(smooth);
    return heard;
}

bool at_gate_next(at_context *cx, const float *levels, int64_t count, int64_t from, int64_t most,
                  int64_t *begin, int64_t *end)
{
    int64_t ahead = AT_MIN(count - from, 4 * most);
    float *smooth = ahead > 0 ? smoothed(cx, levels + from, ahead) : NULL;
    if (!smooth) return false;
    float threshold = threshold_of(cx, smooth, ahead);
    int64_t first = 0, last, cut;
    while (first < ahead && smooth[first] <= threshold) first++;
    *begin = from + AT_MAX(first - EDGE, 0);
    cut = AT_MIN(*begin - from + most, ahead);
    if (*begin - from + most < count - from) /* the quietest place of the window's second half */
        for (int64_t i = cut - 1, half = cut - most / 2; i >= half; i--)
            if (smooth[i] < smooth[cut < ahead ? cut : cut - 1]) cut = i;
    last = cut;
    while (last > first && smooth[last - 1] <= threshold) last--;
    *end = from + AT_MIN(last + EDGE, cut);
    at_free(smooth);
    if (first < ahead) return true;
    return from + ahead < count && at_gate_next(cx, levels, count, from + ahead, most, begin, end);
}
