#include "adapters/lora_keys.h"
#include "adapters/targets.h"
#include "models/layouts/flux.h"
#include "models/layouts/hunyuan.h"
#include "models/layouts/lumina2.h"
#include "models/layouts/mmdit.h"
#include "models/layouts/stable_diffusion.h"
#include <stdio.h>
#include <string.h>

static bool is(const at_module *module, const char *class_name)
{
    return strcmp(module->class->name, class_name) == 0;
}

/* The names that the checkpoints of the class's makers have, as single files are read by. */
static void names_of(at_module *module, at_names *names)
{
    at_context *cx = module->cx;
    if (!module->weights) return; /* made in memory */
    if (is(module, "FluxTransformer2DModel"))
        at_names_flux(cx, names, module->weights, "", true);
    else if (is(module, "Lumina2Transformer2DModel"))
        at_names_lumina2(cx, names, module->weights, "", true);
    else if (is(module, "SD3Transformer2DModel"))
        at_names_sd3(cx, names, module->weights, "", true);
    else if (is(module, "AuraFlowTransformer2DModel"))
        at_names_auraflow(cx, names, module->weights, "", true);
    else if (is(module, "HunyuanDiT2DModel"))
        at_names_hunyuan(cx, names, module->weights, "", true);
    else if (is(module, "UNet2DConditionModel"))
        at_names_unet(cx, names, module->weights, "", true);
    else if (strncmp(module->class->name, "CLIPTextModel", 13) == 0)
        at_names_open_clip(cx, names, module->weights, "", true);
}

static bool is_own_name(const at_targets *t, const char *name)
{
    char plain[512];
    if (!at_lora_plain(name, plain, sizeof plain)) return false;
    for (int i = at_targets_find(t, plain); i >= 0; i = t->parts[i].next)
        if (strcmp(t->parts[i].target->name, name) == 0) return true;
    return false;
}

/* Where a layer of ours has the name that another one has there, ours counts. */
static bool add_original(at_context *cx, at_targets *t, at_target *target, const at_names *names)
{
    char *ours = at_format(cx, target->updates ? "%s.weight" : "%s", target->name), *theirs = NULL;
    const at_name_rule *rule = NULL;
    bool fine = ours != NULL;
    if (fine && at_names_reverse(cx, names, ours, &theirs, &rule) && theirs) {
        static const char end[] = ".weight"; /* or "in_proj_weight" */
        size_t n = strlen(theirs), m = sizeof end - 1;
        if (target->updates && n > m && strcmp(theirs + n - m + 1, end + 1) == 0) theirs[n - m] = 0;
        fine = is_own_name(t, theirs) ||
               at_targets_add_name(cx, t, target, theirs, rule ? rule->from : 0,
                                   rule && rule->halves_swapped);
    }
    at_free(ours);
    at_free(theirs);
    return fine && at_ok(cx);
}

/* XLabs names Flux' attention layers by what its own attention processors hold. */
static bool add_xlabs(at_context *cx, at_targets *t, at_target *target)
{
    static const struct {
        const char *ours, *theirs;
        int order;
    } rules[] = {
        {"transformer_blocks.%d.attn.to_q%n", "double_blocks.%d.qkv_lora1", 0},
        {"transformer_blocks.%d.attn.to_k%n", "double_blocks.%d.qkv_lora1", 1},
        {"transformer_blocks.%d.attn.to_v%n", "double_blocks.%d.qkv_lora1", 2},
        {"transformer_blocks.%d.attn.add_q_proj%n", "double_blocks.%d.qkv_lora2", 0},
        {"transformer_blocks.%d.attn.add_k_proj%n", "double_blocks.%d.qkv_lora2", 1},
        {"transformer_blocks.%d.attn.add_v_proj%n", "double_blocks.%d.qkv_lora2", 2},
        {"transformer_blocks.%d.attn.to_out.0%n", "double_blocks.%d.proj_lora1", 0},
        {"transformer_blocks.%d.attn.to_add_out%n", "double_blocks.%d.proj_lora2", 0},
        {"single_transformer_blocks.%d.attn.to_q%n", "single_blocks.%d.qkv", 0},
        {"single_transformer_blocks.%d.attn.to_k%n", "single_blocks.%d.qkv", 1},
        {"single_transformer_blocks.%d.attn.to_v%n", "single_blocks.%d.qkv", 2},
        {"single_transformer_blocks.%d.proj_out%n", "single_blocks.%d.proj", 0},
    };
    char name[128];
    for (size_t i = 0; i < AT_COUNT(rules); i++) {
        int block = 0, end = 0;
        if (sscanf(target->name, rules[i].ours, &block, &end) != 1 || target->name[end] || !end)
            continue;
        snprintf(name, sizeof name, rules[i].theirs, block);
        return at_targets_add_name(cx, t, target, name, rules[i].order, false);
    }
    return true;
}

/* Diffusers names the layers of the first LoRAs after its attention processors, also in the text
   encoder, and transformers 5 leaves the beginning away. */
static bool add_clip(at_context *cx, at_targets *t, at_target *target)
{
    static const char front[] = "text_model.";
    static const struct {
        const char *ours, *theirs;
    } rules[] = {
        {".q_proj", ".to_q"}, {".k_proj", ".to_k"}, {".v_proj", ".to_v"}, {".out_proj", ".to_out"}};
    size_t length = strlen(target->name);
    bool fine = true;
    if (strncmp(target->name, front, sizeof front - 1) == 0)
        fine = at_targets_add_name(cx, t, target, target->name + sizeof front - 1, 0, false);
    for (size_t i = 0; fine && i < AT_COUNT(rules); i++) {
        size_t n = strlen(rules[i].ours);
        if (length < n || strcmp(target->name + length - n, rules[i].ours) != 0) continue;
        char *name = at_format(cx, "%.*s%s", (int)(length - n), target->name, rules[i].theirs);
        fine = name && at_targets_add_name(cx, t, target, name, 0, false);
        at_free(name);
    }
    return fine;
}

bool at_targets_add_layouts(at_module *module, at_targets *t)
{
    at_context *cx = module->cx;
    at_names names = {0};
    names_of(module, &names);
    bool fine = at_ok(cx), flux = is(module, "FluxTransformer2DModel");
    bool clip = strncmp(module->class->name, "CLIPTextModel", 13) == 0;
    for (int i = 0; fine && i < t->count; i++) {
        fine = !names.count || add_original(cx, t, &t->items[i], &names);
        if (fine && flux) fine = add_xlabs(cx, t, &t->items[i]);
        if (fine && clip) fine = add_clip(cx, t, &t->items[i]);
    }
    at_names_free(&names);
    return fine;
}
