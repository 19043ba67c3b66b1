#include "pipelines/preview.h"
#include "models/autoencoders/autoencoder.h"
#include <math.h>
#include <string.h>

/* TAESD takes a seventh of the time of a step of Stable Diffusion 1.5 at 512x512. */
enum { DECODE_EVERY = 10 };

const at_latent_colours at_colours_sd1 = {.channels = 4,
                                          .factors = {{0.3512f, 0.2297f, 0.3227f},
                                                      {0.3250f, 0.4974f, 0.2350f},
                                                      {-0.2829f, 0.1762f, 0.2721f},
                                                      {-0.2120f, -0.2616f, -0.7177f}}};

const at_latent_colours at_colours_xl = {.channels = 4,
                                         .factors = {{0.3651f, 0.4232f, 0.4341f},
                                                     {-0.2533f, -0.0042f, 0.1068f},
                                                     {0.1076f, 0.1111f, -0.0362f},
                                                     {-0.3165f, -0.2492f, -0.2188f}},
                                         .bias = {0.1084f, -0.0175f, -0.0011f}};

const at_latent_colours at_colours_sd3 = {.channels = 16,
                                          .factors = {{-0.0922f, -0.0175f, 0.0749f},
                                                      {0.0311f, 0.0633f, 0.0954f},
                                                      {0.1994f, 0.0927f, 0.0458f},
                                                      {0.0856f, 0.0339f, 0.0902f},
                                                      {0.0587f, 0.0272f, -0.0496f},
                                                      {-0.0006f, 0.1104f, 0.0309f},
                                                      {0.0978f, 0.0306f, 0.0427f},
                                                      {-0.0042f, 0.1038f, 0.1358f},
                                                      {-0.0194f, 0.0020f, 0.0669f},
                                                      {-0.0488f, 0.0130f, -0.0268f},
                                                      {0.0922f, 0.0988f, 0.0951f},
                                                      {-0.0278f, 0.0524f, -0.0542f},
                                                      {0.0332f, 0.0456f, 0.0895f},
                                                      {-0.0069f, -0.0030f, -0.0810f},
                                                      {-0.0596f, -0.0465f, -0.0293f},
                                                      {-0.1448f, -0.1463f, -0.1189f}},
                                          .bias = {0.2394f, 0.2135f, 0.1925f}};

const at_latent_colours at_colours_flux = {.channels = 16,
                                           .factors = {{-0.0346f, 0.0244f, 0.0681f},
                                                       {0.0034f, 0.0210f, 0.0687f},
                                                       {0.0275f, -0.0668f, -0.0433f},
                                                       {-0.0174f, 0.0160f, 0.0617f},
                                                       {0.0859f, 0.0721f, 0.0329f},
                                                       {0.0004f, 0.0383f, 0.0115f},
                                                       {0.0405f, 0.0861f, 0.0915f},
                                                       {-0.0236f, -0.0185f, -0.0259f},
                                                       {-0.0245f, 0.0250f, 0.1180f},
                                                       {0.1008f, 0.0755f, -0.0421f},
                                                       {-0.0515f, 0.0201f, 0.0011f},
                                                       {0.0428f, -0.0012f, -0.0036f},
                                                       {0.0817f, 0.0765f, 0.0749f},
                                                       {-0.1264f, -0.0522f, -0.1103f},
                                                       {-0.0280f, -0.0881f, -0.0499f},
                                                       {-0.1262f, -0.0982f, -0.0778f}},
                                           .bias = {-0.0329f, -0.0718f, -0.0851f}};

/* ---- what is behind the noise */

static bool is_flow(at_context *cx, const at_scheduler *s, const char *predicted)
{
    return strcmp(predicted, "flow_prediction") == 0 || strstr(s->class->name, "FlowMatch") ||
           at_config_bool(cx, s->config, "use_flow_sigmas", false);
}

at_tensor *at_latent_clean(const at_latent_run *r, at_tensor *output, at_tensor *x, int i)
{
    at_context *cx = r->cx;
    const at_scheduler *s = r->scheduler;
    if (!at_ok(cx) || !at_same_shape(output, x)) return x;
    float sigma = s->sigmas[i], whole = sqrtf(1.0f + sigma * sigma);
    const char *predicted = at_config_text(cx, s->config, "prediction_type", "epsilon");
    if (strcmp(predicted, "sample") == 0) return output;
    if (is_flow(cx, s, predicted)) return at_add(cx, x, at_affine(cx, output, -sigma, 0.0f));
    /* Schedulers that do not scale the network's input have samples of variance one. */
    if (!s->class->scale_input) x = at_affine(cx, x, whole, 0.0f);
    if (strcmp(predicted, "v_prediction") != 0)
        return at_add(cx, x, at_affine(cx, output, -sigma, 0.0f));
    return at_add(cx, at_affine(cx, x, 1.0f / (whole * whole), 0.0f),
                  at_affine(cx, output, -sigma / whole, 0.0f));
}

