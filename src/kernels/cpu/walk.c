#include "kernels/cpu/walk.h"

/* Operand o's stride along the first operand's dimension d. */
static int64_t stride_along(const at_tensor *const *operand, int o, int d)
{
    int own = d - (operand[0]->dims - operand[o]->dims);
    return own < 0 || operand[o]->shape[own] == 1 ? 0 : operand[o]->stride[own];
}

/* Puts dimension d in front of the walk's outermost one, as part of it where every operand allows.
 */
static void add_dimension(at_walk *w, const at_tensor *const *operand, int d)
{
    int64_t size = operand[0]->shape[d];
    if (size == 1) return;
    bool joins = w->dims > 0;
    for (int o = 0; joins && o < w->operands; o++)
        joins = stride_along(operand, o, d) == w->stride[o][w->dims - 1] * w->shape[w->dims - 1];
    if (joins) {
        w->shape[w->dims - 1] *= size;
        return;
    }
    for (int o = 0; o < w->operands; o++) w->stride[o][w->dims] = stride_along(operand, o, d);
    w->shape[w->dims++] = size;
}

static void finish(at_walk *w, int64_t cut)
{
    w->cut = AT_MIN(w->length, cut);
    w->cuts = w->cut ? (w->length + w->cut - 1) / w->cut : 0;
    w->runs = w->cuts;
    for (int i = 0; i < w->dims; i++) w->runs *= w->shape[i];
}

/* While walking, dimensions are kept last first: 0 is the fastest. */
void at_walk_elements(at_walk *w, int operands, const at_tensor *const *operand)
{
    *w = (at_walk){.operands = operands};
    for (int d = operand[0]->dims - 1; d >= 0; d--) add_dimension(w, operand, d);
    w->length = w->dims ? w->shape[0] : 1;
    for (int o = 0; o < operands; o++) w->step[o] = w->dims ? w->stride[o][0] : 1;
    for (int i = 1; i < w->dims; i++) {
        w->shape[i - 1] = w->shape[i];
        for (int o = 0; o < operands; o++) w->stride[o][i - 1] = w->stride[o][i];
    }
    if (w->dims) w->dims--;
    finish(w, AT_RUN);
}

void at_walk_rows(at_walk *w, int operands, const at_tensor *const *operand)
{
    *w = (at_walk){.operands = operands};
    int last = operand[0]->dims - 1;
    for (int d = last - 1; d >= 0; d--) add_dimension(w, operand, d);
    w->length = last < 0 ? 1 : operand[0]->shape[last];
    for (int o = 0; o < operands; o++) w->step[o] = last < 0 ? 1 : stride_along(operand, o, last);
    finish(w, INT64_MAX);
}

int64_t at_walk_run(const at_walk *w, int64_t run, int64_t offset[AT_WALK_OPERANDS])
{
    int64_t row = run / w->cuts, start = (run - row * w->cuts) * w->cut;
    for (int o = 0; o < w->operands; o++) offset[o] = start * w->step[o];
    for (int i = 0; i < w->dims; i++) {
        int64_t at = row % w->shape[i];
        row /= w->shape[i];
        for (int o = 0; o < w->operands; o++) offset[o] += at * w->stride[o][i];
    }
    return AT_MIN(w->cut, w->length - start);
}
