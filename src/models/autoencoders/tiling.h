/* Running a network over overlapping tiles and blending them, as Diffusers' autoencoders do. */
#ifndef AT_TILING_H
#define AT_TILING_H

#include "models/module.h"

typedef struct at_tiling {
    int64_t pixels, latents; /* a tile's side */
    double overlap;          /* share of a tile that its neighbour has too */
} at_tiling;

typedef at_tensor *(*at_tile_function)(at_context *cx, const at_module *module, at_tensor *tile);

/* x [B,H,W,C] in tiles of side `in`, of which f makes tiles of side `out`. A picture no larger than
   a tile is given to f as it is. */
at_tensor *at_tiled(at_context *cx, const at_module *module, at_tensor *x, at_tile_function f,
                    int64_t in, int64_t out, double overlap);

#endif
