#include "schedulers/scheduler.h"
#include <string.h>
#include <strings.h>

static const at_scheduler_class *const CLASSES[] = {
    &at_flow_match_euler,
    &at_flow_match_heun,
    &at_flow_match_lcm,
    &at_ddim,
    &at_ddpm,
    &at_deis,
    &at_dpm_multistep,
    &at_dpm_sde,
    &at_dpm_singlestep,
    &at_edm_dpm_multistep,
    &at_edm_euler,
    &at_euler,
    &at_euler_ancestral,
    &at_heun,
    &at_kdpm2,
    &at_kdpm2_ancestral,
    &at_lcm,
    &at_lms,
    &at_pndm,
    &at_tcd,
    &at_unipc,
};

/* Names of --sampler beside the classes' own: the class, and what is set of its options. */
typedef struct named_sampler {
    const char *name;
    const at_scheduler_class *class;
    const char *algorithm; /* algorithm_type */
    int order;             /* solver_order; 0: the file's */
} named_sampler;

static const named_sampler NAMED[] = {
    {"dpmpp_2m_sde", &at_dpm_multistep, "sde-dpmsolver++", 0},
    {"dpmpp_3m_sde", &at_dpm_multistep, "sde-dpmsolver++", 3},
};

/* Other programs' names for what the classes do, in small and capital letters alike. Behind A1111's
   may stand the schedule. */
typedef struct foreign_name {
    const char *name, *sampler;
} foreign_name;

static const foreign_name FOREIGN[] = {
    {"Euler a", "euler_a"},
    {"DPM2", "dpm2"},
    {"DPM2 a", "dpm2_a"},
    {"DPM++ 2M", "dpmpp_2m"},
    {"DPM++ SDE", "dpmpp_sde"},
    {"PLMS", "pndm"},
    {"DPM++ 2M SDE", "dpmpp_2m_sde"},
    {"euler_ancestral", "euler_a"},
    {"dpm_2", "dpm2"},
    {"dpm_2_ancestral", "dpm2_a"},
    {"uni_pc", "unipc"},
};

/* What --schedule sets, by its names: a switch among these, or the spacing of timesteps. */
typedef struct named_schedule {
    const char *name, *key, *spacing;
} named_schedule;

static const named_schedule SCHEDULES[] = {
    {"karras", "use_karras_sigmas", NULL}, {"exponential", "use_exponential_sigmas", NULL},
    {"beta", "use_beta_sigmas", NULL},     {"sgm_uniform", NULL, "trailing"},
    {"simple", NULL, "trailing"},
};

const char *at_sampler_name(int i)
{
    int own = (int)AT_COUNT(CLASSES), all = own + (int)AT_COUNT(NAMED);
    return i < 0 || i >= all ? NULL : i < own ? CLASSES[i]->sampler : NAMED[i - own].name;
}

const char *at_schedule_name(int i)
{
    if (i == 0) return "default";
    return i > 0 && i <= (int)AT_COUNT(SCHEDULES) ? SCHEDULES[i - 1].name : NULL;
}

static bool same_start(const char *a, const char *b, size_t length)
{
    return strlen(b) == length && strncasecmp(a, b, length) == 0;
}

/* The command line's name for another program's; its schedule, where the name ends with one and
   none is given. Other names stay. */
static const char *own_name(const char *sampler, const char **schedule)
{
    static const char *const endings[] = {" karras", " exponential"};
    size_t length = strlen(sampler);
    for (size_t i = 0; i < AT_COUNT(endings); i++) {
        size_t n = strlen(endings[i]);
        if (length <= n || strcasecmp(sampler + length - n, endings[i]) != 0) continue;
        length -= n;
        if (!*schedule) *schedule = endings[i] + 1;
        break;
    }
    for (size_t i = 0; i < AT_COUNT(FOREIGN); i++)
        if (same_start(sampler, FOREIGN[i].name, length)) return FOREIGN[i].sampler;
    for (int i = 0; at_sampler_name(i); i++)
        if (same_start(sampler, at_sampler_name(i), length)) return at_sampler_name(i);
    return sampler;
}

static const named_sampler *sampler_of(const char *sampler)
{
    for (size_t i = 0; sampler && i < AT_COUNT(NAMED); i++)
        if (strcmp(sampler, NAMED[i].name) == 0) return &NAMED[i];
    return NULL;
}

