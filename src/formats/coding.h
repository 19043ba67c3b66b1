/* How a tensor is got from a file whose bytes are not the tensor: strides, scales, codes. The bytes
   stay mapped; the tensor is made when it is asked for. */
#ifndef AT_CODING_H
#define AT_CODING_H

#include "formats/weights.h"

/* Numbers of a file that scale a tensor's: f32, or others that at_convert reads. */
typedef struct at_scales {
    const uint8_t *data; /* NULL: none */
    at_dtype dtype;
    int64_t count;
    bool divides; /* the elements are divided by them */
} at_scales;

/* bitsandbytes' codes of four bits: `map` has the values; absmax one for each `block` elements, in
   nested form itself codes, by a map of 256, scales for each `nested_block` and an offset. */
typedef struct at_four_bits {
    float map[16];
    int64_t block, nested_block;
    at_scales absmax, nested_map, nested_absmax;
    float nested_offset;
} at_four_bits;

typedef struct at_coding {
    const char *name; /* "f8_e4m3, scaled", as inspect shows it */
    at_dtype stored;  /* of the bytes */
    bool has_strides;
    int64_t stride[AT_MAX_DIMS]; /* in elements */
    bool halves_swapped;         /* of the rows: the second half comes first */
    bool less_one;               /* the file's numbers are greater by 1 */
    at_scales scales;            /* one for all, or one a row */
    bool normed;                 /* weight norm: the scales are the lengths that rows get */
    const at_four_bits *four;    /* the set's, NULL: the bytes are of type `stored` */
    int64_t first;               /* of `four`: the element that the view begins with */
} at_coding;

/* A new tensor of the current scope, as w->coding says. */
at_tensor *at_decode(at_context *cx, const at_weight *w);

/* What a view makes of a tensor: *out with a coding of its own, and without a name. */
bool at_weight_view_of(at_context *cx, const at_weight *from, const at_weight_view *view,
                       at_weight *out);

#endif
