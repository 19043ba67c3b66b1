#include "pipelines/prompt_loras.h"
#include "base/file.h"
#include "pipelines/latent_run.h"
#include "pipelines/prompt_plan.h"
#include <string.h>

/* The folder for LoRAs: given, or beside the model's parts, or beside its file. */
static char *folder_of(at_pipeline *p, const at_generate_options *o)
{
    if (o->lora_folder) return at_copy_text(p->cx, o->lora_folder);
    const char *slash = strrchr(p->folder, '/');
    if (at_folder_exists(p->folder)) return at_path_join(p->cx, p->folder, "loras");
    return slash ? at_format(p->cx, "%.*s/loras", (int)(slash - p->folder), p->folder)
                 : at_copy_text(p->cx, "loras");
}

/* The file of a name: one that was given with this name, else in the folder. */
static char *find(at_pipeline *p, const at_generate_options *o, const char *name)
{
    at_context *cx = p->cx;
    size_t n = strlen(name);
    for (int i = 0; i < o->lora_count; i++) {
        const char *path = o->loras[i].path, *slash = strrchr(path, '/');
        const char *base = slash ? slash + 1 : path;
        if (strncmp(base, name, n) == 0 && base[n] == '.' && !strchr(base + n + 1, '.'))
            return at_copy_text(cx, path);
    }
    char *folder = folder_of(p, o), *path = NULL;
    bool plain = *name && !strchr(name, '/') && *name != '.';
    if (folder && plain) path = at_format(cx, "%s/%s.safetensors", folder, name);
    if (at_ok(cx) && (!path || !at_file_exists(path)))
        at_fail(cx, AT_ERROR_FILE,
                "<lora:%.100s>: there is no such file in %s (say where with --lora-dir)", name,
                folder);
    at_free(folder);
    return path;
}

static bool add_loras(at_pipeline *p, at_generate_options *o, const at_prompt_list *found,
                      at_prompt_options *made)
{
    int count = o->lora_count + found->count;
    made->loras = AT_NEW_ARRAY(p->cx, at_lora_use, count);
    if (!made->loras) return false;
    for (int i = 0; i < o->lora_count; i++) made->loras[i] = o->loras[i];
    bool fine = true;
    for (int i = 0; fine && i < found->count; i++) {
        const at_prompt_item *item = &found->items[i];
        char *path = find(p, o, item->text);
        made->loras[o->lora_count + made->own++] =
            (at_lora_use){path, item->value, item->value != item->value_2, item->value_2};
        fine = at_ok(p->cx);
    }
    o->loras = made->loras;
    o->lora_count += made->own;
    return fine;
}

/* What changes over a run needs a pipeline that asks for it at each step. */
static bool check_edits(at_pipeline *p, const char *prompt, bool joined)
{
    const char *edits =
        p->class->latents->edits || !prompt ? NULL : at_prompt_edits(p->cx, prompt, joined);
    if (!edits) return at_ok(p->cx);
    return at_fail_false(p->cx, AT_ERROR_UNSUPPORTED,
                         "the prompt: %s has no %s (write it without, or give --prompt-syntax "
                         "plain)",
                         p->class->name, edits);
}

/* LoRAs out of a text, into found. */
static const char *take_loras(at_context *cx, const char *text, char **made, at_prompt_list *found)
{
    return text ? *made = at_prompt_take_loras(cx, text, found) : NULL;
}

static bool read_a1111(at_pipeline *p, at_generate_options *o, at_prompt_options *made)
{
    at_context *cx = p->cx;
    at_prompt_list found = {0}, dropped = {0};
    o->prompt = take_loras(cx, o->prompt ? o->prompt : "", &made->prompt, &found);
    o->prompt_2 = take_loras(cx, o->prompt_2, &made->prompt_2, &found);
    o->negative = take_loras(cx, o->negative, &made->negative, &dropped);
    o->negative_2 = take_loras(cx, o->negative_2, &made->negative_2, &dropped);
    bool fine = at_ok(cx) && (!found.count || add_loras(p, o, &found, made));
    at_prompt_list_free(&found);
    at_prompt_list_free(&dropped);
    if (o->prompt_syntax != AT_PROMPT_A1111) return fine; /* taken as plain text */
    return fine && check_edits(p, o->prompt, true) && check_edits(p, o->negative, false);
}

static bool is_a1111(const char *text)
{
    return text && at_prompt_is_a1111(text);
}

bool at_prompt_settle(at_pipeline *p, at_generate_options *o, at_prompt_options *made)
{
    at_context *cx = p->cx;
    bool asked = o->prompt_syntax == AT_PROMPT_A1111 || o->prompt_syntax == AT_PROMPT_COMFY;
    if ((o->prompt_2 || o->negative_2) && !p->class->latents->pairs)
        return at_fail_false(cx, AT_ERROR_UNSUPPORTED, "--%s: %s has none",
                             o->prompt_2 ? "prompt-2" : "negative-2", p->class->name);
    if (asked && !p->class->latents->weighs)
        return at_fail_false(cx, AT_ERROR_UNSUPPORTED,
                             "%s takes plain prompts (leave out --prompt-syntax)", p->class->name);
    if (o->prompt_syntax == AT_PROMPT_AUTO) {
        bool meant = is_a1111(o->prompt) || is_a1111(o->negative) || is_a1111(o->prompt_2) ||
                     is_a1111(o->negative_2);
        o->prompt_syntax = meant ? AT_PROMPT_A1111 : AT_PROMPT_PLAIN;
    }
    if (o->prompt_syntax != AT_PROMPT_A1111) return at_ok(cx);
    if (!p->class->latents->weighs) {
        if (!o->prompt || !strstr(o->prompt, "<lora:"))
            at_log(cx, AT_LOG_WARNING, "%s takes weights in a prompt as plain text",
                   p->class->name);
        o->prompt_syntax = AT_PROMPT_PLAIN;
    }
    return read_a1111(p, o, made);
}

void at_prompt_options_free(at_prompt_options *made, const at_generate_options *options)
{
    at_free(made->prompt);
    at_free(made->negative);
    at_free(made->prompt_2);
    at_free(made->negative_2);
    for (int i = options->lora_count - made->own; made->loras && i < options->lora_count; i++) {
        char *path = (char *)(uintptr_t)made->loras[i].path;
        at_free(path);
    }
    at_free(made->loras);
}
