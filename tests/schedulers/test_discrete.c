/* The schedulers over a table of trained steps against Diffusers'. */
#include "cases.h"
#include "schedulers/brownian.h"

static void test_cases(void **state)
{
    (void)state;
    check_cases(NULL, "discrete.json", 250);
}

static void test_few_steps(void **state)
{
    (void)state;
    check_cases(NULL, "few_steps.json", 40);
}

static void test_solvers(void **state)
{
    (void)state;
    check_cases(NULL, "solvers.json", 80);
}

static void test_k_diffusion(void **state)
{
    (void)state;
    check_cases(NULL, "k_diffusion.json", 60);
}

/* torchsde.BrownianInterval (0.2.6). */
static void test_brownian(void **state)
{
    (void)state;
    static const struct {
        uint64_t seed;
        double start, end, from, to;
        float gain[2];
    } cases[] = {
        {0, 0.0292, 14.6146, 1.5, 9.25, {0.11820846F, -1.8818008F}},
        {7, 0.03, 14.5, 0.03, 14.5, {-7.6912122F, 9.3773203F}},
        {1099511627781, 0.0292, 14.6146, 0.0292, 0.4, {-0.68929303F, 0.59933019F}},
        {123456, 0.1, 3.0, 2.999999, 3.0, {0.0011606974F, -0.00035066914F}},
        {1, 0.0292, 14.6146, 6.789012, 6.789013, {-0.00088015816F, 0.00066819374F}},
    };
    at_context *cx = at_context_new(NULL);
    for (size_t i = 0; i < AT_COUNT(cases); i++) {
        at_brownian b = {cases[i].start, cases[i].end, AT_RNG_CPU, cases[i].seed};
        float gain[2];
        assert_true(at_brownian_gain(cx, &b, cases[i].from, cases[i].to, gain, 2));
        for (int k = 0; k < 2; k++)
            if (!(fabsf(gain[k] - cases[i].gain[k]) <= 1e-6f * fabsf(cases[i].gain[k])))
                fail_msg("%d: %.9g, not %.9g", (int)i, gain[k], cases[i].gain[k]);
    }
    at_context_free(cx);
}

/* An eta above 1 would go below trained step 0. */
static void test_eta(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    at_scheduler *s = load(cx, "{}", "tcd", NULL);
    assert_true(at_scheduler_set_timesteps(cx, s, &(at_schedule_options){.steps = 4}));
    s->eta = 1.5;
    at_tensor *x = at_zeros(cx, AT_F32, 3, (int64_t[]){1, 4, 1});
    assert_null(at_scheduler_step(cx, s, x, x, NULL));
    assert_non_null(strstr(at_error_text(cx), "eta is 1.5"));
    at_scheduler_free(cx, s);
    at_context_free(cx);
}

/* What a name, a schedule and a file's class make. */
static void expect_class(const char *own, const char *sampler, const char *schedule,
                         const char *class)
{
    char text[100];
    at_context *cx = at_context_new(NULL);
    snprintf(text, sizeof text, "{\"_class_name\": \"%s\", \"shift\": 3.0}", own);
    at_scheduler *s = load(cx, text, sampler, schedule);
    if (!s || strcmp(s->class->name, class) != 0)
        fail_msg("%s, %s, %s: %s", own, sampler ? sampler : "", schedule ? schedule : "",
                 s ? s->class->name : at_error_text(cx));
    at_scheduler_free(cx, s);
    at_context_free(cx);
}

/* Every name of the command line builds the class that docs/samplers.md says in its row, whatever
   the letters' case; other programs' names mean k-diffusion. */
