/* `atelier bench kernels`: the machine's peaks, then the heavy kernels against them. */
#include "cli/bench_kernels.h"
#include "base/threads.h"
#include <stdlib.h>

bool at_bench_computes(const at_bench *b, at_precision precision)
{
    return precision == AT_PRECISION_F32 || b->cx->kernels->gemm[precision];
}

at_tensor *at_bench_values(at_context *cx, at_dtype dtype, int dims, const int64_t *shape)
{
    at_tensor *x = at_empty(cx, AT_F32, dims, shape);
    uint32_t random = 1;
    for (int64_t i = 0; x && i < at_elements(x); i++) {
        random = random * 1664525u + 1013904223u;
        ((float *)x->data)[i] = (float)(random >> 8) / (1 << 24) - 0.5f;
    }
    return at_cast(cx, x, dtype);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double at_bench_median(at_context *cx, void (*kernel)(at_context *cx, const void *args),
                       const void *args)
{
    enum { MOST = 51, LEAST = 3 };
    double seconds[MOST], all = 0;
    int count = 0;
    for (int i = -1; i < MOST && at_ok(cx) && (i < LEAST || all < 0.5); i++) {
        double start = at_clock();
        kernel(cx, args);
        if (i < 0) continue;
        seconds[count++] = at_clock() - start;
        all += seconds[i];
    }
    if (!count) return 1;
    qsort(seconds, (size_t)count, sizeof *seconds, by_value);
    return seconds[count / 2];
}

/* unit: "gflops" or "gb_s", of 1e9 units of work a second. */
static void add(at_bench *b, const char *name, at_precision precision, const char *unit,
                double work, double peak, double seconds)
{
    if (!at_ok(b->cx)) return;
    double rate = work / seconds / 1e9;
    cJSON *entry = cJSON_CreateObject();
    cJSON_AddStringToObject(entry, "name", name);
    cJSON_AddStringToObject(entry, "precision", at_precision_name(precision));
    cJSON_AddNumberToObject(entry, unit, rate);
    cJSON_AddNumberToObject(entry, "percent_of_peak", 100 * rate / peak);
    cJSON_AddNumberToObject(entry, "milliseconds", 1e3 * seconds);
    cJSON_AddItemToArray(b->list, entry);
}

void at_bench_add(at_bench *b, const char *name, at_precision precision, double operations,
                  double seconds)
{
    double peak = precision == AT_PRECISION_INT8   ? b->peaks.int8
                  : precision == AT_PRECISION_BF16 ? b->peaks.bf16
                                                   : b->peaks.f32;
    add(b, name, precision, "gflops", operations, peak, seconds);
}

void at_bench_add_memory(at_bench *b, const char *name, at_precision precision, double bytes,
                         double gb_s, double seconds)
{
    add(b, name, precision, "gb_s", bytes, gb_s, seconds);
}

void at_bench_kernels(at_context *cx, const char *only, cJSON *report)
{
    if (!at_ok(cx)) return;
    at_bench b = {.cx = cx, .only = only, .peaks = at_measure_peaks(cx)};
    char cpu[128];
    at_cpu_name(cpu, sizeof cpu);
    cJSON_AddStringToObject(report, "cpu", cpu);
    cJSON_AddStringToObject(report, "table", cx->kernels->name);
    cJSON_AddNumberToObject(report, "threads", cx->threads);
    cJSON *peaks = cJSON_AddObjectToObject(report, "peaks");
    cJSON_AddNumberToObject(peaks, "f32_gflops", b.peaks.f32);
    cJSON_AddNumberToObject(peaks, "bf16_gflops", b.peaks.bf16);
    cJSON_AddNumberToObject(peaks, "int8_gops", b.peaks.int8);
    cJSON_AddNumberToObject(peaks, "read_gb_s", b.peaks.read);
    cJSON_AddNumberToObject(peaks, "copy_gb_s", b.peaks.copy);
    b.list = cJSON_AddArrayToObject(report, "kernels");
    at_bench_products(&b);
    at_bench_convolutions(&b);
    at_bench_passes(&b);
}
