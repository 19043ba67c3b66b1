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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_networks),
                                       cmocka_unit_test(test_tiled)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