static void test_names(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    size_t size;
    char *text = at_file_read(cx, AT_FIXTURES "/../../docs/samplers.md", 1 << 20, &size);
    assert_non_null(text);
    for (int i = 0; at_sampler_name(i); i++) {
        char row[80];
        snprintf(row, sizeof row, "| `%s` | ", at_sampler_name(i));
        if (!strstr(text, row)) fail_msg("docs/samplers.md has no row of %s", at_sampler_name(i));
        at_scheduler *s = load(cx, "{}", at_sampler_name(i), NULL);
        assert_non_null(s);
        const char *class = strstr(text, row) + strlen(row);
        if (strncmp(class, s->class->name, strlen(s->class->name)) != 0)
            fail_msg("%s is not %s", at_sampler_name(i), s->class->name);
        at_scheduler_free(cx, s);
    }
    at_scheduler *s = load(cx, "{}", "DPM++ 2M Karras", NULL);
    assert_non_null(s);
    assert_string_equal(s->class->name, "sample_dpmpp_2m");
    assert_string_equal(at_config_text(cx, s->config, "_schedule", ""), "karras");
    at_scheduler_free(cx, s);
    at_free(text);
    at_context_free(cx);
}

#define DDIM "DDIMScheduler"
#define FLOW "FlowMatchEulerDiscreteScheduler"

/* Every name of ComfyUI 0.36 and A1111 1.10, its aliases too, and what it is here. */
static const char *const FOREIGN_SAMPLERS[][2] = {
    {"euler", "EulerDiscreteScheduler"},
    {"euler_cfg_pp", "sample_euler_cfg_pp"},
    {"euler_ancestral", "sample_euler_ancestral"},
    {"euler_ancestral_cfg_pp", "sample_euler_ancestral_cfg_pp"},
    {"heun", "HeunDiscreteScheduler"},
    {"heunpp2", "sample_heunpp2"},
    {"exp_heun_2_x0", "sample_exp_heun_2_x0"},
    {"exp_heun_2_x0_sde", "sample_exp_heun_2_x0_sde"},
    {"dpm_2", "sample_dpm_2"},
    {"dpm_2_ancestral", "sample_dpm_2_ancestral"},
    {"lms", "LMSDiscreteScheduler"},
    {"dpm_fast", "sample_dpm_fast"},
    {"dpm_adaptive", "sample_dpm_adaptive"},
    {"dpmpp_2s_ancestral", "sample_dpmpp_2s_ancestral"},
    {"dpmpp_2s_ancestral_cfg_pp", "sample_dpmpp_2s_ancestral_cfg_pp"},
    {"dpmpp_sde", "DPMSolverSDEScheduler"},
    {"dpmpp_sde_gpu", "sample_dpmpp_sde"},
    {"dpmpp_2m", "DPMSolverMultistepScheduler"},
    {"dpmpp_2m_cfg_pp", "sample_dpmpp_2m_cfg_pp"},
    {"dpmpp_2m_sde", "DPMSolverMultistepScheduler"},
    {"dpmpp_2m_sde_gpu", "sample_dpmpp_2m_sde"},
    {"dpmpp_2m_sde_heun", "sample_dpmpp_2m_sde_heun"},
    {"dpmpp_2m_sde_heun_gpu", "sample_dpmpp_2m_sde_heun"},
    {"dpmpp_3m_sde", "DPMSolverMultistepScheduler"},
    {"dpmpp_3m_sde_gpu", "sample_dpmpp_3m_sde"},
    {"ddpm", "DDPMScheduler"},
    {"lcm", "LCMScheduler"},
    {"ipndm", "sample_ipndm"},
    {"ipndm_v", "sample_ipndm_v"},
    {"deis", "DEISMultistepScheduler"},
    {"cfgpp_ud10_ab", "sample_cfgpp_ud10_ab"},
    {"res_multistep", "sample_res_multistep"},
    {"res_multistep_cfg_pp", "sample_res_multistep_cfg_pp"},
    {"res_multistep_ancestral", "sample_res_multistep_ancestral"},
    {"res_multistep_ancestral_cfg_pp", "sample_res_multistep_ancestral_cfg_pp"},
    {"gradient_estimation", "sample_gradient_estimation"},
    {"gradient_estimation_cfg_pp", "sample_gradient_estimation_cfg_pp"},
    {"er_sde", "sample_er_sde"},
    {"seeds_2", "sample_seeds_2"},
    {"seeds_3", "sample_seeds_3"},
    {"sa_solver", "sample_sa_solver"},
    {"sa_solver_pece", "sample_sa_solver_pece"},
    {"ddim", DDIM},
    {"uni_pc", "UniPCMultistepScheduler"},
    {"uni_pc_bh2", "UniPCMultistepScheduler"},
    {"DPM++ 2M", "sample_dpmpp_2m"},
    {"DPM++ SDE", "sample_dpmpp_sde"},
    {"DPM++ 2M SDE", "sample_dpmpp_2m_sde"},
    {"DPM++ 2M SDE Heun", "sample_dpmpp_2m_sde_heun"},
    {"DPM++ 2S a", "sample_dpmpp_2s_ancestral"},
    {"DPM++ 3M SDE", "sample_dpmpp_3m_sde"},
    {"Euler a", "sample_euler_ancestral"},
    {"Euler", "EulerDiscreteScheduler"},
    {"LMS", "LMSDiscreteScheduler"},
    {"Heun", "HeunDiscreteScheduler"},
    {"DPM2", "KDPM2DiscreteScheduler"},
    {"DPM2 a", "sample_dpm_2_ancestral"},
    {"DPM fast", "sample_dpm_fast"},
    {"DPM adaptive", "sample_dpm_adaptive"},
    {"LCM", "LCMScheduler"},
    {"Restart", "sample_restart"},
    {"PLMS", "PNDMScheduler"},
    {"UniPC", "UniPCMultistepScheduler"},
    {"k_dpmpp_2m", "sample_dpmpp_2m"},
    {"k_dpmpp_sde", "sample_dpmpp_sde"},
    {"k_dpmpp_2m_sde", "sample_dpmpp_2m_sde"},
    {"k_dpmpp_2m_sde_heun", "sample_dpmpp_2m_sde_heun"},
    {"k_dpmpp_2s_a", "sample_dpmpp_2s_ancestral"},
    {"k_dpmpp_3m_sde", "sample_dpmpp_3m_sde"},
    {"k_euler_a", "sample_euler_ancestral"},
    {"k_euler_ancestral", "sample_euler_ancestral"},
    {"k_euler", "sample_euler"},
    {"k_lms", "sample_lms"},
    {"k_heun", "sample_heun"},
    {"k_dpm_2", "sample_dpm_2"},
    {"k_dpm_2_a", "sample_dpm_2_ancestral"},
    {"k_dpm_fast", "sample_dpm_fast"},
    {"k_dpm_ad", "sample_dpm_adaptive"},
    {"k_lcm", "sample_lcm"},
};

