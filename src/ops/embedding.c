#include "ops/ops.h"

static void embedding_backward(at_context *cx, at_node *node, at_tensor *grad)
{
    at_tensor *table = node->inputs[0], *ids = node->inputs[1];
    at_tensor *out = at_zeros(cx, AT_F32, table->dims, table->shape);
    at_run(cx, embedding_backward, out, ids, grad);
    at_accumulate(cx, table, out);
}

static bool ids_fit(const at_tensor *ids, int64_t rows, int64_t *wrong)
{
    for (int64_t i = 0; i < at_elements(ids); i++) {
        *wrong = ids->dtype == AT_I64 ? ((const int64_t *)ids->data)[i]
                                      : ((const int32_t *)ids->data)[i];
        if (*wrong < 0 || *wrong >= rows) return false;
    }
    return true;
}

at_tensor *at_embedding(at_context *cx, at_tensor *table, at_tensor *ids)
{
    if (!at_inputs(cx, table, ids)) return NULL;
    if (table->dims != 2 || ids->dims >= AT_MAX_DIMS)
        return at_fail(cx, AT_ERROR_SHAPE, "embedding: table %s, ids %s", at_shape_text(table),
                       at_shape_text(ids));
    if (ids->dtype != AT_I32 && ids->dtype != AT_I64)
        return at_fail(cx, AT_ERROR_DTYPE, "embedding: ids %s are not i32 or i64",
                       at_shape_text(ids));
    table = at_contiguous(cx, table);
    ids = at_contiguous(cx, ids);
    int64_t wrong, shape[AT_MAX_DIMS];
    if (!at_inputs(cx, table, ids)) return NULL;
    if (!ids_fit(ids, table->shape[0], &wrong))
        return at_fail(cx, AT_ERROR_ARGUMENT, "embedding: id %lld is not in the table %s",
                       (long long)wrong, at_shape_text(table));
    for (int i = 0; i < ids->dims; i++) shape[i] = ids->shape[i];
    shape[ids->dims] = table->shape[1];
    at_tensor *out = at_empty(cx, AT_F32, ids->dims + 1, shape);
    at_run(cx, embedding, out, table, ids);
    return at_record(cx, out, embedding_backward, table, ids);
}
