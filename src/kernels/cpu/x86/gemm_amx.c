/* The register tile of the packed product in bf16 on AMX (amx.h has its shape). tdpbf16ps adds the
   products of 16 pairs, those of even and of odd places apart, and then both to the sum. It rounds
   to nearest even; denormals count as 0, whatever the control register says. How numbers become
   words is as with vdpbf16ps. */
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/tables.h"
#include "kernels/cpu/x86/amx.h"

void at_tile_begin(void)
{
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } shape = {.palette = 1};
    for (int i = 0; i < 8; i++) shape.row_bytes[i] = 4 * AT_TILE_SIDE, shape.rows[i] = AT_TILE_SIDE;
    __asm__ volatile("" ::: "memory"); /* gcc does not say that the next one reads */
    _tile_loadconfig(&shape);
}

void at_tile_end(void)
{
    _tile_release();
}

/* One run of words. */
static inline void add_run(int64_t count, const uint32_t *a, int64_t a_stride,
                           const uint32_t *panel)
{
    const uint32_t *low = a + AT_TILE_SIDE * a_stride;
    for (; count >= AT_TILE_SIDE; count -= AT_TILE_SIDE) {
        AT_TILE_STEP(_tile_dpbf16ps, a, low, 4 * a_stride, panel);
        a += AT_TILE_SIDE, low += AT_TILE_SIDE, panel += AT_TILE_SIDE * AT_TILE_COLUMNS;
    }
    if (!count) return;
    at_tile_rest w;
    at_tile_fill(&w, count, a, a_stride, panel);
    AT_TILE_STEP(_tile_dpbf16ps, w.a[0], w.a[AT_TILE_SIDE], 4 * AT_TILE_SIDE, w.panel[0]);
}

static void tile_runs(int64_t runs, int64_t count, const uint32_t *a, const int64_t *start,
                      int64_t a_stride, const uint32_t *panel, float *c, int64_t c_stride, bool add)
{
    int64_t c_bytes = 4 * c_stride;
    if (add)
        AT_TILE_LOAD(c, c_bytes);
    else
        AT_TILE_ZERO();
    for (int64_t run = 0; run < runs; run++, panel += count * AT_TILE_COLUMNS)
        add_run(count, a + start[run], a_stride, panel);
    AT_TILE_STORE(c, c_bytes);
}

static void tile(int64_t count, const uint32_t *a, int64_t a_stride, const uint32_t *panel,
                 float *c, int64_t c_stride, bool add)
{
    tile_runs(1, count, a, (const int64_t[]){0}, a_stride, panel, c, c_stride, add);
}

at_gemm at_gemm_amxbf16(void)
{
    at_gemm g = at_gemm_avx512bf16;
    g.rows = AT_TILE_ROWS;
    g.step = AT_TILE_SIDE;
    g.block = 512;
    g.pass = 3072;
    g.panels = 700000;
    g.tile = tile;
    g.half_tile = NULL; /* of 12 rows */
    g.tile_runs = tile_runs;
    g.begin = at_tile_begin;
    g.end = at_tile_end;
    return g;
}
