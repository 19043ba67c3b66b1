/* Pictures as squares of patches, and where each patch is: what diffusion transformers begin and
   end with. */
#ifndef AT_PATCHES_H
#define AT_PATCHES_H

#include <atelier/ops.h>

/* [B,h,w,C] -> [B,(h/p)(w/p),C*p*p], features in the order (c, dy, dx). h and w multiples of p. */
at_tensor *at_patchify(at_context *cx, at_tensor *x, int64_t p);

/* [B,rows*columns,p*p*C], features in the order (dy, dx, c) -> [B,rows*p,columns*p,C] */
at_tensor *at_unpatchify(at_context *cx, at_tensor *x, int64_t rows, int64_t columns, int64_t p);

/* A window of a square table of positions, most to a side. table [1,>= most*most,D] of any dtype ->
   [rows*columns,D] f32; a window that leaves the square is refused. */
at_tensor *at_positions_crop(at_context *cx, at_tensor *table, int64_t most, int64_t top,
                             int64_t left, int64_t rows, int64_t columns);

#endif
