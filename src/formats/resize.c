/* Pictures in another size, as PIL's Image.resize(..., LANCZOS) has them to the last bit: rows,
   then columns, each rounded to 8 bits. */
#include "base/base.h"
#include <atelier/image.h>
#include <math.h>

enum { BITS = 22, LOBES = 3 }; /* fraction of a weight; of the kernel, on each side */

/* One axis: output i is the sum of weights[i * most + k] times input first[i] + k. */
typedef struct taps {
    int most;
    int *first, *count;
    int32_t *weights;
} taps;

static double sinc(double x)
{
    return x == 0 ? 1.0 : sin(M_PI * x) / (M_PI * x);
}

static double lanczos(double x)
{
    return x >= -LOBES && x < LOBES ? sinc(x) * sinc(x / LOBES) : 0.0;
}

static void free_taps(taps *t)
{
    at_free(t->first);
    at_free(t->count);
    at_free(t->weights);
}

/* Weights of output i, normalised; w: room for t->most. */
static void weigh(taps *t, int i, int from, double scale, double *w)
{
    double wide = AT_MAX(scale, 1.0), centre = (i + 0.5) * scale, sum = 0;
    int first = AT_MAX((int)(centre - LOBES * wide + 0.5), 0);
    int count = AT_MIN((int)(centre + LOBES * wide + 0.5), from) - first;
    for (int k = 0; k < count; k++) sum += w[k] = lanczos((k + first - centre + 0.5) / wide);
    for (int k = 0; k < count; k++) {
        double value = (sum != 0 ? w[k] / sum : w[k]) * (1 << BITS);
        t->weights[(size_t)i * (size_t)t->most + (size_t)k] =
            (int32_t)(value + (value < 0 ? -0.5 : 0.5));
    }
    t->first[i] = first;
    t->count[i] = count;
}

static bool make_taps(at_context *cx, taps *t, int from, int to)
{
    double scale = (double)from / to;
    t->most = (int)ceil(LOBES * AT_MAX(scale, 1.0)) * 2 + 1;
    t->first = AT_NEW_ARRAY(cx, int, to);
    t->count = AT_NEW_ARRAY(cx, int, to);
    t->weights = at_alloc(cx, (size_t)to, (size_t)t->most * sizeof *t->weights);
    double *w = AT_NEW_ARRAY(cx, double, t->most);
    bool fine = t->first && t->count && t->weights && w;
    for (int i = 0; fine && i < to; i++) weigh(t, i, from, scale, w);
    at_free(w);
    return fine;
}

/* in, out: the first sample; step: samples from one input of the axis to the next. */
static uint8_t tap(const taps *t, int i, const uint8_t *in, size_t step)
{
    const int32_t *w = t->weights + (size_t)i * (size_t)t->most;
    int64_t sum = 1 << (BITS - 1);
    in += (size_t)t->first[i] * step;
    for (int k = 0; k < t->count[i]; k++) sum += (int64_t)in[(size_t)k * step] * w[k];
    sum >>= BITS;
    return (uint8_t)(sum < 0 ? 0 : sum > 255 ? 255 : sum);
}

static at_image *resize_axis(const at_image *in, int width, int height)
{
    bool across = width != in->width;
    at_context *cx = in->cx;
    size_t C = (size_t)in->channels, row = (size_t)in->width * C;
    at_image *out = at_image_new(cx, width, height, in->channels, 8);
    taps t = {0};
    bool fine = out && (across ? make_taps(cx, &t, in->width, width)
                               : make_taps(cx, &t, in->height, height));
    uint8_t *to = fine ? out->pixels : NULL;
    const uint8_t *pixels = in->pixels;
    for (int y = 0; fine && y < height; y++)
        for (int x = 0; x < width; x++)
            for (size_t c = 0; c < C; c++)
                *to++ = across ? tap(&t, x, pixels + (size_t)y * row + c, C)
                               : tap(&t, y, pixels + (size_t)x * C + c, row);
    free_taps(&t);
    return out;
}

at_image *at_image_resize(const at_image *image, int width, int height)
{
    if (!image || !at_ok(image->cx)) return NULL;
    if (image->depth != 8 || width < 1 || height < 1)
        return at_fail(image->cx, AT_ERROR_ARGUMENT, "resize: %d bits to %d x %d", image->depth,
                       width, height);
    /* Which axis comes first shows in the last bit. This is what Pillow 13 does, found by trying.
     */
    int higher = height - image->height, wider = width - image->width;
    bool down_first = higher < 0 && 2 * (int64_t)wider > higher;
    at_image *half = down_first ? resize_axis(image, image->width, height)
                                : resize_axis(image, width, image->height);
    at_image *out = half ? resize_axis(half, width, height) : NULL;
    at_image_free(half);
    return out;
}
