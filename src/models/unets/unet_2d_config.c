#include "models/unets/unet_2d_config.h"
#include "base/base.h"
#include "models/module.h"
#include <string.h>

enum { LEVELS = AT_UNET_MAX_LEVELS, LAYERS = AT_UNET_MAX_LAYERS, MOST_DEPTH = 100 };

/* ---- lists of a value for each level */

static void wrong_count(at_context *cx, const at_config *k, const char *key, int levels)
{
    at_fail(cx, AT_ERROR_FORMAT, "%s: \"%s\" must have as many entries as \"down_block_types\", %d",
            at_config_what(k), key, levels);
}

/* One number for all levels, or a list of one each. */
static void read_levels(at_context *cx, at_config *k, const char *key, int64_t fallback,
                        int64_t high, int levels, int64_t *out)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(at_config_json(k), key);
    int count = at_config_ints(cx, k, key, out, LEVELS, &fallback, 1);
    if (!cJSON_IsArray(item))
        for (; count > 0 && count < levels; count++) out[count] = out[0];
    if (count != levels) wrong_count(cx, k, key, levels);
    for (int i = 0; i < count; i++)
        if (out[i] < 1 || out[i] > high)
            at_fail(cx, AT_ERROR_FORMAT, "%s: \"%s\" has %lld, outside 1 to %lld",
                    at_config_what(k), key, (long long)out[i], (long long)high);
}

static void read_only_cross(at_context *cx, at_config *k, at_unet_config *c)
{
    static const char key[] = "only_cross_attention";
    const cJSON *item = at_config_item(k, key);
    if (cJSON_IsArray(item) && cJSON_GetArraySize(item) != c->levels)
        wrong_count(cx, k, key, c->levels);
    for (int i = 0; i < c->levels; i++) {
        const cJSON *own = cJSON_IsArray(item) ? cJSON_GetArrayItem(item, i) : item;
        c->only_cross_attention[i] = cJSON_IsTrue(own);
        if (own && !cJSON_IsBool(own))
            at_fail(cx, AT_ERROR_FORMAT, "%s: \"%s\" must be true, false or a list of them",
                    at_config_what(k), key);
    }
}

/* ---- blocks */

/* `with` or `without` transformers, for each level; fallback where the file has no list. */
static int read_types(at_context *cx, at_config *k, const char *key, const char *without,
                      const char *with, bool attends[LEVELS], const bool fallback[4])
{
    const cJSON *list = at_config_item(k, key), *item;
    int count = 0;
    if (!list) {
        memcpy(attends, fallback, 4 * sizeof *attends);
        return 4;
    }
    cJSON_ArrayForEach(item, list)
    {
        const char *name = cJSON_IsString(item) ? item->valuestring : "?";
        if (count == LEVELS)
            return at_fail(cx, AT_ERROR_FORMAT, "%s: \"%s\" has more than %d entries",
                           at_config_what(k), key, LEVELS),
                   0;
        attends[count] = strcmp(name, with) == 0;
        if (!attends[count++] && strcmp(name, without) != 0)
            at_fail(cx, AT_ERROR_UNSUPPORTED, "%s: \"%s\": \"%s\" is not supported (%s, %s)",
                    at_config_what(k), key, name, without, with);
    }
    return count;
}

/* The transformer blocks of layer i of a level: a number for all, or a list by level, whose entries
   are a number or a list by layer. -1 when it is neither. */
static int depth_of(const cJSON *depths, int level, int i)
{
    if (!depths) return 1;
    const cJSON *entry = cJSON_IsArray(depths) ? cJSON_GetArrayItem(depths, level) : depths;
    const cJSON *own = cJSON_IsArray(entry) ? cJSON_GetArrayItem(entry, i) : entry;
    bool fits = cJSON_IsNumber(own) && own->valuedouble >= 0 && own->valuedouble <= MOST_DEPTH;
    return fits ? (int)own->valuedouble : -1;
}

static void set_depths(at_context *cx, const at_config *k, const cJSON *depths, int level,
                       at_unet_layers *l)
{
    l->attentions = l->resnets;
    for (int i = 0; i < l->attentions; i++) {
        l->depth[i] = depth_of(depths, level, i);
        if (l->depth[i] >= 0) continue;
        at_fail(cx, AT_ERROR_FORMAT,
                "%s: \"transformer_layers_per_block\" must have a number from 0 to %d for each "
                "level, or a list of one for each layer",
                at_config_what(k), MOST_DEPTH);
        return;
    }
}

static bool nested(const cJSON *list)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, list) if (cJSON_IsArray(item)) return true;
    return false;
}

static void read_mid(at_context *cx, at_config *k, at_unet_config *c, const cJSON *depths)
{
    static const char key[] = "mid_block_type";
    if (cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(at_config_json(k), key))) return;
    const char *type = at_config_text(cx, k, key, "UNetMidBlock2DCrossAttn");
    bool attends = strcmp(type, "UNetMidBlock2DCrossAttn") == 0;
    if (!attends && strcmp(type, "UNetMidBlock2D") != 0)
        at_fail(cx, AT_ERROR_UNSUPPORTED, "%s: \"%s\": \"%s\" is not supported", at_config_what(k),
                key, type);
    c->mid.resnets = 1;
    if (!attends) return;
    set_depths(cx, k, depths, c->levels - 1, &c->mid);
    c->mid.resnets = 2; /* one before the transformer, one behind it */
}

