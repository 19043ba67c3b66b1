#include "pipelines/upscale.h"
#include "base/base.h"
#include <math.h>
#include <string.h>

typedef enum filter { NEAREST, NEAREST_EXACT, BILINEAR, BICUBIC, LANCZOS } filter;

struct at_upscaler {
    const char *name, *other; /* the other: A1111's */
    filter filter;
    bool latents, antialiased;
};

static const at_upscaler upscalers[] = {
    {"latent", "Latent", BILINEAR, true, false},
    {"latent-antialiased", "Latent (antialiased)", BILINEAR, true, true},
    {"latent-bicubic", "Latent (bicubic)", BICUBIC, true, false},
    {"latent-bicubic-antialiased", "Latent (bicubic antialiased)", BICUBIC, true, true},
    {"latent-nearest", "Latent (nearest)", NEAREST, true, false},
    {"latent-nearest-exact", "Latent (nearest-exact)", NEAREST_EXACT, true, false},
    {"lanczos", "Lanczos", LANCZOS, false, false},
    {"nearest", "Nearest", NEAREST, false, false},
};

const at_upscaler *at_upscaler_of(at_context *cx, const char *name)
{
    for (size_t i = 0; i < AT_COUNT(upscalers); i++)
        if (!name || strcmp(upscalers[i].name, name) == 0 || strcmp(upscalers[i].other, name) == 0)
            return &upscalers[i];
    return at_fail(cx, AT_ERROR_UNSUPPORTED,
                   "upscaler: \"%s\" is not known (latent, latent-antialiased, latent-bicubic, "
                   "latent-bicubic-antialiased, latent-nearest, latent-nearest-exact, lanczos, "
                   "nearest; networks like ESRGAN are not supported)",
                   name);
}

bool at_upscales_latents(const at_upscaler *upscaler)
{
    return upscaler->latents;
}

/* ---- weights along one side */

enum { MOST_TAPS = 64 };

/* Of one place of the result: `count` neighbours from `first` on. */
typedef struct taps {
    int64_t first;
    int count;
    float weights[MOST_TAPS];
} taps;

/* Keys' cubic: torch has a = -0.75, with antialias -0.5. */
static double cubic(double x, double a)
{
    x = fabs(x);
    if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
    if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
    return 0;
}

static double weigh(const at_upscaler *u, double x)
{
    if (u->filter == BICUBIC) return cubic(x, u->antialiased ? -0.5 : -0.75);
    return fabs(x) < 1 ? 1 - fabs(x) : 0;
}

static taps nearest(const at_upscaler *u, int64_t i, int64_t in, double scale)
{
    double at = u->filter == NEAREST ? (double)i : (double)i + 0.5;
    int64_t from = (int64_t)floorf((float)at * (float)scale);
    return (taps){.first = AT_MIN(from, in - 1), .count = 1, .weights = {1}};
}

/* With antialias a filter that is as wide as the scale down, normalized over the places there are;
   without, neighbours past the edge are the edge. */
static taps taps_of(const at_upscaler *u, int64_t i, int64_t in, double scale)
{
    double stretch = u->antialiased ? AT_MAX(scale, 1.0) : 1.0, sum = 0;
    double radius = (u->filter == BICUBIC ? 2 : 1) * stretch, centre = ((double)i + 0.5) * scale;
    if (u->filter == BILINEAR && !u->antialiased) centre = AT_MAX(centre, 0.5);
    int64_t low = (int64_t)floor(centre - radius + 0.5),
            high = (int64_t)floor(centre + radius + 0.5);
    taps t = {.first = AT_MIN(AT_MAX(low, 0), in - 1)};
    t.count = (int)AT_MIN(AT_MIN(AT_MAX(high, t.first + 1), in) - t.first, MOST_TAPS);
    for (int64_t k = low; k < high; k++) {
        double w = weigh(u, ((double)k + 0.5 - centre) / stretch);
        int64_t place = AT_MIN(AT_MAX(k, 0), in - 1) - t.first;
        if ((u->antialiased && (k < 0 || k >= in)) || place < 0 || place >= t.count) continue;
        t.weights[place] += (float)w;
        sum += w;
    }
    for (int k = 0; k < t.count; k++) t.weights[k] /= (float)sum;
    return t;
}

/* x as [outer, in, inner] -> [outer, out, inner] */
static void resample(const at_upscaler *u, const float *x, float *y, int64_t outer, int64_t in,
                     int64_t out, int64_t inner)
{
    double scale = (double)in / (double)out;
    bool whole = u->filter == NEAREST || u->filter == NEAREST_EXACT;
    for (int64_t i = 0; i < out; i++) {
        taps t = whole ? nearest(u, i, in, scale) : taps_of(u, i, in, scale);
        for (int64_t o = 0; o < outer; o++) {
            float *to = y + (o * out + i) * inner;
            memset(to, 0, (size_t)inner * sizeof *to);
            for (int k = 0; k < t.count; k++) {
                const float *from = x + (o * in + t.first + k) * inner;
                for (int64_t j = 0; j < inner; j++) to[j] += t.weights[k] * from[j];
            }
        }
    }
}

at_tensor *at_upscale_latents(at_context *cx, const at_upscaler *u, at_tensor *x, int64_t height,
                              int64_t width)
{
    x = at_contiguous(cx, x);
    int64_t B = at_dim(x, 0), h = at_dim(x, 1), w = at_dim(x, 2), C = at_dim(x, 3);
    at_tensor *wide = at_new(cx, AT_F32, B, h, width, C);
    at_tensor *out = at_new(cx, AT_F32, B, height, width, C);
    if (!at_ok(cx)) return NULL;
    resample(u, x->data, wide->data, B * h, w, width, C);
    resample(u, wide->data, out->data, B, h, height, width * C);
    return out;
}

/* ---- pictures */

at_image *at_upscale_image(const at_upscaler *u, const at_image *image, int width, int height)
{
    if (!image || u->filter == LANCZOS) return image ? at_image_resize(image, width, height) : NULL;
    at_image *out = at_image_new(image->cx, width, height, image->channels, 8);
    const uint8_t *from = image->pixels;
    for (int y = 0; out && y < height; y++) {
        int64_t row = (int64_t)((y + 0.5) * image->height / height);
        for (int x = 0; x < width; x++) {
            int64_t column = (int64_t)((x + 0.5) * image->width / width);
            memcpy((uint8_t *)out->pixels + ((int64_t)y * width + x) * image->channels,
                   from + (row * image->width + column) * image->channels, (size_t)image->channels);
        }
    }
    return out;
}
