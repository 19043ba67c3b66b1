#include "kernels/cpu/tables.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#if defined(AT_KERNELS_x86)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#if defined(AT_KERNELS_x86)

#if defined(AT_EMULATED) /* by tests/emulated/immintrin.h, on a processor with AVX2 alone */
enum { EMULATED = 1 };
#else
enum { EMULATED = 0 };
#endif

/* The compiler's check covers the registers that the system saves (xgetbv) as well. */
static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __builtin_cpu_supports("bmi2");
}

static bool has_avx512(void)
{
    return EMULATED ||
           (has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
            __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"));
}

bool at_cpu_has_avx512bf16(void)
{
    return EMULATED || (has_avx512() && __builtin_cpu_supports("avx512bf16"));
}

bool at_cpu_has_avx512vnni(void)
{
    return EMULATED || (has_avx512() && __builtin_cpu_supports("avx512vnni"));
}

/* The system must save the tiles (xgetbv) and grant this process their use: once asked for, it
   holds for all threads. Some sandboxes and old kernels refuse. */
static bool may_use_tiles(void)
{
    enum { REQUEST = 0x1023 /* ARCH_REQ_XCOMP_PERM */, TILE_DATA = 18, TILES = 3 << 17 };
    unsigned low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (low & TILES) == TILES && syscall(SYS_arch_prctl, REQUEST, TILE_DATA) == 0;
}

/* Not every compiler's __builtin_cpu_supports knows amx. */
bool at_cpu_has_amx(void)
{
    enum { BF16 = 1 << 22, TILE = 1 << 24, INT8 = 1 << 25, ALL = BF16 | TILE | INT8 };
    unsigned a, b, c, d;
    return EMULATED ||
           (at_cpu_has_avx512bf16() && at_cpu_has_avx512vnni() &&
            __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & ALL) == ALL && may_use_tiles());
}

#elif defined(AT_KERNELS_arm)

static bool has_neon(void)
{
    return true; /* part of aarch64 */
}

#endif

static bool has_generic(void)
{
    return true;
}

/* Every table this build knows, the best last. */
static struct {
    const char *name;
    bool (*has)(void);
    void (*fill)(at_kernels *table);
    at_kernels table;
} tables[] = {
    {.name = "generic", .has = has_generic},
#if defined(AT_KERNELS_x86)
    {.name = "avx2", .has = has_avx2, .fill = at_kernels_avx2},
    {.name = "avx512", .has = has_avx512, .fill = at_kernels_avx512},
#if defined(AT_KERNELS_amx)
    {.name = "amx", .has = at_cpu_has_amx, .fill = at_kernels_amx},
#endif
#elif defined(AT_KERNELS_arm)
    {.name = "neon", .has = has_neon, .fill = at_kernels_neon},
#endif
};

static void fill_tables(void)
{
    for (size_t i = 0; i < AT_COUNT(tables); i++) {
        at_kernels_generic(&tables[i].table);
        if (tables[i].fill && tables[i].has()) tables[i].fill(&tables[i].table);
        tables[i].table.name = tables[i].name;
    }
}

static void select_forced(at_context *cx, const char *name)
{
    for (size_t i = 0; i < AT_COUNT(tables); i++) {
        if (strcmp(name, tables[i].name) != 0) continue;
        if (tables[i].has())
            cx->kernels = &tables[i].table;
        else
            at_fail(cx, AT_ERROR_UNSUPPORTED, "ATELIER_CPU=%s: this processor does not have it",
                    name);
        return;
    }
    at_fail(cx, AT_ERROR_UNSUPPORTED,
            "ATELIER_CPU=%s: this build has no such table (generic, avx2, avx512, amx, neon)",
            name);
}

static void select_table(at_context *cx)
{
    const char *forced = getenv("ATELIER_CPU");
    cx->kernels = &tables[0].table; /* something to call, whatever fails below */
    if (cx->options.device == AT_DEVICE_CUDA)
        at_fail(cx, AT_ERROR_UNSUPPORTED, "device cuda: this build has no CUDA (use cpu)");
    else if (forced && *forced)
        select_forced(cx, forced);
    else
        for (size_t i = 0; i < AT_COUNT(tables); i++)
            if (tables[i].has()) cx->kernels = &tables[i].table;
}

/* What was asked for and what is computed may differ: never silently. */
static void say_selection(at_context *cx)
{
    const char *used = at_precision_name(at_precision_of(cx));
    at_precision wanted = cx->options.precision;
    if (wanted != AT_PRECISION_AUTO && wanted != at_precision_of(cx))
        at_log(cx, AT_LOG_WARNING, "precision %s: this processor has no arithmetic for it (%s: %s)",
               at_precision_name(wanted), cx->kernels->name, used);
    at_log(cx, AT_LOG_INFO, "kernels: %s, precision %s", cx->kernels->name, used);
}

void at_kernels_select(at_context *cx)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, fill_tables);
    select_table(cx);
    if (at_ok(cx)) say_selection(cx);
}

at_precision at_precision_of(const at_context *cx)
{
    at_precision wanted = cx->options.precision;
    int best = wanted == AT_PRECISION_AUTO ? cx->kernels->automatic : wanted;
    while (best > AT_PRECISION_F32 && !cx->kernels->gemm[best]) best--;
    return (at_precision)best;
}

const char *at_precision_name(at_precision precision)
{
    static const char *const names[] = {"auto", "f32", "bf16", "int8"};
    return names[precision];
}
