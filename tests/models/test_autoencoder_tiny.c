#include "formats/weights.h"
#include "models/autoencoders/autoencoder_tiny.h"
#include "models/layouts/layout.h"
#include "networks.h"

static void encodes(const network *n, const at_module *vae, bool tiled)
{
    at_tensor *latents =
        at_autoencoder_encode(n->cx, vae, fixture_nhwc(n->cx, n->io, "input.sample"), tiled);
    const char *name = tiled ? "output.tiled_latents" : "output.latents";
    assert_parity(n->cx, latents, fixture_nhwc(n->cx, n->io, name), 1e-4);
}

static void decodes(const network *n, const at_module *vae, bool tiled)
{
    at_tensor *sample =
        at_autoencoder_decode(n->cx, vae, fixture_nhwc(n->cx, n->io, "input.latent"), tiled);
    const char *name = tiled ? "output.tiled_sample" : "output.sample";
    assert_parity(n->cx, sample, fixture_nhwc(n->cx, n->io, name), 1e-4);
}

static void test_published(void **state)
{
    (void)state;
    network n = network_open("tiny_vae", "io");
    for (int tiled = 0; tiled < 2; tiled++) {
        encodes(&n, n.module, tiled);
        decodes(&n, n.module, tiled);
    }
    at_autoencoder_info info = at_autoencoder_info_of(n.module);
    assert_int_equal(info.scale, 8);
    assert_int_equal(info.latent_channels, 4);
    assert_true(info.scaling_factor == 1.0 && info.shift_factor == 0.0 && !info.draws);
    network_close(n);
}

static void test_other_options(void **state)
{
    (void)state;
    network n = network_open("tiny_vae_wide", "io");
    encodes(&n, n.module, false);
    decodes(&n, n.module, false);
    network_close(n);
}

/* TAESD's own files hold one half each. */
static void test_original_files(void **state)
{
    (void)state;
    for (int half = 0; half < 2; half++) {
        network n = network_open("tiny_vae", "io");
        at_weights *file = at_weights_open(
            n.cx, half ? AT_FIXTURES "/networks/tiny_vae/taesd_decoder.safetensors"
                       : AT_FIXTURES "/networks/tiny_vae/taesd_encoder.safetensors");
        at_layout *layout = at_layout_of(n.cx, file);
        assert_fine(n.cx);
        assert_string_equal(layout->family, "AutoencoderTiny");
        assert_int_equal(layout->unused, 0);
        char *text = cJSON_PrintUnformatted(layout->parts[0].config);
        at_config *config = at_config_parse(n.cx, text, strlen(text), "taesd");
        at_module *vae = at_module_load_weights(n.cx, config, layout->parts[0].weights, "taesd",
                                                "AutoencoderTiny");
        assert_fine(n.cx);
        assert_int_equal(at_autoencoder_info_of(vae).scale, 8);
        assert_int_equal(at_autoencoder_info_of(vae).latent_channels, 4);
        if (half)
            decodes(&n, vae, false);
        else
            encodes(&n, vae, false);
        at_tensor *x = half ? fixture_nhwc(n.cx, n.io, "input.sample")
                            : fixture_nhwc(n.cx, n.io, "input.latent");
        assert_null(half ? at_autoencoder_encode(n.cx, vae, x, false)
                         : at_autoencoder_decode(n.cx, vae, x, false));
        assert_non_null(strstr(at_error_text(n.cx), half ? "no encoder" : "no decoder"));
        at_error_clear(n.cx);
        at_module_free(vae);
        at_config_free(config);
        cJSON_free(text);
        at_layout_free(layout);
        at_weights_free(file);
        network_close(n);
    }
}

static void test_refused(void **state)
{
    (void)state;
    assert_refused("AutoencoderTiny", "{\"act_fn\":\"mish\"}", "mish");
    assert_refused("AutoencoderTiny", "{\"upsample_fn\":\"bilinear\"}", "upsample_fn");
    assert_refused("AutoencoderTiny", "{\"num_decoder_blocks\":[3,3]}", "num_decoder_blocks");
    assert_refused("AutoencoderTiny", "{\"encoder_block_out_channels\":[64,32,64,64]}",
                   "all channels the same");
    assert_refused("AutoencoderTiny", "{\"scaling_factor\":0}", "scaling_factor");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published), cmocka_unit_test(test_other_options),
        cmocka_unit_test(test_original_files), cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
