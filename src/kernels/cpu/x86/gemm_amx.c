/* The register tile of the packed product on AMX: 32 rows x 32 columns in four tiles of sums, with
   two tiles of x and two of the panel, so that each one loaded is multiplied twice. A tile is 16
   rows of 16 words. Whole steps of 16 words come from where they lie (a panel's rows are what a
   tile of the second factor wants); what is left at the end of k is first filled up with zeros.

   bf16: tdpbf16ps adds the products of 16 pairs, those of even and of odd places apart, and then
   both to the sum. It rounds to nearest even; denormals count as 0, whatever the control register
   says. How numbers become words is as with vdpbf16ps. */
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/tables.h"
#include <immintrin.h>
#include <string.h>

enum { SIDE = 16, ROWS = 2 * SIDE, COLUMNS = 2 * SIDE };
enum { ROW = 4 * COLUMNS /* bytes of a panel's row */ };

/* All eight registers 16 rows of 64 bytes. */
static void begin(void)
{
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } shape = {.palette = 1};
    for (int i = 0; i < 8; i++) shape.row_bytes[i] = 4 * SIDE, shape.rows[i] = SIDE;
    __asm__ volatile("" ::: "memory"); /* gcc does not say that the next one reads */
    _tile_loadconfig(&shape);
}

static void end(void)
{
    _tile_release();
}

/* Sums in 0 to 3 += x (4, 5) panel (6, 7). */
#define STEP(multiply, a, low, a_bytes, panel) \
    do {                                       \
        _tile_loadd(4, a, a_bytes);            \
        _tile_loadd(6, panel, ROW);            \
        multiply(0, 4, 6);                     \
        _tile_loadd(7, (panel) + SIDE, ROW);   \
        multiply(1, 4, 7);                     \
        _tile_loadd(5, low, a_bytes);          \
        multiply(2, 5, 6);                     \
        multiply(3, 5, 7);                     \
    } while (0)

/* The last words, `left` of them, with zeros behind. */
typedef struct last_words {
    _Alignas(64) uint32_t a[ROWS][SIDE], panel[SIDE][COLUMNS];
} last_words;

static void fill_last(last_words *w, int64_t left, const uint32_t *a, int64_t a_stride,
                      const uint32_t *panel)
{
    __mmask16 some = (__mmask16)((1u << left) - 1);
    for (int i = 0; i < ROWS; i++)
        _mm512_store_si512(w->a[i], _mm512_maskz_loadu_epi32(some, a + i * a_stride));
    memcpy(w->panel, panel, (size_t)left * ROW);
    memset(w->panel[left], 0, (size_t)(SIDE - left) * ROW);
    __asm__ volatile("" ::: "memory");
}

/* One run of words. */
static inline void add_run(int64_t count, const uint32_t *a, int64_t a_stride,
                           const uint32_t *panel)
{
    const uint32_t *low = a + SIDE * a_stride;
    for (; count >= SIDE; count -= SIDE, a += SIDE, low += SIDE, panel += SIDE * COLUMNS)
        STEP(_tile_dpbf16ps, a, low, 4 * a_stride, panel);
    if (!count) return;
    last_words w;
    fill_last(&w, count, a, a_stride, panel);
    STEP(_tile_dpbf16ps, w.a[0], w.a[SIDE], 4 * SIDE, w.panel[0]);
}

static void tile_runs(int64_t runs, int64_t count, const uint32_t *a, const int64_t *start,
                      int64_t a_stride, const uint32_t *panel, float *c, int64_t c_stride, bool add)
{
    int64_t c_bytes = 4 * c_stride;
    float *c_low = c + SIDE * c_stride;
    if (add) {
        _tile_loadd(0, c, c_bytes);
        _tile_loadd(1, c + SIDE, c_bytes);
        _tile_loadd(2, c_low, c_bytes);
        _tile_loadd(3, c_low + SIDE, c_bytes);
    } else {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    }
    for (int64_t run = 0; run < runs; run++, panel += count * COLUMNS)
        add_run(count, a + start[run], a_stride, panel);
    _tile_stored(0, c, c_bytes);
    _tile_stored(1, c + SIDE, c_bytes);
    _tile_stored(2, c_low, c_bytes);
    _tile_stored(3, c_low + SIDE, c_bytes);
}

static void tile(int64_t count, const uint32_t *a, int64_t a_stride, const uint32_t *panel,
                 float *c, int64_t c_stride, bool add)
{
    tile_runs(1, count, a, (const int64_t[]){0}, a_stride, panel, c, c_stride, add);
}

at_gemm at_gemm_amxbf16(void)
{
    at_gemm g = at_gemm_avx512bf16;
    g.rows = ROWS;
    g.step = SIDE;
    g.block = 512;
    g.pass = 3072;
    g.panels = 700000;
    g.tile = tile;
    g.tile_runs = tile_runs;
    g.begin = begin;
    g.end = end;
    return g;
}
