#include "adapters/textual_inversion.h"
#include "adapters/values.h"
#include <atelier/ops.h>
#include <string.h>

enum { MOST_VECTORS = 1024 };

void at_textual_inversion_free(at_textual_inversion *t)
{
    if (!t) return;
    at_weights_drop(t->weights);
    at_free(t->path);
    at_free(t->name);
    at_free(t->token);
    at_free(t);
}

/* "style.v2" of embeddings/style.v2.pt */
static char *stem_of(at_context *cx, const char *path)
{
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    const char *dot = strrchr(base, '.');
    return at_format(cx, "%.*s", (int)(dot && dot > base ? (size_t)(dot - base) : strlen(base)),
                     base);
}

static const at_weight *find(const at_textual_inversion *t, const char *name, const char *other)
{
    const at_weight *w = at_weights_find(t->weights, name);
    return w ? w : at_weights_find(t->weights, other);
}

/* A1111's and Diffusers' one tensor, with the word that is said for it. */
static void read_one(at_textual_inversion *t)
{
    static const char param[] = "string_to_param.";
    const char *token = NULL;
    for (int64_t i = 0; i < at_weights_count(t->weights); i++) {
        const at_weight *w = at_weights_at(t->weights, i);
        if (strncmp(w->name, param, sizeof param - 1) != 0) continue;
        if (t->one) {
            at_fail(t->cx, AT_ERROR_UNSUPPORTED, "%s: it has several words (string_to_param)",
                    t->path);
            return;
        }
        t->one = w;
        token = at_weights_metadata(t->weights, "name");
    }
    if (!t->one && at_weights_count(t->weights) == 1) {
        t->one = at_weights_at(t->weights, 0);
        token = strcmp(t->one->name, "emb_params") == 0 ? NULL : t->one->name;
    }
    if (token && *token && strcmp(token, "*") != 0) t->token = at_copy_text(t->cx, token);
}

static bool check(at_textual_inversion *t, const at_weight *w)
{
    if (!w) return true;
    int64_t vectors = w->dims == 2 ? w->shape[0] : 1;
    if (w->dims < 1 || w->dims > 2 || vectors < 1 || vectors > MOST_VECTORS)
        return at_fail_false(t->cx, AT_ERROR_FORMAT,
                             "%s: %.100s is no list of vectors (of %d at most)", t->path, w->name,
                             MOST_VECTORS);
    if (t->vectors && t->vectors != vectors)
        return at_fail_false(t->cx, AT_ERROR_FORMAT,
                             "%s: %lld vectors for one encoder, %lld for the other", t->path,
                             (long long)t->vectors, (long long)vectors);
    t->vectors = vectors;
    return at_values_are_finite(t->cx, t->path, t->weights, w);
}

static bool read_file(at_textual_inversion *t)
{
    at_weights *weights = at_weights_open(t->cx, t->path);
    if (!weights) return false;
    t->weights = at_weights_keep(weights);
    at_weights_free(weights);
    t->pair[0] = find(t, "clip_l", "text_encoders_0");
    t->pair[1] = find(t, "clip_g", "text_encoders_1");
    if (!t->pair[0] && !t->pair[1]) read_one(t);
    if (!at_ok(t->cx)) return false;
    if (!t->pair[0] && !t->pair[1] && !t->one)
        return at_fail_false(t->cx, AT_ERROR_FORMAT,
                             "%s: not a textual inversion (%lld tensors, none of them "
                             "string_to_param, emb_params, clip_l or clip_g)",
                             t->path, (long long)at_weights_count(t->weights));
    return check(t, t->pair[0]) && check(t, t->pair[1]) && check(t, t->one);
}

at_textual_inversion *at_textual_inversion_open(at_context *cx, const char *path)
{
    at_textual_inversion *t = at_ok(cx) ? AT_NEW(cx, at_textual_inversion) : NULL;
    if (!t) return NULL;
    t->cx = cx;
    t->path = at_copy_text(cx, path);
    t->name = stem_of(cx, path);
    if (t->path && t->name && read_file(t) && at_ok(cx)) return t;
    at_textual_inversion_free(t);
    return NULL;
}

at_tensor *at_textual_inversion_vectors(const at_textual_inversion *t, int encoder, bool only,
                                        int64_t width)
{
    static const char *const halves[] = {"clip_l", "clip_g"};
    const at_weight *w = t->pair[encoder] ? t->pair[encoder] : only ? t->one : NULL;
    if (!w)
        return at_fail(t->cx, AT_ERROR_FORMAT,
                       "%s: it has no %s, which this model's text encoder%s needs (it was made for "
                       "another kind of model)",
                       t->path, halves[encoder], encoder ? " 2" : "");
    int64_t D = w->shape[w->dims - 1];
    if (D != width)
        return at_fail(t->cx, AT_ERROR_FORMAT,
                       "%s: vectors of %lld values; this model's text encoder%s takes %lld (it was "
                       "made for another kind of model)",
                       t->path, (long long)D, encoder ? " 2" : "", (long long)width);
    at_tensor *x = at_weights_get(t->cx, t->weights, w->name);
    return at_cast(t->cx, at_view(t->cx, x, t->vectors, D), AT_F32);
}
