/* How a tensor is got from a file whose bytes are not the tensor: strides, scales, codes. The bytes
   stay mapped; the tensor is made when it is asked for. */
#ifndef AT_CODING_H
#define AT_CODING_H

#include "formats/weights.h"

typedef struct at_coding {
    const char *name; /* "f8_e4m3, scaled", as inspect shows it */
    at_dtype stored;  /* of the bytes */
    bool has_strides;
    int64_t stride[AT_MAX_DIMS]; /* in elements */
    bool halves_swapped;         /* of the rows: the second half comes first */
} at_coding;

/* A new tensor of the current scope, as w->coding says. */
at_tensor *at_decode(at_context *cx, const at_weight *w);

/* What a view makes of a tensor: *out with a coding of its own, and without a name. */
bool at_weight_view_of(at_context *cx, const at_weight *from, const at_weight_view *view,
                       at_weight *out);

#endif
