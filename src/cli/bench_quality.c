/* `atelier bench quality`: how far the pictures of the faster precisions are from those of f32, on
   the embedded model, as peak signal-to-noise ratio. */
#include "cli/bench.h"
#include "kernels/kernels.h"
#include <atelier/atelier.h>
#include <atelier/image.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Those of docs/sheet.jpg; picture i has the seed i. */
static const char *const prompts[] = {
    "a fox",
    "a cat",
    "a dog on a blue background",
    "panda",
    "a frog on a pink background",
    "a unicorn",
    "pizza",
    "a hamburger on a yellow background",
    "a strawberry",
    "red apple on a black background",
    "watermelon",
    "a banana on a purple background",
    "a police car",
    "an automobile",
    "a bus on green",
    "a house on an orange background",
    "a fire engine",
    "a castle",
    "red heart",
    "a green heart on a white background",
    "sun on black",
    "a rainbow",
    "a star on a blue background",
    "a penguin on a red background",
    "soccer ball",
    "a basketball on green",
    "a bell",
    "grinning face",
    "loudly crying face",
    "smiling face with sunglasses",
    "koala on a yellow background",
    "ghost on a purple background",
    "a guitar",
    "a key on a red background",
    "a gem stone",
    "a cactus on a gray background",
};

enum { PICTURES = AT_COUNT(prompts) };

/* The pictures in one precision, in a context of their own. */
typedef struct sheet {
    at_context *cx;
    at_pipeline *pipeline;
    at_image *picture;
} sheet;

static sheet open_sheet(const at_context *cx, at_precision precision)
{
    sheet s = {.cx = at_context_new(&(at_context_options){
                   .device = cx->options.device, .precision = precision, .threads = cx->threads})};
    s.pipeline = at_pipeline_load(s.cx, NULL);
    return s;
}

static void draw(sheet *s, int i)
{
    at_image_free(s->picture);
    at_generate_options options = {.prompt = prompts[i], .seed = (uint64_t)i};
    s->picture = at_generate(s->pipeline, &options);
}

/* In dB, of 8 bits; the same pictures have 100. */
static double psnr(const at_image *a, const at_image *b)
{
    enum { SAME = 100 };
    const uint8_t *x = a->pixels, *y = b->pixels;
    int64_t count = (int64_t)a->width * a->height * a->channels, squares = 0;
    for (int64_t i = 0; i < count; i++) squares += (x[i] - y[i]) * (x[i] - y[i]);
    if (!squares) return SAME;
    return fmin(SAME, 10 * log10(255.0 * 255.0 * (double)count / (double)squares));
}

typedef struct quality {
    double sum, worst;
    int worst_at;
} quality;

static void add_entry(cJSON *list, at_precision precision, const quality *q)
{
    cJSON *entry = cJSON_CreateObject();
    cJSON_AddStringToObject(entry, "precision", at_precision_name(precision));
    cJSON_AddNumberToObject(entry, "pictures", PICTURES);
    cJSON_AddNumberToObject(entry, "average_db", q->sum / PICTURES);
    cJSON_AddNumberToObject(entry, "worst_db", q->worst);
    cJSON_AddStringToObject(entry, "worst", prompts[q->worst_at]);
    cJSON_AddItemToArray(list, entry);
}

static quality compare(at_context *cx, sheet *reference, sheet *other)
{
    quality q = {.worst = INFINITY};
    for (int i = 0; i < PICTURES && at_ok(cx); i++) {
        draw(reference, i);
        draw(other, i);
        if (!reference->picture || !other->picture) break;
        double now = psnr(reference->picture, other->picture);
        q.sum += now;
        if (now < q.worst) q.worst = now, q.worst_at = i;
    }
    const at_context *failed = at_failed(reference->cx) ? reference->cx : other->cx;
    if (at_failed(failed)) at_fail(cx, at_error_status(failed), "%s", at_error_text(failed));
    return q;
}

void at_bench_quality(at_context *cx, const char *only, cJSON *report)
{
    if (!at_ok(cx)) return;
    cJSON *list = cJSON_AddArrayToObject(report, "quality");
    sheet reference = open_sheet(cx, AT_PRECISION_F32);
    for (at_precision p = AT_PRECISION_BF16; p <= AT_PRECISION_INT8 && at_ok(cx); p++) {
        if (!cx->kernels->gemm[p] || !at_bench_wanted(at_precision_name(p), only)) continue;
        sheet other = open_sheet(cx, p);
        quality q = compare(cx, &reference, &other);
        if (at_ok(cx)) add_entry(list, p, &q);
        at_context_free(other.cx);
    }
    at_context_free(reference.cx);
}
