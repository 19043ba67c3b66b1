/* Schedulers against Diffusers': the cases of a fixture. */
#ifndef AT_TEST_SCHEDULER_CASES_H
#define AT_TEST_SCHEDULER_CASES_H

#include "base/file.h"
#include "schedulers/scheduler.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static inline const cJSON *item(const cJSON *object, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(object, key);
}

/* A list of numbers; count is 0 when it is not there. */
static inline double *numbers(const cJSON *list, int *count)
{
    const cJSON *value;
    double *out = calloc((size_t)cJSON_GetArraySize(list) + 1, sizeof *out);
    assert_non_null(out);
    *count = 0;
    cJSON_ArrayForEach(value, list) out[(*count)++] = value->valuedouble;
    return out;
}

/* The scheduler of a configuration, through a file as a model folder has it. */
static inline at_scheduler *load(at_context *cx, const char *text, const char *sampler,
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

static inline at_scheduler *load_case(at_context *cx, const char *class_name, const cJSON *entry)
{
    cJSON *config = cJSON_Duplicate(item(entry, "config"), true);
    if (class_name) cJSON_AddStringToObject(config, "_class_name", class_name);
    char *text = cJSON_Print(config);
    at_scheduler *s = load(cx, text, cJSON_GetStringValue(item(entry, "sampler")),
                           cJSON_GetStringValue(item(entry, "schedule")));
    cJSON_free(text);
    cJSON_Delete(config);
    return s;
}

static inline bool set_timesteps(at_context *cx, at_scheduler *s, const cJSON *arguments)
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

/* Within the last bits of f32, of `least` or more: numpy's pow and exp are its own. */
static inline void check_numbers(const char *name, const cJSON *list, int count,
                                 double (*value)(const at_scheduler *, int), const at_scheduler *s,
                                 float near, float least)
{
    const cJSON *wanted;
    int i = 0;
    if (cJSON_GetArraySize(list) != count)
        fail_msg("%s: %d numbers, not %d", name, count, cJSON_GetArraySize(list));
    cJSON_ArrayForEach(wanted, list)
    {
        float expected = (float)wanted->valuedouble, got = (float)value(s, i);
        if (!(fabsf(got - expected) <= near * fmaxf(fabsf(expected), least)))
            fail_msg("%s: number %d is %.9g, not %.9g", name, i, got, expected);
        i++;
    }
}

static inline double sigma_of(const at_scheduler *s, int i)
{
    return s->sigmas[i];
}

static inline double timestep_of(const at_scheduler *s, int i)
{
    return s->timesteps[i];
}

static inline at_tensor *row(at_context *cx, const cJSON *list)
{
    int count;
    double *values = numbers(list, &count);
    at_tensor *x = at_new(cx, AT_F32, 1, count);
    assert_non_null(x);
    for (int i = 0; i < count; i++) ((float *)x->data)[i] = (float)values[i];
    free(values);
    return x;
}

/* Within `bar` of the largest value, or of 1. */
static inline void check_rows(const char *name, int step, const at_tensor *ours,
                              const at_tensor *theirs, float bar)
{
    const float *a = ours->data, *b = theirs->data;
    float largest = 1.0f;
    for (int64_t k = 0; k < at_elements(theirs); k++) largest = fmaxf(largest, fabsf(b[k]));
    for (int64_t k = 0; k < at_elements(theirs); k++)
        if (!(fabsf(a[k] - b[k]) <= bar * largest))
            fail_msg("%s: step %d value %d is %.9g, not %.9g", name, step, (int)k, a[k], b[k]);
}

static inline void check_steps(at_context *cx, const char *name, at_scheduler *s,
                               const cJSON *steps, float bar)
{
    const cJSON *seed = item(steps, "noise_seed");
    at_noise *noise =
        at_noise_new(cx, AT_RNG_CPU, seed ? (uint64_t)seed->valuedouble : 0, 1, false);
    at_tensor *sample = row(cx, item(steps, "sample"));
    const cJSON *begin = item(steps, "begin"), *eta = item(steps, "eta");
    if (begin) assert_true(at_scheduler_start(cx, s, (int)begin->valuedouble));
    if (eta) s->eta = eta->valuedouble;
    for (int i = 0; s->index < s->count; i++) {
        at_tensor *shown = at_scheduler_scale_input(cx, s, sample);
        if (item(steps, "scaled"))
            check_rows(name, i, shown, row(cx, cJSON_GetArrayItem(item(steps, "scaled"), i)), bar);
        else
            assert_ptr_equal(shown, sample);
        at_tensor *output = row(cx, cJSON_GetArrayItem(item(steps, "model_output"), i));
        at_tensor *after = row(cx, cJSON_GetArrayItem(item(steps, "after"), i));
        if (item(steps, "away")) s->away = row(cx, cJSON_GetArrayItem(item(steps, "away"), i));
        sample = at_scheduler_step(cx, s, output, sample, seed ? noise : NULL);
        assert_non_null(sample);
        check_rows(name, i, sample, after, bar);
    }
    assert_null(at_scheduler_step(cx, s, sample, sample, noise)); /* all done */
    assert_int_equal(at_error_status(cx), AT_ERROR_ARGUMENT);
    at_error_clear(cx);
    at_noise_free(noise);
}

static inline void check_case(at_context *cx, const char *class_name, const cJSON *entry)
{
    const char *name = cJSON_GetStringValue(item(entry, "name"));
    bool refused = item(entry, "error") || item(entry, "not_finite");
    at_scheduler *s = load_case(cx, class_name, entry);
    bool done = s && set_timesteps(cx, s, item(entry, "set_timesteps"));
    if (done == refused) fail_msg("%s: %s", name, done ? "not refused" : at_error_text(cx));
    if (done) {
        assert_int_equal(s->index, 0);
        const cJSON *bar = item(entry, "bar"), *first = item(entry, "init_noise_sigma");
        double deviation = first ? first->valuedouble : 1.0;
        float near = first ? 4e-6f : 1.2e-7f;
        if (!(fabs(s->init_noise_sigma - deviation) <= near * deviation))
            fail_msg("%s: the first deviation is %.9g", name, s->init_noise_sigma);
        check_numbers(name, item(entry, "timesteps"), s->count, timestep_of, s, near,
                      first ? 50.0f : 0.0f);
        if (item(entry, "sigmas"))
            check_numbers(name, item(entry, "sigmas"), s->count + 1, sigma_of, s, near, 0.0f);
        if (item(entry, "steps"))
            check_steps(cx, name, s, item(entry, "steps"), bar ? (float)bar->valuedouble : 5e-7f);
    }
    at_error_clear(cx);
    at_scheduler_free(cx, s);
}

/* All cases of a file in tests/fixtures/schedulers. */
static inline void check_cases(const char *class_name, const char *file, int least)
{
    char path[512];
    at_context *cx = at_context_new(NULL);
    snprintf(path, sizeof path, "%s/schedulers/%s", AT_FIXTURES, file);
    cJSON *cases = at_json_read(cx, path);
    const cJSON *entry;
    assert_true(cJSON_GetArraySize(cases) >= least);
    cJSON_ArrayForEach(entry, cases)
    {
        const char *own = cJSON_GetStringValue(item(entry, "class"));
        check_case(cx, own ? own : class_name, entry);
    }
    cJSON_Delete(cases);
    at_context_free(cx);
}

static inline void expect_refused(const char *text, const char *sampler, const char *schedule,
                                  const char *word)
{
    at_context *cx = at_context_new(NULL);
    assert_null(load(cx, text, sampler, schedule));
    if (!strstr(at_error_text(cx), word)) fail_msg("no \"%s\" in: %s", word, at_error_text(cx));
    at_context_free(cx);
}

#endif
