/* Weights that are several tensors of a file: codes of few bits or of f8 and their scales, as
   ComfyUI and bitsandbytes write them; directions and lengths, as torch's weight_norm has them. */
#ifndef AT_QUANTISED_H
#define AT_QUANTISED_H

#include "formats/coding.h"

typedef struct at_quantised at_quantised; /* the codings that were made */

/* Joins, among the tensors of a set:

     X.weight with X.scale_weight or X.weight_scale (one number, or one a row): times it. Of f8_e4m3
     f8_s where rows are whole blocks, else f32. X.scale_input, X.input_scale, X.comfy_quant go.
     X.weight with X.weight.quant_state.bitsandbytes__nf4 or __fp4, .absmax, .quant_map and, nested,
     .nested_absmax, .nested_quant_map: nf4 where rows are whole blocks and the map is nf4's, else
   f32.

     X.weight_v with X.weight_g, or X.parametrizations.weight.original1 with original0 (weight norm
     over the first dimension): X.weight, each row v * g / |v|, as f32.

   The tensors that they took are left out of the list. *made stays NULL where there is none. */
bool at_quantised_join(at_context *cx, const at_weights *set, at_weight *tensors, int64_t *count,
                       at_quantised **made);
void at_quantised_free(at_quantised *made); /* NULL is fine */

#endif
