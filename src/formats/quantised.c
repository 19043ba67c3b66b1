#include "formats/quantised.h"
#include "base/json.h"
#include "base/text.h"
#include "tensor/blocks.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST_STATE = 1 << 16 };

struct at_quantised {
    at_coding *codings; /* one for each tensor of the set at most */
    at_four_bits *fours;
    int64_t count;
    char **names; /* of tensors that got another: name_count of them */
    int64_t name_count;
};

typedef struct joiner {
    at_context *cx;
    const at_weights *set;
    at_quantised *made;
    int64_t tensors;
} joiner;

/* ---- companions */

static const char *const suffixes[] = {
    ".scale_weight",
    ".weight_scale",
    ".scale_input",
    ".input_scale",
    ".comfy_quant",
    ".weight.absmax",
    ".weight.quant_map",
    ".weight.nested_absmax",
    ".weight.nested_quant_map",
    ".weight.quant_state.bitsandbytes__nf4",
    ".weight.quant_state.bitsandbytes__fp4",
};

enum { FIRST_STATE = 9 };

/* "X.absmax" beside "X.weight": X is `stem` bytes of the name. */
static const at_weight *beside(const joiner *j, const char *name, size_t stem, const char *suffix)
{
    char other[512];
    int n = snprintf(other, sizeof other, "%.*s%s", (int)stem, name, suffix);
    return n > 0 && (size_t)n < sizeof other ? at_weights_find(j->set, other) : NULL;
}

static int64_t elements_of(const at_weight *w)
{
    int64_t count = 1;
    for (int d = 0; d < w->dims; d++) count *= w->shape[d];
    return count;
}

static const uint8_t *bytes_of(const at_weight *w)
{
    return w->file->data + w->offset;
}

/* Plain numbers of the file; none where it is missing. */
static at_scales scales_of(const at_weight *w)
{
    if (!w || w->coding || at_dtype_block(w->dtype) > 1 || !w->bytes) return (at_scales){0};
    return (at_scales){bytes_of(w), w->dtype, elements_of(w), false};
}

static at_coding *new_coding(joiner *j)
{
    at_quantised *q = j->made;
    if (!q) {
        q = j->made = AT_NEW(j->cx, at_quantised);
        if (!q) return NULL;
        q->codings = AT_NEW_ARRAY(j->cx, at_coding, j->tensors);
        q->fours = AT_NEW_ARRAY(j->cx, at_four_bits, j->tensors);
        q->names = AT_NEW_ARRAY(j->cx, char *, j->tensors);
    }
    return q->codings && q->fours && q->names ? &q->codings[q->count++] : NULL;
}

static int64_t row_of(const at_weight *w)
{
    return w->dims ? w->shape[w->dims - 1] : 1;
}

/* ---- scales */

static bool join_scales(joiner *j, at_weight *w, const at_weight *scale)
{
    at_scales scales = scales_of(scale);
    bool fits = scales.data && w->dims && (scales.count == 1 || scales.count == w->shape[0]);
    if (!fits || w->coding)
        return at_fail_false(j->cx, AT_ERROR_UNSUPPORTED, "%s: %s is not one scale, or one a row",
                             w->file->path, scale->name);
    at_coding *c = new_coding(j);
    if (!c) return false;
    bool whole = w->dtype == AT_F8_E4M3 && w->dims == 2 && row_of(w) % 64 == 0;
    *c = (at_coding){.name = "scaled", .stored = w->dtype, .scales = scales};
    w->coding = c;
    w->dtype = whole ? AT_F8_S : AT_F32;
    return true;
}

/* ---- weight norm */

static const char *const normed[][2] = {
    /* directions, lengths */
    {".weight_v", ".weight_g"},
    {".parametrizations.weight.original1", ".parametrizations.weight.original0"},
};

