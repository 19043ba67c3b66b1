/* The gradient tape (reverse mode). An operation records a node with its inputs and, if it needs
   them, values saved for the way back; at_backward walks the nodes newest first. Off (cx->tape
   NULL), recording is one test. */
#ifndef AT_TAPE_H
#define AT_TAPE_H

#include "tensor/pool.h"

typedef struct at_node at_node;

/* grad: d loss / d out, f32, out's shape. Adds to its inputs' gradients with at_accumulate. */
typedef void (*at_backward_function)(at_context *cx, at_node *node, at_tensor *grad);

enum { AT_NODE_INPUTS = 6 };

struct at_node {
    at_backward_function backward;
    at_tensor *out;
    at_tensor *inputs[AT_NODE_INPUTS]; /* as the operation was given them; NULL where it had none */
    union {
        double numbers[4]; /* whatever the operation's way back needs */
        int64_t integers[12];
    } saved;
    at_tensor *gradient; /* of out, while at_backward runs; of a watched tensor, afterwards too */
    bool watched;        /* a parameter: no way back from it */
};

/* True when the tape is on and any of the inputs leads to a watched tensor: only then is saving
 * worthwhile. */
bool at_needs_gradient(at_context *cx, int count, at_tensor *const *inputs);

/* Notes how `out` was made and returns out. The node (NULL when nothing is recorded) can be asked
   for with out->node to fill in `saved`. */
at_tensor *at_record_node(at_context *cx, at_tensor *out, at_backward_function backward, int count,
                          at_tensor *const *inputs);

#define at_record(cx, out, backward, ...)                                                    \
    ((cx) && (cx)->tape                                                                      \
         ? at_record_node(cx, out, backward,                                                 \
                          (int)(sizeof((at_tensor *[]){__VA_ARGS__}) / sizeof(at_tensor *)), \
                          (at_tensor *[]){__VA_ARGS__})                                      \
         : (out))

/* Adds `gradient` to what input has so far; a gradient of a broadcast input is summed down to its
   shape. Does nothing for inputs that lead to no watched tensor. */
void at_accumulate(at_context *cx, at_tensor *input, at_tensor *gradient);

void at_tape_free(at_context *cx);

#endif
