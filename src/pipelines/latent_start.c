#include "pipelines/latent_start.h"
#include "base/file.h"
#include "models/autoencoders/autoencoder.h"
#include "pipelines/prompt.h"
#include <atelier/image.h>
#include <math.h>

bool at_latent_size_of_init(at_context *cx, at_generate_options *o, int unit)
{
    if (o->width && o->height) return true;
    at_image *image = at_image_load(cx, o->init);
    if (!image) return false;
    if (!o->width) o->width = image->width - image->width % unit;
    if (!o->height) o->height = image->height - image->height % unit;
    bool fine = o->width && o->height;
    at_image_free(image);
    return fine ||
           at_fail_false(cx, AT_ERROR_ARGUMENT, "%s: a side is below %d pixels", o->init, unit);
}

/* An empty name stands for what is given in memory. */
static bool is_there(at_context *cx, const char *path)
{
    return !path || !*path || at_file_exists(path) ||
           at_fail_false(cx, AT_ERROR_FILE, "%s: no such file", path);
}

bool at_latent_check_start(at_context *cx, const at_generate_options *o)
{
    if (o->mask && !o->init)
        return at_fail_false(cx, AT_ERROR_ARGUMENT, "a mask needs a picture (give --init)");
    if (o->strength < 0 || o->strength > 1)
        return at_fail_false(cx, AT_ERROR_ARGUMENT, "strength: %g is not from 0 to 1", o->strength);
    if (o->init && o->latents && !o->mask && o->denoising_start <= 0)
        return at_fail_false(cx, AT_ERROR_ARGUMENT,
                             "image to image draws its own noise (leave out --latents or --init)");
    return is_there(cx, o->init) && is_there(cx, o->mask);
}

bool at_latent_check_whole(at_context *cx, const at_generate_options *o)
{
    return (o->denoising_start <= 0 && o->denoising_end <= 0) ||
           at_fail_false(cx, AT_ERROR_UNSUPPORTED,
                         "denoising_start and denoising_end are Stable Diffusion XL's");
}

/* ---- steps */

/* int(round(n - share n)) of Python: halves go to even. */
static double cutoff_of(at_latent_run *r, double share)
{
    double n = at_config_number(r->cx, r->scheduler->config, "num_train_timesteps", 1000);
    return rint(n - share * n);
}

static int first_of(at_latent_run *r)
{
    const at_generate_options *o = r->options;
    const at_scheduler *s = r->scheduler;
    if (o->denoising_start > 0) {
        int left = 0;
        double cutoff = cutoff_of(r, o->denoising_start);
        for (int i = 0; i < s->count; i++) left += s->timesteps[i] < cutoff;
        int first = s->count - left;
        return first - first % s->class->order; /* not amid a step of several calls */
    }
    if (!o->init) return 0;
    int steps = AT_MIN((int)(o->steps * o->strength), o->steps);
    return (o->steps - steps) * s->class->order;
}

static void start_at(at_latent_run *r, int first, int last)
{
    if (r->scheduler->class->whole && (first != 0 || last != r->scheduler->count))
        at_fail(r->cx, AT_ERROR_UNSUPPORTED,
                "--sampler %s goes through all of its steps: not on from a picture, and not to a "
                "refiner",
                r->scheduler->class->sampler);
    else if (first < 0 || first >= last)
        at_fail(r->cx, AT_ERROR_ARGUMENT,
                "%d steps, strength %g: no step is left (give more of either)", r->options->steps,
                r->options->strength);
    else if (first > 0)
        at_scheduler_start(r->cx, r->scheduler, first);
    r->last = last;
}

void at_latent_window(at_latent_run *r)
{
    const at_generate_options *o = r->options;
    at_scheduler *s = r->scheduler;
    if (!at_ok(r->cx)) return;
    int first = first_of(r), last = s->count;
    if (o->denoising_end > 0) {
        double cutoff = cutoff_of(r, o->denoising_end);
        last = first;
        for (int i = first; i < s->count; i++) last += s->timesteps[i] >= cutoff;
    }
    start_at(r, first, last);
}

void at_latent_window_of_flow(at_latent_run *r)
{
    const at_generate_options *o = r->options;
    at_scheduler *s = r->scheduler;
    if (!at_ok(r->cx)) return;
    double taken = o->init ? AT_MIN(o->steps * o->strength, o->steps) : o->steps;
    start_at(r, (int)(o->steps - taken) * s->class->order, s->count);
}

