/* Moving and looking up; bound by memory, so plain C for every set. */
#include "kernels/cpu/elementwise.h"
#include "kernels/cpu/walk.h"
#include <math.h>
#include <string.h>

#define MOVE_RUN(type) \
    for (int64_t i = 0; i < n; i++) ((type *)to)[i * to_step] = ((const type *)from)[i * from_step]

static void move_run(size_t size, int64_t n, char *to, int64_t to_step, const char *from,
                     int64_t from_step)
{
    if (to_step == 1 && from_step == 1) {
        memcpy(to, from, (size_t)n * size);
        return;
    }
    switch (size) {
    case 1:
        MOVE_RUN(uint8_t);
        break;
    case 2:
        MOVE_RUN(uint16_t);
        break;
    case 4:
        MOVE_RUN(uint32_t);
        break;
    default:
        MOVE_RUN(uint64_t);
    }
}

static void copy(at_context *cx, at_tensor *out, const at_tensor *x)
{
    at_walk w;
    AT_WALK_ELEMENTS(&w, out, x);
    size_t size = at_dtype_block_bytes(out->dtype);
#pragma omp parallel for num_threads(at_threads_for(cx, at_elements(out)))
    for (int64_t run = 0; run < w.runs; run++) {
        int64_t at[AT_WALK_OPERANDS], n = at_walk_run(&w, run, at);
        move_run(size, n, (char *)out->data + at[0] * (int64_t)size, w.step[0],
                 (const char *)x->data + at[1] * (int64_t)size, w.step[1]);
    }
}

static void fill(at_context *cx, at_tensor *out, float value)
{
    uint64_t bits = 0; /* one element of any dtype */
    at_convert(AT_F32, &value, out->dtype, &bits, 1);
    at_walk w;
    AT_WALK_ELEMENTS(&w, out);
    size_t size = at_dtype_block_bytes(out->dtype);
#pragma omp parallel for num_threads(at_threads_for(cx, at_elements(out)))
    for (int64_t run = 0; run < w.runs; run++) {
        int64_t at[AT_WALK_OPERANDS], n = at_walk_run(&w, run, at);
        move_run(size, n, (char *)out->data + at[0] * (int64_t)size, w.step[0], (const char *)&bits,
                 0);
    }
}

static void cast(at_context *cx, at_tensor *out, const at_tensor *x)
{
    enum { CHUNK = 16384 }; /* whole blocks of every dtype */
    int64_t count = at_elements(out);
    size_t out_block = (size_t)at_dtype_block(out->dtype),
           x_block = (size_t)at_dtype_block(x->dtype);
    size_t out_bytes = at_dtype_block_bytes(out->dtype), x_bytes = at_dtype_block_bytes(x->dtype);
#pragma omp parallel for num_threads(at_threads_for(cx, count))
    for (int64_t at = 0; at < count; at += CHUNK) {
        int64_t n = AT_MIN(CHUNK, count - at);
        const char *from = (const char *)x->data + (size_t)at / x_block * x_bytes;
        char *to = (char *)out->data + (size_t)at / out_block * out_bytes;
        if (out->dtype == AT_F32)
            cx->kernels->to_f32(x->dtype, from, (float *)(void *)to, n);
        else
            at_convert(x->dtype, from, out->dtype, to, n);
    }
}

static int64_t id_at(const at_tensor *ids, int64_t i)
{
    return ids->dtype == AT_I64 ? ((const int64_t *)ids->data)[i] : ((const int32_t *)ids->data)[i];
}

static void embedding(at_context *cx, at_tensor *out, const at_tensor *table, const at_tensor *ids)
{
    int64_t width = table->shape[1], count = at_elements(ids);
    int64_t bytes =
        width / at_dtype_block(table->dtype) * (int64_t)at_dtype_block_bytes(table->dtype);
#pragma omp parallel for num_threads(at_threads_for(cx, at_elements(out)))
    for (int64_t i = 0; i < count; i++)
        cx->kernels->to_f32(table->dtype, (const char *)table->data + id_at(ids, i) * bytes,
                            (float *)out->data + i * width, width);
}

