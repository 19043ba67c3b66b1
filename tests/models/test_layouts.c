/* Single files: recognised, renamed and configured as Diffusers' converters do. */
#include "base/json.h"
#include "files.h"
#include "formats/safetensors.h"
#include "models/layouts/layout.h"
#include "models/module.h"
#include "table.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define FOLDER AT_FIXTURES "/checkpoints/single"

static at_layout *open_layout(at_context *cx, const char *path)
{
    at_weights *w = at_weights_open(cx, path);
    at_layout *layout = at_layout_of(cx, w);
    at_weights_free(w);
    if (at_failed(cx)) fail_msg("%s", at_error_text(cx));
    return layout;
}

/* Depends on every element and its place, as weigh in single_files.py. */
static double weigh(at_context *cx, at_tensor *x)
{
    int64_t count = at_elements(x);
    float *values = malloc((size_t)count * sizeof *values + 1);
    assert_true(at_read_f32(cx, x, values));
    double sum = 0;
    for (int64_t i = 0; i < count; i++) sum += values[i] * (double)(i * 7919 % 1009 + 1);
    free(values);
    return sum;
}

static void expect_tensors(at_context *cx, const at_weights *w, const cJSON *expected)
{
    const cJSON *e;
    cJSON_ArrayForEach(e, expected)
    {
        at_scope s = at_scope_begin(cx);
        at_tensor *x = at_weights_get(cx, w, e->string);
        if (!x) fail_msg("%s is missing: %s", e->string, at_error_text(cx));
        int dims = cJSON_GetArraySize(e) - 1;
        for (int d = 0; d < dims; d++)
            assert_int_equal(at_dim(x, d), cJSON_GetArrayItem(e, d)->valueint);
        double wanted = cJSON_GetArrayItem(e, dims)->valuedouble, got = weigh(cx, x);
        if (fabs(got - wanted) > 1e-9 * (fabs(wanted) + 1000))
            fail_msg("%s: %.12g, expected %.12g", e->string, got, wanted);
        at_scope_end(cx, s, NULL);
    }
}

/* The keys that the reference's configuration has; a number stands for a list of equal ones. */
static void expect_config(const cJSON *config, const cJSON *expected, const char *what)
{
    const cJSON *e;
    cJSON_ArrayForEach(e, expected)
    {
        const cJSON *own = cJSON_GetObjectItemCaseSensitive(config, e->string);
        if (cJSON_IsNull(e) && !own) continue;
        if (cJSON_IsArray(own) && cJSON_IsNumber(e)) own = own->child;
        if (!own || !cJSON_Compare(own, e, true))
            fail_msg("%s: %s: %s, expected %s", what, e->string, cJSON_PrintUnformatted(own),
                     cJSON_PrintUnformatted(e));
    }
}

static void expect_loads(at_context *cx, const at_layout_part *part)
{
    char *text = cJSON_PrintUnformatted(part->config);
    at_config *config = at_config_parse(cx, text, strlen(text), part->name);
    at_module *m = at_module_load_weights(cx, config, part->weights, part->name, part->class_name);
    if (!m) fail_msg("%s", at_error_text(cx));
    at_module_free(m);
    at_config_free(config);
    cJSON_free(text);
}

static void maps_as_the_reference(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    cJSON *expected = at_json_read(cx, FOLDER "/expected.json");
    const cJSON *file, *part;
    cJSON_ArrayForEach(file, expected)
    {
        char path[512];
        snprintf(path, sizeof path, FOLDER "/%s.safetensors", file->string);
        at_layout *layout = open_layout(cx, path);
        assert_non_null(layout);
        assert_int_equal(layout->networks, cJSON_GetArraySize(file));
        cJSON_ArrayForEach(part, file)
        {
            const at_layout_part *got = at_layout_find(layout, part->string);
            assert_non_null(got);
            expect_tensors(cx, got->weights, cJSON_GetObjectItem(part, "tensors"));
            expect_config(got->config, cJSON_GetObjectItem(part, "config"), file->string);
            expect_loads(cx, got);
        }
        assert_int_equal(layout->unused, strcmp(file->string, "sd2") == 0); /* its projection */
        at_layout_free(layout);
    }
    cJSON_Delete(expected);
    at_context_free(cx);
}

