/* DDPMScheduler against Diffusers' (tests/fixtures/schedulers). */
#include "cases.h"

static void test_cases(void **state)
{
    (void)state;
    check_cases("DDPMScheduler", "ddpm.json", 40);
}

#define DDPM "{\"_class_name\": \"DDPMScheduler\""

static void test_refusals(void **state)
{
    (void)state;
    expect_refused(DDPM ", \"beta_schedule\": \"cubic\"}", NULL, NULL, "cubic");
    expect_refused(DDPM ", \"variance_type\": \"learned_range\"}", NULL, NULL, "learned_range");
    expect_refused(DDPM ", \"trained_betas\": [0.1, 0.2]}", NULL, NULL, "trained_betas");
    expect_refused(DDPM ", \"eta\": 1.0}", NULL, NULL, "eta");
}

/* q(x_t | x_0) of HunyuanDiT 1.2's schedule: the same as the reference's add_noise. */
static void test_add_noise(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    at_scheduler *s = load(cx, DDPM "}", "ddpm", NULL);
    assert_true(at_scheduler_set_timesteps(cx, s, &(at_schedule_options){.steps = 4}));
    at_tensor *clean = at_full(cx, 2.0f, 2, (int64_t[]){1, 3});
    at_tensor *noise = at_full(cx, -1.0f, 2, (int64_t[]){1, 3});
    at_tensor *first = at_scheduler_add_noise(cx, s, clean, noise, 0);
    at_tensor *last = at_scheduler_add_noise(cx, s, clean, noise, 4);
    float level = s->sigmas[0], alpha = 1.0f / (1.0f + level * level);
    assert_float_equal(((float *)first->data)[0], 2.0f * sqrtf(alpha) - sqrtf(1.0f - alpha), 1e-6);
    assert_float_equal(((float *)last->data)[0], 2.0f, 0);
    at_scheduler_free(cx, s);
    at_context_free(cx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_add_noise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
