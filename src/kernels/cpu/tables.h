/* Who fills in what of the processor tables. A function with a set's name in it comes from a file
   that is compiled for that instruction set, so it may only be called once the processor is known
   to have it. */
#ifndef AT_TABLES_H
#define AT_TABLES_H

#include "kernels/kernels.h"

/* at_simd_elementwise -> at_simd_elementwise_avx2 in a file of cpu/simd compiled for AVX2. */
#define AT_SIMD_JOIN(name, set) name##_##set
#define AT_SIMD_EXPAND(name, set) AT_SIMD_JOIN(name, set)
#define AT_SIMD_NAME(name) AT_SIMD_EXPAND(name, AT_SIMD)

/* Plain C: the meaning. Products: matmul, conv, attention; elementwise: all the others. */
void at_generic_conv(at_context *cx, const at_conv_args *args);
void at_generic_products(at_kernels *table);
void at_generic_elementwise(at_kernels *table);

/* cpu/simd/runs.c, unpack.c */
void at_simd_elementwise_avx2(at_kernels *table);
void at_simd_elementwise_avx512(at_kernels *table);
void at_simd_elementwise_neon(at_kernels *table);

void at_simd_to_f32_avx2(at_dtype from, const void *in, float *out, int64_t count);
void at_simd_to_f32_avx512(at_dtype from, const void *in, float *out, int64_t count);
void at_simd_to_f32_neon(at_dtype from, const void *in, float *out, int64_t count);

/* cpu/simd/gemm_f32.c */
void at_simd_products_avx2(at_kernels *table);
void at_simd_products_avx512(at_kernels *table);
void at_simd_products_neon(at_kernels *table);

/* Instructions beyond the sets. */
bool at_cpu_has_avx512bf16(void);
bool at_cpu_has_avx512vnni(void);
bool at_cpu_has_amx(void);

#endif
