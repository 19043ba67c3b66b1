/* `atelier bench kernels`: the machine's peaks, then the heavy kernels against them. */
#include "base/threads.h"
#include "cli/bench.h"
#include "cli/bench_peaks.h"
#include "kernels/kernels.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct bench_run {
    at_context *cx;
    const char *only;
    at_peaks peaks;
    cJSON *list;
} bench_run;

typedef struct precision_name {
    at_precision precision;
    const char *name;
} precision_name;

static const precision_name precisions[] = {
    {AT_PRECISION_F32, "f32"}, {AT_PRECISION_BF16, "bf16"}, {AT_PRECISION_INT8, "int8"}};

static double peak_of(const bench_run *b, at_precision precision)
{
    return precision == AT_PRECISION_INT8   ? b->peaks.int8
           : precision == AT_PRECISION_BF16 ? b->peaks.bf16
                                            : b->peaks.f32;
}

/* Small values, the same on every run; weights of any dtype. */
static at_tensor *values(at_context *cx, at_dtype dtype, int dims, const int64_t *shape)
{
    at_tensor *x = at_empty(cx, AT_F32, dims, shape);
    uint32_t random = 1;
    for (int64_t i = 0; x && i < at_elements(x); i++) {
        random = random * 1664525u + 1013904223u;
        ((float *)x->data)[i] = (float)(random >> 8) / (1 << 24) - 0.5f;
    }
    return at_cast(cx, x, dtype);
}

