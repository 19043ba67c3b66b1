#include "kernels/cpu/gemm.h"
#include "kernels/cpu/tables.h"

void at_kernels_amx(at_kernels *table)
{
    static at_gemm bf16;
    at_kernels_avx512(table);
    bf16 = at_gemm_amxbf16();
    table->gemm[AT_PRECISION_BF16] = &bf16;
    table->gemm[AT_PRECISION_INT8] = &at_gemm_amxint8;
}
