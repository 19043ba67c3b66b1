/* The recurrent half of an LSTM: what the gates get from the input has been computed for all steps,
   here each step adds a small product with the state. A sequence is a chain, so threads share the
   sequences and directions. The weight is laid out once in panels of AT_PANEL gates that lie side
   by side for one value of the state. */
#include "kernels/cpu/elementwise.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/runs.h"
#include <string.h>

typedef struct chain {
    int64_t hidden, panels, steps, stride; /* stride: of the output, from step to step */
    bool backwards;
    const float *gates, *weight; /* [steps][4 hidden], [panels][hidden][AT_PANEL] */
    float *out;
} chain;

/* [4 hidden][hidden] to panels; gates beyond the last are zeros. */
static void lay_out(int64_t hidden, int64_t panels, const float *weight, float *out)
{
    int64_t rows = 4 * hidden;
    for (int64_t p = 0; p < panels; p++, out += hidden * AT_PANEL)
        for (int64_t j = 0; j < AT_PANEL; j++) {
            int64_t row = p * AT_PANEL + j;
            for (int64_t i = 0; i < hidden; i++)
                out[i * AT_PANEL + j] = row < rows ? weight[row * hidden + i] : 0;
        }
}

/* room: the gates of a step in whole panels, then the cell */
static void run_chain(at_context *cx, const chain *c, float *room)
{
    const at_runs *runs = cx->kernels->runs;
    int64_t rows = 4 * c->hidden;
    float *gates = room, *cell = room + c->panels * AT_PANEL;
    const float *state = NULL;
    memset(room, 0, (size_t)(c->panels * AT_PANEL + c->hidden) * sizeof *room);
    for (int64_t i = 0; i < c->steps && !at_cancelled(cx); i++) {
        int64_t t = c->backwards ? c->steps - 1 - i : i;
        float *next = c->out + t * c->stride;
        memcpy(gates, c->gates + t * rows, (size_t)rows * sizeof *gates);
        for (int64_t p = 0; state && p < c->panels; p++)
            runs->panel_sums(c->hidden, gates + p * AT_PANEL, state,
                             c->weight + p * c->hidden * AT_PANEL);
        runs->lstm_cell(c->hidden, gates, cell, next);
        state = next;
    }
}

static void lstm(at_context *cx, at_tensor *out, int directions, at_tensor *const *gates,
                 at_tensor *const *weight)
{
    int64_t batch = out->shape[0], steps = out->shape[1], hidden = out->shape[2] / directions;
    int64_t panels = (4 * hidden + AT_PANEL - 1) / AT_PANEL, whole = panels * AT_PANEL;
    int64_t chains = batch * directions, room = whole + hidden;
    float *laid = at_scratch(cx, (size_t)(directions * whole * hidden) * sizeof *laid);
    float *rooms = at_scratch(cx, (size_t)(chains * room) * sizeof *rooms);
    if (laid && rooms) {
#pragma omp parallel num_threads(AT_MIN(cx->threads, (int)chains))
        {
#pragma omp for schedule(static)
            for (int64_t d = 0; d < directions; d++)
                lay_out(hidden, panels, weight[d]->data, laid + d * whole * hidden);
#pragma omp for schedule(static)
            for (int64_t i = 0; i < chains; i++) {
                int64_t b = i / directions, d = i % directions;
                chain c = {
                    .hidden = hidden,
                    .panels = panels,
                    .steps = steps,
                    .stride = directions * hidden,
                    .backwards = d == 1,
                    .gates = (const float *)gates[d]->data + b * steps * 4 * hidden,
                    .weight = laid + d * whole * hidden,
                    .out = (float *)out->data + b * steps * directions * hidden + d * hidden,
                };
                run_chain(cx, &c, rooms + i * room);
            }
        }
    }
    at_scratch_free(cx, rooms);
    at_scratch_free(cx, laid);
}

void at_cpu_lstm(at_kernels *table)
{
    table->lstm = lstm;
}
