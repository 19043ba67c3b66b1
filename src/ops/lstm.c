#include "ops/ops.h"

/* What the gates get from the input, for all steps at once: [B,N,4*H] */
static at_tensor *input_gates(at_context *cx, at_tensor *x, const at_lstm_weights *w)
{
    at_tensor *bias = w->bias_ih && w->bias_hh ? at_add(cx, w->bias_ih, w->bias_hh) : NULL;
    if (!bias) bias = w->bias_ih ? w->bias_ih : w->bias_hh;
    at_tensor *gates = at_linear(cx, x, w->weight_ih, bias, AT_IDENTITY);
    return gates ? at_contiguous(cx, gates) : NULL;
}

at_tensor *at_lstm(at_context *cx, at_tensor *x, int directions, const at_lstm_weights *weights)
{
    at_tensor *gates[2] = {NULL}, *on_state[2] = {NULL};
    if (directions != 1 && directions != 2)
        return at_fail(cx, AT_ERROR_ARGUMENT, "lstm: %d directions", directions);
    for (int d = 0; d < directions; d++) {
        const at_lstm_weights *w = &weights[d];
        if (!at_inputs(cx, x, w->weight_ih, w->weight_hh)) return NULL;
        int64_t hidden = at_dim(w->weight_hh, 1);
        if (x->dims != 3 || !at_has_shape(w->weight_hh, 2, (int64_t[]){4 * hidden, hidden}) ||
            !at_has_shape(w->weight_ih, 2, (int64_t[]){4 * hidden, x->shape[2]}) ||
            at_dim(weights[0].weight_hh, 1) != hidden)
            return at_fail(cx, AT_ERROR_SHAPE, "lstm: x %s, weights %s and %s", at_shape_text(x),
                           at_shape_text(w->weight_ih), at_shape_text(w->weight_hh));
        gates[d] = input_gates(cx, x, w);
        on_state[d] = at_dense(cx, "lstm", w->weight_hh);
        if (!at_inputs(cx, gates[d], on_state[d])) return NULL;
    }
    at_tensor *out =
        at_new(cx, AT_F32, x->shape[0], x->shape[1], directions * at_dim(weights[0].weight_hh, 1));
    if (out && at_elements(out)) at_run(cx, lstm, out, directions, gates, on_state);
    return at_no_way_back(cx, "lstm", at_ok(cx) ? out : NULL, x, weights[0].weight_ih);
}
