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

/* Every name of the command line, ComfyUI and A1111 builds the class that
   docs/samplers.md says in its row, whatever the letters' case. */
static void test_names(void **state)
{
    (void)state;
    static const char *const foreign[] = {
        "Euler a",         "DPM2 A", "dpm_2",           "PLMS",  "DPM++ 2M SDE",
        "dpm_2_ancestral", "LMS",    "euler_ancestral", "UniPC", "uni_pc"};
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
        if (strncmp(class, "the same", 8) != 0)
            assert_true(strncmp(class, s->class->name, strlen(s->class->name)) == 0);
        at_scheduler_free(cx, s);
    }
    for (size_t i = 0; i < AT_COUNT(foreign); i++) {
        at_scheduler *s = load(cx, "{}", foreign[i], NULL);
        if (!s) fail_msg("%s: %s", foreign[i], at_error_text(cx));
        at_scheduler_free(cx, s);
    }
    at_scheduler *s = load(cx, "{}", "DPM++ 2M Karras", NULL);
    assert_non_null(s);
    assert_string_equal(s->class->name, "DPMSolverMultistepScheduler");
    assert_true(at_config_bool(cx, s->config, "use_karras_sigmas", false));
    at_scheduler_free(cx, s);
    at_free(text);
    at_context_free(cx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),   cmocka_unit_test(test_few_steps),
        cmocka_unit_test(test_solvers), cmocka_unit_test(test_brownian),
        cmocka_unit_test(test_eta),     cmocka_unit_test(test_names)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
