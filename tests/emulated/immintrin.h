/* AVX-512 (F, BW, DQ, VL, BF16, VNNI) and AMX as far as src/kernels asks for them, computed by AVX2
   lane by lane as Intel's manual defines them: found before the compiler's header when
   ATELIER_EMULATE is on, so that these kernels are tested on processors without them. Slow. */
#ifndef AT_EMULATED_IMMINTRIN_H
#define AT_EMULATED_IMMINTRIN_H

#include_next <immintrin.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

typedef union em_lanes {
    __m512 ps;
    __m512i si;
    __m512bh bh;
    __m256 half_ps[2];
    __m256i half[2];
    float f[16];
    int32_t i[16];
    uint32_t u[16];
    int16_t s[32];
    uint16_t us[32];
} em_lanes;

#define EM_PS(x) ((em_lanes){.ps = (x)})
#define EM_SI(x) ((em_lanes){.si = (__m512i)(x)})
#define EM_EACH(i) for (int i = 0; i < 16; i++)

/* out.FIELD of every lane i, with a and b the operands */
#define EM_LANES(field, of)              \
    ({                                   \
        em_lanes out_;                   \
        EM_EACH(i) out_.field[i] = (of); \
        out_;                            \
    })

/* ---- f32 */

static inline __m512 em_set1_ps(float x)
{
    return EM_LANES(f, x).ps;
}
static inline __m512 em_maskz_loadu_ps(__mmask16 m, const void *p)
{
    const char *from = p;
    em_lanes out = {.si = (__m512i){0}};
    EM_EACH(i) if (m >> i & 1) memcpy(&out.f[i], from + 4 * i, 4);
    return out.ps;
}
static inline __m512 em_mask_loadu_ps(__m512 other, __mmask16 m, const void *p)
{
    em_lanes out = EM_PS(other);
    const char *from = p;
    EM_EACH(i) if (m >> i & 1) memcpy(&out.f[i], from + 4 * i, 4);
    return out.ps;
}
static inline void em_mask_storeu_ps(void *p, __mmask16 m, __m512 x)
{
    em_lanes in = EM_PS(x);
    char *to = p;
    EM_EACH(i) if (m >> i & 1) memcpy(to + 4 * i, &in.f[i], 4);
}
static inline __m512 em_fmadd_ps(__m512 a, __m512 b, __m512 c)
{
    em_lanes x = EM_PS(a), y = EM_PS(b), z = EM_PS(c);
    for (int h = 0; h < 2; h++)
        z.half_ps[h] = _mm256_fmadd_ps(x.half_ps[h], y.half_ps[h], z.half_ps[h]);
    return z.ps;
}
static inline __m512 em_fmsub_ps(__m512 a, __m512 b, __m512 c)
{
    return em_fmadd_ps(a, b, -c);
}
static inline __m512 em_max_ps(__m512 a, __m512 b)
{
    em_lanes x = EM_PS(a), y = EM_PS(b);
    for (int h = 0; h < 2; h++) x.half_ps[h] = _mm256_max_ps(x.half_ps[h], y.half_ps[h]);
    return x.ps;
}
static inline __m512 em_min_ps(__m512 a, __m512 b)
{
    em_lanes x = EM_PS(a), y = EM_PS(b);
    for (int h = 0; h < 2; h++) x.half_ps[h] = _mm256_min_ps(x.half_ps[h], y.half_ps[h]);
    return x.ps;
}
static inline __m512 em_abs_ps(__m512 x)
{
    em_lanes in = EM_PS(x);
    return EM_LANES(u, in.u[i] & 0x7fffffff).ps;
}
/* to a whole number, to nearest even or down */
static inline __m512 em_roundscale_ps(__m512 x, int how)
{
    em_lanes in = EM_PS(x);
    return EM_LANES(f, how & _MM_FROUND_TO_NEG_INF ? floorf(in.f[i]) : rintf(in.f[i])).ps;
}
static inline __m512 em_reduce_ps(__m512 x, int how)
{
    em_lanes in = EM_PS(x), whole = EM_PS(em_roundscale_ps(x, how));
    return EM_LANES(f, isinf(in.f[i]) ? 0.0f : in.f[i] - whole.f[i]).ps;
}
static inline float em_scalef(float x, float n)
{
    if (isnan(x) || isnan(n)) return x + n;
    if (isinf(n))
        return n < 0 ? (isinf(x) ? NAN : copysignf(0, x)) : x == 0 ? NAN : copysignf(n, x);
    return ldexpf(x, (int)floorf(fminf(fmaxf(n, -1000), 1000)));
}
static inline __m512 em_scalef_ps(__m512 x, __m512 n)
{
    em_lanes a = EM_PS(x), b = EM_PS(n);
    return EM_LANES(f, em_scalef(a.f[i], b.f[i])).ps;
}
static inline __mmask16 em_cmp_ps_mask(__m512 a, __m512 b, int how)
{
    em_lanes x = EM_PS(a), y = EM_PS(b);
    unsigned m = 0;
    EM_EACH(i) m |= (unsigned)(how == _CMP_LT_OQ && x.f[i] < y.f[i]) << i;
    return (__mmask16)m;
}
static inline __m512 em_mask_blend_ps(__mmask16 m, __m512 a, __m512 b)
{
    em_lanes x = EM_PS(a), y = EM_PS(b);
    return EM_LANES(u, m >> i & 1 ? y.u[i] : x.u[i]).ps;
}
static inline __m512 em_moveldup_ps(__m512 x)
{
    em_lanes in = EM_PS(x);
    return EM_LANES(u, in.u[i & ~1]).ps;
}
static inline __m512 em_movehdup_ps(__m512 x)
{
    em_lanes in = EM_PS(x);
    return EM_LANES(u, in.u[i | 1]).ps;
}
static inline __m512 em_permute_ps(__m512 x, int how)
{
    em_lanes in = EM_PS(x);
    return EM_LANES(u, in.u[(i & ~3) + (how >> 2 * (i & 3) & 3)]).ps;
}
static inline __m512 em_permutex2var_ps(__m512 a, __m512i which, __m512 b)
{
    em_lanes x = EM_PS(a), y = EM_PS(b), w = EM_SI(which);
    return EM_LANES(u, w.u[i] & 16 ? y.u[w.u[i] & 15] : x.u[w.u[i] & 15]).ps;
}
/* as a tree, the halves first */
static inline float em_reduce_add_ps(__m512 x)
{
    em_lanes in = EM_PS(x);
    for (int n = 8; n; n /= 2)
        for (int i = 0; i < n; i++) in.f[i] += in.f[i + n];
    return in.f[0];
}
static inline float em_reduce_max_ps(__m512 x)
{
    em_lanes in = EM_PS(x);
    for (int n = 8; n; n /= 2)
        for (int i = 0; i < n; i++) in.f[i] = in.f[i] > in.f[i + n] ? in.f[i] : in.f[i + n];
    return in.f[0];
}