#define VALUES(cx, dtype, ...) \
    values(cx, dtype, (int)(sizeof((int64_t[]){__VA_ARGS__}) / 8), (int64_t[]){__VA_ARGS__})

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Median seconds of some runs after one to warm up: as many as fit half a second, 3 to 51. */
static double median(at_context *cx, void (*kernel)(at_context *cx, const void *args),
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

/* `unit` is "gflops" (work in multiply-adds, two operations each) or "gb_s" (work in bytes). */
static void add(bench_run *b, const char *name, const char *unit, double work, double peak,
                double seconds)
{
    if (!at_ok(b->cx)) return;
    double rate = work / seconds / 1e9;
    cJSON *entry = cJSON_CreateObject();
    cJSON_AddStringToObject(entry, "name", name);
    cJSON_AddNumberToObject(entry, unit, rate);
    cJSON_AddNumberToObject(entry, "percent_of_peak", peak > 0 ? 100 * rate / peak : 0);
    cJSON_AddNumberToObject(entry, "milliseconds", 1e3 * seconds);
    cJSON_AddItemToArray(b->list, entry);
}

/* ---- matrix products */

static void run_matmul(at_context *cx, const void *args)
{
    cx->kernels->matmul(cx, args);
}

/* Few rows are bound by reading the weight: then GB/s of it. */
static void bench_matmul(bench_run *b, const char *label, at_precision precision, at_dtype dtype,
                         const int64_t shape[3])
{
    enum { FEW = 16 };
    int64_t m = shape[0], n = shape[1], k = shape[2];
    char name[96];
    snprintf(name, sizeof name, "matmul_%s_%lldx%lldx%lld", label, (long long)m, (long long)n,
             (long long)k);
    if (!at_bench_wanted(name, b->only)) return;
    at_scope s = at_scope_begin(b->cx);
    at_tensor *x = VALUES(b->cx, AT_F32, n, k), *weight = VALUES(b->cx, dtype, m, k);
    at_tensor *y = at_new(b->cx, AT_F32, n, m);
    if (at_ok(b->cx)) {
        at_matmul_args args = {.m = n,
                               .n = m,
                               .k = k,
                               .x = x->data,
                               .x_stride = k,
                               .weight = weight->data,
                               .dtype = dtype,
                               .weight_stride = (int64_t)at_bytes(weight) / m,
                               .y = y->data,
                               .y_stride = m,
                               .precision = precision};
        double seconds = median(b->cx, run_matmul, &args);
        if (n <= FEW)
            add(b, name, "gb_s", (double)at_bytes(weight), b->peaks.read, seconds);
        else
            add(b, name, "gflops", 2.0 * (double)m * (double)n * (double)k, peak_of(b, precision),
                seconds);
    }
    at_scope_end(b->cx, s, NULL);
}

static void bench_matmuls(bench_run *b)
{
    static const int64_t large[][3] = {{4096, 512, 14336}, {3072, 1536, 3072}, {12288, 1536, 3072},
                                       {320, 8192, 320},   {1280, 512, 5120},  {4096, 1, 14336},
                                       {4096, 4, 14336},   {4096, 16, 14336}};
    static const at_dtype weights[] = {AT_Q8_0, AT_Q4_0, AT_Q4_K, AT_F8_E4M3, AT_F16};
    static const at_dtype own[] = {AT_F32, AT_BF16, AT_BF16};
    for (size_t p = 0; p < AT_COUNT(precisions); p++)
        for (size_t i = 0; i < AT_COUNT(large); i++)
            bench_matmul(b, precisions[p].name, precisions[p].precision, own[p], large[i]);
    for (size_t d = 0; d < AT_COUNT(weights); d++)
        for (size_t i = 0; i < AT_COUNT(large); i++) {
            if (large[i][2] % at_dtype_block(weights[d])) continue;
            bench_matmul(b, at_dtype_name(weights[d]), AT_PRECISION_BF16, weights[d], large[i]);
        }
}

/* ---- convolutions */

typedef struct conv_case {
    int batch, side, in, out, kernel, stride;
} conv_case;

static void run_conv2d(at_context *cx, const void *args)
{
    cx->kernels->conv(cx, args);
}

static void bench_conv2d(bench_run *b, const precision_name *p, const conv_case *c)
{
    char name[96], out[16] = "", stride[16] = "";
    if (c->in != c->out) snprintf(out, sizeof out, "to%d", c->out);
    if (c->stride != 1) snprintf(stride, sizeof stride, "_s%d", c->stride);
    snprintf(name, sizeof name, "conv%dx%d_%s_%d%s_%dx%d_b%d%s", c->kernel, c->kernel, p->name,
             c->in, out, c->side, c->side, c->batch, stride);
    if (!at_bench_wanted(name, b->only)) return;
    at_dtype dtype = p->precision == AT_PRECISION_F32 ? AT_F32 : AT_BF16;
    int side = c->side / c->stride, pad = c->kernel / 2;
    at_scope s = at_scope_begin(b->cx);
    at_tensor *x = VALUES(b->cx, AT_F32, c->batch, c->side, c->side, c->in);
    at_tensor *weight = VALUES(b->cx, dtype, c->out, c->kernel, c->kernel, c->in);
    at_tensor *y = at_new(b->cx, AT_F32, c->batch, side, side, c->out);
    if (at_ok(b->cx)) {
        at_conv_args args = {.batch = c->batch,
                             .size = {1, c->side, c->side},
                             .channels = c->in,
                             .out_size = {1, side, side},
                             .out_channels = c->out,
                             .kernel = {1, c->kernel, c->kernel},
                             .stride = {1, c->stride, c->stride},
                             .before = {0, pad, pad},
                             .dilation = {1, 1, 1},
                             .groups = 1,
                             .x = x->data,
                             .weight = weight->data,
                             .dtype = dtype,
                             .y = y->data,
                             .precision = p->precision};
        double work = 2.0 * c->batch * side * side * c->in * c->out * c->kernel * c->kernel;
        add(b, name, "gflops", work, peak_of(b, p->precision), median(b->cx, run_conv2d, &args));
    }
    at_scope_end(b->cx, s, NULL);
}

static void bench_convolutions(bench_run *b)
{
    static const conv_case cases[] = {
        {2, 64, 320, 320, 3, 1},  {2, 32, 640, 640, 3, 1},  {2, 16, 1280, 1280, 3, 1},
        {1, 128, 512, 512, 3, 1}, {1, 256, 256, 256, 3, 1}, {1, 512, 128, 128, 3, 1},
        {2, 64, 320, 320, 1, 1},  {2, 64, 320, 320, 3, 2},  {1, 512, 128, 3, 3, 1},
    };
    for (size_t p = 0; p < 2; p++)
        for (size_t i = 0; i < AT_COUNT(cases); i++) bench_conv2d(b, &precisions[p], &cases[i]);
}

/* ---- attention */

static void run_attention(at_context *cx, const void *args)
{
    cx->kernels->attention(cx, args);
}

static void bench_attention(bench_run *b, const precision_name *p, const int64_t shape[3],
                            bool causal)
{
    int64_t heads = shape[0], n = shape[1], size = shape[2];
    char name[96];
    snprintf(name, sizeof name, "attention_%s_%lldx%lldx%lld%s", p->name, (long long)heads,
             (long long)n, (long long)size, causal ? "_causal" : "");
    if (!at_bench_wanted(name, b->only)) return;
    at_scope s = at_scope_begin(b->cx);
    at_tensor *q = VALUES(b->cx, AT_F32, 1, n, heads, size);
    at_tensor *k = VALUES(b->cx, AT_F32, 1, n, heads, size);
    at_tensor *v = VALUES(b->cx, AT_F32, 1, n, heads, size);
    at_tensor *y = at_new(b->cx, AT_F32, 1, n, heads, size);
    if (at_ok(b->cx)) {
        at_attention_args args = {.batch = 1,
                                  .queries = n,
                                  .keys = n,
                                  .heads = heads,
                                  .groups = heads,
                                  .head_size = size,
                                  .value_size = size,
                                  .q = q->data,
                                  .k = k->data,
                                  .v = v->data,
                                  .q_stride = {n * heads * size, heads * size, size},
                                  .k_stride = {n * heads * size, heads * size, size},
                                  .v_stride = {n * heads * size, heads * size, size},
                                  .causal = causal,
                                  .scale = 0.1f,
                                  .y = y->data,
                                  .precision = p->precision};
        double work = 4.0 * (double)(heads * n * n * size) * (causal ? 0.5 : 1);
        add(b, name, "gflops", work, peak_of(b, p->precision), median(b->cx, run_attention, &args));
    }
    at_scope_end(b->cx, s, NULL);
}

static void bench_attentions(bench_run *b)
{
    static const int64_t shapes[][3] = {
        {24, 1536, 128}, {8, 4096, 40}, {10, 4096, 64}, {1, 16384, 512}, {24, 8192, 128}};
    for (size_t p = 0; p < 2; p++) {
        for (size_t i = 0; i < AT_COUNT(shapes); i++)
            bench_attention(b, &precisions[p], shapes[i], false);
        bench_attention(b, &precisions[p], shapes[0], true);
    }
}

void at_bench_kernels(at_context *cx, const char *only, cJSON *report)
{
    if (!at_ok(cx)) return;
    bench_run b = {.cx = cx, .only = only, .peaks = at_measure_peaks(cx)};
    char cpu[128];
    at_cpu_name(cpu, sizeof cpu);
    cJSON_AddStringToObject(report, "cpu", cpu);
    cJSON_AddNumberToObject(report, "threads", cx->threads);
    cJSON *peaks = cJSON_AddObjectToObject(report, "peaks");
    cJSON_AddNumberToObject(peaks, "f32_gflops", b.peaks.f32);
    cJSON_AddNumberToObject(peaks, "bf16_gflops", b.peaks.bf16);
    cJSON_AddNumberToObject(peaks, "int8_gops", b.peaks.int8);
    cJSON_AddNumberToObject(peaks, "read_gb_s", b.peaks.read);
    b.list = cJSON_AddArrayToObject(report, "kernels");
    bench_matmuls(&b);
    bench_convolutions(&b);
    bench_attentions(&b);
}
