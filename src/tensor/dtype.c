#include <atelier/tensor.h>
#include <string.h>

static const struct {
    const char *name;
    int block; /* elements */
    size_t bytes;
} dtypes[AT_DTYPES] = {
    [AT_F32] = {"f32", 1, 4},
    [AT_F16] = {"f16", 1, 2},
    [AT_BF16] = {"bf16", 1, 2},
    [AT_F8_E4M3] = {"f8_e4m3", 1, 1},
    [AT_F8_E5M2] = {"f8_e5m2", 1, 1},
    [AT_F64] = {"f64", 1, 8},
    [AT_I8] = {"i8", 1, 1},
    [AT_U8] = {"u8", 1, 1},
    [AT_I16] = {"i16", 1, 2},
    [AT_U16] = {"u16", 1, 2},
    [AT_I32] = {"i32", 1, 4},
    [AT_U32] = {"u32", 1, 4},
    [AT_I64] = {"i64", 1, 8},
    [AT_U64] = {"u64", 1, 8},
    [AT_BOOL] = {"bool", 1, 1},
    [AT_Q8_0] = {"q8_0", 32, 2 + 32},
    [AT_Q4_0] = {"q4_0", 32, 2 + 16},
    [AT_Q4_1] = {"q4_1", 32, 4 + 16},
    [AT_Q5_0] = {"q5_0", 32, 2 + 20},
    [AT_Q5_1] = {"q5_1", 32, 4 + 20},
    [AT_Q2_K] = {"q2_K", 256, 16 + 64 + 4},
    [AT_Q3_K] = {"q3_K", 256, 32 + 64 + 12 + 2},
    [AT_Q4_K] = {"q4_K", 256, 4 + 12 + 128},
    [AT_Q5_K] = {"q5_K", 256, 4 + 12 + 32 + 128},
    [AT_Q6_K] = {"q6_K", 256, 128 + 64 + 16 + 2},
    [AT_NF4] = {"nf4", 64, 4 + 32},
    [AT_F8_S] = {"f8_s", 64, 4 + 64},
};

static bool known(at_dtype dtype)
{
    return (unsigned)dtype < AT_DTYPES;
}

const char *at_dtype_name(at_dtype dtype)
{
    return known(dtype) ? dtypes[dtype].name : "unknown";
}

bool at_dtype_of(const char *name, at_dtype *out)
{
    for (int i = 0; name && i < AT_DTYPES; i++) {
        if (strcmp(name, dtypes[i].name) != 0) continue;
        *out = (at_dtype)i;
        return true;
    }
    return false;
}

int at_dtype_block(at_dtype dtype)
{
    return known(dtype) ? dtypes[dtype].block : 1;
}

size_t at_dtype_block_bytes(at_dtype dtype)
{
    return known(dtype) ? dtypes[dtype].bytes : 0;
}
