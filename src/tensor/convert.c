/* Every conversion goes through one of three middle types that holds the source exactly: f32 for
   the float types up to 32 bits and the block types, f64 towards and from f64 and from floats to
   integers, 64-bit integers between integers. */
#include "tensor/blocks.h"
#include "tensor/small_floats.h"
#include <math.h>

enum { CHUNK = 256 }; /* a whole number of blocks of every type */

typedef enum family { SMALL_FLOAT, BLOCKS, DOUBLE, INTEGER } family;

static family family_of(at_dtype dtype)
{
    if (dtype >= AT_Q8_0) return BLOCKS;
    if (dtype == AT_F64) return DOUBLE;
    return dtype < AT_F64 ? SMALL_FLOAT : INTEGER;
}

/* Files promise no alignment. */
#define LOOSE(type) type __attribute__((aligned(1), may_alias))

#define EACH(type, expression)                                     \
    do {                                                           \
        typedef LOOSE(type) loose;                                 \
        const loose *x = in;                                       \
        for (int64_t i = 0; i < count; i++) out[i] = (expression); \
        return;                                                    \
    } while (0)

/* The body of a reader of the plain number types. */
#define READ_NUMBERS(type)                \
    switch (from) {                       \
    case AT_F64:                          \
        EACH(double, (type)x[i]);         \
    case AT_I8:                           \
        EACH(int8_t, (type)x[i]);         \
    case AT_U8:                           \
        EACH(uint8_t, (type)x[i]);        \
    case AT_I16:                          \
        EACH(int16_t, (type)x[i]);        \
    case AT_U16:                          \
        EACH(uint16_t, (type)x[i]);       \
    case AT_I32:                          \
        EACH(int32_t, (type)x[i]);        \
    case AT_U32:                          \
        EACH(uint32_t, (type)x[i]);       \
    case AT_I64:                          \
        EACH(int64_t, (type)x[i]);        \
    case AT_U64:                          \
        EACH(uint64_t, (type)x[i]);       \
    case AT_BOOL:                         \
        EACH(uint8_t, (type)(x[i] != 0)); \
    default:                              \
        break;                            \
    }

static void read_f32(at_dtype from, const void *in, float *out, int64_t count)
{
    switch (from) {
    case AT_F32:
        memcpy(out, in, (size_t)count * sizeof *out);
        return;
    case AT_F16:
        EACH(uint16_t, at_f16_to_f32(x[i]));
    case AT_BF16:
        EACH(uint16_t, at_bf16_to_f32(x[i]));
    case AT_F8_E4M3:
        EACH(uint8_t, at_f8_e4m3_to_f32(x[i]));
    case AT_F8_E5M2:
        EACH(uint8_t, at_f8_e5m2_to_f32(x[i]));
    default:
        break;
    }
    READ_NUMBERS(float)
    at_blocks_to_f32(from, in, out, count / at_dtype_block(from));
}

static void read_f64(at_dtype from, const void *in, double *out, int64_t count)
{
    READ_NUMBERS(double)
    float middle[CHUNK];
    read_f32(from, in, middle, count);
    for (int64_t i = 0; i < count; i++) out[i] = middle[i];
}

static void read_i64(at_dtype from, const void *in, int64_t *out, int64_t count)
{
    READ_NUMBERS(int64_t)
}

#define WRITE(type, expression)                                        \
    do {                                                               \
        typedef LOOSE(type) loose;                                     \
        loose *y = out;                                                \
        for (int64_t i = 0; i < count; i++) y[i] = (type)(expression); \
        return;                                                        \
    } while (0)

static void write_f32(at_dtype to, const float *in, void *out, int64_t count)
{
    switch (to) {
    case AT_F32:
        memcpy(out, in, (size_t)count * sizeof *in);
        return;
    case AT_F16:
        WRITE(uint16_t, at_f32_to_f16(in[i]));
    case AT_BF16:
        WRITE(uint16_t, at_f32_to_bf16(in[i]));
    case AT_F8_E4M3:
        WRITE(uint8_t, at_f32_to_f8_e4m3(in[i]));
    case AT_F8_E5M2:
        WRITE(uint8_t, at_f32_to_f8_e5m2(in[i]));
    default:
        at_blocks_from_f32(to, in, out, count / at_dtype_block(to));
    }
}