/* ---- integers */

static inline __m512i em_set1_epi32(int x)
{
    return EM_LANES(i, x).si;
}
static inline __m512i em_set1_epi16(short x)
{
    em_lanes out;
    for (int i = 0; i < 32; i++) out.s[i] = x;
    return out.si;
}
static inline __m512i em_maskz_loadu_epi32(__mmask16 m, const void *p)
{
    return (__m512i)em_maskz_loadu_ps(m, p);
}
static inline void em_mask_storeu_epi32(void *p, __mmask16 m, __m512i x)
{
    em_mask_storeu_ps(p, m, (__m512)x);
}
static inline void em_mask_storeu_4_epi32(void *p, __mmask8 m, __m128i x)
{
    em_lanes in = {.si = (__m512i){0}};
    memcpy(in.i, &x, sizeof x);
    em_mask_storeu_ps(p, m & 15, in.ps);
}
static inline __m512i em_cvtps_epi32(__m512 x)
{
    em_lanes in = EM_PS(x);
    for (int h = 0; h < 2; h++) in.half[h] = _mm256_cvtps_epi32(in.half_ps[h]);
    return in.si;
}
static inline __m512 em_cvtepi32_ps(__m512i x)
{
    em_lanes in = EM_SI(x);
    return EM_LANES(f, (float)in.i[i]).ps;
}
static inline __m512i em_cvtepu8_epi32(__m128i x)
{
    uint8_t in[16];
    memcpy(in, &x, sizeof in);
    return EM_LANES(i, in[i]).si;
}
static inline __m512i em_cvtepu16_epi32(__m256i x)
{
    uint16_t in[16];
    memcpy(in, &x, sizeof in);
    return EM_LANES(i, in[i]).si;
}
static inline __m512i em_cvtepu8_epi16(__m256i x)
{
    uint8_t in[32];
    em_lanes out;
    memcpy(in, &x, sizeof in);
    for (int i = 0; i < 32; i++) out.s[i] = in[i];
    return out.si;
}
static inline __m512i em_cvtepi8_epi16(__m256i x)
{
    int8_t in[32];
    em_lanes out;
    memcpy(in, &x, sizeof in);
    for (int i = 0; i < 32; i++) out.s[i] = in[i];
    return out.si;
}
static inline __m512i em_movm_epi16(__mmask32 m)
{
    em_lanes out;
    for (int i = 0; i < 32; i++) out.s[i] = m >> i & 1 ? -1 : 0;
    return out.si;
}
static inline __m128i em_cvtepi32_epi8(__m512i x)
{
    em_lanes in = EM_SI(x);
    uint8_t out[16];
    __m128i packed;
    EM_EACH(i) out[i] = (uint8_t)in.u[i];
    memcpy(&packed, out, sizeof out);
    return packed;
}
static inline __m256i em_cvtepi32_epi16(__m512i x)
{
    em_lanes in = EM_SI(x);
    uint16_t out[16];
    __m256i packed;
    EM_EACH(i) out[i] = (uint16_t)in.u[i];
    memcpy(&packed, out, sizeof out);
    return packed;
}
static inline __m512i em_slli_epi32(__m512i x, unsigned n)
{
    em_lanes in = EM_SI(x);
    return EM_LANES(u, n > 31 ? 0 : in.u[i] << n).si;
}
static inline __m512i em_srlv_epi16(__m512i x, __m512i n)
{
    em_lanes in = EM_SI(x), by = EM_SI(n);
    for (int i = 0; i < 32; i++) in.us[i] = by.us[i] > 15 ? 0 : (uint16_t)(in.us[i] >> by.us[i]);
    return in.si;
}
#define EM_HALVES(a, b, of)                                              \
    em_lanes x_ = EM_SI(a), y_ = EM_SI(b);                               \
    for (int h = 0; h < 2; h++) x_.half[h] = of(x_.half[h], y_.half[h]); \
    return x_.si