/* ---- pictures */

/* A picture file in the run's size: [1,H,W,channels] in 0..1. */
static at_tensor *read_picture(at_latent_run *r, const char *path, int channels)
{
    at_context *cx = r->cx;
    int width = (int)r->options->width, height = (int)r->options->height;
    at_image *file = at_image_load(cx, path);
    at_image *plain = at_image_convert(file, file && file->channels < 3 ? 1 : 3, 8);
    at_image *sized = plain && (plain->width != width || plain->height != height)
                          ? at_image_resize(plain, width, height)
                          : NULL;
    at_image *image = at_image_convert(sized ? sized : plain, channels, 8);
    at_tensor *x = image ? at_image_to_tensor(image) : NULL;
    at_image_free(file);
    at_image_free(plain);
    at_image_free(sized);
    at_image_free(image);
    return at_view(cx, x, 1, height, width, channels);
}

/* [1,H,W,1] of 0 and 1 */
static at_tensor *read_mask(at_latent_run *r)
{
    at_tensor *x = at_contiguous(r->cx, read_picture(r, r->options->mask, 1));
    for (int64_t i = 0; x && i < at_elements(x); i++)
        ((float *)x->data)[i] = ((float *)x->data)[i] < 0.5f ? 0.0f : 1.0f;
    return x;
}

/* mask [1,H,W,1] at the size of latents: torch's nearest. */
static at_tensor *shrink(at_latent_run *r, at_tensor *mask)
{
    at_context *cx = r->cx;
    int64_t H = at_dim(mask, 1), W = at_dim(mask, 2), h = r->height, w = r->width;
    at_tensor *out = at_new(cx, AT_F32, 1, h, w, 1);
    if (!at_ok(cx)) return NULL;
    float down = (float)H / (float)h, across = (float)W / (float)w;
    for (int64_t i = 0; i < h * w; i++) {
        int64_t y = AT_MIN((int64_t)((float)(i / w) * down), H - 1);
        int64_t x = AT_MIN((int64_t)((float)(i % w) * across), W - 1);
        ((float *)out->data)[i] = ((const float *)mask->data)[y * W + x];
    }
    return out;
}

/* mean + deviation * noise, of moments [1,h,w,2C] -> [1,h,w,C] */
static at_tensor *sample(at_context *cx, at_tensor *moments, at_noise *noise)
{
    int64_t C = at_dim(moments, 3) / 2;
    at_tensor *mean = at_slice(cx, moments, 3, 0, C);
    at_tensor *deviation = at_contiguous(cx, at_clamp(cx, at_slice(cx, moments, 3, C, C), -30, 20));
    at_tensor *z = at_noise_draw(cx, noise, 4, mean ? mean->shape : (int64_t[4]){0});
    if (!at_ok(cx)) return NULL;
    for (int64_t i = 0; i < at_elements(deviation); i++)
        ((float *)deviation->data)[i] = expf(0.5f * ((float *)deviation->data)[i]);
    return at_add(cx, mean, at_mul(cx, deviation, z));
}

/* Latents of x [1,H,W,3] in -1..1, one posterior drawn by each of the streams (where the
   autoencoder draws). -> [streams,h,w,C] */
static at_tensor *encode(at_latent_run *r, at_tensor *x, at_noise streams, bool normalized)
{
    at_context *cx = r->cx;
    at_module *vae = at_latent_autoencoder(r);
    if (!vae || !at_ok(cx)) return NULL;
    at_scope s = at_scope_begin(cx);
    at_tensor *moments = at_autoencoder_encode(cx, vae, x, at_latent_needs_tiles(r));
    bool draws = at_autoencoder_info_of(vae).draws;
    at_tensor *out = draws ? NULL : at_prompt_repeat(cx, moments, streams.count);
    for (int i = 0; draws && i < streams.count && at_ok(cx); i++) {
        at_noise one = {streams.generators + i, 1, streams.channels_first};
        at_tensor *z = sample(cx, moments, &one);
        out = i ? at_join(cx, 0, out, z) : z;
    }
    out = at_latent_scale(r, out, normalized);
    at_scope_end(cx, s, &out, NULL);
    return out;
}

/* That of picture i of this run, or with i below 0 of the call's first one. */
static at_noise stream_of(const at_latent_run *r, int i)
{
    const at_noise *noise = i < 0 && r->lead ? r->lead : r->noise;
    return (at_noise){noise->generators + AT_MAX(i, 0), 1, noise->channels_first};
}

