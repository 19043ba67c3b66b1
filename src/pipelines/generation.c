#include "pipelines/generation.h"
#include "base/threads.h"
#include "pipelines/adapters.h"
#include "pipelines/defaults.h"
#include "pipelines/embeddings.h"
#include "pipelines/latent_run.h"
#include "pipelines/prompt_loras.h"
#include <atelier/image.h>

typedef struct generation {
    at_generation made; /* first: what callers see */
    at_context *cx;
    char *texts[15];
    at_lora_use *loras;
    char **embeddings;
    bool *embedding_used;
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
    for (int i = 0; g->embeddings && i < g->made.used.embedding_count; i++)
        at_free(g->embeddings[i]);
    at_free(g->embeddings);
    at_free(g->embedding_used);
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

static void copy_embeddings(generation *g, const at_generate_options *used)
{
    g->embeddings = AT_NEW_ARRAY(g->cx, char *, used->embedding_count);
    g->embedding_used = AT_NEW_ARRAY(g->cx, bool, used->embedding_count);
    for (int i = 0; g->embeddings && i < used->embedding_count; i++)
        g->embeddings[i] = at_copy_text(g->cx, used->embeddings[i]);
    g->made.used.embeddings = (const char *const *)g->embeddings;
    g->made.embedding_used = g->embedding_used;
}

/* Which embeddings a prompt has; one that none has is likely a slip. */
static void tell_embeddings(at_generation *made, const at_embeddings *e)
{
    generation *g = (generation *)made;
    for (int i = 0; i < at_embeddings_count(e) && g->embedding_used; i++) {
        g->embedding_used[i] = at_embeddings_used(e, i);
        if (!g->embedding_used[i])
            at_log(g->cx, AT_LOG_WARNING, "%s: no prompt has it (it is called %s)",
                   made->used.embeddings[i], at_embeddings_name(e, i));
    }
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
                            &g->made.used.mask,          &g->made.used.prompt_2,
                            &g->made.used.negative_2,    &g->made.used.hires_upscaler,
                            &g->made.used.preview_vae};
    for (size_t i = 0; i < AT_COUNT(slots); i++)
        if (*slots[i]) *slots[i] = g->texts[i] = at_copy_text(cx, *slots[i]);
    copy_loras(g, used);
    copy_embeddings(g, used);
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
                at_adapters_use(pipeline, own.loras, own.lora_count) &&
                at_embeddings_use(pipeline, own.embeddings, own.embedding_count);
    at_generation *made = fine ? at_latent_generate(pipeline, &own) : NULL;
    at_prompt_options_free(&prompt, &own);
    if (made) tell_embeddings(made, pipeline->embeddings);
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
