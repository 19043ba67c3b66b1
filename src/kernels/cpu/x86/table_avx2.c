#include "kernels/cpu/tables.h"

void at_kernels_avx2(at_kernels *table)
{
    at_simd_products_avx2(table);
    at_simd_elementwise_avx2(table);
}
