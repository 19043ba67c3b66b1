/* What all pipelines over latents share: pictures in parts, previews, timings. */
#include "pipelines/preview.h"
#include "runs.h"
#include "tensor/pool.h"

#define TINY AT_FIXTURES "/pipelines/sd_tiny"
#define FLUX AT_FIXTURES "/pipelines/flux_tiny_dev"

/* ---- as many pictures at once as there is memory for */

typedef struct seen {
    int runs; /* of the denoising */
    size_t peak;
} seen;

static void count_runs(void *user, const char *stage, int done, int total)
{
    seen *s = user;
    (void)total;
    if (strcmp(stage, "denoise") == 0 && done == 0) s->runs++;
}

/* budget 0: that of the machine. The caller frees the context. */
static at_generation *draw(const char *model, const at_generate_options *o, size_t budget, seen *s)
{
    at_context *cx = at_context_new(&(at_context_options){.precision = AT_PRECISION_F32,
                                                          .threads = 2,
                                                          .memory_budget = budget,
                                                          .progress = count_runs,
                                                          .user = s});
    if (at_failed(cx)) exit(77); /* ATELIER_CPU names a table that this processor does not have */
    at_pipeline *p = at_pipeline_open(cx, model);
    at_generation *made = at_generate_many(p, o);
    assert_fine(cx);
    s->peak = at_memory_peak(cx);
    return made;
}

static void free_all(at_generation *made)
{
    at_context_free(made->images[0]->cx);
}

/* The same pictures, to a level, in a budget that has no room for all of them at once. */
static void expect_same_in_parts(const char *model, const at_generate_options *o)
{
    seen all = {0}, parts = {0};
    at_generation *a = draw(model, o, 0, &all);
    assert_int_equal(all.runs, 1);
    at_generation *b = draw(model, o, all.peak * 7 / 10, &parts);
    assert_true(parts.runs > 2 && parts.peak <= all.peak * 7 / 10);
    for (int i = 0; i < o->count; i++) {
        const uint8_t *x = a->images[i]->pixels, *y = b->images[i]->pixels;
        for (int j = 0; j < a->images[i]->width * a->images[i]->height * 3; j++)
            assert_in_range(x[j] - y[j] + 1, 0, 2); /* other heights may add in another order */
    }
    assert_true(b->timings.step > 0 && b->used.seed == o->seed && b->count == o->count);
    free_all(a);
    free_all(b);
}

static void test_parts(void **state)
{
    (void)state;
    at_generate_options o = {.prompt = "a hen",
                             .width = 32, /* no larger than a tile of the autoencoder */
                             .height = 32,
                             .steps = 3,
                             .seed = 5,
                             .count = 10,
                             .sampler = "euler_a"};
    expect_same_in_parts(TINY, &o);
    o.init = TINY "/init.png";
    o.strength = 0.7;
    expect_same_in_parts(TINY, &o);
    o.mask = TINY "/mask.png"; /* all share what the first one draws */
    expect_same_in_parts(TINY, &o);
    o.mask = NULL;
    o.max_sequence_length = 256; /* so that steps take more than decoding */
    o.sampler = NULL;
    expect_same_in_parts(FLUX, &o);
}

/* With one picture there is nothing to take apart. */
static void test_too_little(void **state)
{
    (void)state;
    at_context *cx = at_context_new(&(at_context_options){.memory_budget = 1 << 20});
    at_pipeline *p = at_pipeline_open(cx, TINY);
    const at_generate_options o = {.prompt = "a", .width = 256, .height = 256, .count = 2};
    assert_null(at_generate_many(p, &o));
    assert_int_equal(at_error_status(cx), AT_ERROR_MEMORY);
    at_context_free(cx);
}

/* What was asked for, or the class of the folder's scheduler. */
static void test_sampler_used(void **state)
{
    (void)state;
    at_context *cx = f32_context();
    at_pipeline *p = at_pipeline_open(cx, TINY);
    at_generate_options o = {.prompt = "a", .width = 24, .height = 24, .steps = 2};
    at_generation *made = at_generate_many(p, &o);
    assert_fine(cx);
    assert_string_equal(made->used.sampler, "ddpm");
    o.sampler = "dpmpp_2m_sde";
    made = at_generate_many(p, &o);
    assert_fine(cx);
    assert_string_equal(made->used.sampler, "dpmpp_2m_sde");
    at_context_free(cx);
}

/* ---- previews */

typedef struct shown {
    int calls, step, steps, first, count, width, height;
    uint8_t pixels[64 * 64 * 3];
} shown;

static void show(void *user, int step, int steps, int first, int count, at_image *const *images)
{
    shown *s = user;
    const at_image *image = images[count - 1];
    *s = (shown){s->calls + 1, step, steps, first, count, image->width, image->height, {0}};
    size_t bytes = (size_t)image->width * (size_t)image->height * 3;
    assert_true(bytes <= sizeof s->pixels);
    memcpy(s->pixels, image->pixels, bytes);
}

/* The last preview is of the clean latents that the last step comes to, for samplers that end
   there: what is decoded in the end. */
