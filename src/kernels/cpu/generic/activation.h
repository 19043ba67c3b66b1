/* The activations for one value: what each of them means. */
#ifndef AT_ACTIVATION_H
#define AT_ACTIVATION_H

#include <atelier/ops.h>

float at_activation_value(at_activation activation, float x);

/* d activation(x) / dx. */
float at_activation_slope(at_activation activation, float x);

#endif
