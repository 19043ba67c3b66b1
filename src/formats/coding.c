#include "formats/coding.h"
#include "tensor/pool.h"
#include <math.h>
#include <string.h>

static int64_t elements_of(const at_weight *w)
{
    int64_t count = 1;
    for (int d = 0; d < w->dims; d++) count *= w->shape[d];
    return count;
}

/* ---- to tensors */

/* A copy in C order of elements that lie in steps. */
static void gather(const at_weight *w, const uint8_t *in, uint8_t *out)
{
    size_t size = at_dtype_block_bytes(w->dtype);
    int64_t index[AT_MAX_DIMS] = {0}, count = elements_of(w);
    for (int64_t i = 0; i < count; i++, out += size) {
        memcpy(out, in, size);
        for (int d = w->dims - 1; d >= 0; d--) {
            in += w->coding->stride[d] * (int64_t)size;
            if (++index[d] < w->shape[d]) break;
            in -= w->coding->stride[d] * w->shape[d] * (int64_t)size;
            index[d] = 0;
        }
    }
}

static float scale_at(const at_scales *s, int64_t i)
{
    float value = 0;
    size_t size = at_dtype_block_bytes(s->dtype);
    at_convert(s->dtype, s->data + (size_t)i * size, AT_F32, &value, 1);
    return s->divides ? 1.0f / value : value;
}

static float absmax_at(const at_four_bits *f, int64_t block)
{
    if (!f->nested_map.data) return scale_at(&f->absmax, block);
    return scale_at(&f->nested_map, f->absmax.data[block]) *
               scale_at(&f->nested_absmax, block / f->nested_block) +
           f->nested_offset;
}

static int code_at(const uint8_t *data, int64_t i)
{
    return data[i / 2] >> (i % 2 ? 0 : 4) & 15;
}

/* Codes of four bits as they are, block by block, or as f32. */
static void unpack_four(const at_weight *w, const uint8_t *data, uint8_t *out)
{
    const at_four_bits *f = w->coding->four;
    int64_t count = elements_of(w), i = w->coding->first, end = i + count;
    if (w->dtype == AT_NF4) {
        for (; i < end; i += 64, out += 36) {
            float scale = absmax_at(f, i / f->block);
            memcpy(out, &scale, sizeof scale);
            memcpy(out + 4, data + i / 2, 32);
        }
        return;
    }
    for (; i < end; out += sizeof(float), i++) {
        float value = f->map[code_at(data, i)] * absmax_at(f, i / f->block);
        memcpy(out, &value, sizeof value);
    }
}

static float length_of(const uint8_t *row, int64_t count)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++) {
        float value;
        memcpy(&value, row + i * (int64_t)sizeof value, sizeof value);
        sum += (double)value * value;
    }
    return (float)sqrt(sum);
}

/* Elements of a plain type with their scales, block by block (f8_s, q8_0) or as f32. */
static void unpack_scaled(const at_weight *w, const uint8_t *data, uint8_t *out)
{
    const at_coding *c = w->coding;
    size_t size = at_dtype_block_bytes(c->stored);
    int64_t rows = w->shape[0], row = rows ? elements_of(w) / rows : 0;
    for (int64_t r = 0; r < rows; r++) {
        float scale = scale_at(&c->scales, c->scales.count > 1 ? r : 0);
        if (w->dtype == AT_F8_S) {
            for (int64_t i = 0; i < row; i += 64, out += 68, data += 64) {
                memcpy(out, &scale, sizeof scale);
                memcpy(out + 4, data, 64);
            }
            continue;
        }
        if (w->dtype == AT_Q8_0) {
            for (int64_t i = 0; i < row; i += 32, out += 34, data += 32) {
                at_convert(AT_F32, &scale, AT_F16, out, 1);
                memcpy(out + 2, data, 32);
            }
            continue;
        }
        at_convert(c->stored, data, AT_F32, out, row);
        if (c->normed) scale /= length_of(out, row);
        for (int64_t i = 0; i < row; i++, out += sizeof(float)) {
            float value;
            memcpy(&value, out, sizeof value);
            value *= scale;
            memcpy(out, &value, sizeof value);
        }
        data += (size_t)row * size;
    }
}

/* The elements behind each other, as w->dtype. */
static void unpack(at_context *cx, const at_weight *w, const uint8_t *data, uint8_t *out)
{
    const at_coding *coding = w->coding;
    int64_t count = elements_of(w);
    if (!coding->has_strides) {
        if (coding->four)
            unpack_four(w, data, out);
        else if (coding->scales.data)
            unpack_scaled(w, data, out);
        else if (coding->stored == w->dtype)
            memcpy(out, data, w->bytes);
        else
            at_convert(coding->stored, data, w->dtype, out, count);
        return;
    }
    if (coding->stored == w->dtype) {
        gather(w, data, out);
        return;
    }
    uint8_t *plain = at_scratch(cx, (size_t)count * at_dtype_block_bytes(w->dtype));
    if (plain) {
        at_convert(coding->stored, data, w->dtype, plain, count);
        gather(w, plain, out);
    }
    at_scratch_free(cx, plain);
}

