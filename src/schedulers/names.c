#include "schedulers/names.h"
#include "base/text.h"
#include "schedulers/k_diffusion.h"
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

/* The names that A1111 and ComfyUI have where the command line has others, in small and capital
   letters alike: they mean k-diffusion. Behind A1111's may stand the schedule. */
typedef struct pair {
    const char *name, *other;
} pair;

static const pair FOREIGN[] = {
    {"Euler a", "k_euler_a"},
    {"DPM2 a", "k_dpm_2_a"},
    {"DPM++ 2M", "k_dpmpp_2m"},
    {"DPM++ 2M SDE", "k_dpmpp_2m_sde"},
    {"DPM++ 2M SDE Heun", "k_dpmpp_2m_sde_heun"},
    {"DPM++ 2S a", "dpmpp_2s_a"},
    {"DPM++ 3M SDE", "k_dpmpp_3m_sde"},
    {"DPM++ SDE", "k_dpmpp_sde"},
    {"PLMS", "pndm"},
    {"euler_ancestral", "k_euler_a"},
    {"dpm_2", "k_dpm_2"},
    {"dpm_2_ancestral", "k_dpm_2_a"},
    {"dpmpp_2s_ancestral", "dpmpp_2s_a"},
    {"dpmpp_2m_sde_heun", "k_dpmpp_2m_sde_heun"},
    {"dpmpp_2m_sde_gpu", "k_dpmpp_2m_sde"},
    {"dpmpp_3m_sde_gpu", "k_dpmpp_3m_sde"},
    {"dpmpp_sde_gpu", "k_dpmpp_sde"},
    {"dpmpp_2m_sde_heun_gpu", "k_dpmpp_2m_sde_heun"},
    {"DPM fast", "dpm_fast"},
    {"DPM adaptive", "dpm_adaptive"},
    {"k_euler_ancestral", "k_euler_a"},
    {"k_dpmpp_2s_a", "dpmpp_2s_a"},
    {"k_dpm_fast", "dpm_fast"},
    {"k_dpm_ad", "dpm_adaptive"},
    {"uni_pc", "unipc"},
    {"uni_pc_bh2", "unipc"},
};

/* What k-diffusion has under a name of the command line that means a class of Diffusers: it takes
   the place where that class cannot go by the schedule that is asked for, or not on a flow. */
static const pair K_FORMS[] = {
    {"euler", "k_euler"},
    {"flow_euler", "k_euler"},
    {"euler_a", "k_euler_a"},
    {"heun", "k_heun"},
    {"flow_heun", "k_heun"},
    {"dpm2", "k_dpm_2"},
    {"dpm2_a", "k_dpm_2_a"},
    {"lms", "k_lms"},
    {"lcm", "k_lcm"},
    {"flow_lcm", "k_lcm"},
    {"dpmpp_2m", "k_dpmpp_2m"},
    {"dpmpp_2m_sde", "k_dpmpp_2m_sde"},
    {"dpmpp_3m_sde", "k_dpmpp_3m_sde"},
    {"dpmpp_sde", "k_dpmpp_sde"},
    {"ddpm", "k_ddpm"},
};

/* What stands for a class over a table where the model is a flow. */
static const struct {
    const at_scheduler_class *class, *flow;
} FLOW_FORMS[] = {
    {&at_euler, &at_flow_match_euler},
    {&at_heun, &at_flow_match_heun},
    {&at_lcm, &at_flow_match_lcm},
};

/* What --schedule sets for a class of Diffusers: a switch, or the spacing of timesteps. */
typedef struct named_schedule {
    const char *name, *key, *spacing;
} named_schedule;

static const named_schedule SCHEDULES[] = {
    {"karras", "use_karras_sigmas", NULL}, {"exponential", "use_exponential_sigmas", NULL},
    {"beta", "use_beta_sigmas", NULL},     {"lu", "use_lu_lambdas", NULL},
    {"sgm_uniform", NULL, "trailing"},     {"simple", NULL, "trailing"},
};

/* ---- lists */

static const at_scheduler_class *class_number(int i)
{
    int own = (int)AT_COUNT(CLASSES);
    return i < 0 ? NULL : i < own ? CLASSES[i] : at_k_sampler(i - own);
}

