#include "kernels/cpu/tables.h"

static void to_f32(at_dtype from, const void *in, float *out, int64_t count)
{
    at_convert(from, in, AT_F32, out, count);
}

void at_kernels_generic(at_kernels *table)
{
    *table = (at_kernels){.name = "generic", .automatic = AT_PRECISION_BF16, .to_f32 = to_f32};
    at_generic_products(table);
    at_generic_elementwise(table);
}
