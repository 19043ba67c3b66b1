/* The kernels over elements and rows, for tables.h's at_generic_elementwise to put together. */
#ifndef AT_ELEMENTWISE_H
#define AT_ELEMENTWISE_H

#include "kernels/kernels.h"

void at_cpu_elements(at_kernels *table);   /* binary to gated_add */
void at_cpu_rows(at_kernels *table);       /* norms, softmax, rotary */
void at_cpu_group_norm(at_kernels *table); /* and instance_norm */
void at_cpu_lstm(at_kernels *table);
void at_cpu_moving(at_kernels *table); /* copy to sum */
void at_cpu_backward(at_kernels *table);

#endif