/* ---- starts */

static at_tensor *first_noise(at_latent_run *r, at_tensor *noise)
{
    return at_affine(r->cx, noise, (float)r->scheduler->init_noise_sigma, 0.0f);
}

/* Clean latents of a picture each, which an earlier run hands on. */
static at_tensor *encode_handed(at_latent_run *r)
{
    at_context *cx = r->cx;
    at_tensor *out = NULL;
    if (!r->from_pictures) return r->from;
    for (int i = 0; i < r->options->count && at_ok(cx); i++) {
        at_tensor *x = at_slice(cx, r->from, 0, i, 1);
        at_tensor *z = encode(r, x, stream_of(r, i), r->class->normalized);
        out = i ? at_join(cx, 0, out, z) : z;
    }
    return out;
}

static at_tensor *encode_init(at_latent_run *r, bool shares)
{
    at_context *cx = r->cx;
    at_tensor *x = at_affine(cx, read_picture(r, r->options->init, 3), 2.0f, -1.0f);
    if (!at_ok(cx)) return NULL;
    at_tensor *clean = encode(r, x, shares ? stream_of(r, -1) : *r->noise, r->class->normalized);
    return shares ? at_prompt_repeat(cx, clean, r->options->count) : clean;
}

/* A posterior of each picture's own, or the first one's for all; then noise. */
static at_latent_start begin_image(at_latent_run *r, int64_t channels, bool shares)
{
    at_context *cx = r->cx;
    at_tensor *clean = r->from ? encode_handed(r) : encode_init(r, shares);
    if (r->options->denoising_start > 0) return (at_latent_start){.latents = clean};
    at_tensor *noise = at_latent_noise(r, channels);
    return (at_latent_start){
        .latents = at_scheduler_add_noise(cx, r->scheduler, clean, noise, r->scheduler->index)};
}

/* All pictures share the posterior that the first one's stream draws. Only what is decoded is
   normalized, as in the reference. */
static at_latent_start begin_mask(at_latent_run *r, int64_t channels, int rules)
{
    at_context *cx = r->cx;
    const at_generate_options *o = r->options;
    bool all = o->strength >= 1.0 && !(rules & AT_START_MIXES), given = o->latents != NULL;
    at_latent_start s = {0};
    at_tensor *x = at_affine(cx, read_picture(r, o->init, 3), 2.0f, -1.0f);
    if ((rules & AT_START_BLENDS) || (!given && !all))
        s.image = encode(r, x, stream_of(r, -1), false);
    s.noise = at_latent_noise(r, channels);
    if (o->denoising_start > 0)
        s.latents = at_prompt_repeat(cx, s.image, o->count);
    else if (all || given)
        s.latents = first_noise(r, s.noise);
    else
        s.latents =
            at_scheduler_add_noise(cx, r->scheduler, at_prompt_repeat(cx, s.image, o->count),
                                   s.noise, r->scheduler->index);
    at_tensor *mask = read_mask(r);
    s.mask = shrink(r, mask);
    s.masked = encode(r, at_mul(cx, x, at_affine(cx, mask, -1.0f, 1.0f)), stream_of(r, -1), false);
    return s;
}

at_latent_start at_latent_begin(at_latent_run *r, int64_t channels, int rules)
{
    const at_generate_options *o = r->options;
    if (!at_ok(r->cx)) return (at_latent_start){0};
    if (o->denoising_start > 0 && o->latents && !o->mask)
        return (at_latent_start){.latents = at_latent_noise(r, channels)};
    if (!o->init) return (at_latent_start){.latents = first_noise(r, at_latent_noise(r, channels))};
    return o->mask ? begin_mask(r, channels, rules)
                   : begin_image(r, channels, rules & AT_START_SHARES);
}

at_tensor *at_latent_blend(at_latent_run *r, const at_latent_start *s, at_tensor *latents, int i)
{
    at_context *cx = r->cx;
    at_tensor *image = at_prompt_repeat(cx, s->image, r->options->count);
    if (i + 1 < r->last) image = at_scheduler_add_noise(cx, r->scheduler, image, s->noise, i + 1);
    return at_add(cx, at_mul(cx, image, at_affine(cx, s->mask, -1.0f, 1.0f)),
                  at_mul(cx, latents, s->mask));
}
