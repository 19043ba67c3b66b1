/* The parts of the packed product in int8 on AMX tiles (gemm_amx.c has their shape). SCALED values
   of k share a scale, in x (per row, found on the fly) and in the weight (per output channel), so
   that an outlier costs only its neighbours precision. A word is four values; behind the words of
   CHUNK values lie their scales, in as many words as keep what follows aligned.

   tdpbssd sums whole numbers, exactly. After SCALED values its sums go through memory to be scaled
   and added up in f32; the vector units do that for one part while the tiles multiply the next. */
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/tables.h"
#include "kernels/cpu/x86/amx.h"
#include <math.h>
#include <string.h>

enum { LANES = 16, SCALED = 256, WORDS = SCALED / 4, CHUNK = 1024, SCALES = 16 };

static __mmask16 first_lanes(int64_t count)
{
    return count >= LANES ? 0xffff : count <= 0 ? 0 : (__mmask16)((1u << count) - 1);
}

static __m512 load_part(int64_t left, const float *in)
{
    return _mm512_maskz_loadu_ps(first_lanes(left), in);
}

/* The largest |x|; more than any number when there is NaN or infinity among them. */
static uint32_t largest_bits(int64_t count, const float *in)
{
    __m512i most = _mm512_setzero_si512(), magnitude = _mm512_set1_epi32(0x7fffffff);
    for (int64_t i = 0; i < count; i += LANES) {
        __m512i bits = _mm512_castps_si512(load_part(count - i, in + i));
        most = _mm512_max_epu32(most, _mm512_and_si512(bits, magnitude));
    }
    return _mm512_reduce_max_epu32(most);
}

/* Up to SCALED values to bytes. NaN and infinity make the scale NaN, and with it all it touches. */
static float quantize(int64_t count, const float *in, uint32_t *out)
{
    uint32_t bits = largest_bits(count, in);
    float largest;
    memcpy(&largest, &bits, sizeof largest);
    if (!isfinite(largest)) largest = NAN;
    __m512 inverse = _mm512_set1_ps(largest > 1e-35f ? 127.0f / largest : 0.0f);
    /* packing works by quarters of a vector */
    __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    for (int64_t i = 0; i < count; i += 4 * LANES) {
        __m512i q[4];
        for (int j = 0; j < 4; j++)
            q[j] = _mm512_cvtps_epi32(
                _mm512_mul_ps(load_part(count - i - j * LANES, in + i + j * LANES), inverse));
        __m512i bytes =
            _mm512_packs_epi16(_mm512_packs_epi32(q[0], q[1]), _mm512_packs_epi32(q[2], q[3]));
        _mm512_mask_storeu_epi32(out + i / 4, first_lanes((count - i + 3) / 4),
                                 _mm512_permutexvar_epi32(order, bytes));
    }
    return largest / 127.0f;
}

static void to_words(int64_t count, const float *in, uint32_t *out)
{
    for (; count > 0; count -= CHUNK, in += CHUNK) {
        int64_t now = AT_MIN(count, CHUNK);
        float scales[SCALES] = {0};
        for (int64_t i = 0; i < now; i += SCALED)
            scales[i / SCALED] = quantize(AT_MIN(now - i, SCALED), in + i, out + i / 4);
        out += (now + 3) / 4;
        memcpy(out, scales, sizeof scales);
        out += SCALES;
    }
}

/* Sums of a part, still to be scaled and added to c. */
typedef struct part {
    int32_t (*sums)[AT_TILE_COLUMNS];
    const uint32_t *x_scale; /* of the first row; a_stride from row to row */
    const float *scale;      /* of the columns */
    bool add;
} part;