static const char *const FOREIGN_SCHEDULES[] = {"simple",
                                                "sgm_uniform",
                                                "karras",
                                                "exponential",
                                                "ddim_uniform",
                                                "beta",
                                                "normal",
                                                "kl_optimal",
                                                "linear_quadratic",
                                                "automatic",
                                                "Uniform",
                                                "Karras",
                                                "Exponential",
                                                "Polyexponential",
                                                "SGM Uniform",
                                                "SGMUniform",
                                                "KL Optimal",
                                                "Simple",
                                                "Align Your Steps",
                                                "align_your_steps",
                                                "polyexponential",
                                                "Normal",
                                                "DDIM",
                                                "Beta",
                                                "Turbo"};

static void test_classes(void **state)
{
    (void)state;
    expect_class(DDIM, "DPM2 A", NULL, "sample_dpm_2_ancestral");
    expect_class(DDIM, "sample_heun", NULL, "sample_heun");
    expect_class(DDIM, "euler", "KL Optimal", "sample_euler");
    expect_class(DDIM, "euler", "Automatic", "EulerDiscreteScheduler");
    expect_class(DDIM, "ddpm", "karras", "DDPMScheduler");
    expect_class(DDIM, "ddpm", "normal", "sample_ddpm");
    expect_class(DDIM, "euler", "simple", "EulerDiscreteScheduler");
    expect_class(DDIM, "euler", "kl_optimal", "sample_euler");
    expect_class(DDIM, "dpmpp_3m_sde", "normal", "sample_dpmpp_3m_sde");
    expect_class(DDIM, "dpmpp_2m", "ays", "DPMSolverMultistepScheduler");
    expect_class(DDIM, "euler_a", "ays", "sample_euler_ancestral");
    expect_class(FLOW, NULL, "karras", FLOW);
    expect_class(FLOW, NULL, "simple", "sample_euler");
    expect_class(FLOW, "euler", NULL, FLOW);
    expect_class(FLOW, "heun", NULL, "FlowMatchHeunDiscreteScheduler");
    expect_class(FLOW, "lcm", NULL, "FlowMatchLCMScheduler");
    expect_class(FLOW, "dpmpp_2m", NULL, "DPMSolverMultistepScheduler");
    expect_class(FLOW, "dpmpp_2m", "sgm_uniform", "sample_dpmpp_2m");
    expect_class(FLOW, "euler_a", NULL, "sample_euler_ancestral");
    for (size_t i = 0; i < AT_COUNT(FOREIGN_SAMPLERS); i++)
        expect_class("TCDScheduler", FOREIGN_SAMPLERS[i][0], NULL, FOREIGN_SAMPLERS[i][1]);
    for (size_t i = 0; i < AT_COUNT(FOREIGN_SCHEDULES); i++)
        expect_class(DDIM, "k_euler", FOREIGN_SCHEDULES[i], "sample_euler");
    expect_refused("{\"_class_name\": \"" FLOW "\"}", "ddim", NULL, "flows");
    expect_refused("{\"_class_name\": \"" FLOW "\"}", "dpm_fast", NULL, "flows");
    expect_refused("{\"_class_name\": \"" FLOW "\"}", "dpm_adaptive", NULL, "flows");
    expect_refused("{\"_class_name\": \"" DDIM "\"}", "DDIM CFG++", NULL, "k_dpmpp_2m");
    expect_refused("{\"_class_name\": \"" DDIM "\"}", NULL, "kl_optimal", "--schedule kl_optimal");
    expect_refused("{\"_class_name\": \"" DDIM "\"}", "k_euler", "lu", "--schedule lu");
}

