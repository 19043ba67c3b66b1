/* Our own exp, tanh, sigmoid and the normal distribution, for vectors. The errors are the largest
   found over the whole range (tests/kernels/test_runs.c holds them to these). NaN stays NaN,
   infinities give the limits, results too small for a normal number are denormal or 0. The
   polynomials are minimax fits (reweighted least squares on Chebyshev points). */
#ifndef AT_SIMD_MATH_H
#define AT_SIMD_MATH_H

#include "kernels/cpu/simd/simd.h"
#include <atelier/ops.h>

/* exp(r) = 1 + r + r^2 q(r), |r| <= ln 2 / 2. */
static inline vf v_exp_small(vf r)
{
    vf q = v_fma(r, v_set(1.395051251e-03f), v_set(8.368902840e-03f));
    q = v_fma(q, r, v_set(4.166620597e-02f));
    q = v_fma(q, r, v_set(1.666651815e-01f));
    q = v_fma(q, r, v_set(0.5f));
    return v_fma(q, r * r, r) + v_set(1.0f);
}

/* Within 2 ulp: exp(x) = 2^n exp(r). */
static inline vf v_exp(vf x)
{
    x = v_min(v_set(89.0f), v_max(v_set(-104.0f), x)); /* beyond: infinity and 0; keeps NaN */
    vf n = v_round(x * v_set(1.44269504f));
    vf r = v_fma(n, v_set(-0.693359375f), x); /* ln 2 in two parts, the first with few bits */
    r = v_fma(n, v_set(2.12194440e-4f), r);
    return v_scale2(v_exp_small(r), n);
}

/* Of x <= 0, within 4e-7, for softmax: 0 from -87 on, where it would soon be denormal (which costs
   some processors a hundred cycles). Magic's lowest bits become n + 127, the exponent of 2^n; ln 2
   is so near to its f32 that one part does, -n <= 126. */
static inline vf v_exp_below(vf x)
{
    const vf magic = v_set(0x1.8p23f + 127);
    vf from = v_max(v_set(-87.0f), x), t = v_fma(from, v_set(1.44269504f), magic);
    vf r = v_fma(t - magic, v_set(-0.693147182f), from);
    vf value = v_exp_small(r) * (vf)((vi)t << 23);
    return v_select(v_less(x, v_set(-87.0f)), v_set(0.0f), value);
}

/* Within 3 ulp of 1 / (1 + exp(-x)), 0 below -88.7. */
static inline vf v_sigmoid(vf x)
{
    return v_set(1.0f) / (v_set(1.0f) + v_exp(v_set(0.0f) - x));
}

/* Within 3 ulp: an odd polynomial up to 0.625, 1 - 2 / (exp(2|x|) + 1) beyond. */
static inline vf v_tanh(vf x)
{
    vf a = v_abs(x), z = x * x;
    vf p = v_fma(z, v_set(-5.717036780e-03f), v_set(2.065057866e-02f));
    p = v_fma(p, z, v_set(-5.374349654e-02f));
    p = v_fma(p, z, v_set(1.333149076e-01f));
    p = v_fma(p, z, v_set(-3.333328366e-01f));
    vf small = v_fma(p * z, x, x);
    vf large = v_set(1.0f) - v_set(2.0f) / (v_exp(a + a) + v_set(1.0f));
    large = v_select(v_less(x, v_set(0.0f)), v_set(0.0f) - large, large);
    return v_select(v_less(a, v_set(0.625f)), small, large);
}

/* The normal distribution function (1 + erf(x / sqrt 2)) / 2 within 2e-7: exp of a polynomial gives
   the tail, which is 0 from 6 on. */
static inline vf v_normal(vf x)
{
    static const float g[] = {1.176020437e-08f,  -3.800817296e-07f, 5.243083706e-06f,
                              -3.892718451e-05f, 1.441897039e-04f,  1.057680274e-04f,
                              -4.948261194e-03f, 3.644231334e-02f,  3.182760477e-01f,
                              7.978886366e-01f,  6.931471229e-01f};
    vf a = v_abs(x), sum = v_set(g[0]);
    for (int i = 1; i < (int)(sizeof g / sizeof *g); i++) sum = v_fma(sum, a, v_set(g[i]));
    vf tail = v_exp(v_set(0.0f) - sum);
    tail = v_select(v_less(v_set(6.0f), a), v_set(0.0f), tail);
    return v_select(v_less(v_set(0.0f), x), v_set(1.0f) - tail, tail);
}

/* sin(x)^2 within 4e-7 up to |x| of 1e5: of the rest after whole halves of a turn, a polynomial. */
static inline vf v_sin_squared(vf x)
{
    vf n = v_round(x * v_set(0.318309886f));
    vf r = v_fma(n, v_set(-3.14159274f), x);
    r = v_fma(n, v_set(8.74227766e-8f), r); /* what pi is less than the f32 above */
    vf u = r * r;
    vf q = v_fma(u, v_set(8.096037511e-08f), v_set(-4.230858565e-06f));
    q = v_fma(q, u, v_set(1.410158326e-04f));
    q = v_fma(q, u, v_set(-3.174532946e-03f));
    q = v_fma(q, u, v_set(4.444441372e-02f));
    q = v_fma(q, u, v_set(-3.333333282e-01f));
    return v_fma(q * u, u, u);
}

/* The switch is outside of the loop where `activation` is constant. */
static inline vf v_activate(at_activation activation, vf x)
{
    vf u;
    switch (activation) {
    case AT_RELU:
        return v_max(v_set(0.0f), x);
    case AT_SILU:
        return x / (v_set(1.0f) + v_exp(v_set(0.0f) - x));
    case AT_GELU:
        return x * v_normal(x);
    case AT_GELU_TANH: /* (1 + tanh u) / 2 = sigmoid(2 u) */
        u = x * v_fma(x * x, v_set(-2 * 0.7978845608f * 0.044715f), v_set(-2 * 0.7978845608f));
        return x / (v_set(1.0f) + v_exp(u));
    case AT_QUICK_GELU:
        return x / (v_set(1.0f) + v_exp(x * v_set(-1.702f)));
    case AT_SIGMOID:
        return v_sigmoid(x);
    case AT_TANH:
        return v_tanh(x);
    default:
        return x;
    }
}

#endif