/* Rows [row, end) of a part. */
static inline void scale_rows(const part *p, int row, int end, int64_t a_stride, float *c,
                              int64_t c_stride)
{
    __m512 scale[2] = {_mm512_loadu_ps(p->scale), _mm512_loadu_ps(p->scale + LANES)};
    for (int i = row; i < end; i++)
        for (int j = 0; j < 2; j++) {
            float *at = c + i * c_stride + j * LANES;
            __m512 by = _mm512_mul_ps(
                scale[j], _mm512_castsi512_ps(_mm512_set1_epi32((int)p->x_scale[i * a_stride])));
            __m512 now = _mm512_cvtepi32_ps(_mm512_load_si512(p->sums[i] + j * LANES));
            _mm512_storeu_ps(
                at, _mm512_fmadd_ps(now, by, p->add ? _mm512_loadu_ps(at) : _mm512_setzero_ps()));
        }
}

/* Up to SCALED values of k, while `before` (NULL: nothing) is scaled. */
static inline void multiply_part(int64_t count, const uint32_t *a, int64_t a_stride,
                                 const uint32_t *panel, int32_t (*sums)[AT_TILE_COLUMNS],
                                 const part *before, float *c, int64_t c_stride)
{
    enum { EACH = AT_TILE_ROWS * AT_TILE_SIDE / WORDS };
    int row = before ? 0 : AT_TILE_ROWS;
    AT_TILE_ZERO();
    for (; count >= AT_TILE_SIDE; count -= AT_TILE_SIDE) {
        AT_TILE_STEP(_tile_dpbssd, a, a + AT_TILE_SIDE * a_stride, 4 * a_stride, panel);
        a += AT_TILE_SIDE, panel += AT_TILE_SIDE * AT_TILE_COLUMNS;
        if (row < AT_TILE_ROWS) scale_rows(before, row, row + EACH, a_stride, c, c_stride);
        row += EACH;
    }
    if (count) {
        at_tile_rest w;
        at_tile_fill(&w, count, a, a_stride, panel);
        AT_TILE_STEP(_tile_dpbssd, w.a[0], w.a[AT_TILE_SIDE], 4 * AT_TILE_SIDE, w.panel[0]);
    }
    if (row < AT_TILE_ROWS) scale_rows(before, row, AT_TILE_ROWS, a_stride, c, c_stride);
    AT_TILE_STORE(sums[0], 4 * AT_TILE_COLUMNS);
}

static void tile(int64_t count, const uint32_t *a, int64_t a_stride, const uint32_t *panel,
                 float *c, int64_t c_stride, bool add)
{
    _Alignas(64) int32_t sums[2][AT_TILE_ROWS][AT_TILE_COLUMNS];
    part last = {0};
    int turn = 0;
    for (int i = 0; count == 0 && !add && i < AT_TILE_ROWS; i++)
        memset(c + i * c_stride, 0, AT_TILE_COLUMNS * sizeof *c);
    while (count > 0) {
        int64_t words = AT_MIN(count - SCALES, CHUNK / 4);
        for (int64_t i = 0; i < words; i += WORDS, turn ^= 1, add = true) {
            multiply_part(AT_MIN(WORDS, words - i), a + i, a_stride, panel + i * AT_TILE_COLUMNS,
                          sums[turn], last.sums ? &last : NULL, c, c_stride);
            last = (part){sums[turn], a + words + i / WORDS,
                          (const float *)(panel + (words + i / WORDS) * AT_TILE_COLUMNS), add};
        }
        count -= words + SCALES;
        a += words + SCALES, panel += (words + SCALES) * AT_TILE_COLUMNS;
    }
    if (last.sums) scale_rows(&last, 0, AT_TILE_ROWS, a_stride, c, c_stride);
}

const at_gemm at_gemm_amxint8 = {
    .rows = AT_TILE_ROWS,
    .columns = AT_TILE_COLUMNS,
    .step = AT_TILE_SIDE,
    .group = 4,
    .bits = 8,
    .block = CHUNK,
    .pass = 3 * CHUNK,
    .panels = 700000,
    .columns_of_job = 128,
    .scaled = CHUNK,
    .scales = SCALES,
    .lanes = LANES,
    .dtype = AT_DTYPES,
    .to_words = to_words,
    .weight_to_words = to_words,
    .interleave = at_simd_interleave_avx512,
    .begin = at_tile_begin,
    .end = at_tile_end,
    .tile = tile,
    .finer = &at_simd_integers_avx512,
};
