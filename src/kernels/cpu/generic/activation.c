#include "kernels/cpu/generic/activation.h"
#include <math.h>

/* tanh's argument in gelu_tanh: sqrt(2 / pi) (x + 0.044715 x^3) */
static const float gelu_scale = 0.7978845608028654f, gelu_cube = 0.044715f;
static const float sqrt_half = 0.7071067811865476f, density_0 = 0.3989422804014327f;

static float sigmoid(float x)
{
    return 1.0f / (1.0f + expf(-x));
}

float at_activation_value(at_activation activation, float x)
{
    switch (activation) {
    case AT_RELU:
        return x < 0 ? 0 : x; /* NaN stays */
    case AT_SILU:
        return x / (1.0f + expf(-x));
    case AT_GELU:
        return 0.5f * x * (1.0f + erff(x * sqrt_half));
    case AT_GELU_TANH:
        return 0.5f * x * (1.0f + tanhf(gelu_scale * (x + gelu_cube * x * x * x)));
    case AT_QUICK_GELU:
        return x / (1.0f + expf(-1.702f * x));
    case AT_SIGMOID:
        return sigmoid(x);
    case AT_TANH:
        return tanhf(x);
    case AT_IDENTITY:
    case AT_ACTIVATIONS:
        break;
    }
    return x;
}

float at_activation_slope(at_activation activation, float x)
{
    float s, t;
    switch (activation) {
    case AT_RELU:
        return x > 0 ? 1.0f : 0.0f;
    case AT_SILU:
        s = sigmoid(x);
        return s * (1.0f + x * (1.0f - s));
    case AT_GELU:
        return 0.5f * (1.0f + erff(x * sqrt_half)) + x * density_0 * expf(-0.5f * x * x);
    case AT_GELU_TANH:
        t = tanhf(gelu_scale * (x + gelu_cube * x * x * x));
        return 0.5f * (1.0f + t) +
               0.5f * x * (1.0f - t * t) * gelu_scale * (1.0f + 3.0f * gelu_cube * x * x);
    case AT_QUICK_GELU:
        s = sigmoid(1.702f * x);
        return s + 1.702f * x * s * (1.0f - s);
    case AT_SIGMOID:
        s = sigmoid(x);
        return s * (1.0f - s);
    case AT_TANH:
        t = tanhf(x);
        return 1.0f - t * t;
    case AT_IDENTITY:
    case AT_ACTIVATIONS:
        break;
    }
    return 1.0f;
}
