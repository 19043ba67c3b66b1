#include "cli/bench_peaks.h"
#include "base/threads.h"
#include "kernels/cpu/tables.h"
#include <stdio.h>
#include <string.h>

/* 1e9 operations a second of all threads, each of `count` rounds of a loop doing `operations`: the
   best in a third of a second, as threads just started share a core until they are spread. */
static double rate(const at_context *cx, void (*loop)(long count), long count, double operations)
{
    double best = 0, first = at_clock();
    do {
        double start = at_clock();
#pragma omp parallel num_threads(cx->threads)
        loop(count);
        double now = (double)count * operations * cx->threads / (at_clock() - start) / 1e9;
        best = AT_MAX(best, now);
    } while (at_clock() - first < 0.3);
    return best;
}

enum { PLAIN_SUMS = 48 };

/* What the compiler makes of multiply-adds for the least processor: what plain C can reach. */
static void f32_plain(long count)
{
    float sum[PLAIN_SUMS] = {0}, x = 0.5f;
    __asm__ volatile("" : "+m"(x)); /* it is not to know the value */
    for (; count > 0; count--)
        for (int i = 0; i < PLAIN_SUMS; i++) sum[i] = sum[i] * x + x;
    __asm__ volatile("" : : "m"(sum));
}

#if defined(__x86_64__)

/* Twelve independent sums, or products where the instruction does not add, each waiting for none of
   the others; all registers zero. */
#define STEP(op, r, i) op " %%" r "15, %%" r "15, %%" r #i "\n"
#define FOUR(op, r, a, b, c, d) STEP(op, r, a) STEP(op, r, b) STEP(op, r, c) STEP(op, r, d)
#define TWELVE(op, r) FOUR(op, r, 0, 1, 2, 3) FOUR(op, r, 4, 5, 6, 7) FOUR(op, r, 8, 9, 10, 11)
#define LOOP(name, op, r)                                                                      \
    static void name(long count)                                                               \
    {                                                                                          \
        __asm__ volatile(                                                                      \
            "vpxor %%xmm15, %%xmm15, %%xmm15\n1:\n" TWELVE(op, r) "dec %0\njnz 1b\nvzeroupper" \
            : "+r"(count)                                                                      \
            :                                                                                  \
            : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",  \
              "xmm10", "xmm11", "xmm15", "cc");                                                \
    }

LOOP(f32_256, "vfmadd231ps", "ymm")
LOOP(f32_512, "vfmadd231ps", "zmm")
LOOP(int16_256, "vpmaddwd", "ymm")
LOOP(bf16_512, "vdpbf16ps", "zmm")
LOOP(int8_512, "vpdpbusd", "zmm")

#if defined(AT_KERNELS_amx)

/* Four sums of 16x16, all registers 16 rows of 64 zeros. */
#define TILE(op, i) op " %%tmm7, %%tmm6, %%tmm" #i "\n"
#define TILES(name, op)                                                                         \
    static void name(long count)                                                                \
    {                                                                                           \
        static const struct {                                                                   \
            uint8_t palette, reserved[15];                                                      \
            uint16_t row_bytes[16];                                                             \
            uint8_t rows[16];                                                                   \
        } shape = {1, {0}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}}; \
        __asm__ volatile("ldtilecfg %1\n1:\n" TILE(op, 0) TILE(op, 1) TILE(op, 2)               \
                             TILE(op, 3) "dec %0\njnz 1b\ntilerelease"                          \
                         : "+r"(count)                                                          \
                         : "m"(shape)                                                           \
                         : "cc");                                                               \
    }

TILES(bf16_tiles, "tdpbf16ps")
TILES(int8_tiles, "tdpbssd")

#endif

static void measure_arithmetic(at_context *cx, at_peaks *peaks)
{
    enum { VECTORS = 12, ROUNDS = 1 << 22, TILE_ROUNDS = 1 << 20 };
    bool tiles = strcmp(cx->kernels->name, "amx") == 0;
    bool wide = tiles || strcmp(cx->kernels->name, "avx512") == 0;
    if (strcmp(cx->kernels->name, "generic") == 0) {
        peaks->f32 = rate(cx, f32_plain, ROUNDS, 2 * PLAIN_SUMS);
        return;
    }
    peaks->f32 =
        wide ? rate(cx, f32_512, ROUNDS, VECTORS * 32) : rate(cx, f32_256, ROUNDS, VECTORS * 16);
#if defined(AT_KERNELS_amx)
    if (tiles) {
        peaks->bf16 = rate(cx, bf16_tiles, TILE_ROUNDS, 4 * 16 * 16 * 64);
        peaks->int8 = rate(cx, int8_tiles, TILE_ROUNDS, 4 * 16 * 16 * 128);
        return;
    }
#endif
    if (!wide) peaks->int8 = rate(cx, int16_256, ROUNDS, VECTORS * 32);
    if (wide && at_cpu_has_avx512bf16()) peaks->bf16 = rate(cx, bf16_512, ROUNDS, VECTORS * 64);
    if (wide && at_cpu_has_avx512vnni()) peaks->int8 = rate(cx, int8_512, ROUNDS, VECTORS * 128);
}

#else

static void measure_arithmetic(at_context *cx, at_peaks *peaks)
{
    peaks->f32 = rate(cx, f32_plain, 1 << 22, 2 * PLAIN_SUMS);
}

#endif

enum { BYTES = 1 << 30 /* more than any cache holds */, ROUNDS = 3 };

static double read_rate(const at_context *cx, const uint64_t *memory)
{
    uint64_t all = 0;
    double best = 0;
    for (int i = 0; i < ROUNDS; i++) {
        double start = at_clock();
#pragma omp parallel for num_threads(cx->threads) schedule(static) reduction(+ : all)
        for (int64_t j = 0; j < BYTES / 8; j++) all += memory[j];
        best = AT_MAX(best, BYTES / (at_clock() - start) / 1e9);
    }
    volatile uint64_t kept = all; /* so that the reads are done */
    (void)kept;
    return best;
}

/* One half to the other. */
static double copy_rate(const at_context *cx, char *memory)
{
    enum { PART = 1 << 20, HALF = BYTES / 2 };
    double best = 0;
    for (int i = 0; i < ROUNDS; i++) {
        double start = at_clock();
#pragma omp parallel for num_threads(cx->threads) schedule(static)
        for (int64_t j = 0; j < HALF; j += PART) memcpy(memory + HALF + j, memory + j, PART);
        best = AT_MAX(best, BYTES / (at_clock() - start) / 1e9);
    }
    return best;
}

static void measure_memory(at_context *cx, at_peaks *peaks)
{
    void *memory = at_scratch(cx, BYTES);
    if (!memory) return;
    memset(memory, 1, BYTES);
    peaks->read = read_rate(cx, memory);
    peaks->copy = copy_rate(cx, memory);
    at_scratch_free(cx, memory);
}

at_peaks at_measure_peaks(at_context *cx)
{
    at_peaks peaks = {0};
    measure_arithmetic(cx, &peaks);
    measure_memory(cx, &peaks);
    return peaks;
}

void at_cpu_name(char *name, size_t size)
{
    snprintf(name, size, "unknown");
    FILE *f = fopen("/proc/cpuinfo", "re");
    if (!f) return;
    char line[256];
    while (fgets(line, sizeof line, f)) {
        char *value = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !value) continue;
        line[strcspn(line, "\n")] = 0;
        snprintf(name, size, "%s", value + 2);
        break;
    }
    fclose(f);
}