static void read_blocks(at_context *cx, at_config *k, at_unet_config *c)
{
    bool down[LEVELS], up[LEVELS];
    int64_t layers[LEVELS];
    c->levels = read_types(cx, k, "down_block_types", "DownBlock2D", "CrossAttnDownBlock2D", down,
                           (const bool[]){true, true, true, false});
    int levels_up = read_types(cx, k, "up_block_types", "UpBlock2D", "CrossAttnUpBlock2D", up,
                               (const bool[]){false, true, true, true});
    if (levels_up != c->levels || !c->levels) wrong_count(cx, k, "up_block_types", c->levels);
    read_levels(cx, k, "layers_per_block", 2, LAYERS - 1, c->levels, layers);
    const cJSON *depths = at_config_item(k, "transformer_layers_per_block");
    const cJSON *reversed = at_config_item(k, "reverse_transformer_layers_per_block");
    if (nested(depths) && !reversed)
        at_fail(cx, AT_ERROR_FORMAT,
                "%s: lists in \"transformer_layers_per_block\" need "
                "\"reverse_transformer_layers_per_block\"",
                at_config_what(k));
    for (int i = 0; i < c->levels && at_ok(cx); i++) {
        int mirror = c->levels - 1 - i;
        c->down[i].resnets = (int)layers[i];
        c->up[i].resnets = (int)layers[mirror] + 1;
        if (down[i]) set_depths(cx, k, depths, i, &c->down[i]);
        if (up[i])
            set_depths(cx, k, reversed ? reversed : depths, reversed ? i : mirror, &c->up[i]);
    }
    if (at_ok(cx)) read_mid(cx, k, c, depths);
}

/* ---- the rest */

static const char *const class_embed_names[] = {
    [AT_UNET_CLASS_NONE] = "none",
    [AT_UNET_CLASS_TABLE] = "num_class_embeds",
    [AT_UNET_CLASS_TIMESTEP] = "timestep",
    [AT_UNET_CLASS_IDENTITY] = "identity",
    [AT_UNET_CLASS_PROJECTION] = "projection",
    [AT_UNET_CLASS_SIMPLE] = "simple_projection",
};

const char *at_unet_class_embed_name(at_unet_class_embed kind)
{
    return class_embed_names[kind];
}

static at_unet_class_embed read_class_embed(at_context *cx, at_config *k, int64_t classes)
{
    const char *name = at_config_text(cx, k, "class_embed_type", NULL);
    if (!name) return classes ? AT_UNET_CLASS_TABLE : AT_UNET_CLASS_NONE;
    for (int i = AT_UNET_CLASS_TIMESTEP; i <= AT_UNET_CLASS_SIMPLE; i++)
        if (strcmp(name, class_embed_names[i]) == 0) return (at_unet_class_embed)i;
    at_fail(cx, AT_ERROR_UNSUPPORTED, "%s: \"class_embed_type\": \"%s\" is not supported",
            at_config_what(k), name);
    return AT_UNET_CLASS_NONE;
}

static void read_conditions(at_context *cx, at_config *k, at_unet_config *c)
{
    enum { MOST = 1 << 20 };
    at_config_expect_text(cx, k, "time_embedding_type", "positional", "positional");
    c->time_dim = at_config_range(cx, k, "time_embedding_dim", 0, 0, MOST);
    if (!c->time_dim) c->time_dim = 4 * c->channels[0];
    c->time_cond_dim = at_config_range(cx, k, "time_cond_proj_dim", 0, 0, MOST);
    c->post_activation = at_config_activation(cx, k, "timestep_post_act", NULL);
    c->embedding_activation = at_config_activation(cx, k, "time_embedding_act_fn", NULL);
    c->flip_sin_to_cos = at_config_bool(cx, k, "flip_sin_to_cos", true);
    c->freq_shift = at_config_number(cx, k, "freq_shift", 0);
    c->classes = at_config_range(cx, k, "num_class_embeds", 0, 0, MOST);
    c->class_embed = read_class_embed(cx, k, c->classes);
    c->class_concat = at_config_bool(cx, k, "class_embeddings_concat", false) && c->class_embed;
    c->projection_dim = at_config_range(cx, k, "projection_class_embeddings_input_dim", 0, 0, MOST);
    c->addition_time_dim = at_config_range(cx, k, "addition_time_embed_dim", 0, 0, MOST);
    c->encoder_hid_dim = at_config_range(cx, k, "encoder_hid_dim", 0, 0, MOST);
    if (c->encoder_hid_dim)
        at_config_expect_text(cx, k, "encoder_hid_dim_type", "text_proj", "text_proj");
    const char *added = at_config_text(cx, k, "addition_embed_type", NULL);
    c->text_time = added != NULL;
    if (added) at_config_expect_text(cx, k, "addition_embed_type", NULL, "text_time");
    bool projects = c->class_embed == AT_UNET_CLASS_PROJECTION ||
                    c->class_embed == AT_UNET_CLASS_SIMPLE || c->text_time;
    if ((projects && !c->projection_dim) || (c->text_time && !c->addition_time_dim))
        at_fail(cx, AT_ERROR_FORMAT,
                "%s: \"projection_class_embeddings_input_dim\" or \"addition_time_embed_dim\" is "
                "missing",
                at_config_what(k));
}

