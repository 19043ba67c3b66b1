#include "kernels/cpu/gemm.h"
#include "kernels/cpu/tables.h"

void at_kernels_avx512(at_kernels *table)
{
    at_simd_products_avx512(table);
    if (at_cpu_has_avx512bf16()) table->gemm[AT_PRECISION_BF16] = &at_gemm_avx512bf16;
    if (at_cpu_has_avx512vnni()) table->gemm[AT_PRECISION_INT8] = &at_gemm_avx512vnni;
    at_simd_elementwise_avx512(table);
}
