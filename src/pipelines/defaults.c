#include "pipelines/defaults.h"
#include "base/file.h"
#include "base/json.h"

static void whole(at_context *cx, at_config *config, const char *key, int *value)
{
    int own = at_config_range(cx, config, key, 0, 0, 65536);
    if (!*value) *value = own;
}

void at_generate_defaults(at_context *cx, const char *folder, at_generate_options *o)
{
    char *path = at_path_join(cx, folder, "generation_config.json");
    at_config *config = path && at_file_exists(path) ? at_config_read(cx, path) : NULL;
    at_free(path);
    if (!config) return;
    whole(cx, config, "width", &o->width);
    whole(cx, config, "height", &o->height);
    whole(cx, config, "num_inference_steps", &o->steps);
    whole(cx, config, "max_sequence_length", &o->max_sequence_length);
    double guidance = at_config_number(cx, config, "guidance_scale", 0);
    if (!o->has_guidance && at_config_has(config, "guidance_scale")) {
        o->has_guidance = true;
        o->guidance = guidance;
    }
    double true_guidance = at_config_number(cx, config, "true_cfg_scale", 0);
    if (o->true_guidance == 0) o->true_guidance = true_guidance;
    at_config_finish(cx, config);
    at_config_free(config);
}