static void read_sizes(at_context *cx, at_config *k, at_unet_config *c)
{
    enum { MOST = 65536 };
    c->in_channels = at_config_range(cx, k, "in_channels", 4, 1, MOST);
    c->out_channels = at_config_range(cx, k, "out_channels", 4, 1, MOST);
    c->groups = at_config_range(cx, k, "norm_num_groups", 32, 1, MOST);
    c->conv_in_kernel = at_config_range(cx, k, "conv_in_kernel", 3, 1, 31);
    c->conv_out_kernel = at_config_range(cx, k, "conv_out_kernel", 3, 1, 31);
    c->downsample_padding = at_config_range(cx, k, "downsample_padding", 1, 0, 8);
    int sizes = at_config_ints(cx, k, "sample_size", c->sample_size, 2, NULL, 0);
    if (sizes == 1) c->sample_size[1] = c->sample_size[0];
    int levels = at_config_ints(cx, k, "block_out_channels", c->channels, LEVELS,
                                (const int64_t[]){320, 640, 1280, 1280}, 4);
    if (levels != c->levels) wrong_count(cx, k, "block_out_channels", c->levels);
    read_levels(cx, k, "attention_head_dim", 8, 4096, c->levels, c->heads);
    read_levels(cx, k, "cross_attention_dim", 1280, 1 << 20, c->levels, c->cross_attention_dim);
    for (int i = 0; i < levels && at_ok(cx); i++)
        if (c->channels[i] < 1 || c->channels[i] > MOST || c->channels[i] % c->groups ||
            c->channels[i] % c->heads[i])
            at_fail(cx, AT_ERROR_FORMAT,
                    "%s: \"block_out_channels\" must be multiples of \"norm_num_groups\" and of "
                    "\"attention_head_dim\" (which is the number of heads)",
                    at_config_what(k));
    for (int i = 0; i < 2; i++)
        if (c->sample_size[i] < 0 || c->sample_size[i] > MOST)
            at_fail(cx, AT_ERROR_FORMAT, "%s: \"sample_size\" is out of range", at_config_what(k));
}

/* What changes nothing here: training, what only other kinds of blocks have, and arithmetic that is
   f32 anyway. Projections are read in both forms. */
static const char *const without_effect[] = {"dropout",
                                             "upcast_attention",
                                             "use_linear_projection",
                                             "mid_block_only_cross_attention",
                                             "resnet_skip_time_act",
                                             "resnet_out_scale_factor",
                                             "cross_attention_norm",
                                             "addition_embed_type_num_heads",
                                             NULL};

void at_unet_config_read(at_context *cx, at_config *k, at_unet_config *c)
{
    at_config_ignore(k, without_effect);
    at_config_expect_bool(cx, k, "dual_cross_attention", false, false);
    at_config_expect_text(cx, k, "attention_type", "default", "default");
    c->eps = at_config_number(cx, k, "norm_eps", 1e-5);
    c->mid_scale = at_config_number(cx, k, "mid_block_scale_factor", 1);
    c->center_input_sample = at_config_bool(cx, k, "center_input_sample", false);
    c->activation = at_config_activation(cx, k, "act_fn", "silu");
    const char *shift = at_config_text(cx, k, "resnet_time_scale_shift", "default");
    c->scale_shift = strcmp(shift, "scale_shift") == 0;
    if (!c->scale_shift)
        at_config_expect_text(cx, k, "resnet_time_scale_shift", "default", "default");
    read_blocks(cx, k, c);
    if (!at_ok(cx)) return;
    read_sizes(cx, k, c);
    read_only_cross(cx, k, c);
    read_conditions(cx, k, c);
    if (c->mid_scale == 0.0)
        at_fail(cx, AT_ERROR_FORMAT, "%s: \"mid_block_scale_factor\" is 0", at_config_what(k));
}

/* ---- sums */

static void add(at_unet_totals *t, const at_unet_layers *l)
{
    t->resnets += l->resnets;
    t->attentions += l->attentions;
    for (int i = 0; i < l->attentions; i++) t->blocks += l->depth[i];
}

at_unet_totals at_unet_totals_of(const at_unet_config *c)
{
    at_unet_totals t = {0};
    for (int i = 0; i < c->levels; i++) {
        add(&t, &c->down[i]);
        add(&t, &c->up[i]);
    }
    add(&t, &c->mid);
    return t;
}

int at_unet_skip_count(const at_unet_config *c)
{
    int count = c->levels; /* conv_in's, and one for each change of size */
    for (int i = 0; i < c->levels; i++) count += c->down[i].resnets;
    return count;
}
