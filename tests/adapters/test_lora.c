/* LoRA files in every dialect: each gives what PEFT or LyCORIS give. */
#include "adapters/lora.h"
#include "adapters/targets.h"
#include "files.h"
#include "models/text_encoders/clip_text.h"
#include "models/transformers/flux.h"
#include "models/transformers/hunyuan_dit.h"
#include "models/transformers/lumina2.h"
#include "models/unets/unet_2d_condition.h"
#include "parity.h"

typedef struct fixture_network {
    at_context *cx;
    at_module *module;
    at_weights *io, *expected;
    const char *component;
} fixture_network;

static fixture_network open_network(const char *name)
{
    char path[512];
    fixture_network n = {.cx = f32_context()};
    snprintf(path, sizeof path, "%s/networks/%s", AT_FIXTURES, name);
    n.module = at_module_load(n.cx, path, NULL);
    snprintf(path, sizeof path, "%s/networks/%s/io.safetensors", AT_FIXTURES, name);
    n.io = at_weights_open(n.cx, path);
    snprintf(path, sizeof path, "%s/lora/expected.safetensors", AT_FIXTURES);
    n.expected = at_weights_open(n.cx, path);
    n.component = strncmp(name, "clip", 4) == 0   ? "text_encoder"
                  : strncmp(name, "unet", 4) == 0 ? "unet"
                                                  : "transformer";
    assert_fine(n.cx);
    return n;
}

static void close_network(fixture_network n)
{
    at_module_free(n.module);
    at_weights_free(n.io);
    at_weights_free(n.expected);
    at_context_free(n.cx);
}

static at_lora *open_lora(at_context *cx, const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/lora/%s.safetensors", AT_FIXTURES, name);
    at_lora *lora = at_lora_open(cx, path);
    assert_fine(cx);
    return lora;
}

static at_tensor *input(fixture_network *n, const char *name, at_dtype dtype)
{
    return at_cast(n->cx, fixture(n->cx, n->io, name), dtype);
}

static at_tensor *forward_lumina2(fixture_network *n)
{
    at_lumina2_inputs in = {
        .hidden_states = fixture_nhwc(n->cx, n->io, "input.hidden_states"),
        .timestep = fixture(n->cx, n->io, "input.timestep"),
        .encoder_hidden_states = fixture(n->cx, n->io, "input.encoder_hidden_states"),
        .encoder_attention_mask = input(n, "input.encoder_attention_mask", AT_BOOL)};
    return at_transpose(n->cx, at_lumina2_forward(n->cx, n->module, &in), 0, 3, 1, 2);
}

static at_tensor *forward_hunyuan(fixture_network *n)
{
    at_tensor *x = fixture_nhwc(n->cx, n->io, "input.hidden_states");
    at_hunyuan_dit_inputs in = {
        .hidden_states = x,
        .timestep = fixture(n->cx, n->io, "input.timestep"),
        .encoder_hidden_states = fixture(n->cx, n->io, "input.encoder_hidden_states"),
        .text_embedding_mask = input(n, "input.text_embedding_mask", AT_BOOL),
        .encoder_hidden_states_t5 = fixture(n->cx, n->io, "input.encoder_hidden_states_t5"),
        .text_embedding_mask_t5 = input(n, "input.text_embedding_mask_t5", AT_BOOL),
        .image_meta_size = input(n, "input.image_meta_size", AT_F32),
        .style = input(n, "input.style", AT_I32),
        .rope = at_hunyuan_dit_rope(n->cx, n->module, at_dim(x, 1), at_dim(x, 2))};
    return at_transpose(n->cx, at_hunyuan_dit_forward(n->cx, n->module, &in), 0, 3, 1, 2);
}