static void embedding_backward(at_context *cx, at_tensor *out, const at_tensor *ids,
                               const at_tensor *grad)
{
    (void)cx;
    int64_t width = out->shape[1], count = at_elements(ids);
    for (int64_t i = 0; i < count; i++) {
        float *row = (float *)out->data + id_at(ids, i) * width;
        const float *from = (const float *)grad->data + i * width;
        for (int64_t c = 0; c < width; c++) row[c] += from[c];
    }
}

/* torch's nearest: the source is floor(i * from / to), the quotient taken in f32. */
static int64_t nearest(int64_t i, int64_t from, int64_t to)
{
    int64_t at = (int64_t)((float)i * ((float)from / (float)to));
    return AT_MIN(at, from - 1);
}

static void upsample_nearest(at_context *cx, at_tensor *out, const at_tensor *x)
{
    int64_t height = out->shape[1], width = out->shape[2], channels = out->shape[3];
#pragma omp parallel for num_threads(at_threads_for(cx, at_elements(out)))
    for (int64_t row = 0; row < out->shape[0] * height; row++) {
        int64_t from = row / height * x->shape[1] + nearest(row % height, x->shape[1], height);
        const float *in = (const float *)x->data + from * x->shape[2] * channels;
        float *y = (float *)out->data + row * width * channels;
        for (int64_t i = 0; i < width; i++, y += channels)
            memcpy(y, in + nearest(i, x->shape[2], width) * channels, (size_t)channels * sizeof *y);
    }
}

static void upsample_backward(at_context *cx, at_tensor *out, const at_tensor *grad)
{
    (void)cx;
    int64_t height = grad->shape[1], width = grad->shape[2], channels = grad->shape[3];
    const float *from = grad->data;
    for (int64_t row = 0; row < grad->shape[0] * height; row++) {
        int64_t to = row / height * out->shape[1] + nearest(row % height, out->shape[1], height);
        for (int64_t i = 0; i < width; i++, from += channels) {
            float *y = (float *)out->data +
                       (to * out->shape[2] + nearest(i, out->shape[2], width)) * channels;
            for (int64_t c = 0; c < channels; c++) y[c] += from[c];
        }
    }
}

/* Every step in f32, as diffusers' get_timestep_embedding takes them. */
static void timestep_embedding(at_context *cx, at_tensor *out, const at_tensor *t,
                               const at_timestep_options *o)
{
    (void)cx;
    int64_t dim = out->shape[1], half = dim / 2;
    float rate = (float)-log(o->max_period);
    for (int64_t i = 0; i < half; i++) {
        float frequency = expf(rate * (float)i / ((float)half - o->downscale_freq_shift));
        for (int64_t b = 0; b < t->shape[0]; b++) {
            float *row = (float *)out->data + b * dim;
            float angle = o->scale * (((const float *)t->data)[b] * frequency);
            row[i] = o->flip_sin_to_cos ? cosf(angle) : sinf(angle);
            row[half + i] = o->flip_sin_to_cos ? sinf(angle) : cosf(angle);
        }
    }
    for (int64_t b = 0; dim % 2 && b < t->shape[0]; b++)
        ((float *)out->data)[(b + 1) * dim - 1] = 0;
}

/* Eight sums side by side, always in this order: threads and sets change nothing. */
static double sum_run(const float *x, int64_t step, int64_t n)
{
    double sum[8] = {0};
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (int64_t k = 0; k < 8; k++) sum[k] += x[(i + k) * step];
    for (; i < n; i++) sum[0] += x[i * step];
    return ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
}

static void sum(at_context *cx, at_tensor *out, const at_tensor *x, double scale)
{
    (void)cx;
    at_walk w;
    AT_WALK_ELEMENTS(&w, x);
    double total = 0;
    for (int64_t run = 0; run < w.runs; run++) {
        int64_t at[AT_WALK_OPERANDS], n = at_walk_run(&w, run, at);
        total += sum_run((const float *)x->data + at[0], w.step[0], n);
    }
    *(float *)out->data = (float)(total * scale);
}

void at_cpu_moving(at_kernels *table)
{
    table->copy = copy;
    table->fill = fill;
    table->cast = cast;
    table->embedding = embedding;
    table->embedding_backward = embedding_backward;
    table->upsample_nearest = upsample_nearest;
    table->upsample_backward = upsample_backward;
    table->timestep_embedding = timestep_embedding;
    table->sum = sum;
}
