#include "schedulers/scheduler.h"
#include "schedulers/k_diffusion.h"
#include "schedulers/names.h"
#include <string.h>

at_scheduler *at_scheduler_load(at_context *cx, const char *path, const char *sampler,
                                const char *schedule)
{
    cJSON *options = at_json_read(cx, path);
    at_scheduler *s = options ? at_scheduler_make(cx, options, path, sampler, schedule) : NULL;
    cJSON_Delete(options);
    return s;
}

at_scheduler *at_scheduler_make(at_context *cx, const cJSON *options, const char *path,
                                const char *sampler, const char *schedule)
{
    const char *own =
        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(options, "_class_name"));
    cJSON *json = cJSON_Duplicate(options, true);
    const at_scheduler_class *class = at_scheduler_named(cx, json, path, sampler, schedule);
    char *text = class ? cJSON_PrintUnformatted(json) : NULL;
    cJSON_Delete(json);
    at_config *config = text ? at_config_parse(cx, text, strlen(text), path) : NULL;
    cJSON_free(text);
    at_scheduler *s = config ? at_alloc(cx, 1, class->size) : NULL;
    if (!s) {
        at_config_free(config);
        if (at_ok(cx)) at_fail(cx, AT_ERROR_MEMORY, "out of memory");
        return NULL;
    }
    s->class = class;
    s->config = config;
    s->init_noise_sigma = 1.0;
    class->configure(cx, s, config);
    if (own && strcmp(own, class->name) == 0) at_config_finish(cx, config);
    if (at_ok(cx)) return s;
    at_scheduler_free(cx, s);
    return NULL;
}

void at_scheduler_free(at_context *cx, at_scheduler *s)
{
    if (!s) return;
    if (s->class->reset) s->class->reset(cx, s);
    if (s->class->destroy) s->class->destroy(cx, s);
    at_config_free(s->config);
    at_free(s->timesteps);
    at_free(s->sigmas);
    at_free(s);
}

bool at_scheduler_schedule(at_context *cx, at_scheduler *s, int count)
{
    at_free(s->timesteps);
    at_free(s->sigmas);
    s->count = 0;
    s->index = 0;
    s->timesteps = AT_NEW_ARRAY(cx, double, count);
    s->sigmas = AT_NEW_ARRAY(cx, float, count + 1);
    if (!s->timesteps || !s->sigmas) return false;
    s->count = count;
    return true;
}

/* AlignYourSteps for a class of Diffusers: the trained steps, which it then takes as given. */
static void set_ays(at_context *cx, at_scheduler *s, const at_schedule_options *o)
{
    const at_discrete *d = at_discrete_of(s);
    const at_k_table table = {.discrete = d, .count = d->trained, .model = s->model};
    double *timesteps = AT_NEW_ARRAY(cx, double, o->steps);
    if (timesteps && at_ays_timesteps(cx, &table, timesteps, o->steps))
        s->class->set_timesteps(
            cx, s, &(at_schedule_options){.timesteps = timesteps, .timestep_count = o->steps});
    at_free(timesteps);
}

bool at_scheduler_set_timesteps(at_context *cx, at_scheduler *s, const at_schedule_options *o)
{
    enum { MOST = 100000 };
    if (!at_ok(cx) || !s) return false;
    int given = o->sigmas ? o->sigma_count : o->timesteps ? o->timestep_count : o->steps;
    if (o->sigmas && o->timesteps && o->sigma_count != o->timestep_count)
        return at_fail_false(cx, AT_ERROR_ARGUMENT,
                             "%d sigmas and %d timesteps (give as many of each)", o->sigma_count,
                             o->timestep_count);
    if (o->steps && given != o->steps)
        return at_fail_false(cx, AT_ERROR_ARGUMENT, "%d steps with %d %s (give as many of each)",
                             o->steps, given, o->sigmas ? "sigmas" : "timesteps");
    if (given < 1 || given > MOST)
        return at_fail_false(cx, AT_ERROR_ARGUMENT, "%d steps: not from 1 to %d", given, MOST);
    if (s->class->reset) s->class->reset(cx, s);
    if (o->steps && !at_k_is_sampler(s->class) && at_config_has(s->config, AT_SCHEDULE_KEY))
        set_ays(cx, s, o);
    else
        s->class->set_timesteps(cx, s, o);
    return at_ok(cx);
}