static inline __m512i em_madd_epi16(__m512i a, __m512i b)
{
    EM_HALVES(a, b, _mm256_madd_epi16);
}
static inline __m512i em_packs_epi32(__m512i a, __m512i b)
{
    EM_HALVES(a, b, _mm256_packs_epi32);
}
static inline __m512i em_packs_epi16(__m512i a, __m512i b)
{
    EM_HALVES(a, b, _mm256_packs_epi16);
}
static inline __m512i em_max_epu32(__m512i a, __m512i b)
{
    EM_HALVES(a, b, _mm256_max_epu32);
}
static inline __m512i em_add_epi32(__m512i a, __m512i b)
{
    EM_HALVES(a, b, _mm256_add_epi32);
}
static inline __m512i em_sub_epi32(__m512i a, __m512i b)
{
    EM_HALVES(a, b, _mm256_sub_epi32);
}
static inline uint32_t em_reduce_max_epu32(__m512i x)
{
    em_lanes in = EM_SI(x);
    uint32_t most = 0;
    EM_EACH(i) if (in.u[i] > most) most = in.u[i];
    return most;
}
static inline int em_reduce_add_epi32(__m512i x)
{
    em_lanes in = EM_SI(x);
    uint32_t sum = 0;
    EM_EACH(i) sum += in.u[i];
    return (int)sum;
}
static inline __m512i em_permutexvar_epi32(__m512i which, __m512i x)
{
    em_lanes in = EM_SI(x), w = EM_SI(which);
    return EM_LANES(u, in.u[w.u[i] & 15]).si;
}
static inline __m512i em_inserti64x4(__m512i x, __m256i half, int which)
{
    em_lanes out = EM_SI(x);
    out.half[which & 1] = half;
    return out.si;
}
static inline __m512i em_broadcast_i64x4(__m256i half)
{
    return ((em_lanes){.half = {half, half}}).si;
}
/* four products of an unsigned and a signed byte are added to each lane */
static inline __m512i em_dpbusd_epi32(__m512i sum, __m512i x, __m512i weight)
{
    em_lanes out = EM_SI(sum);
    uint8_t a[64];
    int8_t b[64];
    memcpy(a, &x, sizeof a);
    memcpy(b, &weight, sizeof b);
    EM_EACH(i) for (int j = 0; j < 4; j++) out.u[i] += (uint32_t)(a[4 * i + j] * b[4 * i + j]);
    return out.si;
}

/* ---- halves and bf16 */