static void maps_without_copies(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    at_weights *w = at_weights_open(cx, FOLDER "/flux_all.safetensors");
    at_layout *layout = at_layout_of(cx, w);
    at_weights *flux = at_layout_find(layout, "transformer")->weights;
    const at_weight *fused =
        at_weights_find(w, "model.diffusion_model.double_blocks.0.img_attn.qkv.weight");
    at_tensor *k = at_weights_get(cx, flux, "transformer_blocks.0.attn.to_k.weight");
    assert_ptr_equal(k->data, fused->file->data + fused->offset + fused->bytes / 3);
    at_layout_free(layout);
    at_weights_free(w);
    assert_int_equal(at_dim(k, 0), 32); /* the file lives as long as the tensor */
    at_context_free(cx);
}

/* ---- families */

static const char *scheduler_text(const at_layout *layout, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(layout->scheduler, key);
    return cJSON_IsString(item) ? item->valuestring : "";
}

static void knows_families(void **state)
{
    (void)state;
    static const struct {
        const char *file, *family, *pipeline, *scheduler, *prediction;
    } cases[] = {
        {"sd1", "Stable Diffusion 1", "StableDiffusionPipeline", "PNDMScheduler", ""},
        {"sd2", "Stable Diffusion 2", "StableDiffusionPipeline", "DDIMScheduler", "v_prediction"},
        {"xl", "Stable Diffusion XL", "StableDiffusionXLPipeline", "EulerDiscreteScheduler",
         "epsilon"},
        {"xl_unet", "Stable Diffusion XL", "StableDiffusionXLPipeline", "EulerDiscreteScheduler",
         "v_prediction"},
        {"refiner", "Stable Diffusion XL, refiner", "StableDiffusionXLImg2ImgPipeline",
         "EulerDiscreteScheduler", "epsilon"},
        {"flux_all", "Flux.1 dev", "FluxPipeline", "FlowMatchEulerDiscreteScheduler", ""},
        {"sd3_all", "Stable Diffusion 3", "StableDiffusion3Pipeline",
         "FlowMatchEulerDiscreteScheduler", ""},
        {"auraflow_all", "AuraFlow", "AuraFlowPipeline", "FlowMatchEulerDiscreteScheduler", ""},
        {"hunyuan_all", "HunyuanDiT 1.0, 1.1", "HunyuanDiTPipeline", "DDPMScheduler",
         "v_prediction"},
    };
    at_context *cx = at_context_new(NULL);
    for (size_t i = 0; i < AT_COUNT(cases); i++) {
        char path[512];
        snprintf(path, sizeof path, FOLDER "/%s.safetensors", cases[i].file);
        at_layout *layout = open_layout(cx, path);
        assert_string_equal(layout->family, cases[i].family);
        assert_string_equal(layout->pipeline, cases[i].pipeline);
        assert_string_equal(scheduler_text(layout, "_class_name"), cases[i].scheduler);
        assert_string_equal(scheduler_text(layout, "prediction_type"), cases[i].prediction);
        at_layout_free(layout);
    }
    at_context_free(cx);
}

/* The file with one tensor more, or with another in its place. */
static at_layout *changed(at_context *cx, const char *file, const char *name, at_tensor *x,
                          const char *const *metadata)
{
    enum { MOST = 1000 };
    static const char *names[MOST];
    static at_tensor *tensors[MOST];
    char path[512];
    snprintf(path, sizeof path, FOLDER "/%s.safetensors", file);
    at_weights *w = at_weights_open(cx, path);
    int64_t count = 0;
    bool there = false;
    for (; count < at_weights_count(w); count++) {
        names[count] = at_weights_at(w, count)->name;
        bool same = name && strcmp(names[count], name) == 0;
        tensors[count] = same ? x : at_weights_get(cx, w, names[count]);
        there = there || same;
    }
    if (name && !there) {
        names[count] = name;
        tensors[count++] = x;
    }
    const char *out = in_folder("changed.safetensors");
    assert_true(at_safetensors_write(cx, out, count, names, tensors, metadata));
    at_weights_free(w);
    return open_layout(cx, out);
}

