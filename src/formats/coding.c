#include "formats/coding.h"
#include <string.h>

/* A copy in C order of elements that lie in steps. */
static void gather(const at_weight *w, const uint8_t *in, uint8_t *out)
{
    size_t size = at_dtype_block_bytes(w->dtype);
    int64_t index[AT_MAX_DIMS] = {0}, count = 1;
    for (int d = 0; d < w->dims; d++) count *= w->shape[d];
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

at_tensor *at_decode(at_context *cx, const at_weight *w)
{
    const at_coding *coding = w->coding;
    const uint8_t *data = w->file->data + w->offset;
    at_tensor *x = at_empty(cx, w->dtype, w->dims, w->shape);
    if (!x) return NULL;
    if (coding->has_strides)
        gather(w, data, x->data);
    else
        at_convert(coding->stored, data, w->dtype, x->data, at_elements(x));
    return x;
}