bool at_scheduler_start(at_context *cx, at_scheduler *s, int index)
{
    if (!at_ok(cx) || !s) return false;
    if (index < 0 || index >= s->count)
        return at_fail_false(cx, AT_ERROR_ARGUMENT, "start at step %d of %d", index, s->count);
    s->index = index;
    return true;
}

static bool at_a_step(at_context *cx, const at_scheduler *s)
{
    if (s->index < s->count) return true;
    return at_fail_false(cx, AT_ERROR_ARGUMENT, "%s: all %d steps are done", s->class->name,
                         s->count);
}

at_tensor *at_scheduler_scale_input(at_context *cx, at_scheduler *s, at_tensor *sample)
{
    if (!at_ok(cx) || !s || !sample || !at_a_step(cx, s)) return NULL;
    return s->class->scale_input ? s->class->scale_input(cx, s, sample) : sample;
}

at_tensor *at_scheduler_step(at_context *cx, at_scheduler *s, at_tensor *output, at_tensor *sample,
                             at_noise *noise)
{
    if (!at_ok(cx) || !s || !output || !sample || !at_a_step(cx, s)) return NULL;
    if (!at_same_shape(output, sample))
        return at_fail(cx, AT_ERROR_SHAPE, "scheduler step: output %s, sample %s",
                       at_shape_text(output), at_shape_text(sample));
    if (s->class->takes_away && !s->away)
        return at_fail(cx, AT_ERROR_UNSUPPORTED,
                       "--sampler %s: goes by what the model says without the prompt, which this "
                       "model is not asked here",
                       s->class->sampler);
    at_tensor *next = s->class->step(cx, s, output, sample, noise);
    if (next) s->index++;
    return next;
}

at_tensor *at_scheduler_add_noise(at_context *cx, at_scheduler *s, at_tensor *sample,
                                  at_tensor *noise, int index)
{
    if (!at_ok(cx) || !s || !sample || !noise) return NULL;
    if (index < 0 || index > s->count || !s->sigmas)
        return at_fail(cx, AT_ERROR_ARGUMENT, "noise of step %d of %d", index, s->count);
    return s->class->add_noise(cx, s, sample, noise, index);
}

double at_scheduler_mu(at_context *cx, const at_scheduler *s, int64_t tokens)
{
    if (!s) return 0.0;
    /* where the class has no such options, the pipeline's number counts: 1.16 in this one */
    bool sd3 = s->model && strncmp(s->model, "StableDiffusion3", 16) == 0;
    bool has = s->class == &at_flow_match_euler || s->class == &at_flow_match_lcm;
    double base = at_config_number(cx, s->config, "base_shift", 0.5);
    double most = at_config_number(cx, s->config, "max_shift", sd3 && !has ? 1.16 : 1.15);
    double from = at_config_number(cx, s->config, "base_image_seq_len", 256);
    double to = at_config_number(cx, s->config, "max_image_seq_len", 4096);
    double slope = (most - base) / (to - from);
    return (double)tokens * slope + (base - slope * from);
}

double at_linspace(double start, double stop, int i, int count)
{
    if (count == 1) return start;
    return i == count - 1 ? stop : i * ((stop - start) / (count - 1)) + start;
}

at_tensor *at_blend(at_context *cx, float a, at_tensor *x, float b, at_tensor *y)
{
    return at_add(cx, at_affine(cx, x, a, 0.0f), at_affine(cx, y, b, 0.0f));
}
