/* Random streams that give the same numbers as PyTorch for the same seed and the same calls. */
#ifndef AT_RANDOM_H
#define AT_RANDOM_H

#include "base/base.h"

/* One torch.Generator.

   CPU: mt19937 (Matsumoto and Nishimura 1998), of whose seed torch keeps the low 32 bits. The state
   goes on from call to call, the unused half of a pair of normals included.

   CUDA: Philox4x32-10 (Salmon et al. 2011) as cuRAND lays it out: value j of a call belongs to
   thread j % threads, which has the seed as its key and (offset / 4, thread) as its counter; every
   call moves the offset on by 4 for each block of 4 words that a thread draws. A device has as many
   threads as its processors hold, so that big tensors differ between devices; with `threads` 0
   every value has a thread of its own: what every device draws as long as the tensor fits (163,840
   values and more on an RTX 3090, 270,336 on an H100), and what A1111's emulation draws always. */
typedef struct at_generator {
    at_rng kind;
    uint64_t seed;
    /* CPU */
    uint32_t state[624];
    int next; /* the next word of the state; 624: refill first */
    bool has_half;
    double half; /* the second normal of a pair of the double-precision path */
    /* CUDA */
    uint64_t offset;
    int64_t threads;
} at_generator;

void at_generator_seed(at_generator *generator, at_rng kind, uint64_t seed);

/* The CPU stream's words; the first of two is the high one. */
uint32_t at_random_u32(at_generator *generator);
uint64_t at_random_u64(at_generator *generator);

/* torch.rand: uniforms in [0, 1), of 24 bits on the CPU. */
void at_random_uniform(at_generator *generator, float *out, int64_t count);

/* torch.randn of a contiguous tensor of count elements, drawn in one call. The CPU's are torch's to
   the last bit on a processor with AVX2; from 16 values on another path than below. The device's
   are within its own error of logf and sincosf, about 2e-6. */
void at_random_normal(at_generator *generator, float *out, int64_t count);

/* torch.randn_like of a tensor that is not contiguous (a transposed one), in the order of memory:
   every count draws as below 16. CPU stream only. */
void at_random_normal_serial(at_generator *generator, float *out, int64_t count);

/* The same with dtype=float64: 53-bit uniforms; CPU stream only. */
void at_random_uniform_f64(at_generator *generator, double *out, int64_t count);
void at_random_normal_f64(at_generator *generator, double *out, int64_t count);

/* One block of Philox4x32-10. */
void at_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

#endif
