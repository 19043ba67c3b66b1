/* Every way back against finite differences: d/dx of sum(f(x) r) for random r, by central
   differences of two steps (Richardson), summed in double. */
#include "parity.h"
#include "tensor/tape.h"

enum { MOST_INPUTS = 4 };

typedef struct trial {
    const char *name;
    at_tensor *(*run)(at_context *cx, at_tensor *const *in);
    int inputs;
    struct {
        int dims;
        int64_t shape[4];
    } of[MOST_INPUTS];
    float shift;    /* of the values, N(shift, 1) about */
    unsigned fixed; /* bit i: input i takes no gradient */
} trial;

static uint32_t random_state = 7;

static float random_value(void)
{
    float sum = 0; /* about normal */
    for (int i = 0; i < 4; i++) {
        random_state = random_state * 1664525u + 1013904223u;
        sum += (float)(int32_t)random_state * 0x1p-31f;
    }
    return sum * 0.87f;
}

static at_tensor *random_tensor(at_context *cx, int dims, const int64_t *shape, float shift)
{
    at_tensor *x = at_empty(cx, AT_F32, dims, shape);
    for (int64_t i = 0; i < at_elements(x); i++) ((float *)x->data)[i] = shift + random_value();
    return x;
}

static double dot(at_context *cx, at_tensor *y, const at_tensor *r)
{
    at_tensor *dense = at_contiguous(cx, y);
    assert_fine(cx);
    double sum = 0;
    for (int64_t i = 0; i < at_elements(dense); i++)
        sum += (double)((const float *)dense->data)[i] * ((const float *)r->data)[i];
    return sum;
}

static double value(at_context *cx, const trial *t, at_tensor *const *in, const at_tensor *r)
{
    at_scope scope = at_scope_begin(cx);
    double sum = dot(cx, t->run(cx, in), r);
    at_scope_end(cx, scope, NULL);
    return sum;
}

static double difference(at_context *cx, const trial *t, at_tensor *const *in, const at_tensor *r,
                         float *x)
{
    const float step = 0.03125f, at = *x;
    double f[4];
    static const float where[4] = {-2, -1, 1, 2};
    for (int i = 0; i < 4; i++) {
        *x = at + where[i] * step;
        f[i] = value(cx, t, in, r);
    }
    *x = at;
    return (8 * (f[2] - f[1]) - (f[3] - f[0])) / (12 * (double)step);
}

static void check(const trial *t)
{
    at_context *cx = f32_context();
    at_tensor *in[MOST_INPUTS] = {0};
    for (int i = 0; i < t->inputs; i++)
        in[i] = random_tensor(cx, t->of[i].dims, t->of[i].shape, t->shift);
    at_tensor *y = t->run(cx, in);
    assert_fine(cx);
    at_tensor *r = random_tensor(cx, y->dims, y->shape, 0);
    assert_true(at_tape_begin(cx));
    for (int i = 0; i < t->inputs; i++)
        if (!(t->fixed & 1u << i)) at_tape_watch(cx, in[i]);
    at_tensor *gradient[MOST_INPUTS] = {0};
    at_tensor *loss = at_sum(cx, at_mul(cx, t->run(cx, in), r));
    if (!at_backward(cx, loss)) fail_msg("%s: %s", t->name, at_error_text(cx));
    for (int i = 0; i < t->inputs; i++)
        if (!(t->fixed & 1u << i)) gradient[i] = at_tensor_keep(at_gradient(cx, in[i]));
    at_tape_end(cx);
    for (int i = 0; i < t->inputs; i++) {
        if (t->fixed & 1u << i) continue;
        if (!gradient[i] || !at_same_shape(gradient[i], in[i]))
            fail_msg("%s: input %d has a gradient %s", t->name, i, at_shape_text(gradient[i]));
        double worst = 0, size = 0;
        for (int64_t k = 0; k < at_elements(in[i]); k++) {
            double want = difference(cx, t, in, r, (float *)in[i]->data + k);
            worst = fmax(worst, fabs(want - ((float *)gradient[i]->data)[k]));
            size = fmax(size, fabs(want));
        }
        if (!(worst <= 1e-3 * fmax(size, 0.1)))
            fail_msg("%s: the gradient of input %d is off by %.2g of %.2g", t->name, i, worst,
                     size);
        at_tensor_release(cx, gradient[i]);
    }
    at_context_free(cx);
}

