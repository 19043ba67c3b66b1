#include "schedulers/noise.h"
#include "tensor/pool.h"

at_noise *at_noise_new(at_context *cx, at_rng rng, uint64_t seed, int count, bool channels_first)
{
    if (!at_ok(cx)) return NULL;
    at_noise *noise = AT_NEW(cx, at_noise);
    at_generator *generators = AT_NEW_ARRAY(cx, at_generator, count);
    if (!noise || !generators) {
        at_free(noise);
        at_free(generators);
        return NULL;
    }
    for (int i = 0; i < count; i++) at_generator_seed(&generators[i], rng, seed + (uint64_t)i);
    *noise = (at_noise){generators, count, channels_first};
    return noise;
}

void at_noise_free(at_noise *noise)
{
    if (!noise) return;
    at_free(noise->generators);
    at_free(noise);
}

/* [C,n] to [n,C] */
static void move_channels(const float *from, float *to, int64_t channels, int64_t places)
{
    for (int64_t i = 0; i < places; i++)
        for (int64_t c = 0; c < channels; c++) to[i * channels + c] = from[c * places + i];
}

at_tensor *at_noise_draw(at_context *cx, at_noise *noise, int dims, const int64_t *shape)
{
    if (!at_ok(cx)) return NULL;
    if (!noise) return at_fail(cx, AT_ERROR_ARGUMENT, "noise: this sampler needs generators");
    if (dims < 2 || shape[0] != noise->count)
        return at_fail(cx, AT_ERROR_SHAPE, "noise: %d generators for a batch of %lld", noise->count,
                       dims > 0 ? (long long)shape[0] : 0);
    at_tensor *out = at_empty(cx, AT_F32, dims, shape);
    if (!out) return NULL;
    int64_t each = at_elements(out) / AT_MAX(noise->count, 1), channels = shape[dims - 1];
    float *planes = noise->channels_first ? at_scratch(cx, (size_t)each * sizeof *planes) : NULL;
    if (noise->channels_first && !planes) return NULL;
    for (int i = 0; i < noise->count; i++) {
        float *picture = (float *)out->data + i * each;
        at_random_normal(&noise->generators[i], planes ? planes : picture, each);
        if (planes && each) move_channels(planes, picture, channels, each / channels);
    }
    at_scratch_free(cx, planes);
    return out;
}
