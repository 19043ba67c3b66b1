/* Brownian motion that can be asked for any stretch of it, in any order, and is
   the same for the same seed: torchsde.BrownianInterval with halfway_tree, tol
   1e-6, pool_size 24, as k-diffusion's BrownianTreeNoiseSampler sets it up
   (Kidger et al. 2021; Li et al. 2020). */
#ifndef AT_BROWNIAN_H
#define AT_BROWNIAN_H

#include "schedulers/scheduler.h"

typedef struct at_brownian {
    double start, end; /* of the whole motion */
    at_rng rng;
    uint64_t seed;
} at_brownian;

/* What the motion gains from `from` to `to` (within start and end, cut there),
   count values of it. False on no memory. */
bool at_brownian_gain(at_context *cx, const at_brownian *b, double from, double to, float *out,
                      int64_t count);

/* numpy.random.SeedSequence(entropy, spawn_key=(key, depth),
   pool_size=24).generate_state(1); without a spawn key where depth is negative.
 */
uint32_t at_seed_sequence(uint64_t entropy, uint64_t key, int depth);

/* Noise of deviation 1 between two levels of the scheduler's, in the order of the reference's
   [B,C,...]: of a tree for each picture, from its generator's seed, or of one for the batch. The
   motion goes from the lowest level to `highest`. */
at_tensor *at_brownian_noise(at_context *cx, const at_scheduler *s, const at_noise *noise,
                             const uint64_t *seed, float highest, float from, float to,
                             const at_tensor *like);

#endif