static at_tensor *forward(fixture_network *n)
{
    at_context *cx = n->cx;
    if (strcmp(n->module->class->name, "Lumina2Transformer2DModel") == 0) return forward_lumina2(n);
    if (strcmp(n->module->class->name, "HunyuanDiT2DModel") == 0) return forward_hunyuan(n);
    if (strcmp(n->component, "transformer") == 0) {
        at_flux_inputs in = {.hidden_states = fixture(cx, n->io, "input.hidden_states"),
                             .encoder_hidden_states =
                                 fixture(cx, n->io, "input.encoder_hidden_states"),
                             .pooled_projections = fixture(cx, n->io, "input.pooled_projections"),
                             .timestep = fixture(cx, n->io, "input.timestep"),
                             .guidance = fixture(cx, n->io, "input.guidance"),
                             .img_ids = fixture(cx, n->io, "input.img_ids"),
                             .txt_ids = fixture(cx, n->io, "input.txt_ids")};
        return at_flux_forward(cx, n->module, &in);
    }
    if (strcmp(n->component, "unet") == 0) {
        at_unet_inputs in = {.sample = fixture_nhwc(cx, n->io, "input.sample"),
                             .timestep = fixture(cx, n->io, "input.timestep"),
                             .encoder_hidden_states =
                                 fixture(cx, n->io, "input.encoder_hidden_states"),
                             .text_embeds = at_weights_get(cx, n->io, "input.text_embeds"),
                             .time_ids = at_weights_get(cx, n->io, "input.time_ids")};
        return at_transpose(cx, at_unet_forward(cx, n->module, &in), 0, 3, 1, 2);
    }
    at_tensor *ids = at_cast(cx, fixture(cx, n->io, "input.input_ids"), AT_I32);
    return at_clip_text_forward(cx, n->module, ids, 0).last_hidden_state;
}

static void matches(fixture_network *n, const char *file, double weight, const char *expected)
{
    at_lora *lora = open_lora(n->cx, file);
    assert_true(at_lora_attach(lora, n->module, n->component, weight));
    for (int i = 0; i < lora->count; i++)
        if (!lora->layers[i].matched) fail_msg("%s: %s is not matched", file, lora->layers[i].path);
    assert_true(at_lora_report(lora));
    double distance = parity(n->cx, forward(n), fixture(n->cx, n->expected, expected));
    if (!(distance <= 1e-4)) fail_msg("%s: parity %.3g", expected, distance);
    at_module_restore(n->module);
    at_lora_free(lora);
}

static void test_flux(void **state)
{
    static const char *const files[] = {"flux_peft",       "flux_bfl",      "flux_kohya",
                                        "flux_onetrainer", "flux_metadata", "flux_xlabs",
                                        "flux_control",    "flux_lokr"};
    (void)state;
    fixture_network n = open_network("flux_dev");
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) matches(&n, files[i], 1.0, files[i]);
    matches(&n, "flux_peft", -0.6, "flux_peft@-0.6");
    close_network(n);
}

static void test_text_dits(void **state)
{
    static const char *const files[] = {"lumina2_peft", "lumina2_alpha", "lumina2_kohya"};
    (void)state;
    fixture_network n = open_network("lumina2_uneven");
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) matches(&n, files[i], 1.0, files[i]);
    close_network(n);
    n = open_network("hunyuan_geglu");
    matches(&n, "hunyuan_peft", 1.0, "hunyuan_peft");
    close_network(n);
}

static void test_stable_diffusion(void **state)
{
    static const char *const files[] = {"sd_peft",  "sd_dora", "sd_loha",
                                        "sd_locon", "sd_lokr", "sd_full"};
    (void)state;
    fixture_network n = open_network("unet_sd1");
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) matches(&n, files[i], 1.0, files[i]);
    matches(&n, "sd_dora", 0.5, "sd_dora@0.5");
    close_network(n);
}

static void test_stable_diffusion_xl(void **state)
{
    (void)state;
    fixture_network n = open_network("unet_xl");
    matches(&n, "xl_kohya", 1.0, "xl_kohya");
    matches(&n, "xl_processors", 1.0, "xl_processors");
    close_network(n);
}

static void test_text_encoder(void **state)
{
    (void)state;
    fixture_network n = open_network("clip_quick_gelu");
    matches(&n, "te_kohya", 1.0, "te_kohya");
    matches(&n, "te_processors", 1.0, "te_processors");
    close_network(n);
}

/* On, off, twice: without the LoRA the network is what it was, to the bit. */
/* The names that the layers have in their makers' files; a fused one is three layers in its order.
 */
