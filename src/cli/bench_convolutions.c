/* Convolutions over lines, pictures and video, as `atelier bench kernels` measures them. */
#include "cli/bench_kernels.h"
#include "kernels/cpu/conv.h"
#include <stdio.h>

/* Sizes of 0 are dimensions that it does not have. */
typedef struct conv_case {
    const char *kind; /* "conv3x3" */
    int batch, size[3], in, out, kernel[3], stride, dilation;
    const char *suffix; /* of the name */
    bool transposed, causal;
} conv_case;

static const conv_case cases[] = {
    /* pictures: UNets and decoders */
    {"conv3x3", 2, {0, 64, 64}, 320, 320, {0, 3, 3}, 1, 1, "", false, false},
    {"conv3x3", 2, {0, 32, 32}, 640, 640, {0, 3, 3}, 1, 1, "", false, false},
    {"conv3x3", 2, {0, 16, 16}, 1280, 1280, {0, 3, 3}, 1, 1, "", false, false},
    {"conv3x3", 1, {0, 128, 128}, 512, 512, {0, 3, 3}, 1, 1, "", false, false},
    {"conv3x3", 1, {0, 256, 256}, 256, 256, {0, 3, 3}, 1, 1, "", false, false},
    {"conv3x3", 1, {0, 512, 512}, 128, 128, {0, 3, 3}, 1, 1, "", false, false},
    {"conv1x1", 2, {0, 64, 64}, 320, 320, {0, 1, 1}, 1, 1, "", false, false},
    {"conv3x3", 2, {0, 64, 64}, 320, 320, {0, 3, 3}, 2, 1, "_s2", false, false},
    {"conv3x3", 1, {0, 512, 512}, 128, 3, {0, 3, 3}, 1, 1, "", false, false},
    /* speech: residual blocks and upsampling of a vocoder, two seconds of sound */
    {"conv11", 1, {0, 0, 9600}, 128, 128, {0, 0, 11}, 1, 5, "_d5", false, false},
    {"conv3", 1, {0, 0, 1600}, 256, 256, {0, 0, 3}, 1, 3, "_d3", false, false},
    {"conv_transposed20", 1, {0, 0, 160}, 512, 256, {0, 0, 20}, 10, 1, "_s10", true, false},
    /* video: a decoder that sees no frame to come */
    {"conv3x3x3", 1, {5, 60, 104}, 384, 384, {3, 3, 3}, 1, 1, "_causal", false, true},
};

static void name_case(char *name, size_t size, const conv_case *c, at_precision precision)
{
    char out[16] = "", sizes[48] = "";
    if (c->in != c->out) snprintf(out, sizeof out, "to%d", c->out);
    for (int d = 0, n = 0; d < 3; d++)
        if (c->size[d])
            n += snprintf(sizes + n, sizeof sizes - (size_t)n, n ? "x%d" : "%d", c->size[d]);
    snprintf(name, size, "%s_%s_%d%s_%s_b%d%s", c->kind, at_precision_name(precision), c->in, out,
             sizes, c->batch, c->suffix);
}

/* The sizes and how it lies; as many positions come out as go in, but for the stride. */
static at_conv_args arguments(const conv_case *c, at_precision precision)
{
    at_conv_args a = {.batch = c->batch,
                      .channels = c->in,
                      .out_channels = c->out,
                      .groups = 1,
                      .transposed = c->transposed,
                      .precision = precision};
    for (int d = 0; d < 3; d++) {
        a.size[d] = AT_MAX(c->size[d], 1);
        a.kernel[d] = AT_MAX(c->kernel[d], 1);
        a.stride[d] = c->kernel[d] ? c->stride : 1;
        a.dilation[d] = c->dilation;
        int reach = c->dilation * (a.kernel[d] - 1);
        a.out_size[d] = c->transposed ? a.size[d] * a.stride[d] : a.size[d] / a.stride[d];
        a.before[d] = c->transposed         ? (a.kernel[d] - a.stride[d]) / 2
                      : c->causal && d == 0 ? reach
                                            : reach / 2;
    }
    return a;
}

static double operations(const at_conv_args *a)
{
    const int64_t *at = a->transposed ? a->size : a->out_size; /* where every tap counts once */
    return 2.0 * (double)(a->batch * at[0] * at[1] * at[2] * a->channels * a->out_channels) *
           a->kernel[0] * a->kernel[1] * a->kernel[2];
}

static void run_conv(at_context *cx, const void *args)
{
    cx->kernels->conv(cx, args);
}

static void bench_conv(at_bench *b, at_precision precision, const conv_case *c)
{
    at_conv_args args = arguments(c, precision);
    char name[96];
    name_case(name, sizeof name, c, precision);
    /* where the products of Winograd's points have no int8 */
    if (precision == AT_PRECISION_INT8 && at_winograd_pays(b->cx, &args) &&
        at_winograd_gemm(b->cx, precision) != at_gemm_of(b->cx, precision))
        return;
    if (!at_bench_wanted(name, b->only)) return;
    args.dtype = precision == AT_PRECISION_F32 ? AT_F32 : AT_BF16;
    const int *k = args.kernel;
    at_scope s = at_scope_begin(b->cx);
    at_tensor *x = AT_BENCH_VALUES(b->cx, AT_F32, args.batch, args.size[0], args.size[1],
                                   args.size[2], args.channels);
    at_tensor *weight = AT_BENCH_VALUES(b->cx, args.dtype, c->out, c->in, k[0], k[1], k[2]);
    at_tensor *y = at_new(b->cx, AT_F32, args.batch, args.out_size[0], args.out_size[1],
                          args.out_size[2], args.out_channels);
    if (at_ok(b->cx)) {
        args.x = x->data;
        args.weight = weight->data;
        args.y = y->data;
        at_bench_add(b, name, precision, operations(&args),
                     at_bench_median(b->cx, run_conv, &args));
    }
    at_scope_end(b->cx, s, NULL);
}

void at_bench_convolutions(at_bench *b)
{
    for (at_precision p = AT_PRECISION_F32; p <= AT_PRECISION_INT8; p++)
        for (size_t i = 0; i < AT_COUNT(cases) && at_bench_computes(b, p); i++)
            bench_conv(b, p, &cases[i]);
}
