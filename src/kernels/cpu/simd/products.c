#include "kernels/cpu/tables.h"

void AT_SIMD_NAME(at_simd_products)(at_kernels *table)
{
    (void)table;
}