static void test_original_names(void **state)
{
    static const struct {
        const char *network, *theirs, *ours[3];
    } cases[] = {
        {"sd3_medium",
         "joint_blocks_0_x_block_attn_qkv",
         {"transformer_blocks.0.attn.to_q", "transformer_blocks.0.attn.to_k",
          "transformer_blocks.0.attn.to_v"}},
        {"sd3_medium",
         "joint_blocks_0_context_block_mlp_fc1",
         {"transformer_blocks.0.ff_context.net.0.proj"}},
        {"sd3_medium", "context_embedder", {"context_embedder"}}, /* both call it so */
        {"auraflow_both",
         "double_layers_0_attn_w1q",
         {"joint_transformer_blocks.0.attn.add_q_proj"}},
        {"hunyuan_geglu", "blocks_0_attn2_kv_proj", {"blocks.0.attn2.to_k", "blocks.0.attn2.to_v"}},
    };
    (void)state;
    for (size_t i = 0; i < AT_COUNT(cases); i++) {
        fixture_network n = open_network(cases[i].network);
        at_targets t;
        assert_true(at_targets_of(n.module, &t));
        int part = at_targets_find(&t, cases[i].theirs);
        for (int k = 0; k < 3 && cases[i].ours[k]; k++) {
            if (part < 0) fail_msg("%s: not a layer", cases[i].theirs);
            assert_string_equal(t.parts[part].target->name, cases[i].ours[k]);
            part = t.parts[part].next;
        }
        assert_int_equal(part, -1);
        at_targets_free(&t);
        close_network(n);
    }
}

static void test_restore(void **state)
{
    (void)state;
    fixture_network n = open_network("flux_dev");
    at_lora *lora = open_lora(n.cx, "flux_control");
    at_tensor *plain = forward(&n), *with[2];
    for (int i = 0; i < 2; i++) {
        assert_true(at_lora_attach(lora, n.module, n.component, 0.7));
        with[i] = forward(&n);
        at_module_restore(n.module);
        assert_true(parity(n.cx, forward(&n), plain) == 0);
    }
    assert_true(parity(n.cx, with[0], with[1]) == 0);
    assert_true(parity(n.cx, with[0], plain) > 0.01);
    /* Two halves are one whole; the module may be freed with them on. */
    at_lora *peft = open_lora(n.cx, "flux_peft");
    for (int i = 0; i < 2; i++) assert_true(at_lora_attach(peft, n.module, n.component, 0.5));
    assert_parity(n.cx, forward(&n), fixture(n.cx, n.expected, "flux_peft"), 1e-4);
    at_lora_free(peft);
    at_lora_free(lora);
    close_network(n);
}

/* ---- what is refused */

typedef struct part {
    const char *name;
    int64_t rows, columns;
    float value;
} part;

static void refused(fixture_network *n, const part *parts, int count, const char *message)
{
    unsigned char bytes[4096];
    size_t length = 8, data = 0;
    char *json = (char *)bytes;
    json[length++] = '{';
    for (int i = 0; i < count; i++) {
        size_t size = (size_t)(parts[i].rows * parts[i].columns) * 4;
        length += (size_t)snprintf(json + length, sizeof bytes - length,
                                   "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[%lld,%lld],"
                                   "\"data_offsets\":[%zu,%zu]}",
                                   i ? "," : "", parts[i].name, (long long)parts[i].rows,
                                   (long long)parts[i].columns, data, data + size);
        data += size;
    }
    json[length++] = '}';
    uint64_t header = length - 8;
    memcpy(bytes, &header, sizeof header);
    for (int i = 0; i < count; i++)
        for (int64_t k = 0; k < parts[i].rows * parts[i].columns; k++, length += 4)
            memcpy(bytes + length, &parts[i].value, 4);
    const char *path = put_file("hostile.safetensors", bytes, length);
    at_lora *lora = at_lora_open(n->cx, path);
    if (lora && at_lora_attach(lora, n->module, n->component, 1.0)) {
        at_lora_report(lora);
        if (at_ok(n->cx)) forward(n);
    }
    const char *text = at_error_text(n->cx);
    if (!strstr(text, message) || strchr(text, '\n')) fail_msg("said: %s", text);
    at_lora_free(lora);
}

