/* What adapters (LoRA and its kin) add to a layer, beside its weight, which stays as the file has
   it: quantised, mapped, shared. Taken on and off between runs at the cost of a list. */
#ifndef AT_UPDATE_H
#define AT_UPDATE_H

#include <atelier/ops.h>

/* One update of a layer from I to O channels, one of these:
     down [R,I], up [O,R]: low rank. Of a convolution, down is [R,I,k,k], and steps as the layer
   does; or down is [R,I] and mid [R,R,k,k] between them does (CP, Tucker). down alone, [O,I] or
   [O,I,k,k]: a full difference. factor [o,i], down [O/o,I/i] or [O/o,I/i,k,k]: the Kronecker
   product of both (LoKr). none: only the bias. y <- y + scale * update(x) + bias, and then, with a
   row scale (DoRA), y * row_scale + row_shift. */
typedef struct at_nn_update {
    at_tensor *down, *mid, *up, *factor;
    at_tensor *bias;                  /* [O] f32, already scaled, or NULL */
    at_tensor *row_scale, *row_shift; /* [O] f32; shift may be NULL where scale is not */
    float scale;
    struct at_nn_update *next; /* applied after this one */
} at_nn_update;

/* y [...,O], what the layer gives for x [...,I], without its activation -> [...,O]. */
at_tensor *at_update_linear(at_context *cx, const at_nn_update *updates, at_tensor *x,
                            at_tensor *y);
/* x [B,H,W,I], y [B,H',W',O]; options: the layer's, without its activation. */
at_tensor *at_update_conv2d(at_context *cx, const at_nn_update *updates, at_tensor *x, at_tensor *y,
                            const at_conv_options *options);

#endif
