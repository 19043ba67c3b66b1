/* The noise of a batch: a generator for each picture, so that a picture does not depend on which
   others are made with it. */
#ifndef AT_NOISE_H
#define AT_NOISE_H

#include "base/random.h"
#include <atelier/tensor.h>

typedef struct at_noise {
    at_generator *generators; /* one for each picture of the batch */
    int count;
    bool channels_first; /* the reference draws [1,C,...] where the tensor here is [1,...,C] */
} at_noise;

/* Picture i is drawn from seed + i. NULL on no memory. */
at_noise *at_noise_new(at_context *cx, at_rng rng, uint64_t seed, int count, bool channels_first);
void at_noise_free(at_noise *noise);

/* torch.randn of shape [B,...,C], B the number of generators: one call of each generator, as
   diffusers.utils.torch_utils.randn_tensor does with a list of them. */
at_tensor *at_noise_draw(at_context *cx, at_noise *noise, int dims, const int64_t *shape);

#endif