static bool join_norm(joiner *j, at_weight *w, const at_weight *lengths, size_t stem)
{
    at_scales scales = scales_of(lengths);
    if (!scales.data || !w->dims || scales.count != w->shape[0] || w->coding ||
        at_dtype_block(w->dtype) > 1)
        return at_fail_false(
            j->cx, AT_ERROR_UNSUPPORTED,
            "%s: %s is not the lengths of the rows of %s (weight norm over another "
            "dimension is not supported)",
            w->file->path, lengths->name, w->name);
    at_coding *c = new_coding(j);
    char *name = c ? at_format(j->cx, "%.*s.weight", (int)stem, w->name) : NULL;
    if (!name) return false;
    j->made->names[j->made->name_count++] = name;
    *c = (at_coding){.name = "weight norm", .stored = w->dtype, .scales = scales, .normed = true};
    w->name = name;
    w->coding = c;
    w->dtype = AT_F32;
    return true;
}

/* ---- bitsandbytes */

static bool bad_state(joiner *j, const at_weight *w, const char *what)
{
    return at_fail_false(j->cx, AT_ERROR_FORMAT, "%s: %s: its quantisation state is damaged (%s)",
                         w->file->path, w->name, what);
}

static double number_of(const cJSON *json, const char *key, double fallback)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, key);
    return cJSON_IsNumber(item) ? item->valuedouble : fallback;
}

static bool read_shape(joiner *j, at_weight *w, const cJSON *state)
{
    const cJSON *shape = cJSON_GetObjectItemCaseSensitive(state, "shape"), *item;
    int64_t count = 1, packed = elements_of(w);
    int dims = 0, most = cJSON_GetArraySize(shape);
    if (!cJSON_IsArray(shape) || most > AT_MAX_DIMS || !most) return bad_state(j, w, "no shape");
    cJSON_ArrayForEach(item, shape)
    {
        double size = cJSON_IsNumber(item) ? item->valuedouble : -1;
        if (!(size >= 1 && size <= 0x1p40) || size != floor(size) ||
            !at_mul_size(count, (int64_t)size, &count))
            return bad_state(j, w, "its shape");
        w->shape[dims++] = (int64_t)size;
    }
    w->dims = dims;
    return (w->dtype == AT_U8 && count / 2 + count % 2 == packed) || bad_state(j, w, "its shape");
}

static bool read_block(joiner *j, const at_weight *w, const cJSON *state, const char *key,
                       int64_t *out)
{
    double block = number_of(state, key, 0);
    *out = (int64_t)AT_MIN(AT_MAX(block, 0), 1 << 20);
    return (block >= 2 && (double)*out == block) || bad_state(j, w, key);
}

/* The scales of the scales. */
static bool read_nested(joiner *j, const at_weight *w, const cJSON *state, size_t stem,
                        at_four_bits *f)
{
    f->nested_absmax = scales_of(beside(j, w->name, stem, ".weight.nested_absmax"));
    f->nested_map = scales_of(beside(j, w->name, stem, ".weight.nested_quant_map"));
    if (!f->nested_absmax.data && !f->nested_map.data) return true;
    f->nested_offset = (float)number_of(state, "nested_offset", 0);
    if (!read_block(j, w, state, "nested_blocksize", &f->nested_block)) return false;
    int64_t blocks = (f->absmax.count - 1) / f->nested_block + 1;
    return (f->absmax.dtype == AT_U8 && f->nested_map.count >= 256 &&
            f->nested_absmax.count >= blocks) ||
           bad_state(j, w, "its nested scales");
}

static bool read_state(joiner *j, at_weight *w, const cJSON *state, size_t stem, at_four_bits *f)
{
    if (!read_shape(j, w, state) || !read_block(j, w, state, "blocksize", &f->block)) return false;
    at_scales map = scales_of(beside(j, w->name, stem, ".weight.quant_map"));
    f->absmax = scales_of(beside(j, w->name, stem, ".weight.absmax"));
    if (map.count < 16 || f->absmax.count < (elements_of(w) - 1) / f->block + 1)
        return bad_state(j, w, "its map or scales");
    at_convert(map.dtype, map.data, AT_F32, f->map, 16);
    return read_nested(j, w, state, stem, f);
}