const char *at_sampler_name(int i)
{
    int named = (int)AT_COUNT(NAMED);
    if (i < 0) return NULL;
    const at_scheduler_class *class = class_number(i);
    if (class) return class->sampler;
    int all = (int)AT_COUNT(CLASSES);
    while (at_k_sampler(all - (int)AT_COUNT(CLASSES))) all++;
    return i - all < named ? NAMED[i - all].name : NULL;
}

const char *at_schedule_name(int i)
{
    if (i == 0) return "default";
    if (i == 1) return "lu";
    return at_k_schedule_name(i - 2);
}

/* ---- names to classes */

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
        if (same_start(sampler, FOREIGN[i].name, length)) return FOREIGN[i].other;
    for (int i = 0; at_sampler_name(i); i++)
        if (same_start(sampler, at_sampler_name(i), length)) return at_sampler_name(i);
    return sampler;
}

static const named_sampler *named_of(const char *sampler)
{
    for (size_t i = 0; sampler && i < AT_COUNT(NAMED); i++)
        if (strcmp(sampler, NAMED[i].name) == 0) return &NAMED[i];
    return NULL;
}

/* By --sampler's name or the class' own; NULL: none. */
static const at_scheduler_class *class_called(const char *name)
{
    const named_sampler *named = named_of(name);
    if (named) return named->class;
    for (int i = 0; class_number(i); i++)
        if (strcmp(name, class_number(i)->sampler) == 0 || strcmp(name, class_number(i)->name) == 0)
            return class_number(i);
    return NULL;
}

static const at_scheduler_class *k_form(const char *sampler)
{
    for (size_t i = 0; i < AT_COUNT(K_FORMS); i++)
        if (strcmp(sampler, K_FORMS[i].name) == 0) return class_called(K_FORMS[i].other);
    return NULL;
}

static void refuse_sampler(at_context *cx, const char *sampler)
{
    at_text list = {0};
    for (int i = 0; at_sampler_name(i); i++)
        at_text_print(cx, &list, "%s%s", i ? ", " : "", at_sampler_name(i));
    at_fail(cx, AT_ERROR_UNSUPPORTED, "--sampler %s: not one that atelier has (%s)", sampler,
            list.data);
    at_text_free(&list);
}

/* ---- options */

static void put(at_context *cx, cJSON *json, const char *key, cJSON *value)
{
    cJSON_DeleteItemFromObjectCaseSensitive(json, key);
    if (cJSON_AddItemToObject(json, key, value)) return;
    cJSON_Delete(value);
    at_fail(cx, AT_ERROR_MEMORY, "out of memory");
}

static void put_schedule(at_context *cx, cJSON *json, const named_schedule *wanted)
{
    for (size_t i = 0; i < AT_COUNT(SCHEDULES); i++)
        if (SCHEDULES[i].key)
            put(cx, json, SCHEDULES[i].key, cJSON_CreateBool(wanted == &SCHEDULES[i]));
    if (wanted->spacing) put(cx, json, "timestep_spacing", cJSON_CreateString(wanted->spacing));
}

/* A flow's file for a solver that can go by flow sigmas; it has no numbers of its own for mu. */
static void put_flow(at_context *cx, cJSON *json)
{
    static const char *const shifts[] = {"base_shift", "max_shift", "base_image_seq_len",
                                         "max_image_seq_len"};
    const cJSON *shift = cJSON_GetObjectItemCaseSensitive(json, "shift");
    for (size_t i = 0; i < AT_COUNT(shifts); i++)
        cJSON_DeleteItemFromObjectCaseSensitive(json, shifts[i]);
    put(cx, json, "use_flow_sigmas", cJSON_CreateBool(true));
    put(cx, json, "prediction_type", cJSON_CreateString("flow_prediction"));
    put(cx, json, "flow_shift", cJSON_CreateNumber(shift ? cJSON_GetNumberValue(shift) : 1.0));
}

/* ---- what is built */

