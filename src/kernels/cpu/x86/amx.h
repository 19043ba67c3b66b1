/* A tile of 32 rows x 32 columns on AMX: four registers (0 to 3) of sums, two of x (4, 5) and two
   of the panel (6, 7), so that each one loaded is multiplied twice. A register is 16 rows of 16
   words; a panel's rows are what it wants of the second factor. Whole steps of 16 words come from
   where they lie; what is left at the end is first filled up with zeros. */
#ifndef AT_AMX_H
#define AT_AMX_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

enum { AT_TILE_SIDE = 16, AT_TILE_ROWS = 32, AT_TILE_COLUMNS = 32 };
enum { AT_TILE_PANEL = 4 * AT_TILE_COLUMNS /* bytes of a panel's row */ };

/* For a thread: the shape of its registers, and that it needs them no more. */
void at_tile_begin(void);
void at_tile_end(void);

#define AT_TILE_ZERO() \
    do {               \
        _tile_zero(0); \
        _tile_zero(1); \
        _tile_zero(2); \
        _tile_zero(3); \
    } while (0)

/* All sums from c, whose rows are at a distance of `bytes`. */
#define AT_TILE_LOAD(c, bytes)                                      \
    do {                                                            \
        const char *from_ = (const char *)(c);                      \
        _tile_loadd(0, from_, bytes);                               \
        _tile_loadd(1, from_ + 64, bytes);                          \
        _tile_loadd(2, from_ + AT_TILE_SIDE * (bytes), bytes);      \
        _tile_loadd(3, from_ + AT_TILE_SIDE * (bytes) + 64, bytes); \
    } while (0)

#define AT_TILE_STORE(c, bytes)                                    \
    do {                                                           \
        char *to_ = (char *)(c);                                   \
        _tile_stored(0, to_, bytes);                               \
        _tile_stored(1, to_ + 64, bytes);                          \
        _tile_stored(2, to_ + AT_TILE_SIDE * (bytes), bytes);      \
        _tile_stored(3, to_ + AT_TILE_SIDE * (bytes) + 64, bytes); \
    } while (0)

/* Sums += 16 words of 32 rows (from a and from `low` on) and 16 rows of the panel. */
#define AT_TILE_STEP(multiply, a, low, a_bytes, panel)         \
    do {                                                       \
        _tile_loadd(4, a, a_bytes);                            \
        _tile_loadd(6, panel, AT_TILE_PANEL);                  \
        multiply(0, 4, 6);                                     \
        _tile_loadd(7, (panel) + AT_TILE_SIDE, AT_TILE_PANEL); \
        multiply(1, 4, 7);                                     \
        _tile_loadd(5, low, a_bytes);                          \
        multiply(2, 5, 6);                                     \
        multiply(3, 5, 7);                                     \
    } while (0)

/* The last `left` words, with zeros behind. */
typedef struct at_tile_rest {
    _Alignas(64) uint32_t a[AT_TILE_ROWS][AT_TILE_SIDE], panel[AT_TILE_SIDE][AT_TILE_COLUMNS];
} at_tile_rest;

static inline void at_tile_fill(at_tile_rest *w, int64_t left, const uint32_t *a, int64_t a_stride,
                                const uint32_t *panel)
{
    __mmask16 some = (__mmask16)((1u << left) - 1);
    for (int i = 0; i < AT_TILE_ROWS; i++)
        _mm512_store_si512(w->a[i], _mm512_maskz_loadu_epi32(some, a + i * a_stride));
    memcpy(w->panel, panel, (size_t)left * AT_TILE_PANEL);
    memset(w->panel[left], 0, (size_t)(AT_TILE_SIDE - left) * AT_TILE_PANEL);
    __asm__ volatile("" ::: "memory"); /* gcc does not say that loading a tile reads */
}

#endif