/* sampler: a name of --sampler or of a class; NULL: own. */
static const at_scheduler_class *class_of(at_context *cx, const char *path, const char *own,
                                          const char *sampler)
{
    const named_sampler *named = sampler_of(sampler);
    if (named) return named->class;
    for (size_t i = 0; i < AT_COUNT(CLASSES); i++)
        if ((sampler && strcmp(sampler, CLASSES[i]->sampler) == 0) ||
            (sampler || own ? strcmp(sampler ? sampler : own, CLASSES[i]->name) == 0 : false))
            return CLASSES[i];
    if (sampler)
        at_fail(cx, AT_ERROR_UNSUPPORTED,
                "--sampler %s: not a sampler that atelier has (atelier generate --help names them)",
                sampler);
    else if (own)
        at_fail(cx, AT_ERROR_UNSUPPORTED, "%s: the scheduler \"%s\" is not supported", path, own);
    else
        at_fail(cx, AT_ERROR_FORMAT, "%s: no \"_class_name\"", path);
    return NULL;
}

static void set_bool(at_context *cx, cJSON *json, const char *key, bool value)
{
    cJSON_DeleteItemFromObjectCaseSensitive(json, key);
    if (!cJSON_AddBoolToObject(json, key, value)) at_fail(cx, AT_ERROR_MEMORY, "out of memory");
}

static void set_text(at_context *cx, cJSON *json, const char *key, const char *value)
{
    cJSON_DeleteItemFromObjectCaseSensitive(json, key);
    if (!cJSON_AddStringToObject(json, key, value)) at_fail(cx, AT_ERROR_MEMORY, "out of memory");
}

static void set_number(at_context *cx, cJSON *json, const char *key, double value)
{
    cJSON_DeleteItemFromObjectCaseSensitive(json, key);
    if (!cJSON_AddNumberToObject(json, key, value)) at_fail(cx, AT_ERROR_MEMORY, "out of memory");
}

/* The file's options with those of a named schedule put in their place. */
static void override_schedule(at_context *cx, cJSON *json, const char *schedule)
{
    const named_schedule *wanted = NULL;
    for (size_t i = 0; i < AT_COUNT(SCHEDULES); i++)
        if (strcmp(schedule, SCHEDULES[i].name) == 0) wanted = &SCHEDULES[i];
    if (!wanted && strcmp(schedule, "default") != 0) {
        at_fail(cx, AT_ERROR_UNSUPPORTED,
                "--schedule %s: not supported (default, karras, exponential, beta, sgm_uniform, "
                "simple)",
                schedule);
        return;
    }
    for (size_t i = 0; wanted && i < AT_COUNT(SCHEDULES); i++)
        if (SCHEDULES[i].key) set_bool(cx, json, SCHEDULES[i].key, wanted == &SCHEDULES[i]);
    if (wanted && wanted->spacing) set_text(cx, json, "timestep_spacing", wanted->spacing);
}

/* A configuration of its own from the options; what: the file. */
static at_config *config_of(at_context *cx, const cJSON *options, const char *what,
                            const char *sampler, const char *schedule)
{
    cJSON *json = cJSON_Duplicate(options, true);
    if (json && !cJSON_IsObject(json))
        at_fail(cx, AT_ERROR_FORMAT, "%s: not a JSON object", what);
    else if (json && schedule)
        override_schedule(cx, json, schedule);
    const named_sampler *named = sampler_of(sampler);
    if (json && named) set_text(cx, json, "algorithm_type", named->algorithm);
    if (json && named && named->order) set_number(cx, json, "solver_order", named->order);
    char *text = json && at_ok(cx) ? cJSON_PrintUnformatted(json) : NULL;
    if (!text) at_fail(cx, AT_ERROR_MEMORY, "out of memory");
    at_config *config = text ? at_config_parse(cx, text, strlen(text), what) : NULL;
    cJSON_free(text);
    cJSON_Delete(json);
    return config;
}

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
    if (sampler) sampler = own_name(sampler, &schedule);
    at_config *config = config_of(cx, options, path, sampler, schedule);
    const char *own = config ? at_config_text(cx, config, "_class_name", NULL) : NULL;
    const at_scheduler_class *class = at_ok(cx) ? class_of(cx, path, own, sampler) : NULL;
    at_scheduler *s = class ? at_alloc(cx, 1, class->size) : NULL;
    if (!s) {
        at_config_free(config);
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
    double base = at_config_number(cx, s->config, "base_shift", 0.5);
    double most = at_config_number(cx, s->config, "max_shift", 1.15);
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
