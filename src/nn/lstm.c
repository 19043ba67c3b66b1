#include "nn/nn.h"

void at_bind_lstm(at_binder *b, const char *name, at_nn_lstm *m, int64_t in, int64_t hidden)
{
    static const char *const names[2][4] = {
        {"weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"},
        {"weight_ih_l0_reverse", "weight_hh_l0_reverse", "bias_ih_l0_reverse",
         "bias_hh_l0_reverse"}};
    const int64_t gates = 4 * hidden;
    size_t before = at_bind_enter(b, name);
    for (int d = 0; d < 2; d++) {
        at_lstm_weights *w = &m->directions[d];
        at_bind_parameter(b, names[d][0], &w->weight_ih, AT_PARAMETER_MATRIX, 2,
                          (int64_t[]){gates, in});
        at_bind_parameter(b, names[d][1], &w->weight_hh, AT_PARAMETER_MATRIX, 2,
                          (int64_t[]){gates, hidden});
        at_bind_parameter(b, names[d][2], &w->bias_ih, AT_PARAMETER_VECTOR, 1, &gates);
        at_bind_parameter(b, names[d][3], &w->bias_hh, AT_PARAMETER_VECTOR, 1, &gates);
    }
    at_bind_leave(b, before);
}

at_tensor *at_run_lstm(at_context *cx, const at_nn_lstm *m, at_tensor *x)
{
    return at_lstm(cx, x, 2, m->directions);
}