static inline __m512 em_cvtph_ps(__m256i x)
{
    em_lanes out;
    __m128i low = _mm256_castsi256_si128(x), high = _mm256_extracti128_si256(x, 1);
    out.half_ps[0] = _mm256_cvtph_ps(low);
    out.half_ps[1] = _mm256_cvtph_ps(high);
    return out.ps;
}
/* to nearest even; NaN becomes quiet, denormals become 0 */
static inline uint16_t em_bf16(float x)
{
    uint32_t u;
    memcpy(&u, &x, 4);
    if (isnan(x)) return (uint16_t)(u >> 16 | 0x40);
    if (!(u & 0x7f800000)) return (uint16_t)(u >> 16 & 0x8000);
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}
static inline __m256bh em_cvtneps_pbh(__m512 x)
{
    em_lanes in = EM_PS(x);
    uint16_t out[16];
    __m256bh packed;
    EM_EACH(i) out[i] = em_bf16(in.f[i]);
    memcpy(&packed, out, sizeof out);
    return packed;
}
static inline __m512bh em_cvtne2ps_pbh(__m512 high, __m512 low)
{
    em_lanes a = EM_PS(low), b = EM_PS(high), out;
    EM_EACH(i) out.us[i] = em_bf16(a.f[i]), out.us[i + 16] = em_bf16(b.f[i]);
    return out.bh;
}
/* denormals count as 0 */
static inline float em_of_bf16(uint16_t x)
{
    uint32_t u = (uint32_t)x << 16;
    float f;
    if (!(u & 0x7f800000)) u &= 0x80000000;
    memcpy(&f, &u, 4);
    return f;
}
static inline float em_pair(float sum, uint32_t a, uint32_t b)
{
    sum = fmaf(em_of_bf16((uint16_t)(a >> 16)), em_of_bf16((uint16_t)(b >> 16)), sum);
    return fmaf(em_of_bf16((uint16_t)a), em_of_bf16((uint16_t)b), sum);
}
static inline __m512 em_dpbf16_ps(__m512 sum, __m512bh a, __m512bh b)
{
    em_lanes x = {.bh = a}, y = {.bh = b}, out = EM_PS(sum);
    EM_EACH(i) out.f[i] = em_pair(out.f[i], x.u[i], y.u[i]);
    return out.ps;
}

/* ---- tiles: all of 16 rows of 64 bytes, as kernels configure them */

typedef uint32_t em_tile[16][16];
static __thread em_tile em_tiles[8];

static inline void em_tile_load(int t, const void *p, int64_t stride)
{
    EM_EACH(i) memcpy(em_tiles[t][i], (const char *)p + i * stride, 64);
}
static inline void em_tile_store(int t, void *p, int64_t stride)
{
    EM_EACH(i) memcpy((char *)p + i * stride, em_tiles[t][i], 64);
}
static inline void em_tile_dpbf16(int c, int a, int b)
{
    EM_EACH(m) EM_EACH(k) EM_EACH(n)
    {
        float sum;
        memcpy(&sum, &em_tiles[c][m][n], 4);
        sum = em_pair(sum, em_tiles[a][m][k], em_tiles[b][k][n]);
        memcpy(&em_tiles[c][m][n], &sum, 4);
    }
}
static inline void em_tile_dpbssd(int c, int a, int b)
{
    EM_EACH(m) EM_EACH(k) EM_EACH(n)
    {
        int8_t x[4], y[4];
        memcpy(x, &em_tiles[a][m][k], 4);
        memcpy(y, &em_tiles[b][k][n], 4);
        for (int j = 0; j < 4; j++) em_tiles[c][m][n] += (uint32_t)(x[j] * y[j]);
    }
}

#undef _mm512_setr_epi32
#undef _mm512_roundscale_ps
#undef _mm512_reduce_ps
#undef _mm512_cmp_ps_mask
#undef _mm512_permute_ps
#undef _mm512_slli_epi32
#undef _mm512_inserti64x4
#undef _tile_loadd
#undef _tile_stored
#undef _tile_zero
#undef _tile_dpbf16ps
#undef _tile_dpbssd
#undef _tile_loadconfig
#undef _tile_release