/* Diffusers' own names, some of which several classes have. */
static void knows_lone_networks(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"flux_single_only", "FluxTransformer2DModel"},
        {"flux_double_only", "FluxTransformer2DModel"},
        {"sd3_medium", "SD3Transformer2DModel"},
        {"sd3_dual_norm", "SD3Transformer2DModel"},
        {"auraflow_joint_only", "AuraFlowTransformer2DModel"},
        {"auraflow_single_only", "AuraFlowTransformer2DModel"},
        {"lumina2_refiners_only", "Lumina2Transformer2DModel"},
        {"lumina2_uneven", "Lumina2Transformer2DModel"},
        {"hunyuan_geglu", "HunyuanDiT2DModel"},
        {"unet_xl", "UNet2DConditionModel"},
    };
    at_context *cx = at_context_new(NULL);
    for (size_t i = 0; i < AT_COUNT(cases); i++) {
        char path[512];
        snprintf(path, sizeof path, AT_FIXTURES "/networks/%s/diffusion_pytorch_model.safetensors",
                 cases[i][0]);
        at_layout *layout = open_layout(cx, path);
        if (!layout) fail_msg("%s: not recognised", cases[i][0]);
        assert_string_equal(layout->parts[0].class_name, cases[i][1]);
        at_layout_free(layout);
    }
    at_context_free(cx);
}

static void knows_what_is_said(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    at_layout *layout = changed(cx, "sd1", "model.diffusion_model.input_blocks.0.0.weight",
                                at_zeros(cx, AT_F16, 4, (int64_t[]){8, 9, 3, 3}), NULL);
    assert_string_equal(layout->pipeline, "StableDiffusionInpaintPipeline");
    at_layout_free(layout);
    layout = changed(cx, "sd2", NULL, NULL,
                     (const char *[]){"modelspec.prediction_type", "epsilon", NULL});
    assert_string_equal(scheduler_text(layout, "prediction_type"), "epsilon");
    at_layout_free(layout);
    layout = changed(cx, "sd2", NULL, NULL, (const char *[]){"global_step", "875000", NULL});
    assert_string_equal(scheduler_text(layout, "prediction_type"), "epsilon");
    at_layout_free(layout);
    layout = changed(cx, "xl", "v_pred", at_zeros(cx, AT_F32, 1, (int64_t[]){0}), NULL);
    assert_string_equal(scheduler_text(layout, "prediction_type"), "v_prediction");
    at_layout_free(layout);
    layout = changed(cx, "xl", NULL, NULL,
                     (const char *[]){"atelier.vae", "{\"scaling_factor\":0.5}", NULL});
    assert_float_equal(
        cJSON_GetObjectItem(at_layout_find(layout, "vae")->config, "scaling_factor")->valuedouble,
        0.5, 0);
    at_layout_free(layout);
    at_context_free(cx);
}

/* T5 is often left out, and then is none of the model's parts. */
static void knows_what_is_left_out(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    at_layout *layout = open_layout(cx, FOLDER "/sd3_bare.safetensors");
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(layout->index, "text_encoder_3")->child));
    assert_int_equal(layout->count, 2);
    at_layout_free(layout);
    layout = open_layout(cx, FOLDER "/sd3_all.safetensors");
    assert_true(cJSON_IsString(cJSON_GetObjectItem(layout->index, "text_encoder_3")->child));
    assert_string_equal(at_layout_find(layout, "text_encoder")->class_name,
                        "CLIPTextModelWithProjection");
    const cJSON *dual =
        cJSON_GetObjectItem(at_layout_find(layout, "transformer")->config, "dual_attention_layers");
    assert_int_equal(cJSON_GetArraySize(dual), 1);
    at_layout_free(layout);
    at_context_free(cx);
}

/* The file of Tencent's folder, and what lies beside it. */
static void opens_folders_of_their_makers(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    char root[512];
    snprintf(root, sizeof root, "%s", in_folder("t2i"));
    assert_false(at_layout_is_folder(cx, root));
    assert_int_equal(mkdir(root, 0777), 0);
    assert_int_equal(mkdir(in_folder("t2i/model"), 0777), 0);
    assert_true(at_file_copy(cx, FOLDER "/hunyuan_tiny_1_2.pt",
                             in_folder("t2i/model/pytorch_model_module.pt")));
    assert_int_equal(symlink(AT_FIXTURES "/pipelines/hunyuan_tiny_1_2/text_encoder",
                             in_folder("t2i/clip_text_encoder")),
                     0);
    assert_int_equal(
        symlink(AT_FIXTURES "/pipelines/hunyuan_tiny_1_1/tokenizer_2", in_folder("t2i/tokenizer")),
        0);
    assert_true(at_layout_is_folder(cx, root));
    at_layout *layout = at_layout_open(cx, root);
    if (!layout) fail_msg("%s", at_error_text(cx));
    assert_string_equal(layout->family, "HunyuanDiT 1.2");
    assert_int_equal(layout->networks, 2);
    assert_int_equal(layout->count, 3);
    assert_float_equal(cJSON_GetObjectItemCaseSensitive(layout->scheduler, "beta_end")->valuedouble,
                       0.018, 0);
    expect_loads(cx, at_layout_find(layout, "transformer"));
    expect_loads(cx, at_layout_find(layout, "text_encoder"));
    assert_non_null(at_layout_find(layout, "tokenizer")->folder);
    at_layout_free(layout);
    unlink(in_folder("t2i/model/pytorch_model_module.pt"));
    rmdir(in_folder("t2i/model"));
    unlink(in_folder("t2i/clip_text_encoder"));
    unlink(in_folder("t2i/tokenizer"));
    assert_int_equal(rmdir(root), 0);
    at_context_free(cx);
}

