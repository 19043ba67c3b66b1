#include "kernels/cpu/gemm.h"
#include "kernels/cpu/tables.h"

void at_kernels_avx2(at_kernels *table)
{
    at_simd_products_avx2(table);
    table->gemm[AT_PRECISION_INT8] = &at_gemm_avx2integers;
    table->automatic =
        AT_PRECISION_INT8; /* 12 bits: pictures are nearer to f32's than bf16's are */
    at_simd_elementwise_avx2(table);
}
