/* What is checked of the values of adapter files. */
#ifndef AT_ADAPTER_VALUES_H
#define AT_ADAPTER_VALUES_H

#include "formats/weights.h"

/* False and the error where a tensor is not of numbers or has some that are not finite: they would
   spoil every picture. */
bool at_values_are_finite(at_context *cx, const char *path, const at_weights *weights,
                          const at_weight *w);

#endif
