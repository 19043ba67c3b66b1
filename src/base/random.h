/* Random streams that give the same numbers as PyTorch for the same seed. */
#ifndef AT_RANDOM_H
#define AT_RANDOM_H

#include "base/base.h"

/* One torch.Generator. CPU: mt19937 with the state carried across calls (also the cached half of a
   pair of normals, as torch keeps it). CUDA: Philox4x32-10, seed and offset, as torch.randn on a
   CUDA device draws. */
typedef struct at_generator {
    at_rng kind;
    uint64_t seed;
    /* mt19937 */
    uint32_t state[624];
    int left; /* numbers until the next refill */
    int next;
    bool has_next_double;
    double next_double; /* at::CPUGeneratorImpl's next_double_normal_sample */
    bool has_next_float;
    float next_float;
    /* philox */
    uint64_t offset;
} at_generator;

void at_generator_seed(at_generator *generator, at_rng kind, uint64_t seed);

uint32_t at_random_u32(at_generator *generator); /* CPU stream only */
uint64_t
at_random_u64(at_generator *generator); /* CPU stream only: (hi << 32) | lo in torch's order */

/* torch.rand: 24-bit uniforms in [0, 1). */
void at_random_uniform(at_generator *generator, float *out, int64_t count);
/* torch.rand(dtype=float64): 53-bit uniforms in [0, 1); CPU stream only. */
void at_random_uniform_f64(at_generator *generator, double *out, int64_t count);
/* torch.randn for a contiguous f32 tensor of count elements, the vector path (count >= 16) and the
 * scalar one. */
void at_random_normal(at_generator *generator, float *out, int64_t count);
/* torch.randn(dtype=float64), CPU stream only. */
void at_random_normal_f64(at_generator *generator, double *out, int64_t count);

#endif
