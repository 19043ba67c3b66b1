/* Components from files that the caller gives in the places of a model's own. */
#include "files.h"
#include "parity.h"
#include "pipelines/parts.h"
#include "text/tokenizer.h"

#define SINGLE AT_FIXTURES "/checkpoints/single/"
#define PIPELINES AT_FIXTURES "/pipelines/"

static const cJSON *item_of(const at_pipeline *p, const char *component, const char *key)
{
    const at_component *c = at_pipeline_component(p, component);
    assert_non_null(c->config);
    return cJSON_GetObjectItemCaseSensitive(at_config_json(c->config), key);
}

static double number_of(const at_pipeline *p, const char *component, const char *key)
{
    const cJSON *item = item_of(p, component, key);
    assert_true(cJSON_IsNumber(item));
    return item->valuedouble;
}

/* A transformer alone, with T5 and the autoencoder from files that do not say what they are for. */
static void test_parts_from_lone_files(void **state)
{
    (void)state;
    at_context *cx = f32_context();
    at_pipeline *p =
        at_pipeline_open_files(cx, &(at_model_files){.model = SINGLE "sd3_bare.safetensors",
                                                     .vae = SINGLE "ae.safetensors",
                                                     .text_encoder_3 = SINGLE "t5xxl.safetensors"});
    assert_fine(cx);
    assert_string_equal(at_pipeline_component(p, "text_encoder_3")->class_name, "T5EncoderModel");
    assert_float_equal(number_of(p, "vae", "scaling_factor"), 1.5305, 0);
    assert_float_equal(number_of(p, "vae", "shift_factor"), 0.0609, 0);
    at_pipeline_free(p);
    p = at_pipeline_open_files(cx, &(at_model_files){.model = AT_FIXTURES "/pipelines/xl_tiny",
                                                     .vae = SINGLE "ae.safetensors"});
    assert_fine(cx); /* as the folder's own */
    assert_float_equal(number_of(p, "vae", "scaling_factor"), 0.13025, 0);
    assert_true(at_parts_take_preview(p, SINGLE "ae.safetensors")); /* in nothing's place */
    assert_float_equal(number_of(p, AT_PREVIEW_VAE, "scaling_factor"), 0.13025, 0);
    at_context_free(cx);
}

/* llama.cpp's files of T5 have sentencepiece's pieces as lists. */
static void test_tokenizers_in_gguf(void **state)
{
    static const char text[] = "A red  heart, \xc3\x9c"
                               "ber \xef\xac\x81nal 12\xc2\xbd \xf0\x9f\xa6\x8a";
    static const struct {
        at_model_files files;
        const char *tokenizer, *folder;
    } cases[] = {
        {{.model = SINGLE "sd3_bare.safetensors",
          .text_encoder_3 = AT_FIXTURES "/checkpoints/gguf/t5.gguf"},
         "tokenizer_3",
         "t5_old"},
        {{.model = SINGLE "auraflow_alone.safetensors",
          .text_encoder = AT_FIXTURES "/checkpoints/gguf/umt5.gguf"},
         "tokenizer",
         "llama_new_old"},
    };
    (void)state;
    at_context *cx = f32_context();
    for (size_t i = 0; i < AT_COUNT(cases); i++) {
        at_pipeline *p = at_pipeline_open_files(cx, &cases[i].files);
        assert_fine(cx);
        char *folder_path = at_format(cx, AT_FIXTURES "/tokenizers/folders/%s", cases[i].folder);
        at_tokenizer *theirs = at_tokenizer_open(cx, folder_path);
        at_tokenizer *ours = at_pipeline_tokenizer(p, cases[i].tokenizer);
        at_ids expected = {0}, ids = {0};
        at_tokenizer_encode(cx, theirs, text, sizeof text - 1, NULL, &expected);
        at_tokenizer_encode(cx, ours, text, sizeof text - 1, NULL, &ids);
        assert_fine(cx);
        assert_true(expected.count > 10);
        assert_int_equal(ids.count, expected.count);
        assert_memory_equal(ids.ids, expected.ids, ids.count * sizeof *ids.ids);
        assert_true(at_tokenizer_pad_id(ours) >= 0);
        at_ids_free(&expected);
        at_ids_free(&ids);
        at_tokenizer_free(theirs);
        at_free(folder_path);
        at_pipeline_free(p);
    }
    at_context_free(cx);
}