#define _mm512_set1_ps em_set1_ps
#define _mm512_setzero_ps() em_set1_ps(0)
#define _mm512_loadu_ps(p) em_maskz_loadu_ps(0xffff, p)
#define _mm512_storeu_ps(p, x) em_mask_storeu_ps(p, 0xffff, x)
#define _mm512_maskz_loadu_ps em_maskz_loadu_ps
#define _mm512_mask_loadu_ps em_mask_loadu_ps
#define _mm512_mask_storeu_ps em_mask_storeu_ps
#define _mm512_fmadd_ps em_fmadd_ps
#define _mm512_fmsub_ps em_fmsub_ps
#define _mm512_add_ps(a, b) ((__m512)((a) + (b)))
#define _mm512_sub_ps(a, b) ((__m512)((a) - (b)))
#define _mm512_mul_ps(a, b) ((__m512)((a) * (b)))
#define _mm512_max_ps em_max_ps
#define _mm512_min_ps em_min_ps
#define _mm512_abs_ps em_abs_ps
#define _mm512_roundscale_ps em_roundscale_ps
#define _mm512_reduce_ps em_reduce_ps
#define _mm512_scalef_ps em_scalef_ps
#define _mm512_cmp_ps_mask em_cmp_ps_mask
#define _mm512_mask_blend_ps em_mask_blend_ps
#define _mm512_moveldup_ps em_moveldup_ps
#define _mm512_movehdup_ps em_movehdup_ps
#define _mm512_permute_ps em_permute_ps
#define _mm512_permutex2var_ps em_permutex2var_ps
#define _mm512_reduce_add_ps em_reduce_add_ps
#define _mm512_reduce_max_ps em_reduce_max_ps
#define _mm512_set1_epi32 em_set1_epi32
#define _mm512_set1_epi16 em_set1_epi16
#define _mm512_setr_epi32(...) (((em_lanes){.i = {__VA_ARGS__}}).si)
#define _mm512_setzero_si512() em_set1_epi32(0)
#define _mm512_loadu_si512(p) em_maskz_loadu_epi32(0xffff, p)
#define _mm512_load_si512(p) em_maskz_loadu_epi32(0xffff, p)
#define _mm512_storeu_si512(p, x) em_mask_storeu_epi32(p, 0xffff, x)
#define _mm512_store_si512(p, x) em_mask_storeu_epi32(p, 0xffff, x)
#define _mm512_maskz_loadu_epi32 em_maskz_loadu_epi32
#define _mm512_mask_storeu_epi32 em_mask_storeu_epi32
#define _mm_mask_storeu_epi32 em_mask_storeu_4_epi32
#define _mm512_cvtps_epi32 em_cvtps_epi32
#define _mm512_cvtepi32_ps em_cvtepi32_ps
#define _mm512_cvtepu8_epi32 em_cvtepu8_epi32
#define _mm512_cvtepu16_epi32 em_cvtepu16_epi32
#define _mm512_cvtepu8_epi16 em_cvtepu8_epi16
#define _mm512_movm_epi16 em_movm_epi16
#define _mm512_cvtepi8_epi16 em_cvtepi8_epi16
#define _mm512_cvtepi32_epi8 em_cvtepi32_epi8
#define _mm512_cvtepi32_epi16 em_cvtepi32_epi16
#define _mm512_or_si512(a, b) ((__m512i)((a) | (b)))
#define _mm512_and_si512(a, b) ((__m512i)((a) & (b)))
#define _mm512_add_epi32 em_add_epi32
#define _mm512_sub_epi32 em_sub_epi32
#define _mm512_slli_epi32 em_slli_epi32
#define _mm512_srlv_epi16 em_srlv_epi16
#define _mm512_madd_epi16 em_madd_epi16
#define _mm512_packs_epi32 em_packs_epi32
#define _mm512_packs_epi16 em_packs_epi16
#define _mm512_max_epu32 em_max_epu32
#define _mm512_reduce_max_epu32 em_reduce_max_epu32
#define _mm512_reduce_add_epi32 em_reduce_add_epi32
#define _mm512_permutexvar_epi32 em_permutexvar_epi32
#define _mm512_inserti64x4 em_inserti64x4
#define _mm512_broadcast_i64x4 em_broadcast_i64x4
#define _mm512_castps_si512(x) ((__m512i)(x))
#define _mm512_castsi512_ps(x) ((__m512)(x))
#define _mm512_dpbusd_epi32 em_dpbusd_epi32
#define _mm512_cvtph_ps em_cvtph_ps
#define _mm512_cvtneps_pbh em_cvtneps_pbh
#define _mm512_cvtne2ps_pbh em_cvtne2ps_pbh
#define _mm512_dpbf16_ps em_dpbf16_ps
#define _tile_loadconfig(shape) ((void)(shape))
#define _tile_release() ((void)0)
#define _tile_loadd em_tile_load
#define _tile_stored em_tile_store
#define _tile_zero(t) ((void)memset(em_tiles[t], 0, sizeof em_tiles[t]))
#define _tile_dpbf16ps em_tile_dpbf16
#define _tile_dpbssd em_tile_dpbssd

#endif