static bool join_four(joiner *j, at_weight *w, const at_weight *blob, size_t stem)
{
    at_coding *c = new_coding(j);
    if (!c) return false;
    if (blob->dtype != AT_U8 || blob->bytes > MOST_STATE || w->coding)
        return bad_state(j, w, "not bytes of JSON");
    cJSON *state = at_json_parse(j->cx, (const char *)bytes_of(blob), blob->bytes, blob->name);
    at_four_bits *f = &j->made->fours[j->made->count - 1];
    bool fine = state && read_state(j, w, state, stem, f);
    cJSON_Delete(state);
    if (!fine) return false;
    bool same = f->block % 64 == 0 && row_of(w) % 64 == 0;
    for (int i = 0; i < 16; i++) same = same && fabsf(f->map[i] - at_nf4_values[i]) < 1e-7f;
    *c = (at_coding){.name = "four bits", .stored = AT_U8, .four = f};
    w->coding = c;
    w->dtype = same ? AT_NF4 : AT_F32;
    return true;
}

/* ---- all */

static bool join_one(joiner *j, at_weight *w)
{
    static const char weight[] = ".weight";
    for (size_t i = 0; i < AT_COUNT(normed); i++) {
        if (!at_has_suffix(w->name, normed[i][0])) continue;
        size_t before = strlen(w->name) - strlen(normed[i][0]);
        const at_weight *lengths = beside(j, w->name, before, normed[i][1]);
        return !lengths || join_norm(j, w, lengths, before);
    }
    if (!at_has_suffix(w->name, weight)) return true;
    size_t stem = strlen(w->name) - (sizeof weight - 1);
    for (size_t i = FIRST_STATE; i < AT_COUNT(suffixes); i++) {
        const at_weight *blob = beside(j, w->name, stem, suffixes[i]);
        if (blob) return join_four(j, w, blob, stem);
    }
    for (size_t i = 0; i < 2; i++) {
        const at_weight *scale = beside(j, w->name, stem, suffixes[i]);
        if (scale) return join_scales(j, w, scale);
    }
    return true;
}

static bool is_companion(const joiner *j, const char *name)
{
    for (size_t i = 0; i < AT_COUNT(suffixes); i++)
        if (at_has_suffix(name, suffixes[i]))
            return beside(j, name, strlen(name) - strlen(suffixes[i]), ".weight") != NULL;
    for (size_t i = 0; i < AT_COUNT(normed); i++)
        if (at_has_suffix(name, normed[i][1]))
            return beside(j, name, strlen(name) - strlen(normed[i][1]), normed[i][0]) != NULL;
    return false;
}

bool at_quantised_join(at_context *cx, const at_weights *set, at_weight *tensors, int64_t *count,
                       at_quantised **made)
{
    joiner j = {.cx = cx, .set = set, .tensors = *count};
    bool fine = true, any = false;
    for (int64_t i = 0; i < *count && !any; i++) any = is_companion(&j, tensors[i].name);
    for (int64_t i = 0; any && fine && i < *count; i++) fine = join_one(&j, &tensors[i]);
    *made = j.made;
    if (!fine || !j.made) return fine;
    uint8_t *taken = at_alloc(cx, (size_t)*count, 1);
    if (!taken) return false;
    for (int64_t i = 0; i < *count; i++) taken[i] = is_companion(&j, tensors[i].name);
    int64_t kept = 0;
    for (int64_t i = 0; i < *count; i++)
        if (!taken[i]) tensors[kept++] = tensors[i];
    *count = kept;
    at_free(taken);
    return true;
}

void at_quantised_free(at_quantised *made)
{
    if (!made) return;
    at_free(made->codings);
    at_free(made->fours);
    for (int64_t i = 0; i < made->name_count; i++) at_free(made->names[i]);
    at_free(made->names);
    at_free(made);
}
