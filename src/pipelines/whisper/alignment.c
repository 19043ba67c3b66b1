#include "pipelines/whisper/alignment.h"
#include <math.h>
#include <stdint.h>
#include <string.h>

enum { MEDIAN = 7 };

static void softmax(const float *in, int64_t count, float *out)
{
    float most = in[0];
    double sum = 0;
    for (int64_t i = 1; i < count; i++)
        if (in[i] > most) most = in[i];
    for (int64_t i = 0; i < count; i++) sum += (double)(out[i] = expf(in[i] - most));
    for (int64_t i = 0; i < count; i++) out[i] = (float)((double)out[i] / sum);
}

/* Each frame over the tokens: mean 0, deviation 1. x [rows][frames] */
static void normalise(float *x, int rows, int64_t frames)
{
    for (int64_t f = 0; f < frames; f++) {
        double sum = 0, squares = 0;
        for (int r = 0; r < rows; r++) sum += (double)x[r * frames + f];
        double mean = sum / rows;
        for (int r = 0; r < rows; r++) {
            double d = (double)x[r * frames + f] - mean;
            squares += d * d;
        }
        double deviation = sqrt(squares / rows);
        for (int r = 0; r < rows; r++) {
            double d = (double)x[r * frames + f] - mean;
            x[r * frames + f] = deviation > 0 ? (float)(d / deviation) : 0.0f;
        }
    }
}

static float median_at(const float *x, int64_t count, int64_t at)
{
    float sorted[MEDIAN];
    for (int i = 0; i < MEDIAN; i++) {
        int64_t from = at + i - MEDIAN / 2;
        if (from < 0) from = -from; /* mirrored */
        if (from >= count) from = 2 * (count - 1) - from;
        int place = i;
        for (; place > 0 && sorted[place - 1] > x[from]; place--) sorted[place] = sorted[place - 1];
        sorted[place] = x[from];
    }
    return sorted[MEDIAN / 2];
}

/* Adds a head's row, smoothed, to the sum of all heads. */
static void add_smoothed(const float *row, int64_t frames, float *sum)
{
    for (int64_t f = 0; f < frames; f++)
        sum[f] += frames > MEDIAN / 2 ? median_at(row, frames, f) : row[f];
}

/* The cheapest way from the first token and frame to the last; where each token begins on it.
   looks [count][frames]: the more, the likelier. */
static bool warp(at_context *cx, const float *looks, int count, int64_t frames, int *times)
{
    int64_t width = frames + 1;
    float *cost = AT_NEW_ARRAY(cx, float, (count + 1) * width);
    uint8_t *trace = AT_NEW_ARRAY(cx, uint8_t, (count + 1) * width);
    bool fine = cost && trace;
    for (int64_t i = 1; fine && i < (count + 1) * width; i++)
        if (i < width || i % width == 0) cost[i] = INFINITY;
    for (int64_t j = 1; fine && j < width; j++)
        for (int i = 1; i <= count; i++) {
            float both = cost[(i - 1) * width + j - 1], token = cost[(i - 1) * width + j];
            float frame = cost[i * width + j - 1], least = frame;
            uint8_t step = 2;
            if (both < token && both < frame)
                least = both, step = 0;
            else if (token < both && token < frame)
                least = token, step = 1;
            double here = -(double)looks[(i - 1) * frames + j - 1];
            cost[i * width + j] = (float)(here + (double)least);
            trace[i * width + j] = step;
        }
    int64_t i = count, j = frames;
    while (fine && (i > 0 || j > 0)) {
        uint8_t step = i == 0 ? 2 : j == 0 ? 1 : trace[i * width + j];
        if (i > 0) times[i - 1] = (int)AT_MAX(j - 1, 0);
        i -= step != 2;
        j -= step != 1;
    }
    at_free(cost);
    at_free(trace);
    return fine;
}

bool at_align_tokens(at_context *cx, const float *scores, int heads, int rows, int64_t width,
                     int64_t frames, int first, int count, int *times)
{
    float *head = AT_NEW_ARRAY(cx, float, rows *frames);
    float *sum = AT_NEW_ARRAY(cx, float, count *frames);
    bool fine = head && sum;
    for (int h = 0; fine && h < heads; h++) {
        for (int r = 0; r < rows; r++)
            softmax(scores + (h * (int64_t)rows + r) * width, frames, head + r * frames);
        normalise(head, rows, frames);
        for (int i = 0; i < count; i++)
            add_smoothed(head + (first + i) * frames, frames, sum + i * frames);
    }
    for (int64_t i = 0; fine && i < count * frames; i++) sum[i] /= (float)heads;
    fine = fine && warp(cx, sum, count, frames, times);
    at_free(head);
    at_free(sum);
    return fine;
}