static void test_previews(void **state)
{
    static const char *const samplers[] = {"ddim", "euler", "dpmpp_2m", "lms", "lcm"};
    (void)state;
    at_context *cx = f32_context();
    at_pipeline *p = at_pipeline_open(cx, TINY);
    for (size_t i = 0; i < sizeof samplers / sizeof *samplers; i++) {
        shown s = {0};
        at_generate_options o = {.prompt = "a fox",
                                 .width = 48,
                                 .height = 40,
                                 .steps = 5,
                                 .seed = 3,
                                 .count = 2,
                                 .sampler = samplers[i],
                                 .preview = show,
                                 .preview_user = &s,
                                 .preview_steps = 2,
                                 .preview_vae = TINY "/vae"};
        at_generation *made = at_generate_many(p, &o);
        assert_fine(cx);
        assert_int_equal(s.calls, 3); /* after 2, 4 and 5 */
        assert_true(s.step == 5 && s.steps == 5 && s.first == 0 && s.count == 2);
        assert_true(s.width == 48 && s.height == 40);
        double db = psnr(made->images[1], s.pixels);
        if (!(db > 30.0)) fail_msg("%s: %.1f dB", samplers[i], db);
        at_generation_free(made);
    }
    at_context_free(cx);
}

/* Linear colours are as small as the latents. */
static void test_linear_previews(void **state)
{
    (void)state;
    at_context *cx = f32_context();
    at_pipeline *p = at_pipeline_open(cx, TINY);
    shown s = {0};
    at_generate_options o = {.prompt = "a fox",
                             .width = 48,
                             .height = 40,
                             .steps = 2,
                             .guidance = 1.0,
                             .has_guidance = true,
                             .preview = show,
                             .preview_user = &s,
                             .save_latents = in_folder("final.safetensors"),
                             .sampler = "euler"};
    at_generate_many(p, &o);
    assert_fine(cx);
    assert_true(s.calls == 2 && s.width == 6 && s.height == 5);
    at_weights *file = at_weights_open(cx, in_folder("final.safetensors"));
    const float *x = fixture(cx, file, "latents")->data; /* [1,4,5,6] */
    for (int i = 0; i < 30; i++) {
        double green = 0;
        for (int c = 0; c < 4; c++) green += (double)x[30 * c + i] * at_colours_sd1.factors[c][1];
        double value = 255.0 * (green < -1 ? 0 : green > 1 ? 1 : green / 2 + 0.5);
        assert_true(fabs(s.pixels[3 * i + 1] - value) <= 1.0);
    }
    at_weights_free(file);
    o.preview_vae = TINY "/none";
    o.preview_user = &s;
    assert_null(at_generate_many(p, &o));
    assert_int_equal(at_error_status(cx), AT_ERROR_FILE);
    at_context_free(cx);
}

/* Tokens of Flux become pictures too, by the model's own autoencoder where there are no colours,
   which is not asked at each step. */
static void test_flow_previews(void **state)
{
    (void)state;
    at_context *cx = f32_context();
    at_pipeline *p = at_pipeline_open(cx, FLUX);
    shown s = {0};
    const at_generate_options o = {.prompt = "a fox",
                                   .width = 64,
                                   .height = 48,
                                   .steps = 11,
                                   .max_sequence_length = 16,
                                   .preview = show,
                                   .preview_user = &s};
    at_generation *made = at_generate_many(p, &o);
    assert_fine(cx);
    assert_int_equal(s.calls, 2); /* after 10 and 11 */
    assert_true(psnr(made->images[0], s.pixels) > 45.0);
    at_context_free(cx);
}

/* CFG++ with the same words on both sides leads where the sampler alone leads, whatever the model
   predicts, and asks without the prompt at guidance 1 too. */
static void test_cfg_pp(void **state)
{
    (void)state;
    static const char *const models[] = {"sd_tiny", "sd3_tiny", "aura_flow_tiny",
                                         "hunyuan_tiny_1_2", "lumina2_tiny"};
    static const char *const samplers[] = {"k_dpmpp_2m", "dpmpp_2m_cfg_pp"};
    for (size_t m = 0; m < AT_COUNT(models); m++) {
        at_generation *made[2];
        char path[512];
        snprintf(path, sizeof path, AT_FIXTURES "/pipelines/%s", models[m]);
        for (int i = 0; i < 2; i++) {
            seen s = {0};
            bool lumina = strncmp(models[m], "lumina", 6) == 0; /* says who it is before it */
            const at_generate_options o = {.prompt = "a heart",
                                           .negative =
                                               lumina ? "S <Prompt Start> a heart" : "a heart",
                                           .system_prompt = "S",
                                           .width = 32,
                                           .height = 32,
                                           .steps = 4,
                                           .seed = 3,
                                           .guidance = 1.0,
                                           .has_guidance = true,
                                           .sampler = samplers[i]};
            made[i] = draw(path, &o, 0, &s);
        }
        assert_true(psnr(made[0]->images[0], made[1]->images[0]->pixels) > 60.0);
        free_all(made[0]);
        free_all(made[1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts),           cmocka_unit_test(test_too_little),
        cmocka_unit_test(test_sampler_used),    cmocka_unit_test(test_previews),
        cmocka_unit_test(test_linear_previews), cmocka_unit_test(test_flow_previews),
        cmocka_unit_test(test_cfg_pp),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