/* ---- the operations */

#define RUN(name, expression)                                    \
    static at_tensor *name(at_context *cx, at_tensor *const *in) \
    {                                                            \
        return expression;                                       \
    }

RUN(add, at_add(cx, in[0], in[1]))
RUN(sub, at_sub(cx, in[0], in[1]))
RUN(mul, at_mul(cx, in[0], in[1]))
RUN(square, at_mul(cx, in[0], in[0]))
RUN(quotient, at_div(cx, in[0], in[1]))
RUN(affine, at_affine(cx, in[0], -1.5f, 2))
RUN(silu, at_activate(cx, in[0], AT_SILU))
RUN(gelu, at_activate(cx, in[0], AT_GELU))
RUN(gelu_tanh, at_activate(cx, in[0], AT_GELU_TANH))
RUN(quick_gelu, at_activate(cx, in[0], AT_QUICK_GELU))
RUN(sigmoid, at_activate(cx, in[0], AT_SIGMOID))
RUN(tangent, at_activate(cx, in[0], AT_TANH))
RUN(relu, at_activate(cx, in[0], AT_RELU))
RUN(clamp, at_clamp(cx, in[0], 2, 9))
RUN(clamped, at_clamp(cx, in[0], 5, 9))
RUN(gate, at_activate_mul(cx, in[0], AT_SILU, in[1]))
RUN(gated_add, at_gated_add(cx, in[0], in[1], in[2]))
RUN(layer_norm, at_layer_norm(cx, in[0], in[1], in[2], 1e-2f))
RUN(layer_norm_plain, at_layer_norm(cx, in[0], NULL, NULL, 1e-2f))
RUN(rms_norm, at_rms_norm(cx, in[0], in[1], 1e-2f))
RUN(rms_norm_plain, at_rms_norm(cx, in[0], NULL, 1e-2f))
RUN(norm_modulate, at_norm_modulate(cx, in[0], in[1], in[2], 1e-2f))
RUN(softmax, at_softmax(cx, in[0]))
RUN(group_norm, at_group_norm(cx, in[0], 3, in[1], in[2], 1e-2f, AT_SILU))
RUN(group_norm_plain, at_group_norm(cx, in[0], 2, NULL, NULL, 1e-2f, AT_IDENTITY))
RUN(interleaved, at_rotary(cx, in[0], in[1], AT_ROTARY_INTERLEAVED))
RUN(halves, at_rotary(cx, in[0], in[1], AT_ROTARY_HALVES))
RUN(transposed, at_contiguous(cx, at_transpose(cx, in[0], 2, 0, 1)))
RUN(reshaped, at_view(cx, at_transpose(cx, in[0], 1, 0, 2), -1, 2))
RUN(part, at_mul(cx, at_slice(cx, in[0], 1, 1, 2), at_slice(cx, in[0], 1, 0, 2)))
RUN(expanded, at_expand(cx, in[0], 3, (int64_t[]){2, 3, 4}))
RUN(joined, at_join(cx, 1, in[0], in[1], in[0]))
RUN(joined_many, at_join(cx, -1, in[0], in[1], in[0], in[1], in[1], in[0], in[0], in[1]))
RUN(padded, at_pad(cx, in[0], 1, 2, 1, 5))
RUN(upsampled, at_upsample_nearest(cx, in[0], 5, 4))
RUN(total, at_sum(cx, in[0]))
RUN(mean, at_mean(cx, in[0]))
RUN(linear, at_linear(cx, in[0], in[1], in[2], AT_GELU_TANH))
RUN(linear_add, at_linear_add(cx, in[0], in[1], NULL, in[2], in[3]))
RUN(linear_mul, at_linear_mul(cx, in[0], in[1], NULL, in[2], AT_SILU))
RUN(linear_plain, at_linear(cx, in[0], in[1], NULL, AT_IDENTITY))
RUN(product, at_matmul(cx, in[0], in[1]))
RUN(attention, at_attention(cx, in[0], in[1], in[2], NULL))
RUN(causal, at_attention(cx, in[0], in[1], in[2], &(at_attention_options){.causal = true}))
RUN(masked, at_attention(cx, in[0], in[1], in[2], &(at_attention_options){.mask = in[3]}))

