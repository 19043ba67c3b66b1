/* Broadcast iteration, for every kernel that goes over elements or rows of several tensors. The
   first operand gives the shape; the others broadcast to it (numpy's rules); all may be views.
   Dimensions that lie together in every operand are joined, so that contiguous tensors are one long
   row; long rows are cut into runs that threads share. */
#ifndef AT_WALK_H
#define AT_WALK_H

#include "base/base.h"
#include <atelier/tensor.h>

enum {
    AT_WALK_OPERANDS = 4,
    AT_RUN = 2048 /* elements at most: 8 KB an operand, all of them stay in the first cache */
};

typedef struct at_walk {
    int operands;
    int dims; /* outer dimensions */
    int64_t shape[AT_MAX_DIMS];
    int64_t stride[AT_WALK_OPERANDS][AT_MAX_DIMS]; /* in elements */
    int64_t length;                                /* of a row */
    int64_t step[AT_WALK_OPERANDS];                /* in elements, along a row; 0: broadcast */
    int64_t cut, cuts;                             /* a run's elements, runs a row */
    int64_t runs;
} at_walk;

/* Element by element: runs of at most AT_RUN. */
void at_walk_elements(at_walk *walk, int operands, const at_tensor *const *operand);

/* Row by row: a run is one row of the last dimension of the first operand, never cut or joined. */
void at_walk_rows(at_walk *walk, int operands, const at_tensor *const *operand);

/* Where each operand's part of a run begins, in elements; returns its length. */
int64_t at_walk_run(const at_walk *walk, int64_t run, int64_t offset[AT_WALK_OPERANDS]);

#define AT_WALK_ELEMENTS(walk, ...)                                                           \
    at_walk_elements(walk,                                                                    \
                     (int)(sizeof((const at_tensor *[]){__VA_ARGS__}) / sizeof(at_tensor *)), \
                     (const at_tensor *[]){__VA_ARGS__})
#define AT_WALK_ROWS(walk, ...)                                                                 \
    at_walk_rows(walk, (int)(sizeof((const at_tensor *[]){__VA_ARGS__}) / sizeof(at_tensor *)), \
                 (const at_tensor *[]){__VA_ARGS__})

/* Threads for this much work: starting them costs as much as some ten thousand simple elements. */
static inline int at_threads_for(const at_context *cx, int64_t elements)
{
    return elements < 32768 ? 1 : cx->threads;
}

#endif
