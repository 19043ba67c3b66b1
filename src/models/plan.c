#include "models/plan.h"
#include "base/base.h"

typedef struct plan {
    at_dtype dtype;
    int64_t bytes;
} plan;

/* What a parameter can be of: rows that are not whole K blocks take q5_0, as llama.cpp has it, and
   what no blocks fit, f16. */
static at_dtype dtype_of(const at_parameter *p, at_dtype wanted)
{
    int64_t row = p->shape[p->dims - 1];
    if (p->kind == AT_PARAMETER_KERNEL && p->dims == 4) row = p->shape[1] * row * p->shape[2];
    if (p->kind == AT_PARAMETER_VECTOR) return AT_F32;
    if (at_dtype_block(wanted) == 1) return wanted;
    if (p->kind == AT_PARAMETER_TRANSPOSED_KERNEL) return AT_F16;
    if (row % at_dtype_block(wanted) == 0) return wanted;
    return row % at_dtype_block(AT_Q5_0) == 0 ? AT_Q5_0 : AT_F16;
}

static void add_parameter(at_binder *b, const at_parameter *p)
{
    plan *sum = b->user;
    at_dtype dtype = dtype_of(p, sum->dtype);
    int64_t bytes = 1;
    for (int i = 0; i < p->dims; i++)
        if (!at_mul_size(bytes, p->shape[i], &bytes)) bytes = 0;
    bytes /= at_dtype_block(dtype);
    if (!at_mul_size(bytes, (int64_t)at_dtype_block_bytes(dtype), &bytes) ||
        !at_add_size(sum->bytes, bytes, &sum->bytes))
        at_fail(b->cx, AT_ERROR_FORMAT, "%s: more than can be counted", p->name);
}

int64_t at_module_planned_bytes(at_module *module, at_dtype dtype)
{
    plan sum = {.dtype = dtype};
    at_binder binder = {.cx = module->cx, .visit = add_parameter, .user = &sum};
    module->class->bind(&binder, module);
    return sum.bytes;
}
