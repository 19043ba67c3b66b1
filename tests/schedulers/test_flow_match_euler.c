/* FlowMatchEulerDiscreteScheduler against Diffusers' (tests/fixtures/schedulers). */
#include "cases.h"
#include "schedulers/beta.h"

static void test_cases(void **state)
{
    (void)state;
    check_cases("FlowMatchEulerDiscreteScheduler", "flow_match_euler.json", 100);
}

#define FLOW "{\"_class_name\": \"FlowMatchEulerDiscreteScheduler\", \"shift\": 3.0"

static void test_refusals(void **state)
{
    (void)state;
    expect_refused(FLOW ", \"sigma_power\": 2}", NULL, NULL, "sigma_power");
    expect_refused(FLOW ", \"shift_terminal\": \"x\"}", NULL, NULL, "shift_terminal");
    expect_refused("{\"_class_name\": \"NoSuchScheduler\"}", NULL, NULL, "NoSuchScheduler");
    expect_refused("{}", NULL, NULL, "_class_name");
    expect_refused("[]", NULL, "karras", "object");
    expect_refused(FLOW "}", "no_such", NULL, "no_such");
    expect_refused(FLOW "}", NULL, "no_such", "no_such");
}

/* A class by the command line's name takes what it knows of another class's file; a named schedule
   switches one option on and the others off. */
static void test_overrides(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    const at_schedule_options four = {.steps = 4};
    const char *other = "{\"_class_name\": \"DDIMScheduler\", \"beta_start\": 0.1, \"shift\": 3.0, "
                        "\"use_karras_sigmas\": true}";
    at_scheduler *s = load(cx, other, "flow_euler", "default");
    assert_true(at_scheduler_set_timesteps(cx, s, &four));
    float karras = s->sigmas[1];
    at_scheduler_free(cx, s);

    s = load(cx, other, "flow_euler", "exponential");
    assert_true(at_scheduler_set_timesteps(cx, s, &four));
    float exponential = s->sigmas[1];
    at_scheduler_free(cx, s);

    s = load(cx, FLOW ", \"use_exponential_sigmas\": true}", NULL, "karras");
    assert_true(at_scheduler_set_timesteps(cx, s, &four));
    assert_true(s->sigmas[1] == karras);
    assert_true(karras != exponential);
    assert_false(at_scheduler_start(cx, s, 4));
    at_error_clear(cx);
    assert_true(at_scheduler_start(cx, s, 3));
    at_scheduler_free(cx, s);
    assert_string_equal(at_sampler_name(0), "flow_euler");
    at_context_free(cx);
}

static void test_add_noise(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    at_scheduler *s = load(cx, FLOW "}", NULL, NULL);
    assert_true(at_scheduler_set_timesteps(cx, s, &(at_schedule_options){.steps = 4}));
    at_tensor *clean = at_full(cx, 2.0f, 2, (int64_t[]){1, 3});
    at_tensor *noise = at_full(cx, -1.0f, 2, (int64_t[]){1, 3});
    for (int i = 0; i <= 4; i++) {
        at_tensor *x = at_scheduler_add_noise(cx, s, clean, noise, i);
        assert_non_null(x);
        assert_float_equal(((float *)x->data)[2], 2.0f - 3.0f * s->sigmas[i], 1e-6);
    }
    assert_null(at_scheduler_add_noise(cx, s, clean, noise, 5));
    at_scheduler_free(cx, s);
    at_context_free(cx);
}

/* Picture i has its own seed; channels-first noise is the same numbers in another order. */
static void test_noise(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    enum { H = 3, W = 2, C = 4, EACH = H * W * C };
    float wanted[2][EACH];
    for (int i = 0; i < 2; i++) {
        at_generator g;
        at_generator_seed(&g, AT_RNG_CPU, 40 + (uint64_t)i);
        at_random_normal(&g, wanted[i], EACH);
    }
    at_noise *noise = at_noise_new(cx, AT_RNG_CPU, 40, 2, true);
    at_tensor *x = at_noise_draw(cx, noise, 4, (int64_t[]){2, H, W, C});
    assert_non_null(x);
    for (int i = 0; i < 2 * EACH; i++) {
        int picture = i / EACH, place = i % EACH / C, channel = i % C;
        assert_true(((float *)x->data)[i] == wanted[picture][channel * H * W + place]);
    }
    assert_null(at_noise_draw(cx, noise, 4, (int64_t[]){3, H, W, C}));
    at_error_clear(cx);
    at_noise_free(noise);
    noise = at_noise_new(cx, AT_RNG_CPU, 40, 2, false);
    x = at_noise_draw(cx, noise, 3, (int64_t[]){2, H * W, C});
    assert_memory_equal(x->data, wanted, sizeof wanted);
    at_noise_free(noise);
    at_context_free(cx);
}

/* All that it takes counts into the budget: the noise, and one picture of it in the stream's order.
 */
static void test_noise_budget(void **state)
{
    (void)state;
    enum { SIDE = 64, C = 4, BYTES = SIDE * SIDE * C * 4 };
    at_context *cx = at_context_new(&(at_context_options){.memory_budget = BYTES * 3 / 2});
    at_noise *noise = at_noise_new(cx, AT_RNG_CPU, 0, 1, true);
    assert_null(at_noise_draw(cx, noise, 4, (int64_t[]){1, SIDE, SIDE, C}));
    assert_int_equal(at_error_status(cx), AT_ERROR_MEMORY);
    at_noise_free(noise);
    at_context_free(cx);
}

/* scipy.stats.beta.ppf (scipy 1.17). */
static void test_beta(void **state)
{
    (void)state;
    static const double cases[][4] = {
        {1e-09, 0.6, 0.6, 1.85588246249141e-15},  {0.01, 0.6, 0.6, 0.0008612388215429059},
        {0.3333, 0.6, 0.6, 0.2753710356306094},   {0.7, 0.6, 0.6, 0.7659829961247643},
        {0.999, 0.6, 0.6, 0.9999814412614826},    {1e-09, 0.5, 0.5, 2.4674011002723396e-18},
        {0.01, 0.5, 0.5, 0.00024671981713422146}, {0.3333, 0.5, 0.5, 0.2499546563867554},
        {0.7, 0.5, 0.5, 0.7938926261462365},      {0.999, 0.5, 0.5, 0.999997532600929},
        {1e-09, 2, 3, 1.291005560032202e-05},     {0.01, 2, 3, 0.04199863562170072},
        {0.3333, 2, 3, 0.29147775323306035},      {0.7, 2, 3, 0.5084047548725844},
        {0.999, 2, 3, 0.9359618608971666},        {1e-09, 0.3, 5, 1.4968979482000586e-31},
        {0.01, 0.3, 5, 3.2249691870528574e-08},   {0.3333, 0.3, 5, 0.003888948476210549},
        {0.7, 0.3, 5, 0.05357205036325578},       {0.999, 0.3, 5, 0.6267925647775233},
    };
    for (size_t i = 0; i < AT_COUNT(cases); i++) {
        const double *c = cases[i];
        assert_true(fabs(at_beta_ppf(c[0], c[1], c[2]) - c[3]) <= 1e-13 * c[3]);
        assert_true(fabs(at_beta_cdf(c[3], c[1], c[2]) - c[0]) <= 1e-13);
    }
    assert_true(at_beta_ppf(0.0, 0.6, 0.6) == 0.0 && at_beta_ppf(1.0, 0.6, 0.6) == 1.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_overrides),    cmocka_unit_test(test_add_noise),
        cmocka_unit_test(test_noise),        cmocka_unit_test(test_beta),
        cmocka_unit_test(test_noise_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
