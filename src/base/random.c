#include "base/random.h"
#include <math.h>
#include <string.h>

enum { WORDS = 624, PERIOD = 397 };
static const double PI = 3.14159265358979323846;

void at_generator_seed(at_generator *g, at_rng kind, uint64_t seed)
{
    *g = (at_generator){.kind = kind, .seed = seed, .next = WORDS};
    g->state[0] = (uint32_t)seed;
    for (uint32_t i = 1; i < WORDS; i++)
        g->state[i] = 1812433253u * (g->state[i - 1] ^ (g->state[i - 1] >> 30)) + i;
}

/* ---- mt19937 */

static uint32_t twist(uint32_t high, uint32_t low)
{
    return (((high & 0x80000000u) | (low & 0x7fffffffu)) >> 1) ^ (low & 1 ? 0x9908b0dfu : 0);
}

static void refill(at_generator *g)
{
    uint32_t *s = g->state;
    for (int i = 0; i < WORDS; i++)
        s[i] = s[(i + PERIOD) % WORDS] ^ twist(s[i], s[(i + 1) % WORDS]);
    g->next = 0;
}

uint32_t at_random_u32(at_generator *g)
{
    if (g->next == WORDS) refill(g);
    uint32_t y = g->state[g->next++];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    return y ^ (y >> 18);
}

uint64_t at_random_u64(at_generator *g)
{
    uint64_t high = at_random_u32(g);
    return high << 32 | at_random_u32(g);
}

static float uniform_24(at_generator *g)
{
    return (float)(at_random_u32(g) & 0xffffff) * 0x1p-24f;
}

static double uniform_53(at_generator *g)
{
    return (double)(at_random_u64(g) & 0x1fffffffffffffu) * 0x1p-53;
}

/* ---- normals of the CPU stream */

/* Below 16 values torch draws pairs in double precision and keeps the second for the next call. */
static double normal_of_pair(at_generator *g)
{
    if (g->has_half) {
        g->has_half = false;
        return g->half;
    }
    double u1 = uniform_53(g), u2 = uniform_53(g);
    double radius = sqrt(-2.0 * log1p(-u2)), angle = 2.0 * PI * u1;
    g->has_half = true;
    g->half = radius * sin(angle);
    return radius * cos(angle);
}

/* From 16 values on torch computes in single precision with the approximations of the Cephes
   library (Moshier), eight at a time with AVX2. The two functions below give the same bits: each
   fmaf stands where torch's compiled code has one. x in (0, 1]. */
static float log_cephes(float x)
{
    static const float p[] = {-1.1514610310E-1f, 1.1676998740E-1f,  -1.2420140846E-1f,
                              1.4249322787E-1f,  -1.6668057665E-1f, 2.0000714765E-1f,
                              -2.4999993993E-1f, 3.3333331174E-1f};
    int exponent;
    float m = frexpf(x, &exponent);
    if (m < 0.707106781186547524f) m = 2.0f * m, exponent--;
    m -= 1.0f;
    float e = (float)exponent, square = m * m, y = 7.0376836292E-2f;
    for (size_t i = 0; i < AT_COUNT(p); i++) y = fmaf(y, m, p[i]);
    y = fmaf(y * m, square, e * -2.12194440e-4f);
    y = fmaf(-square, 0.5f, y);
    return fmaf(e, 0.693359375f, m + y);
}

/* x in [0, 2 pi). */
static void sincos_cephes(float x, float *sine, float *cosine)
{
    int octant =
        ((int)(x * 1.27323954473516f) + 1) & ~1; /* x / (pi / 4), to the next even number */
    float j = (float)octant;
    x = fmaf(j, -0.78515625f, x); /* less j pi / 4, in three parts */
    x = fmaf(j, -2.4187564849853515625e-4f, x);
    x = fmaf(j, -3.77489497744594108e-8f, x);
    float z = x * x;
    float c =
        fmaf(fmaf(2.443315711809948E-5f, z, -1.388731625493765E-3f), z, 4.166664568298827E-2f);
    c = fmaf(c * z, z, -(z * 0.5f)) + 1.0f;
    float s = fmaf(fmaf(-1.9515295891E-4f, z, 8.3321608736E-3f), z, -1.6666654611E-1f);
    s = fmaf(s * z, x, x);
    bool swap = octant & 2;
    *sine = swap ? c : s;
    *cosine = swap ? s : c;
    if (octant & 4) *sine = -*sine;
    if ((octant + 2) & 4) *cosine = -*cosine;
}

/* Box-Muller in place: 8 radii and 8 angles become 16 normals. torch adds the mean, which makes -0
   a 0. */
