#include "models/unets/unet_2d_condition.h"
#include "networks.h"

static void unet_matches(const char *name)
{
    network n = network_open(name, "io");
    at_unet_inputs in = {
        .sample = fixture_nhwc(n.cx, n.io, "input.sample"),
        .timestep = fixture(n.cx, n.io, "input.timestep"),
        .encoder_hidden_states = fixture(n.cx, n.io, "input.encoder_hidden_states"),
        .class_labels = at_weights_get(n.cx, n.io, "input.class_labels"),
        .timestep_cond = at_weights_get(n.cx, n.io, "input.timestep_cond"),
        .text_embeds = at_weights_get(n.cx, n.io, "input.text_embeds"),
        .time_ids = at_weights_get(n.cx, n.io, "input.time_ids"),
    };
    at_tensor *output = at_unet_forward(n.cx, n.module, &in);
    double distance = parity(n.cx, output, fixture_nhwc(n.cx, n.io, "output"));
    if (!(distance <= 1e-4)) fail_msg("%s: parity %.3g", name, distance);
    network_close(n);
}

static void test_networks(void **state)
{
    static const char *const names[] = {
        "unet_sd1",          "unet_sd2_f16",        "unet_xl",          "unet_inpaint",
        "unet_pruned",       "unet_options",        "unet_class_table", "unet_class_projection",
        "unet_class_simple", "unet_class_identity",
    };
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) unet_matches(names[i]);
}

static void test_refused_configurations(void **state)
{
    (void)state;
    assert_refused("UNet2DConditionModel", "{\"down_block_types\": [\"AttnDownBlock2D\"]}",
                   "AttnDownBlock2D");
    assert_refused("UNet2DConditionModel", "{\"up_block_types\": [\"UpBlock2D\"]}",
                   "up_block_types");
    assert_refused("UNet2DConditionModel",
                   "{\"mid_block_type\": \"UNetMidBlock2DSimpleCrossAttn\"}", "mid_block_type");
    assert_refused("UNet2DConditionModel", "{\"addition_embed_type\": \"image\"}",
                   "addition_embed_type");
    assert_refused("UNet2DConditionModel", "{\"addition_embed_type\": \"text_time\"}",
                   "addition_time_embed_dim");
    assert_refused("UNet2DConditionModel", "{\"dual_cross_attention\": true}",
                   "dual_cross_attention");
    assert_refused("UNet2DConditionModel", "{\"attention_type\": \"gated\"}", "attention_type");
    assert_refused("UNet2DConditionModel", "{\"num_attention_heads\": 8}", "num_attention_heads");
    assert_refused("UNet2DConditionModel", "{\"time_embedding_type\": \"fourier\"}",
                   "time_embedding_type");
    assert_refused("UNet2DConditionModel",
                   "{\"encoder_hid_dim_type\": \"image_proj\", \"encoder_hid_dim\": 8}",
                   "image_proj");
    assert_refused("UNet2DConditionModel", "{\"transformer_layers_per_block\": [1, [1, 1], 1, 1]}",
                   "reverse_transformer");
    assert_refused("UNet2DConditionModel", "{\"attention_head_dim\": [8, 8]}",
                   "attention_head_dim");
    assert_refused("UNet2DConditionModel", "{\"block_out_channels\": [320, 640, 1280]}",
                   "block_out_channels");
    assert_refused("UNet2DConditionModel", "{\"attention_head_dim\": 7}", "number of heads");
    assert_refused("UNet2DConditionModel", "{\"something_new\": 1}", "something_new");
}

/* What the configuration wants must be given. */
static void test_missing_inputs(void **state)
{
    static const char *const names[] = {"unet_xl", "unet_class_simple"};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        network n = network_open(names[i], "io");
        at_unet_inputs in = {
            .sample = fixture_nhwc(n.cx, n.io, "input.sample"),
            .timestep = fixture(n.cx, n.io, "input.timestep"),
            .encoder_hidden_states = fixture(n.cx, n.io, "input.encoder_hidden_states"),
        };
        assert_null(at_unet_forward(n.cx, n.module, &in));
        assert_int_equal(at_error_status(n.cx), AT_ERROR_ARGUMENT);
        network_close(n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_networks),
        cmocka_unit_test(test_refused_configurations),
        cmocka_unit_test(test_missing_inputs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
