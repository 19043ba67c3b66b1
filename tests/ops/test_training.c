/* A block of norm, attention, linear layers, activation and gate goes down the same losses as with
   torch's autograd (tools/reference/training.py). */
#include "parity.h"
#include "tensor/pool.h"

enum { BATCH = 2, TOKENS = 5, WIDTH = 12, HEADS = 3, STEPS = 8, PARAMETERS = 11 };
static const float rate = 0.05f;
static const char *const names[PARAMETERS] = {
    "norm1.weight", "norm1.bias",      "to_qkv.weight", "to_qkv.bias",     "to_out.weight", "gate",
    "norm2.weight", "linear_1.weight", "linear_1.bias", "linear_2.weight", "linear_2.bias",
};

static at_tensor *block(at_context *cx, at_tensor *const *p, at_tensor *x)
{
    at_tensor *h = at_layer_norm(cx, x, p[0], p[1], 1e-5f);
    at_tensor *qkv = at_linear(cx, h, p[2], p[3], AT_IDENTITY);
    qkv = at_view(cx, qkv, BATCH, TOKENS, 3, HEADS, WIDTH / HEADS);
    at_tensor *part[3];
    for (int i = 0; i < 3; i++)
        part[i] = at_view(cx, at_slice(cx, qkv, 2, i, 1), BATCH, TOKENS, HEADS, WIDTH / HEADS);
    at_tensor *a = at_attention(cx, part[0], part[1], part[2], NULL);
    a = at_linear(cx, at_view(cx, a, BATCH, TOKENS, WIDTH), p[4], NULL, AT_IDENTITY);
    x = at_gated_add(cx, x, p[5], a);
    h = at_linear(cx, at_rms_norm(cx, x, p[6], 1e-6f), p[7], p[8], AT_GELU_TANH);
    return at_add(cx, x, at_linear(cx, h, p[9], p[10], AT_IDENTITY));
}

static at_tensor *named(at_context *cx, at_weights *io, const char *group, const char *name)
{
    char full[64];
    snprintf(full, sizeof full, "%s.%s", group, name);
    return fixture(cx, io, full);
}

/* One step: the loss, and p[i] replaced by p[i] - rate * gradient. */
static float descend(at_context *cx, at_weights *io, at_tensor **p, bool first)
{
    at_tape_begin(cx);
    for (int i = 0; i < PARAMETERS; i++) at_tape_watch(cx, p[i]);
    at_tensor *off = at_sub(cx, block(cx, p, fixture(cx, io, "x")), fixture(cx, io, "target"));
    at_tensor *loss = at_mean(cx, at_mul(cx, off, off));
    at_backward(cx, loss);
    assert_fine(cx);
    float value = *(float *)loss->data;
    at_tensor *change[PARAMETERS];
    for (int i = 0; i < PARAMETERS; i++) {
        at_tensor *gradient = at_gradient(cx, p[i]);
        if (first) assert_parity(cx, gradient, named(cx, io, "gradient", names[i]), 2e-5);
        change[i] = at_tensor_keep(gradient);
    }
    at_tape_end(cx);
    for (int i = 0; i < PARAMETERS; i++) {
        p[i] = at_sub(cx, p[i], at_affine(cx, change[i], rate, 0));
        at_tensor_release(cx, change[i]);
    }
    return value;
}

static void test_descent(void **state)
{
    (void)state;
    at_context *cx = f32_context();
    at_weights *io = at_weights_open(cx, AT_FIXTURES "/training/block.safetensors");
    const float *losses = fixture(cx, io, "losses")->data;
    at_tensor *p[PARAMETERS];
    for (int i = 0; i < PARAMETERS; i++) p[i] = named(cx, io, "start", names[i]);
    for (int step = 0; step < STEPS; step++) {
        float loss = descend(cx, io, p, step == 0);
        if (!(fabsf(loss - losses[step]) <= 2e-6f * losses[step]))
            fail_msg("step %d: loss %.7g, not %.7g", step, (double)loss, (double)losses[step]);
    }
    assert_true(losses[STEPS - 1] < 0.7f * losses[0]);
    for (int i = 0; i < PARAMETERS; i++)
        assert_parity(cx, p[i], named(cx, io, "end", names[i]), 2e-5);
    at_context_free(cx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_descent)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
