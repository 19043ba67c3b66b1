#include "models/autoencoders/autoencoder_kl.h"
#include "networks.h"

/* prefix: of the outputs' names, "output." or "output.tiled_" */
static at_tensor *expected(network n, const char *prefix, const char *name)
{
    char key[64];
    snprintf(key, sizeof key, "%s%s", prefix, name);
    return fixture_nhwc(n.cx, n.io, key);
}

static void vae_matches(const char *name, bool tiled)
{
    const char *prefix = tiled ? "output.tiled_" : "output.";
    network n = network_open(name, "io");
    at_tensor *moments =
        at_autoencoder_kl_encode(n.cx, n.module, fixture_nhwc(n.cx, n.io, "input.sample"), tiled);
    int64_t channels = at_autoencoder_kl_info_of(n.module).latent_channels;
    assert_parity(n.cx, at_slice(n.cx, moments, 3, 0, channels), expected(n, prefix, "mean"), 1e-4);
    assert_parity(n.cx, at_slice(n.cx, moments, 3, channels, channels),
                  expected(n, prefix, "logvar"), 1e-4);
    at_tensor *sample =
        at_autoencoder_kl_decode(n.cx, n.module, fixture_nhwc(n.cx, n.io, "input.latent"), tiled);
    assert_parity(n.cx, sample, expected(n, prefix, "sample"), 1e-4);
    network_close(n);
}

static void test_networks(void **state)
{
    static const char *const names[] = {"vae_flux", "vae_fp16_variant", "vae_no_attention",
                                        "vae_old_keys"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) vae_matches(names[i], false);
}

static void test_tiled(void **state)
{
    (void)state;
    vae_matches("vae_tiled", false);
    vae_matches("vae_tiled", true);
}

static float largest(at_context *cx, at_tensor *x)
{
    float most = 0, *values = malloc((size_t)at_elements(x) * sizeof *values);
    assert_true(at_read_f32(cx, x, values));
    for (int64_t i = 0; i < at_elements(x); i++)
        if (fabsf(values[i]) > most) most = fabsf(values[i]);
    free(values);
    return most;
}

/* Activations past what f16 holds, as the XL autoencoder has them (here from the latents on, which
   the residual sums carry along), with weights in f16: the same picture in every precision. */
static void test_beyond_f16(void **state)
{
    static const at_precision precisions[] = {AT_PRECISION_BF16, AT_PRECISION_INT8};
    (void)state;
    network n = network_open("vae_fp16_variant", "io");
    at_tensor *z = at_affine(n.cx, fixture_nhwc(n.cx, n.io, "input.latent"), 1e6f, 0.0f);
    assert_true(largest(n.cx, z) > 65504.0f);
    at_tensor *f32 = at_autoencoder_kl_decode(n.cx, n.module, z, false);
    assert_fine(n.cx);
    for (size_t i = 0; i < sizeof precisions / sizeof *precisions; i++) {
        at_context *cx =
            at_context_new(&(at_context_options){.precision = precisions[i], .threads = 2});
        at_module *vae =
            at_module_load(cx, AT_FIXTURES "/networks/vae_fp16_variant", "AutoencoderKL");
        at_tensor *x =
            at_autoencoder_kl_decode(cx, vae, at_from(cx, AT_F32, 4, z->shape, z->data), false);
        assert_fine(cx);
        assert_parity(cx, x, f32, 0.1);
        at_module_free(vae);
        at_context_free(cx);
    }
    network_close(n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_networks),
                                       cmocka_unit_test(test_tiled),
                                       cmocka_unit_test(test_beyond_f16)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