#define WEIGHTS "/transformer/diffusion_pytorch_model.safetensors"

/* A transformer without its configuration. */
static const char *put_weights_alone(void)
{
    empty_folder();
    assert_int_equal(symlink(PIPELINES "aura_flow_tiny" WEIGHTS, in_folder("lone.safetensors")), 0);
    return in_folder("lone.safetensors");
}

/* What shapes do not tell a config.json beside the file does, unless it is of another network. */
static void test_configurations_beside_files(void **state)
{
    (void)state;
    at_context *cx = f32_context();
    static const char other[] =
        "{\"_class_name\":\"AuraFlowTransformer2DModel\",\"attention_head_dim\":4,"
        "\"caption_projection_dim\":12,\"in_channels\":4,\"joint_attention_dim\":20,"
        "\"num_attention_heads\":3,\"num_mmdit_layers\":1,\"num_single_dit_layers\":%d,"
        "\"out_channels\":4,\"pos_embed_max_size\":36}";
    struct {
        int single; /* blocks that the configuration beside it says; the file has 1; 0: none */
        double heads;
    } cases[] = {
        {0, 2}, /* follows from the shapes */
        {1, 3},
        {2, 2},
    };
    for (size_t i = 0; i < AT_COUNT(cases); i++) {
        char *config = cases[i].single ? at_format(cx, other, cases[i].single) : NULL;
        const char *path = put_weights_alone();
        if (config) put_file("config.json", config, strlen(config));
        at_pipeline *p = at_pipeline_open_files(
            cx,
            &(at_model_files){.model = SINGLE "auraflow_alone.safetensors", .transformer = path});
        assert_fine(cx);
        assert_float_equal(number_of(p, "transformer", "num_attention_heads"), cases[i].heads, 0);
        at_pipeline_free(p);
        at_free(config);
    }
    at_context_free(cx);
}

/* Likewise the configuration of the folder whose part a file replaces. */
static void test_configurations_of_replaced_parts(void **state)
{
    (void)state;
    static const struct {
        at_model_files files;
        const char *component, *key;
        double value;
    } cases[] = {
        {{.model = PIPELINES "sd3_tiny",
          .text_encoder = PIPELINES "sd3_tiny/text_encoder/model.safetensors"},
         "text_encoder",
         "num_attention_heads",
         3},
        {{.model = PIPELINES "aura_flow_tiny"}, /* the lone transformer */
         "transformer",
         "sample_size",
         6},
        {{.model = PIPELINES "lumina2_tiny_dynamic",
          .text_encoder = PIPELINES "lumina2_tiny_dynamic/text_encoder/model.safetensors"},
         "text_encoder",
         "query_pre_attn_scalar",
         20},
        /* of other sizes than the model's own */
        {{.model = PIPELINES "hunyuan_tiny_1_2",
          .transformer = PIPELINES "hunyuan_tiny_1_1" WEIGHTS},
         "transformer",
         "sample_size",
         8},
    };
    at_context *cx = f32_context();
    for (size_t i = 0; i < AT_COUNT(cases); i++) {
        at_model_files files = cases[i].files;
        if (!files.transformer && !files.text_encoder) files.transformer = put_weights_alone();
        at_pipeline *p = at_pipeline_open_files(cx, &files);
        assert_fine(cx);
        assert_float_equal(number_of(p, cases[i].component, cases[i].key), cases[i].value, 0);
        assert_non_null(at_pipeline_module(p, cases[i].component, NULL));
        at_pipeline_free(p);
    }
    at_context_free(cx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts_from_lone_files),
        cmocka_unit_test(test_tokenizers_in_gguf),
        cmocka_unit_test(test_configurations_beside_files),
        cmocka_unit_test(test_configurations_of_replaced_parts),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
