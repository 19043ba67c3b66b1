/* FluxPipeline against Diffusers': two tiny random folders, and the embedded model. */
#include "runs.h"

static void test_dev(void **state)
{
    (void)state;
    run_folder(AT_FIXTURES "/pipelines/flux_tiny_dev", "FluxPipeline", 10);
}

static void test_schnell(void **state)
{
    (void)state;
    run_folder(AT_FIXTURES "/pipelines/flux_tiny_schnell", "FluxPipeline", 6);
}

/* FluxImg2ImgPipeline and FluxInpaintPipeline */
static void test_pictures(void **state)
{
    (void)state;
    run_cases(AT_FIXTURES "/pipelines/flux_tiny_dev", AT_FIXTURES "/pipelines/flux_tiny_pictures",
              "FluxPipeline", 6);
}

/* A second pass at a larger size */
static void test_hires(void **state)
{
    (void)state;
    run_cases(AT_FIXTURES "/pipelines/flux_tiny_dev", AT_FIXTURES "/pipelines/flux_tiny_hires",
              "FluxPipeline", 2);
}

static void check_golden(at_pipeline *p, const cJSON *c)
{
    char path[512];
    at_context *cx = p->cx;
    const char *name = cJSON_GetStringValue(item(c, "name"));
    at_generate_options o = options_of(c);
    at_generation *made = at_generate_many(p, &o);
    assert_fine(cx);
    snprintf(path, sizeof path, "%s/emoji_golden/%s.safetensors", AT_FIXTURES, name);
    at_weights *io = at_weights_open(cx, path);
    check_latents(cx, fixture(cx, io, "final_latents"));
    snprintf(path, sizeof path, "%s/emoji_golden/%s.png", AT_FIXTURES, name);
    at_image *golden = at_image_load(cx, path);
    assert_fine(cx);
    assert_int_equal(made->images[0]->width, golden->width);
    assert_int_equal(made->images[0]->height, golden->height);
    double db = psnr(made->images[0], golden->pixels);
    if (!(db >= 40.0)) fail_msg("%s: %.1f dB", name, db);
    at_weights_free(io);
    at_generation_free(made);
    at_image_free(golden);
}

/* The embedded model's pictures; of the slow plain C kernels one is enough, and where the
   sanitizer slows them too, none. */
static void test_golden(void **state)
{
    (void)state;
    at_context *cx = f32_context();
    bool slow = strcmp(cx->kernels->name, "generic") == 0;
    if (!at_folder_exists(AT_SOURCE "/models/emoji") || (slow && SANITIZED)) {
        at_context_free(cx);
        skip();
    }
    at_pipeline *p = at_pipeline_open(cx, AT_SOURCE "/models/emoji");
    cJSON *cases = at_json_read(cx, AT_FIXTURES "/emoji_golden/golden.json");
    const cJSON *c;
    assert_fine(cx);
    assert_true(cJSON_GetArraySize(cases) > 4);
    cJSON_ArrayForEach(c, cases)
    {
        check_golden(p, c);
        if (slow) break;
    }
    cJSON_Delete(cases);
    at_context_free(cx);
}

/* Each picture is that of its seed, whichever others are made with it. */
static void test_seeds(void **state)
{
    (void)state;
    at_context *cx = f32_context();
    at_pipeline *p = at_pipeline_open(cx, AT_FIXTURES "/pipelines/flux_tiny_schnell");
    at_generate_options o = {
        .prompt = "a fox", .width = 32, .height = 24, .steps = 2, .seed = 5, .count = 3};
    at_generation *three = at_generate_many(p, &o);
    o.count = 1;
    o.seed = 7;
    at_image *last = at_generate(p, &o);
    assert_fine(cx);
    assert_true(psnr(three->images[2], last->pixels) >= 60.0);
    assert_true(psnr(three->images[1], last->pixels) < 40.0);
    at_context_free(cx);
}

#define DEV AT_FIXTURES "/pipelines/flux_tiny_dev"

static void test_refusals(void **state)
{
    (void)state;
    const at_generate_options small = {.prompt = "a", .width = 32, .height = 32, .steps = 1};
    at_generate_options o = small;
    o.height = 15;
    refuse(DEV, &o, AT_ERROR_ARGUMENT, "16 pixels");
    o = small;
    o.max_sequence_length = 513;
    refuse(DEV, &o, AT_ERROR_ARGUMENT, "512");
    o = small;
    o.steps = -1;
    refuse(DEV, &o, AT_ERROR_ARGUMENT, "steps");
    o = small;
    o.resolution_binning = true;
    refuse(DEV, &o, AT_ERROR_UNSUPPORTED, "binning");
    o = small;
    o.sampler = "no_such";
    refuse(DEV, &o, AT_ERROR_UNSUPPORTED, "no_such");
    o = small;
    o.latents = AT_FIXTURES "/pipelines/flux_tiny_dev/case_0.safetensors";
    refuse(DEV, &o, AT_ERROR_FORMAT, "latents");
}

/* What the reference takes for options that are left out; sizes round down to whole tokens. */
static void test_defaults(void **state)
{
    (void)state;
    at_context *cx = f32_context();
    at_pipeline *p = at_pipeline_open(cx, AT_FIXTURES "/pipelines/flux_tiny_dev");
    at_generation *made =
        at_generate_many(p, &(at_generate_options){.width = 47, .height = 33, .steps = 1});
    assert_fine(cx);
    assert_int_equal(made->used.width, 32);
    assert_int_equal(made->used.height, 32);
    assert_int_equal(made->used.count, 1);
    assert_int_equal(made->used.max_sequence_length, 512);
    assert_true(made->used.guidance == 3.5);
    assert_string_equal(made->pipeline, "FluxPipeline");
    assert_true(made->timings.step > 0 && made->timings.total > made->timings.step);
    at_context_free(cx);
}

/* A picture that does not fit into the memory budget whole is decoded in tiles. */
static void test_tiles(void **state)
{
    (void)state;
    enum { BUDGET = 5000000 };
    size_t peak[2];
    for (int i = 0; i < 2; i++) {
        at_context *cx = at_context_new(
            &(at_context_options){.precision = AT_PRECISION_F32, .memory_budget = i ? BUDGET : 0});
        at_pipeline *p = at_pipeline_open(cx, AT_FIXTURES "/pipelines/flux_tiny_dev");
        at_image *image =
            at_generate(p, &(at_generate_options){.width = 256, .height = 256, .steps = 1});
        assert_fine(cx);
        assert_int_equal(image->width, 256);
        peak[i] = at_memory_peak(cx);
        at_context_free(cx);
    }
    assert_true(peak[0] > BUDGET && peak[1] <= BUDGET);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dev),      cmocka_unit_test(test_schnell),
        cmocka_unit_test(test_pictures), cmocka_unit_test(test_hires),
        cmocka_unit_test(test_golden),   cmocka_unit_test(test_seeds),
        cmocka_unit_test(test_refusals), cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_tiles),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
