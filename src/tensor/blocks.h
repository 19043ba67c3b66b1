/* Block types: 32, 64 or 256 neighbours of a row share scales. Layouts and formulas of GGUF's as
   ggml defines them; a block is read and written byte by byte, so that it may lie anywhere. */
#ifndef AT_BLOCKS_H
#define AT_BLOCKS_H

#include <atelier/tensor.h>

/* `blocks` blocks; the f32 values are bit for bit those of ggml's dequantisation. */
void at_blocks_to_f32(at_dtype dtype, const uint8_t *in, float *out, int64_t blocks);

/* q8_0, q4_0, q4_1, q5_0, q5_1 give the bytes of ggml's reference quantiser; q2_K to q6_K choose
   their scales by a search of our own (kblocks.c says how); nf4 and f8_s scale by the largest.
   Values that are not finite make a block of unspecified values, nothing worse. */
void at_blocks_from_f32(at_dtype dtype, const float *in, uint8_t *out, int64_t blocks);

/* bitsandbytes' sixteen values of nf4; two codes a byte, the first in the high half. */
extern const float at_nf4_values[16];

/* q2_K to q6_K, one block of 256 (kblocks.c). */
void at_kblock_to_f32(at_dtype dtype, const uint8_t *in, float *out);
void at_kblock_from_f32(at_dtype dtype, const float *in, uint8_t *out);

#endif
