/* The meaning of convolution: plain loops over what an output value sees, f32 sums. Weights are
   turned to f32 first. Every precision is computed as f32. */
#include "kernels/cpu/conv.h"
#include "kernels/cpu/generic/activation.h"
#include "kernels/cpu/tables.h"

/* Output channel o at position p of picture b; its weights [C/groups,kt,kh,kw]. */
static float value(const at_conv_args *a, const float *weights, int64_t b, const int64_t p[3],
                   int64_t o)
{
    int64_t channels = a->channels / a->groups;
    int64_t first = o / (a->out_channels / a->groups) * channels;
    float sum = a->bias ? a->bias[o] : 0;
    int64_t taps = (int64_t)a->kernel[0] * a->kernel[1] * a->kernel[2];
    for (int64_t k = 0; k < taps; k++) {
        int64_t t = at_conv_seen(a, 0, p[0], k / a->kernel[2] / a->kernel[1]);
        int64_t y = at_conv_seen(a, 1, p[1], k / a->kernel[2] % a->kernel[1]);
        int64_t x = at_conv_seen(a, 2, p[2], k % a->kernel[2]);
        if (t < 0 || y < 0 || x < 0) continue;
        const float *in =
            a->x + (((b * a->size[0] + t) * a->size[1] + y) * a->size[2] + x) * a->channels + first;
        float part[4] = {0}; /* some running sums: a long row loses less than in one */
        for (int64_t c = 0; c < channels; c++) part[c % 4] += in[c] * weights[c * taps + k];
        sum += (part[0] + part[1]) + (part[2] + part[3]);
    }
    return at_activation_value(a->activation, sum);
}

void at_generic_conv(at_context *cx, const at_conv_args *a)
{
    int64_t count = (int64_t)a->kernel[0] * a->kernel[1] * a->kernel[2] * (a->channels / a->groups);
    float *weights = at_scratch(cx, (size_t)(a->out_channels * count) * sizeof *weights);
    if (!weights) return;
    cx->kernels->to_f32(a->dtype, a->weight, weights, a->out_channels * count);
    int64_t frames = a->out_size[0], lines = a->out_size[1], columns = a->out_size[2];
#pragma omp parallel for num_threads(cx->threads) schedule(static)
    for (int64_t line = 0; line < a->batch * frames * lines; line++) {
        if (atomic_load_explicit(&cx->cancelled, memory_order_relaxed)) continue;
        float *y = a->y + line * columns * a->out_channels;
        for (int64_t x = 0; x < columns; x++)
            for (int64_t o = 0; o < a->out_channels; o++)
                *y++ = value(a, weights + o * count, line / lines / frames,
                             (int64_t[]){line / lines % frames, line % lines, x}, o);
    }
    at_scratch_free(cx, weights);
}