static void swap_halves(at_context *cx, uint8_t *data, size_t size)
{
    uint8_t *half = at_scratch(cx, size / 2);
    if (half) {
        memcpy(half, data, size / 2);
        memcpy(data, data + size / 2, size / 2);
        memcpy(data + size / 2, half, size / 2);
    }
    at_scratch_free(cx, half);
}

at_tensor *at_decode(at_context *cx, const at_weight *w)
{
    at_tensor *x = at_empty(cx, w->dtype, w->dims, w->shape);
    if (!x) return NULL;
    unpack(cx, w, w->file->data + w->offset, x->data);
    if (w->coding->halves_swapped) swap_halves(cx, x->data, at_bytes(x));
    if (w->coding->less_one)
        for (int64_t i = 0, count = elements_of(w); i < count; i++) ((float *)x->data)[i] -= 1.0f;
    return at_ok(cx) ? x : NULL;
}

/* ---- views */

static bool cannot(at_context *cx, const at_weight *w, const char *what)
{
    return at_fail_false(cx, AT_ERROR_FORMAT, "%s: %s cannot be %s", w->file->path, w->name, what);
}

static bool cut_rows(at_context *cx, const at_weight *from, const at_weight_view *view,
                     at_weight *w, at_coding *coding)
{
    int64_t rows = w->dims ? w->shape[0] : 0, end;
    if (!at_add_size(view->begin, view->count, &end) || end > rows)
        return cannot(cx, from, "cut so (it has too few rows)");
    at_dtype stored = w->coding ? w->coding->stored : w->dtype;
    int64_t row = elements_of(w) / rows, block = at_dtype_block(stored);
    if (coding && coding->four) {
        coding->first += view->begin * row;
    } else if (w->coding && w->coding->has_strides) {
        if (block > 1) return cannot(cx, from, "cut after it was turned");
        w->offset += (size_t)(view->begin * w->coding->stride[0]) * at_dtype_block_bytes(stored);
    } else {
        if (row % block) return cannot(cx, from, "cut (its rows are not whole blocks)");
        size_t bytes = (size_t)(row / block) * at_dtype_block_bytes(stored);
        w->offset += (size_t)view->begin * bytes;
        w->bytes = (size_t)view->count * bytes;
        if (coding && coding->scales.count > 1)
            coding->scales.data += (size_t)view->begin * at_dtype_block_bytes(coding->scales.dtype);
    }
    w->shape[0] = view->count;
    return true;
}

/* Of block types the elements are unpacked first, to f16. */
static bool transpose(at_context *cx, const at_weight *from, at_weight *w, at_coding *coding)
{
    if (w->dims != 2 || coding->halves_swapped || coding->four || coding->scales.data)
        return cannot(cx, from, "turned");
    int64_t rows = w->shape[0];
    if (!coding->has_strides) {
        coding->stride[0] = w->shape[1];
        coding->stride[1] = 1;
    }
    int64_t step = coding->stride[0];
    coding->stride[0] = coding->stride[1];
    coding->stride[1] = step;
    coding->has_strides = true;
    w->shape[0] = w->shape[1];
    w->shape[1] = rows;
    if (at_dtype_block(w->dtype) > 1) w->dtype = AT_F16;
    return true;
}

bool at_weight_view_of(at_context *cx, const at_weight *from, const at_weight_view *view,
                       at_weight *out)
{
    bool coded = from->coding || view->transposed || view->halves_swapped || view->less_one;
    at_coding *coding = coded ? AT_NEW(cx, at_coding) : NULL;
    *out = *from;
    out->name = NULL;
    if (coded && !coding) return false;
    if (from->coding)
        *coding = *from->coding;
    else if (coding)
        *coding = (at_coding){.name = at_dtype_name(from->dtype), .stored = from->dtype};
    out->coding = coding;
    bool fine = true;
    if (view->is_matrix)
        while (out->dims > 2 && out->shape[out->dims - 1] == 1) out->dims--;
    if (view->count) fine = cut_rows(cx, from, view, out, coding);
    if (fine && view->transposed) fine = transpose(cx, from, out, coding);
    if (fine && view->halves_swapped) {
        fine = (out->dims && out->shape[0] % 2 == 0) || cannot(cx, from, "cut in half");
        coding->halves_swapped = !coding->halves_swapped; /* twice is not at all */
    }
    if (view->less_one) {
        coding->less_one = true;
        out->dtype = AT_F32;
    }
    if (fine) return true;
    at_free(coding);
    return false;
}