static void normal_16(float *x)
{
    for (int i = 0; i < 8; i++) {
        float radius = sqrtf(-2.0f * log_cephes(1.0f - x[i])), sine, cosine;
        sincos_cephes((float)(2.0 * PI) * x[i + 8], &sine, &cosine);
        x[i] = radius * cosine + 0.0f;
        x[i + 8] = radius * sine + 0.0f;
    }
}

static void normal_16_f64(double *x)
{
    for (int i = 0; i < 8; i++) {
        double radius = sqrt(-2.0 * log(1.0 - x[i])), angle = 2.0 * PI * x[i + 8];
        x[i] = radius * cos(angle);
        x[i + 8] = radius * sin(angle);
    }
}

/* ---- the device's stream */

void at_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t c[4] = {counter[0], counter[1], counter[2], counter[3]}, k[2] = {key[0], key[1]};
    for (int round = 0; round < 10; round++, k[0] += 0x9e3779b9u, k[1] += 0xbb67ae85u) {
        uint64_t a = (uint64_t)0xd2511f53u * c[0], b = (uint64_t)0xcd9e8d57u * c[2];
        uint32_t next[4] = {(uint32_t)(b >> 32) ^ c[1] ^ k[0], (uint32_t)b,
                            (uint32_t)(a >> 32) ^ c[3] ^ k[1], (uint32_t)a};
        memcpy(c, next, sizeof c);
    }
    memcpy(out, c, sizeof c);
}

static float uniform_of_word(uint32_t word)
{
    float u = fmaf((float)word, 0x1p-32f, 0x1p-33f); /* (0, 1] */
    return u == 1.0f ? 0.0f : u;
}

/* The normal number `index` (0 or 1) of the pair that two words make; cuRAND has the sine first. */
static float normal_of_words(const uint32_t word[2], int index)
{
    const float step = (float)(0x1p-32 * 2.0 * PI);
    float u = fmaf((float)word[0], 0x1p-32f, 0x1p-33f), v = (float)word[1] * step + step / 2.0f;
    float radius = sqrtf(-2.0f * logf(u));
    return radius * (index == 0 ? sinf(v) : cosf(v));
}

static void draw_device(at_generator *g, float *out, int64_t count, bool normal)
{
    if (count <= 0) return;
    int64_t threads = (count + 255) / 256 * 256;
    if (g->threads > 0) threads = AT_MIN(threads, g->threads);
    uint32_t key[2] = {(uint32_t)g->seed, (uint32_t)(g->seed >> 32)};
    for (int64_t i = 0; i < count; i++) {
        uint64_t block = g->offset / 4 + (uint64_t)(i / threads / 4),
                 thread = (uint64_t)(i % threads);
        int part = (int)(i / threads % 4);
        uint32_t word[4], counter[4] = {(uint32_t)block, (uint32_t)(block >> 32), (uint32_t)thread,
                                        (uint32_t)(thread >> 32)};
        at_philox(counter, key, word);
        out[i] =
            normal ? normal_of_words(word + part / 2 * 2, part % 2) : uniform_of_word(word[part]);
    }
    g->offset += 4 * (uint64_t)((count - 1) / (4 * threads) + 1);
}

/* ---- calls */

void at_random_uniform(at_generator *g, float *out, int64_t count)
{
    if (g->kind == AT_RNG_CUDA) {
        draw_device(g, out, count, false);
        return;
    }
    for (int64_t i = 0; i < count; i++) out[i] = uniform_24(g);
}

void at_random_uniform_f64(at_generator *g, double *out, int64_t count)
{
    for (int64_t i = 0; i < count; i++) out[i] = uniform_53(g);
}

void at_random_normal_serial(at_generator *g, float *out, int64_t count)
{
    for (int64_t i = 0; i < count; i++) out[i] = (float)normal_of_pair(g);
}

/* All uniforms first, then 16 at a time; where 16 does not divide the count, the last 16 values are
   drawn anew, over what the blocks before them left. */
void at_random_normal(at_generator *g, float *out, int64_t count)
{
    if (g->kind == AT_RNG_CUDA) {
        draw_device(g, out, count, true);
    } else if (count < 16) {
        at_random_normal_serial(g, out, count);
    } else {
        at_random_uniform(g, out, count);
        for (int64_t i = 0; i + 16 <= count; i += 16) normal_16(out + i);
        if (count % 16 == 0) return;
        at_random_uniform(g, out + count - 16, 16);
        normal_16(out + count - 16);
    }
}

void at_random_normal_f64(at_generator *g, double *out, int64_t count)
{
    if (count < 16) {
        for (int64_t i = 0; i < count; i++) out[i] = normal_of_pair(g);
        return;
    }
    at_random_uniform_f64(g, out, count);
    for (int64_t i = 0; i + 16 <= count; i += 16) normal_16_f64(out + i);
    if (count % 16 == 0) return;
    at_random_uniform_f64(g, out + count - 16, 16);
    normal_16_f64(out + count - 16);
}