static double number_of(const at_layout_part *part, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(part->config, key);
    assert_true(cJSON_IsNumber(item));
    return item->valuedouble;
}

static void finds_the_tokenizer_inside(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    at_layout *layout = open_layout(cx, FOLDER "/hunyuan_all.safetensors");
    const at_layout_part *part = at_layout_find(layout, "tokenizer_2");
    assert_string_equal(part->class_name, "T5Tokenizer");
    assert_int_equal(at_weights_find(part->weights, AT_LAYOUT_PIECES)->bytes, 8054);
    assert_float_equal(number_of(part, "extra_ids"), 0, 0); /* no rows for them, as mT5 has none */
    at_layout_free(layout);
    at_tensor *rows = at_zeros(cx, AT_F16, 2, (int64_t[]){1000, 16});
    layout =
        changed(cx, "hunyuan_all", "text_encoders.mt5xl.transformer.shared.weight", rows, NULL);
    assert_float_equal(number_of(at_layout_find(layout, "tokenizer_2"), "extra_ids"), 100, 0);
    at_layout_free(layout);
    at_tensor *pieces = at_zeros(cx, AT_U8, 1, (int64_t[]){3});
    layout = changed(cx, "lumina2_all", "text_encoders.spiece_model", pieces, NULL);
    assert_string_equal(at_layout_find(layout, "tokenizer")->class_name, "GemmaTokenizer");
    at_layout_free(layout);
    layout = open_layout(cx, AT_FIXTURES "/checkpoints/gguf/umt5.gguf"); /* one network, not two */
    assert_int_equal(layout->networks, 1);
    part = at_layout_find(layout, "tokenizer");
    assert_string_equal(part->class_name, "LlamaTokenizer");
    assert_true(cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(part->config, "add_bos_token")));
    assert_true(cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(part->config, "add_eos_token")));
    at_layout_free(layout);
    at_context_free(cx);
}

static void refuses_what_does_not_fit(void **state)
{
    (void)state;
    static const char name[] = "double_blocks.0.img_attn.qkv.weight";
    at_context *cx = at_context_new(NULL);
    at_tensor *x = at_zeros(cx, AT_F16, 2, (int64_t[]){97, 32});
    assert_true(
        at_safetensors_write(cx, in_folder("odd.safetensors"), 2,
                             (const char *[]){name, "double_blocks.0.img_attn.norm.key_norm.scale"},
                             (at_tensor *[]){x, x}, NULL));
    at_weights *w = at_weights_open(cx, in_folder("odd.safetensors"));
    assert_string_equal(at_error_text(cx), "");
    assert_null(at_layout_open(cx, in_folder("odd-00002-of-00003.safetensors")));
    assert_non_null(strstr(at_error_text(cx), "one of 3 files that a model was cut into"));
    at_error_clear(cx);
    at_layout *layout = at_layout_of(cx, w); /* no block without its modulation: nothing to cut */
    if (!layout) fail_msg("%s", at_error_text(cx));
    assert_int_equal(at_weights_count(layout->parts[0].weights), 0);
    at_layout_free(layout);
    at_context_free(cx);
}

int main(void)
{
    AT_SKIP_WITHOUT_TABLE();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(maps_as_the_reference),
        cmocka_unit_test(maps_without_copies),
        cmocka_unit_test(knows_families),
        cmocka_unit_test(knows_what_is_said),
        cmocka_unit_test(knows_lone_networks),
        cmocka_unit_test(knows_what_is_left_out),
        cmocka_unit_test(refuses_what_does_not_fit),
        cmocka_unit_test(finds_the_tokenizer_inside),
        cmocka_unit_test(opens_folders_of_their_makers),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