/* A cast to f16 and back moves the values a little, so its way back is the whole check: 1. */
static at_tensor *cast(at_context *cx, at_tensor *const *in)
{
    return cx->tape ? at_cast(cx, at_cast(cx, in[0], AT_F16), AT_F32) : in[0];
}

static at_tensor *embedding(at_context *cx, at_tensor *const *in)
{
    const int32_t ids[6] = {3, 0, 3, 1, 4, 3};
    return at_embedding(cx, in[0], at_from(cx, AT_I32, 2, (int64_t[]){2, 3}, ids));
}

static void test_operations(void **state)
{
    (void)state;
    static const trial trials[] = {
        {"add", add, 2, {{3, {2, 3, 4}}, {2, {3, 1}}}, 0, 0},
        {"sub", sub, 2, {{2, {3, 1}}, {3, {2, 3, 4}}}, 0, 0},
        {"mul", mul, 2, {{3, {2, 1, 4}}, {3, {1, 3, 4}}}, 0, 0},
        {"mul of a scalar", mul, 2, {{0, {0}}, {2, {3, 4}}}, 0, 0},
        {"square", square, 1, {{2, {3, 4}}}, 0, 0},
        {"div", quotient, 2, {{3, {2, 3, 4}}, {1, {4}}}, 5, 0},
        {"affine", affine, 1, {{2, {5, 3}}}, 0, 0},
        {"silu", silu, 1, {{2, {7, 9}}}, 0, 0},
        {"gelu", gelu, 1, {{2, {7, 9}}}, 0, 0},
        {"gelu_tanh", gelu_tanh, 1, {{2, {7, 9}}}, 0, 0},
        {"quick_gelu", quick_gelu, 1, {{2, {7, 9}}}, 0, 0},
        {"sigmoid", sigmoid, 1, {{2, {7, 9}}}, 0, 0},
        {"tanh", tangent, 1, {{2, {7, 9}}}, 0, 0},
        {"relu of positive", relu, 1, {{2, {7, 9}}}, 6, 0},
        {"relu of negative", relu, 1, {{2, {7, 9}}}, -6, 0},
        {"clamp inside", clamp, 1, {{2, {7, 9}}}, 6, 0},
        {"clamp outside", clamped, 1, {{2, {7, 9}}}, 1, 0},
        {"activate_mul", gate, 2, {{3, {2, 3, 5}}, {3, {2, 3, 5}}}, 0, 0},
        {"gated_add", gated_add, 3, {{3, {2, 3, 5}}, {3, {2, 1, 5}}, {3, {2, 3, 5}}}, 0, 0},
        {"layer_norm", layer_norm, 3, {{3, {2, 3, 6}}, {1, {6}}, {1, {6}}}, 1, 0},
        {"layer_norm plain", layer_norm_plain, 1, {{2, {3, 7}}}, 0, 0},
        {"rms_norm", rms_norm, 2, {{3, {2, 3, 6}}, {1, {6}}}, 1, 0},
        {"rms_norm plain", rms_norm_plain, 1, {{2, {3, 7}}}, 0, 0},
        {"norm_modulate", norm_modulate, 3, {{3, {2, 3, 6}}, {3, {2, 1, 6}}, {3, {2, 1, 6}}}, 0, 0},
        {"softmax", softmax, 1, {{2, {3, 7}}}, 0, 0},
        {"group_norm", group_norm, 3, {{4, {2, 3, 2, 6}}, {1, {6}}, {1, {6}}}, 0.5f, 0},
        {"group_norm plain", group_norm_plain, 1, {{3, {2, 3, 8}}}, 0, 0},
        {"rotary interleaved", interleaved, 2, {{4, {2, 3, 2, 8}}, {3, {3, 3, 2}}}, 0, 2},
        {"rotary halves", halves, 2, {{4, {2, 3, 2, 8}}, {4, {2, 3, 4, 2}}}, 0, 2},
        {"contiguous", transposed, 1, {{3, {2, 3, 4}}}, 0, 0},
        {"reshape", reshaped, 1, {{3, {2, 3, 4}}}, 0, 0},
        {"slice", part, 1, {{3, {2, 3, 4}}}, 0, 0},
        {"expand", expanded, 1, {{2, {3, 1}}}, 0, 0},
        {"concat", joined, 2, {{3, {2, 3, 4}}, {3, {2, 1, 4}}}, 0, 0},
        {"concat of many", joined_many, 2, {{2, {2, 3}}, {2, {2, 2}}}, 0, 0},
        {"pad", padded, 1, {{3, {2, 3, 2}}}, 0, 0},
        {"upsample", upsampled, 1, {{4, {2, 2, 3, 2}}}, 0, 0},
        {"sum", total, 1, {{3, {2, 3, 4}}}, 0, 0},
        {"mean", mean, 1, {{3, {2, 3, 4}}}, 0, 0},
        {"cast", cast, 1, {{2, {3, 4}}}, 0, 0},
        {"embedding", embedding, 1, {{2, {5, 3}}}, 0, 0},
        {"linear", linear, 3, {{3, {2, 3, 5}}, {2, {4, 5}}, {1, {4}}}, 0, 0},
        {"linear add",
         linear_add,
         4,
         {{3, {2, 3, 5}}, {2, {4, 5}}, {3, {2, 3, 4}}, {3, {2, 1, 4}}},
         0,
         0},
        {"linear mul", linear_mul, 3, {{3, {2, 3, 5}}, {2, {4, 5}}, {3, {2, 3, 4}}}, 0, 0},
        {"linear plain", linear_plain, 2, {{2, {3, 5}}, {2, {7, 5}}}, 0, 0},
        {"matmul", product, 2, {{3, {2, 3, 5}}, {2, {5, 4}}}, 0, 0},
        {"attention",
         attention,
         3,
         {{4, {1, 4, 2, 6}}, {4, {1, 5, 2, 6}}, {4, {1, 5, 2, 6}}},
         0,
         0},
        {"attention with a bias of each head",
         masked,
         4,
         {{4, {2, 4, 2, 6}}, {4, {2, 5, 2, 6}}, {4, {2, 5, 2, 6}}, {4, {1, 2, 4, 5}}},
         0,
         0},
        {"attention in groups",
         causal,
         3,
         {{4, {2, 3, 4, 4}}, {4, {2, 3, 2, 4}}, {4, {2, 3, 2, 5}}},
         0,
         0},
    };
    for (size_t i = 0; i < AT_COUNT(trials); i++) check(&trials[i]);
}

/* What cannot go back says so, and only when it would have to. */
static void test_no_way_back(void **state)
{
    (void)state;
    at_context *cx = f32_context();
    at_tensor *t = at_full(cx, 3, 1, (int64_t[]){4});
    assert_true(at_tape_begin(cx));
    assert_non_null(at_timestep_embedding(cx, t, 8, NULL));
    at_tape_watch(cx, t);
    assert_null(at_timestep_embedding(cx, t, 8, NULL));
    assert_int_equal(at_error_status(cx), AT_ERROR_UNSUPPORTED);
    assert_string_equal(at_error_text(cx),
                        "timestep_embedding: gradients cannot go back through it");
    at_context_free(cx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_operations),
        cmocka_unit_test(test_no_way_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