/* `class` on a flow; what k-diffusion has of it, where Diffusers has nothing. */
static const at_scheduler_class *on_flow(at_context *cx, cJSON *json,
                                         const at_scheduler_class *class, const char *sampler)
{
    bool solver = class == &at_dpm_multistep || class == &at_dpm_singlestep || class == &at_unipc ||
                  class == &at_deis;
    for (size_t i = 0; i < AT_COUNT(FLOW_FORMS); i++) {
        if (class == FLOW_FORMS[i].class) return FLOW_FORMS[i].flow;
        if (class == FLOW_FORMS[i].flow) return class;
    }
    if (at_k_is_sampler(class)) return class;
    if (solver) put_flow(cx, json);
    const at_scheduler_class *k = solver ? class : k_form(sampler);
    if (!k)
        at_fail(cx, AT_ERROR_UNSUPPORTED,
                "--sampler %s: not for a model of flows (euler, heun, dpmpp_2m, unipc, ...)",
                sampler);
    return k;
}

/* Where the class cannot go by the schedule, what k-diffusion has of it. */
static const at_scheduler_class *on_schedule(at_context *cx, cJSON *json,
                                             const at_scheduler_class *class, const char *sampler,
                                             const char *schedule, bool flow)
{
    const named_schedule *own = NULL;
    for (size_t i = 0; i < AT_COUNT(SCHEDULES); i++)
        if (strcmp(schedule, SCHEDULES[i].name) == 0) own = &SCHEDULES[i];
    int k = at_k_schedule_of(schedule);
    if (!own && k < 0) {
        at_text list = {0};
        for (int i = 0; at_schedule_name(i); i++)
            at_text_print(cx, &list, "%s%s", i ? ", " : "", at_schedule_name(i));
        at_fail(cx, AT_ERROR_UNSUPPORTED, "--schedule %s: not supported (%s)", schedule, list.data);
        at_text_free(&list);
        return NULL;
    }
    bool takes_ays = class == &at_euler || class == &at_heun || class == &at_dpm_multistep ||
                     class == &at_dpm_singlestep;
    bool is_k = at_k_is_sampler(class);
    if (own && !is_k && !(flow && own->spacing)) {
        put_schedule(cx, json, own);
        return class;
    }
    if (!is_k && !(k == AT_K_AYS && takes_ays)) class = k_form(sampler);
    if (!class || k < 0) {
        at_fail(cx, AT_ERROR_UNSUPPORTED, "--schedule %s: not with --sampler %s", schedule,
                sampler);
        return NULL;
    }
    put(cx, json, AT_SCHEDULE_KEY, cJSON_CreateString(schedule));
    return class;
}

const at_scheduler_class *at_scheduler_named(at_context *cx, cJSON *json, const char *path,
                                             const char *sampler, const char *schedule)
{
    if (!at_ok(cx)) return NULL;
    if (!cJSON_IsObject(json)) return at_fail(cx, AT_ERROR_FORMAT, "%s: not a JSON object", path);
    const char *own = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "_class_name"));
    if (schedule) schedule = at_k_schedule_own_name(schedule);
    if (sampler) sampler = own_name(sampler, &schedule);
    const at_scheduler_class *class = sampler ? class_called(sampler)
                                      : own   ? class_called(own)
                                              : NULL;
    if (!class && sampler) refuse_sampler(cx, sampler);
    if (!class && !sampler && own)
        at_fail(cx, AT_ERROR_UNSUPPORTED, "%s: the scheduler \"%s\" is not supported", path, own);
    if (!class && !sampler && !own) at_fail(cx, AT_ERROR_FORMAT, "%s: no \"_class_name\"", path);
    bool flow = own && strncmp(own, "FlowMatch", 9) == 0;
    if (class && !named_of(sampler)) sampler = class->sampler;
    if (class && flow) class = on_flow(cx, json, class, sampler);
    if (class && schedule && strcmp(schedule, "default") != 0)
        class = on_schedule(cx, json, class, sampler, schedule, flow);
    const named_sampler *named = class == &at_dpm_multistep ? named_of(sampler) : NULL;
    if (named) put(cx, json, "algorithm_type", cJSON_CreateString(named->algorithm));
    if (named && named->order) put(cx, json, "solver_order", cJSON_CreateNumber(named->order));
    return at_ok(cx) ? class : NULL;
}
