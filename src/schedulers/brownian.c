#include "schedulers/brownian.h"
#include "tensor/pool.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- numpy's SeedSequence (O'Neill's seed_seq, revised) */

enum { POOL = 24, MOST_WORDS = POOL + 4 };

static uint32_t hash(uint32_t value, uint32_t *constant, uint32_t multiplier)
{
    value ^= *constant;
    *constant *= multiplier;
    value *= *constant;
    return value ^ value >> 16;
}

static uint32_t mix(uint32_t x, uint32_t y)
{
    uint32_t z = 0xca01f9ddu * x - 0x4973f715u * y;
    return z ^ z >> 16;
}

/* A number as words, the low one first; 0 is one word. */
static int put_words(uint32_t *words, int count, uint64_t number)
{
    words[count++] = (uint32_t)number;
    if (number >> 32) words[count++] = (uint32_t)(number >> 32);
    return count;
}

uint32_t at_seed_sequence(uint64_t entropy, uint64_t key, int depth)
{
    const uint32_t multiplier = 0x931e8875u;
    uint32_t words[MOST_WORDS] = {0}, pool[POOL], constant = 0x43b0d7e5u, last = 0x8b51f9ddu;
    int count = put_words(words, 0, entropy);
    if (depth >= 0) {
        count = put_words(words, POOL, key); /* behind zeros */
        count = put_words(words, count, (uint64_t)depth);
    }
    for (int i = 0; i < POOL; i++) pool[i] = hash(words[i], &constant, multiplier);
    for (int from = 0; from < POOL; from++)
        for (int to = 0; to < POOL; to++)
            if (from != to) pool[to] = mix(pool[to], hash(pool[from], &constant, multiplier));
    for (int from = POOL; from < count; from++)
        for (int to = 0; to < POOL; to++)
            pool[to] = mix(pool[to], hash(words[from], &constant, multiplier));
    return hash(pool[0], &last, 0x58f38dedu);
}

/* ---- the tree */

/* Python's round(x, 6). */
static double rounded(double x)
{
    char text[400];
    snprintf(text, sizeof text, "%.6f", x);
    return strtod(text, NULL);
}

typedef struct asked {
    const at_brownian *motion;
    double from, to;
    float *out;
    int64_t count;
} asked;

static void draw(const at_brownian *b, uint32_t seed, float *out, int64_t count)
{
    at_generator g;
    at_generator_seed(&g, b->rng, seed);
    at_random_normal(&g, out, count);
}

/* Adds what of the stretch lies in the node from start to end, which gains
   `gain` as a whole. A node that is not wanted whole is cut in the middle: its
   left half gains a part of the whole, by length, and noise of its own. */
static bool add_node(at_context *cx, const asked *a, double start, double end, const float *gain,
                     uint64_t key, int depth)
{
    double middle = rounded(0.5 * (end + start));
    if (a->from == start && a->to == end) {
        for (int64_t i = 0; i < a->count; i++) a->out[i] += gain[i];
        return true;
    }
    if (!(middle > start && middle < end)) return true; /* finer than the tree goes */
    float *left = AT_NEW_ARRAY(cx, float, a->count), *right = AT_NEW_ARRAY(cx, float, a->count);
    bool done = left && right;
    if (done) {
        double before = middle - start, behind = end - middle, share = 1.0 / (end - start);
        float part = (float)before, scale = (float)share;
        float deviation = (float)sqrt(before * behind * share);
        draw(a->motion, at_seed_sequence(a->motion->seed, key, depth), right, a->count);
        for (int64_t i = 0; i < a->count; i++) {
            left[i] = part * gain[i] * scale + deviation * right[i];
            right[i] = gain[i] - left[i];
        }
    }
    asked one = *a, other = *a;
    one.to = fmin(a->to, middle);
    other.from = fmax(a->from, middle);
    if (done && a->from < middle)
        done = add_node(cx, &one, start, middle, left, 2 * key, depth + 1);
    if (done && a->to > middle)
        done = add_node(cx, &other, middle, end, right, 2 * key + 1, depth + 1);
    at_free(left);
    at_free(right);
    return done;
}

bool at_brownian_gain(at_context *cx, const at_brownian *b, double from, double to, float *out,
                      int64_t count)
{
    double start = rounded(b->start), end = rounded(b->end);
    asked a = {b, rounded(fmin(fmax(from, start), end)), rounded(fmin(fmax(to, start), end)), out,
               count};
    float *whole = AT_NEW_ARRAY(cx, float, count);
    if (!whole) return false;
    draw(b, at_seed_sequence(b->seed, 0, -1), whole, count);
    float deviation = (float)sqrt(b->end - b->start);
    for (int64_t i = 0; i < count; i++) {
        whole[i] *= deviation;
        out[i] = 0.0f;
    }
    bool done = a.from >= a.to || add_node(cx, &a, start, end, whole, 0, 0);
    at_free(whole);
    return done;
}

at_tensor *at_brownian_noise(at_context *cx, const at_scheduler *s, const at_noise *noise,
                             const uint64_t *seed, float highest, float from, float to,
                             const at_tensor *like)
{
    if (!at_ok(cx)) return NULL;
    if (!noise) return at_fail(cx, AT_ERROR_ARGUMENT, "noise: this sampler needs generators");
    if (!seed && at_dim(like, 0) != noise->count)
        return at_fail(cx, AT_ERROR_SHAPE, "noise: %d generators for a batch of %lld", noise->count,
                       (long long)at_dim(like, 0));
    at_tensor *out = at_empty(cx, AT_F32, like->dims, like->shape);
    int64_t trees = seed ? 1 : noise->count, count = at_elements(like) / AT_MAX(trees, 1);
    int64_t channels = at_dim(like, like->dims - 1), batch = seed ? at_dim(like, 0) : 1;
    int64_t places = count / AT_MAX(batch * channels, 1);
    float *planes = out ? AT_NEW_ARRAY(cx, float, count) : NULL, scale = -1.0f / sqrtf(from - to);
    double low = INFINITY;
    for (int i = 0; i < s->count; i++) /* no fmin: gcc 12 for aarch64 breaks down on it */
        if (s->sigmas[i] < low) low = s->sigmas[i];
    at_brownian motion = {low, highest, noise->generators[0].kind, seed ? *seed : 0};
    for (int64_t i = 0; planes && i < trees; i++) {
        if (!seed) motion.seed = noise->generators[i].seed;
        if (!at_brownian_gain(cx, &motion, to, from, planes, count)) break;
        float *x = (float *)out->data + i * count;
        for (int64_t j = 0; j < count; j++) {
            int64_t picture = j / (places * channels), c = j / places % channels, at = j % places;
            int64_t to_place = noise->channels_first ? (picture * places + at) * channels + c : j;
            x[to_place] = scale * planes[j];
        }
    }
    at_free(planes);
    return at_ok(cx) ? out : NULL;
}