/* Truncated towards zero, cut to [low, high]; NaN is 0. high is one past the largest where that is
 * no double. */
static int64_t cut(double value, double low, double high)
{
    if (value != value) return 0;
    return value <= low ? (int64_t)low : value >= high ? (int64_t)high : (int64_t)value;
}

static int64_t cut_i64(double value)
{
    return value >= 0x1p63 ? INT64_MAX : cut(value, -0x1p63, 0x1p63);
}

static uint64_t cut_u64(double value)
{
    return value >= 0x1p64 ? UINT64_MAX : value > 0 ? (uint64_t)value : 0;
}

static void write_f64(at_dtype to, const double *in, void *out, int64_t count)
{
    switch (to) {
    case AT_F64:
        memcpy(out, in, (size_t)count * sizeof *in);
        return;
    case AT_I8:
        WRITE(int8_t, cut(in[i], INT8_MIN, INT8_MAX));
    case AT_U8:
        WRITE(uint8_t, cut(in[i], 0, UINT8_MAX));
    case AT_I16:
        WRITE(int16_t, cut(in[i], INT16_MIN, INT16_MAX));
    case AT_U16:
        WRITE(uint16_t, cut(in[i], 0, UINT16_MAX));
    case AT_I32:
        WRITE(int32_t, cut(in[i], INT32_MIN, INT32_MAX));
    case AT_U32:
        WRITE(uint32_t, cut(in[i], 0, UINT32_MAX));
    case AT_I64:
        WRITE(int64_t, cut_i64(in[i]));
    case AT_U64:
        WRITE(uint64_t, cut_u64(in[i]));
    case AT_BOOL:
        WRITE(uint8_t, in[i] != 0);
    default:
        break;
    }
    float middle[CHUNK];
    for (int64_t i = 0; i < count; i++) middle[i] = (float)in[i];
    write_f32(to, middle, out, count);
}

static void write_i64(at_dtype to, const int64_t *in, void *out, int64_t count)
{
    switch (to) {
    case AT_I8:
    case AT_U8:
        WRITE(uint8_t, in[i]);
    case AT_I16:
    case AT_U16:
        WRITE(uint16_t, in[i]);
    case AT_I32:
    case AT_U32:
        WRITE(uint32_t, in[i]);
    case AT_BOOL:
        WRITE(uint8_t, in[i] != 0);
    default:
        memcpy(out, in, (size_t)count * sizeof *in);
    }
}

static void convert_chunk(at_dtype from, const void *in, at_dtype to, void *out, int64_t count)
{
    family a = family_of(from), b = family_of(to);
    if (a == INTEGER && b == INTEGER) {
        int64_t middle[CHUNK];
        read_i64(from, in, middle, count);
        write_i64(to, middle, out, count);
    } else if (a == DOUBLE || b == DOUBLE || b == INTEGER) {
        double middle[CHUNK];
        read_f64(from, in, middle, count);
        write_f64(to, middle, out, count);
    } else {
        float middle[CHUNK];
        read_f32(from, in, middle, count);
        write_f32(to, middle, out, count);
    }
}

bool at_convert(at_dtype from, const void *in, at_dtype to, void *out, int64_t count)
{
    if ((unsigned)from >= AT_DTYPES || (unsigned)to >= AT_DTYPES || count < 0 ||
        count % at_dtype_block(from) || count % at_dtype_block(to))
        return false;
    if (count && from == to) {
        size_t blocks = (size_t)(count / at_dtype_block(from));
        memcpy(out, in, blocks * at_dtype_block_bytes(from));
        return true;
    }
    if (to == AT_F32 && family_of(from) != DOUBLE) {
        if (count) read_f32(from, in, out, count);
        return true;
    }
    size_t in_step = CHUNK / (size_t)at_dtype_block(from) * at_dtype_block_bytes(from);
    size_t out_step = CHUNK / (size_t)at_dtype_block(to) * at_dtype_block_bytes(to);
    const char *source = in;
    char *target = out;
    for (int64_t done = 0; done < count; done += CHUNK, source += in_step, target += out_step)
        convert_chunk(from, source, to, target, count - done < CHUNK ? count - done : CHUNK);
    return true;
}
