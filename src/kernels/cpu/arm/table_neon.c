#include "kernels/cpu/tables.h"

void at_kernels_neon(at_kernels *table)
{
    at_simd_products_neon(table);
    at_simd_elementwise_neon(table);
}
