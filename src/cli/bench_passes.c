/* What goes over memory once or twice and computes little, out of every cache: GB/s of what must be
   read and written. */
#include "cli/bench_kernels.h"
#include <stdio.h>

enum { ROWS = 16384, WIDTH = 4096, HEAD = 128, GROUPS = 32, LEVEL = 256 /* channels */ };

/* x, y and out [ROWS,WIDTH], 256 MB each; vectors are [WIDTH]. */
typedef struct operands {
    at_tensor *out, *x, *y, *weight, *bias, *table;
} operands;

typedef struct pass {
    const char *name;
    int moved; /* times the bytes of x that are read or written */
    void (*run)(at_context *cx, const void *operands);
} pass;

static void run_add(at_context *cx, const void *args)
{
    const operands *o = args;
    cx->kernels->binary(cx, AT_BINARY_ADD, o->out, o->x, o->y);
}

static void run_gated_add(at_context *cx, const void *args)
{
    const operands *o = args;
    at_run(cx, gated_add, o->out, o->x, o->weight, o->y);
}

static void run_silu(at_context *cx, const void *args)
{
    const operands *o = args;
    at_run(cx, activate, o->out, o->x, AT_SILU);
}

static void run_gelu(at_context *cx, const void *args)
{
    const operands *o = args;
    at_run(cx, activate, o->out, o->x, AT_GELU);
}

static void run_gelu_tanh(at_context *cx, const void *args)
{
    const operands *o = args;
    at_run(cx, activate, o->out, o->x, AT_GELU_TANH);
}

static void run_gelu_mul(at_context *cx, const void *args)
{
    const operands *o = args;
    at_run(cx, activate_mul, o->out, o->x, AT_GELU, o->y);
}

static void run_softmax(at_context *cx, const void *args)
{
    const operands *o = args;
    at_run(cx, softmax, o->out, o->x);
}

static void run_layer_norm(at_context *cx, const void *args)
{
    const operands *o = args;
    at_run(cx, layer_norm, o->out, o->x, o->weight, o->bias, 1e-5f);
}

static void run_rms_norm(at_context *cx, const void *args)
{
    const operands *o = args;
    at_run(cx, rms_norm, o->out, o->x, o->weight, 1e-5f);
}

static void run_norm_modulate(at_context *cx, const void *args)
{
    const operands *o = args;
    at_run(cx, norm_modulate, o->out, o->x, o->bias, o->weight, 1e-5f);
}

/* [1,positions,LEVEL]: statistics first, so it reads x twice */
static void run_group_norm_silu(at_context *cx, const void *args)
{
    const operands *o = args;
    at_tensor *x = at_view(cx, o->x, 1, at_elements(o->x) / LEVEL, LEVEL);
    at_tensor *out = at_view(cx, o->out, 1, at_elements(o->x) / LEVEL, LEVEL);
    at_tensor *weight = at_slice(cx, o->weight, 0, 0, LEVEL);
    at_tensor *bias = at_slice(cx, o->bias, 0, 0, LEVEL);
    at_run(cx, group_norm, out, x, GROUPS, weight, bias, 1e-5f, AT_SILU);
}

/* [1,ROWS,heads,HEAD] */
static void run_rotary(at_context *cx, const void *args)
{
    const operands *o = args;
    at_tensor *x = at_view(cx, o->x, 1, ROWS, WIDTH / HEAD, HEAD);
    at_tensor *out = at_view(cx, o->out, 1, ROWS, WIDTH / HEAD, HEAD);
    at_run(cx, rotary, out, x, o->table, AT_ROTARY_INTERLEAVED);
}

static const pass passes[] = {
    {"add", 3, run_add},
    {"gated_add", 3, run_gated_add},
    {"silu", 2, run_silu},
    {"gelu", 2, run_gelu},
    {"gelu_tanh", 2, run_gelu_tanh},
    {"gelu_mul", 3, run_gelu_mul},
    {"softmax", 2, run_softmax},
    {"layer_norm", 2, run_layer_norm},
    {"rms_norm", 2, run_rms_norm},
    {"norm_modulate", 2, run_norm_modulate},
    {"group_norm_silu", 3, run_group_norm_silu},
    {"rotary", 2, run_rotary},
};

static void name_pass(char *name, size_t size, const pass *p)
{
    snprintf(name, size, "%s_%dx%d", p->name, ROWS, WIDTH);
}

void at_bench_passes(at_bench *b)
{
    char name[64];
    bool wanted = false;
    for (size_t i = 0; i < AT_COUNT(passes); i++) {
        name_pass(name, sizeof name, &passes[i]);
        wanted = wanted || at_bench_wanted(name, b->only);
    }
    if (!wanted) return;
    at_scope s = at_scope_begin(b->cx);
    operands o = {.out = at_zeros(b->cx, AT_F32, 2, (int64_t[]){ROWS, WIDTH}),
                  .x = AT_BENCH_VALUES(b->cx, AT_F32, ROWS, WIDTH),
                  .y = AT_BENCH_VALUES(b->cx, AT_F32, ROWS, WIDTH),
                  .weight = AT_BENCH_VALUES(b->cx, AT_F32, WIDTH),
                  .bias = AT_BENCH_VALUES(b->cx, AT_F32, WIDTH),
                  .table = AT_BENCH_VALUES(b->cx, AT_F32, ROWS, HEAD / 2, 2)};
    for (size_t i = 0; i < AT_COUNT(passes) && at_ok(b->cx); i++) {
        name_pass(name, sizeof name, &passes[i]);
        if (!at_bench_wanted(name, b->only)) continue;
        at_bench_add_memory(b, name, AT_PRECISION_F32,
                            (double)passes[i].moved * (double)at_bytes(o.x), b->peaks.copy,
                            at_bench_median(b->cx, passes[i].run, &o));
    }
    at_scope_end(b->cx, s, NULL);
}