/* AlignYourSteps as diffusers' AysSchedules have them, by the pipeline's class. */
static void test_ays(void **state)
{
    (void)state;
    static const double xl[] = {999, 845, 730, 587, 443, 310, 193, 116, 53, 13};
    at_context *cx = at_context_new(NULL);
    at_scheduler *s = load(cx, "{}", "euler", "ays");
    assert_non_null(s);
    s->model = "StableDiffusionXLImg2ImgPipeline";
    assert_true(at_scheduler_set_timesteps(cx, s, &(at_schedule_options){.steps = 10}));
    assert_int_equal(s->count, 10);
    for (int i = 0; i < 10; i++) assert_true(s->timesteps[i] == xl[i]);
    s->model = "HunyuanDiTPipeline";
    assert_false(at_scheduler_set_timesteps(cx, s, &(at_schedule_options){.steps = 10}));
    assert_non_null(strstr(at_error_text(cx), "ays"));
    at_scheduler_free(cx, s);
    at_context_free(cx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),    cmocka_unit_test(test_few_steps),
        cmocka_unit_test(test_solvers),  cmocka_unit_test(test_k_diffusion),
        cmocka_unit_test(test_brownian), cmocka_unit_test(test_eta),
        cmocka_unit_test(test_names),    cmocka_unit_test(test_classes),
        cmocka_unit_test(test_ays)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