#define refused_parts(message, ...)                                           \
    do {                                                                      \
        fixture_network n_ = open_network("flux_dev");                        \
        const part parts_[] = {__VA_ARGS__};                                  \
        refused(&n_, parts_, (int)(sizeof parts_ / sizeof *parts_), message); \
        close_network(n_);                                                    \
    } while (0)

#define Q "transformer.transformer_blocks.0.attn.to_q"

static void test_refused(void **state)
{
    (void)state;
    refused_parts("does not fit", {Q ".lora_A.weight", 2, 31, 1}, {Q ".lora_B.weight", 32, 2, 1});
    refused_parts("does not fit", {Q ".lora_A.weight", 2, 32, 1}, {Q ".lora_B.weight", 32, 3, 1});
    refused_parts("does not fit", {Q ".lora_A.weight", 2, 32, 1}, {Q ".lora_B.weight", 33, 2, 1});
    refused_parts("rank 0", {Q ".lora_A.weight", 0, 32, 1}, {Q ".lora_B.weight", 32, 0, 1});
    refused_parts("is missing", {Q ".lora_A.weight", 2, 32, 1});
    refused_parts("not finite", {Q ".lora_A.weight", 2, 32, NAN}, {Q ".lora_B.weight", 32, 2, 1});
    refused_parts("not finite", {Q ".lora_A.weight", 2, 32, 1},
                  {Q ".lora_B.weight", 32, 2, INFINITY});
    refused_parts("alpha", {Q ".lora_A.weight", 2, 32, 1}, {Q ".lora_B.weight", 32, 2, 1},
                  {Q ".alpha", 1, 1, 1e30f});
    refused_parts("not one number", {Q ".lora_A.weight", 2, 32, 1}, {Q ".lora_B.weight", 32, 2, 1},
                  {Q ".alpha", 1, 2, 1});
    refused_parts("does not fit", {Q ".lokr_w1", 5, 2, 1}, {Q ".lokr_w2", 2, 16, 1});
    refused_parts("does not fit", {Q ".hada_w1_a", 32, 2, 1}, {Q ".hada_w1_b", 2, 32, 1},
                  {Q ".hada_w2_a", 32, 2, 1}, {Q ".hada_w2_b", 3, 32, 1});
    refused_parts("without an update", {Q ".alpha", 1, 1, 1});
    refused_parts("OFT or BOFT is not supported (" Q ".oft_blocks)", {Q ".lora_A.weight", 2, 32, 1},
                  {Q ".lora_B.weight", 32, 2, 1}, {Q ".oft_blocks", 4, 64, 1});
    refused_parts("OFT is not", {Q ".oft_R.weight", 4, 28, 1});
    refused_parts("BOFT is not", {Q ".boft_R", 4, 64, 1}, {Q ".boft_s", 32, 1, 1});
    refused_parts("GLoRA is not", {Q ".a1.weight", 2, 32, 1}, {Q ".alpha", 1, 1, 1});
    refused_parts("IA3 is not", {Q ".weight", 32, 1, 1}, {Q ".on_input", 1, 1, 1});
    refused_parts("IA3 is not", {Q ".ia3_l", 32, 1, 1});
    refused_parts("VeRA is not", {Q ".vera_lambda_b", 32, 1, 1});
    refused_parts("not a LoRA", {"some.weight", 1, 1, 1});
    refused_parts("(a.lora_down.weight, b.lora_down.weight, c.lora_down.weight)",
                  {"a.lora_down.weight", 1, 1, 1}, {"b.lora_down.weight", 1, 1, 1},
                  {"c.lora_down.weight", 1, 1, 1}, {"d.lora_down.weight", 1, 1, 1});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flux),
        cmocka_unit_test(test_text_dits),
        cmocka_unit_test(test_stable_diffusion),
        cmocka_unit_test(test_stable_diffusion_xl),
        cmocka_unit_test(test_text_encoder),
        cmocka_unit_test(test_original_names),
        cmocka_unit_test(test_restore),
        cmocka_unit_test_setup_teardown(test_refused, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