/* ---- latents to colours */

/* [B,h,w,C] -> [B,h,w,3] in -1..1 */
static at_tensor *colour(at_context *cx, at_tensor *x, const at_latent_colours *c)
{
    x = at_contiguous(cx, x);
    at_tensor *out = at_new(cx, AT_F32, at_dim(x, 0), at_dim(x, 1), at_dim(x, 2), 3);
    if (!at_ok(cx)) return NULL;
    const float *from = x->data;
    float *to = out->data;
    for (int64_t i = 0; i < at_elements(out) / 3; i++, from += c->channels, to += 3) {
        for (int k = 0; k < 3; k++) to[k] = c->bias[k];
        for (int j = 0; j < c->channels; j++)
            for (int k = 0; k < 3; k++) to[k] += from[j] * c->factors[j][k];
    }
    return out;
}

/* The latents' colours, where no autoencoder is asked for, or NULL. */
static const at_latent_colours *colours_of(const at_latent_run *r, const at_tensor *x)
{
    const at_latent_colours *c = r->options->preview_vae ? NULL : r->class->colours;
    return c && c->channels == at_dim(x, 3) ? c : NULL;
}

/* By colours, else by the given autoencoder, else by the model's own. -> [1,H,W,3] in -1..1 */
static at_tensor *decode(at_latent_run *r, at_tensor *x)
{
    at_context *cx = r->cx;
    const at_latent_colours *colours = colours_of(r, x);
    if (colours) return colour(cx, x, colours);
    if (r->options->preview_vae) {
        const at_module *vae =
            at_pipeline_module_of(r->pipeline, AT_PREVIEW_VAE, at_autoencoder_classes);
        if (!vae) return NULL;
        at_autoencoder_info info = at_autoencoder_info_of(vae);
        x = at_affine(cx, x, (float)(1.0 / info.scaling_factor), (float)info.shift_factor);
        return at_autoencoder_decode(cx, vae, x, false);
    }
    const at_module *vae = at_latent_autoencoder(r);
    return at_autoencoder_decode(cx, vae, at_latent_unscale(r, x), at_latent_needs_tiles(r));
}

/* Values that are no numbers, as steps may come to that nobody would keep, are black. */
static at_image *image_of(at_context *cx, at_tensor *x)
{
    x = at_contiguous(cx, at_affine(cx, x, 0.5f, 0.5f));
    for (int64_t i = 0; x && i < at_elements(x); i++)
        if (!isfinite(((float *)x->data)[i])) ((float *)x->data)[i] = 0.0f;
    return at_image_from_tensor(cx, at_view(cx, x, at_dim(x, 1), at_dim(x, 2), 3));
}

static void show(at_latent_run *r, at_tensor *x, int done, int steps)
{
    at_context *cx = r->cx;
    const at_generate_options *o = r->options;
    at_image **images = AT_NEW_ARRAY(cx, at_image *, o->count);
    for (int k = 0; images && k < o->count && at_ok(cx); k++)
        images[k] = image_of(cx, decode(r, at_slice(cx, x, 0, k, 1)));
    if (at_ok(cx)) o->preview(o->preview_user, done, steps, r->begin, o->count, images);
    for (int k = 0; images && k < o->count; k++) at_image_free(images[k]);
    at_free(images);
}

void at_latent_preview(at_latent_run *r, at_tensor *output, at_tensor *latents, int i, int done,
                       int steps)
{
    at_context *cx = r->cx;
    const at_generate_options *o = r->options;
    if (!o->preview || !at_ok(cx)) return;
    at_scope s = at_scope_begin(cx);
    at_tensor *x = at_latent_clean(r, output, latents, i);
    if (r->class->unpack) x = r->class->unpack(r, x);
    int every = o->preview_steps ? o->preview_steps : colours_of(r, x) ? 1 : DECODE_EVERY;
    if (at_ok(cx) && (done % every == 0 || done == steps)) show(r, x, done, steps);
    at_scope_end(cx, s, NULL);
}
