/* FlowMatchEulerDiscreteScheduler against Diffusers' (tests/fixtures/schedulers). */
#include "base/file.h"
#include "schedulers/beta.h"
#include "schedulers/scheduler.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const cJSON *item(const cJSON *object, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(object, key);
}

/* A list of numbers; count is 0 when it is not there. */
static double *numbers(const cJSON *list, int *count)
{
    const cJSON *value;
    double *out = calloc((size_t)cJSON_GetArraySize(list) + 1, sizeof *out);
    assert_non_null(out);
    *count = 0;
    cJSON_ArrayForEach(value, list) out[(*count)++] = value->valuedouble;
    return out;
}

/* The scheduler of a configuration, through a file as a model folder has it. */
static at_scheduler *load(at_context *cx, const char *text, const char *sampler,
                          const char *schedule)
{
    char path[] = "/tmp/atelier-scheduler-XXXXXX";
    int handle = mkstemp(path);
    assert_true(handle >= 0);
    close(handle);
    assert_true(at_file_write(cx, path, text, strlen(text)));
    at_scheduler *s = at_scheduler_load(cx, path, sampler, schedule);
    unlink(path);
    return s;
}

static at_scheduler *load_case(at_context *cx, const cJSON *entry)
{
    cJSON *config = cJSON_Duplicate(item(entry, "config"), true);
    cJSON_AddStringToObject(config, "_class_name", "FlowMatchEulerDiscreteScheduler");
    char *text = cJSON_Print(config);
    at_scheduler *s = load(cx, text, NULL, NULL);
    cJSON_free(text);
    cJSON_Delete(config);
    return s;
}

static bool set_timesteps(at_context *cx, at_scheduler *s, const cJSON *arguments)
{
    const cJSON *steps = item(arguments, "num_inference_steps"), *mu = item(arguments, "mu");
    at_schedule_options o = {.steps = steps ? (int)steps->valuedouble : 0,
                             .has_mu = mu != NULL,
                             .mu = mu ? mu->valuedouble : 0.0};
    double *sigmas = numbers(item(arguments, "sigmas"), &o.sigma_count);
    double *timesteps = numbers(item(arguments, "timesteps"), &o.timestep_count);
    if (o.sigma_count) o.sigmas = sigmas;
    if (o.timestep_count) o.timesteps = timesteps;
    bool done = at_scheduler_set_timesteps(cx, s, &o);
    free(sigmas);
    free(timesteps);
    return done;
}

/* Within the last bit of f32: numpy's pow and exp are its own. */
static void check_numbers(const char *name, const cJSON *list, int count,
                          double (*value)(const at_scheduler *, int), const at_scheduler *s)
{
    const cJSON *wanted;
    int i = 0;
    assert_int_equal(cJSON_GetArraySize(list), count);
    cJSON_ArrayForEach(wanted, list)
    {
        float expected = (float)wanted->valuedouble, got = (float)value(s, i);
        if (!(fabsf(got - expected) <= 1.2e-7f * fabsf(expected)))
            fail_msg("%s: number %d is %.9g, not %.9g", name, i, got, expected);
        i++;
    }
}

static double sigma_of(const at_scheduler *s, int i)
{
    return s->sigmas[i];
}

static double timestep_of(const at_scheduler *s, int i)
{
    return s->timesteps[i];
}

static at_tensor *row(at_context *cx, const cJSON *list)
{
    int count;
    double *values = numbers(list, &count);
    at_tensor *x = at_new(cx, AT_F32, 1, count);
    assert_non_null(x);
    for (int i = 0; i < count; i++) ((float *)x->data)[i] = (float)values[i];
    free(values);
    return x;
}

static void check_steps(at_context *cx, const char *name, at_scheduler *s, const cJSON *steps)
{
    const cJSON *seed = item(steps, "noise_seed");
    at_noise *noise =
        at_noise_new(cx, AT_RNG_CPU, seed ? (uint64_t)seed->valuedouble : 0, 1, false);
    at_tensor *sample = row(cx, item(steps, "sample"));
    for (int i = 0; i < s->count; i++) {
        assert_ptr_equal(at_scheduler_scale_input(cx, s, sample), sample);
        at_tensor *output = row(cx, cJSON_GetArrayItem(item(steps, "model_output"), i));
        at_tensor *after = row(cx, cJSON_GetArrayItem(item(steps, "after"), i));
        sample = at_scheduler_step(cx, s, output, sample, seed ? noise : NULL);
        assert_non_null(sample);
        for (int64_t k = 0; k < at_elements(sample); k++) {
            float got = ((float *)sample->data)[k], expected = ((float *)after->data)[k];
            if (!(fabsf(got - expected) <= 5e-7f))
                fail_msg("%s: step %d value %d is %.9g, not %.9g", name, i, (int)k, got, expected);
        }
    }
    assert_null(at_scheduler_step(cx, s, sample, sample, noise)); /* all done */
    assert_int_equal(at_error_status(cx), AT_ERROR_ARGUMENT);
    at_error_clear(cx);
    at_noise_free(noise);
}

static void check_case(at_context *cx, const cJSON *entry)
{
    const char *name = cJSON_GetStringValue(item(entry, "name"));
    bool refused = item(entry, "error") || item(entry, "not_finite");
    at_scheduler *s = load_case(cx, entry);
    bool done = s && set_timesteps(cx, s, item(entry, "set_timesteps"));
    if (done == refused) fail_msg("%s: %s", name, done ? "not refused" : at_error_text(cx));
    if (done) {
        assert_int_equal(s->index, 0);
        assert_true(s->init_noise_sigma == 1.0);
        check_numbers(name, item(entry, "timesteps"), s->count, timestep_of, s);
        check_numbers(name, item(entry, "sigmas"), s->count + 1, sigma_of, s);
        if (item(entry, "steps")) check_steps(cx, name, s, item(entry, "steps"));
    }
    at_error_clear(cx);
    at_scheduler_free(cx, s);
}

static void test_cases(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    cJSON *cases = at_json_read(cx, AT_FIXTURES "/schedulers/flow_match_euler.json");
    const cJSON *entry;
    assert_true(cJSON_GetArraySize(cases) > 100);
    cJSON_ArrayForEach(entry, cases) check_case(cx, entry);
    cJSON_Delete(cases);
    at_context_free(cx);
}

#define FLOW "{\"_class_name\": \"FlowMatchEulerDiscreteScheduler\", \"shift\": 3.0"

static void expect_refused(const char *text, const char *sampler, const char *schedule,
                           const char *word)
{
    at_context *cx = at_context_new(NULL);
    assert_null(load(cx, text, sampler, schedule));
    if (!strstr(at_error_text(cx), word)) fail_msg("no \"%s\" in: %s", word, at_error_text(cx));
    at_context_free(cx);
}

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
