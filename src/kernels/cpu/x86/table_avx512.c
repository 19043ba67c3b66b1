#include "kernels/cpu/tables.h"

void at_kernels_avx512(at_kernels *table)
{
    at_simd_products_avx512(table);
    at_simd_elementwise_avx512(table);
}
