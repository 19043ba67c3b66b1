#include "pipelines/generation.h"
#include "base/threads.h"
#include "pipelines/adapters.h"
#include "pipelines/defaults.h"
#include "pipelines/prompt_loras.h"
#include <atelier/image.h>

typedef struct generation {
    at_generation made; /* first: what callers see */
    at_context *cx;
    char *texts[11];
    at_lora_use *loras;
} generation;

static void destroy(void *object)
{
    generation *g = object;
    for (size_t i = 0; i < AT_COUNT(g->texts); i++) at_free(g->texts[i]);
    for (int i = 0; g->loras && i < g->made.used.lora_count; i++) {
        char *path = (char *)(uintptr_t)g->loras[i].path;
        at_free(path);
    }
    at_free(g->loras);
    at_free(g->made.images);
    at_free(g);
}

static void copy_loras(generation *g, const at_generate_options *used)
{
    g->loras = AT_NEW_ARRAY(g->cx, at_lora_use, used->lora_count);
    for (int i = 0; g->loras && i < used->lora_count; i++) {
        g->loras[i] = used->loras[i];
        g->loras[i].path = at_copy_text(g->cx, used->loras[i].path);
    }
    g->made.used.loras = g->loras;
}

at_generation *at_generation_new(at_pipeline *pipeline, const at_generate_options *used)
{
    at_context *cx = pipeline->cx;
    generation *g = at_ok(cx) ? AT_NEW(cx, generation) : NULL;
    if (!at_own(cx, g, destroy)) return NULL;
    g->cx = cx;
    g->made = (at_generation){.count = used->count,
                              .images = AT_NEW_ARRAY(cx, at_image *, used->count),
                              .used = *used,
                              .pipeline = pipeline->class->name};
    const char **slots[] = {&g->made.used.prompt,        &g->made.used.negative,
                            &g->made.used.sampler,       &g->made.used.schedule,
                            &g->made.used.latents,       &g->made.used.save_latents,
                            &g->made.used.system_prompt, &g->made.used.skip_guidance_layers,
                            &g->made.used.lora_folder,   &g->made.used.init,
                            &g->made.used.mask};
    for (size_t i = 0; i < AT_COUNT(slots); i++)
        if (*slots[i]) *slots[i] = g->texts[i] = at_copy_text(cx, *slots[i]);
    copy_loras(g, used);
    if (at_ok(cx)) return &g->made;
    at_generation_free(&g->made);
    return NULL;
}

void at_generation_free(at_generation *made)
{
    if (!made) return;
    generation *g = (generation *)made;
    for (int i = 0; made->images && i < made->count; i++) at_image_free(made->images[i]);
    at_disown(g->cx, g);
    destroy(g);
}

at_generation *at_generate_many(at_pipeline *pipeline, const at_generate_options *options)
{
    if (!pipeline || !at_ok(pipeline->cx)) return NULL;
    double started = at_clock();
    at_generate_options own = options ? *options : (at_generate_options){0};
    at_generate_defaults(pipeline->cx, pipeline->folder, &own);
    at_prompt_options prompt = {0};
    bool fine = at_prompt_settle(pipeline, &own, &prompt) &&
                at_adapters_use(pipeline, own.loras, own.lora_count);
    at_generation *made = fine ? pipeline->class->generate(pipeline, &own) : NULL;
    at_prompt_options_free(&prompt, &own);
    if (made) made->timings.total = at_clock() - started;
    return made;
}

at_image *at_generate(at_pipeline *pipeline, const at_generate_options *options)
{
    at_generation *made = at_generate_many(pipeline, options);
    if (!made) return NULL;
    at_image *first = made->images[0];
    made->images[0] = NULL;
    at_generation_free(made);
    return first;
}
