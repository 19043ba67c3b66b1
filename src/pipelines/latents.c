#include "pipelines/latents.h"
#include "base/base.h"
#include "formats/safetensors.h"
#include "formats/weights.h"

/* The file's tensor, checked; a view of the mapped file. */
static at_tensor *checked(at_context *cx, const char *path, at_tensor *x, const int64_t s[4])
{
    if (!at_ok(cx)) return NULL;
    if (!x) return at_fail(cx, AT_ERROR_FORMAT, "%s: no tensor named \"latents\"", path);
    if (x->dtype != AT_F32 || !at_has_shape(x, 4, (int64_t[]){s[0], s[3], s[1], s[2]}))
        return at_fail(
            cx, AT_ERROR_ARGUMENT,
            "%s: latents are %s, not [%lld,%lld,%lld,%lld] f32 (make count and size fit)", path,
            at_shape_text(x), (long long)s[0], (long long)s[3], (long long)s[1], (long long)s[2]);
    if (!at_is_finite(x)) return at_fail(cx, AT_ERROR_FORMAT, "%s: latents are not finite", path);
    return x;
}

at_tensor *at_latents_read(at_context *cx, const char *path, const int64_t shape[4])
{
    at_weights *file = at_weights_open(cx, path);
    at_tensor *x = checked(cx, path, at_weights_get(cx, file, "latents"), shape);
    x = at_contiguous(cx, at_transpose(cx, x, 0, 2, 3, 1));
    at_weights_free(file);
    return x;
}

bool at_latents_write(at_context *cx, const char *path, at_tensor *latents)
{
    at_scope s = at_scope_begin(cx);
    at_tensor *planes = at_contiguous(cx, at_transpose(cx, latents, 0, 3, 1, 2));
    bool done = planes && at_safetensors_write(cx, path, 1, (const char *[]){"latents"},
                                               (at_tensor *[]){planes}, NULL);
    at_scope_end(cx, s, NULL);
    return done;
}

at_tensor *at_latents_pack(at_context *cx, at_tensor *x)
{
    int64_t B = at_dim(x, 0), h = at_dim(x, 1) / 2, w = at_dim(x, 2) / 2, C = at_dim(x, 3);
    at_tensor *squares = at_view(cx, x, B, h, 2, w, 2, C); /* B y dy x dx c */
    return at_view(cx, at_transpose(cx, squares, 0, 1, 3, 5, 2, 4), B, h * w, 4 * C);
}

at_tensor *at_latents_unpack(at_context *cx, at_tensor *tokens, int64_t height, int64_t width)
{
    int64_t B = at_dim(tokens, 0), C = at_dim(tokens, 2) / 4, h = height / 2, w = width / 2;
    at_tensor *squares = at_view(cx, tokens, B, h, w, C, 2, 2); /* B y x c dy dx */
    return at_view(cx, at_transpose(cx, squares, 0, 1, 4, 2, 5, 3), B, 2 * h, 2 * w, C);
}
