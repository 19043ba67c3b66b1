/* Which files of a repository are fetched. */
#include "base/text.h"
#include "hub/cache.h"
#include "hub/listing.h"
#include <ctype.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

/* ---- names */

static const char *base_of(const char *name)
{
    const char *slash = strrchr(name, '/');
    return slash ? slash + 1 : name;
}

/* True for a file right in `folder` ("" is the top). */
static bool is_in(const char *name, const char *folder)
{
    size_t size = (size_t)(base_of(name) - name);
    return size == (*folder ? strlen(folder) + 1 : 0) &&
           strncmp(name, folder, AT_MAX(size, 1) - 1) == 0;
}

/* Weights under the names that Diffusers and Transformers give, taken apart:
   "model.fp16-00001-of-00002.safetensors", "model.safetensors.index.fp16.json". */
typedef struct weights_name {
    int base;         /* into bases */
    bool safetensors; /* or .bin */
    bool shard, index;
    char variant[32]; /* "": none */
} weights_name;

static const char *const bases[] = {"diffusion_pytorch_model", "model", "pytorch_model"};

/* Moves past `word`, if it is next. */
static bool skip(const char **text, const char *word)
{
    size_t size = strlen(word);
    bool next = strncmp(*text, word, size) == 0;
    if (next) *text += size;
    return next;
}

/* "-00001-of-00002" */
static bool skip_shard(const char **text)
{
    static const char form[] = "-#####-of-#####";
    for (size_t i = 0; i < sizeof form - 1; i++)
        if (form[i] == '#' ? !isdigit((unsigned char)(*text)[i]) : (*text)[i] != form[i])
            return false;
    *text += sizeof form - 1;
    return true;
}

/* ".fp16" where something like it comes that is not the name's end. */
static void skip_variant(const char **text, char variant[32])
{
    if (**text != '.') return;
    size_t size = strcspn(*text + 1, ".-");
    if (!(*text)[1 + size] || !size || size > 31) return;
    if (strncmp(*text, ".safetensors.", 13) == 0 || strncmp(*text, ".bin.", 5) == 0) return;
    snprintf(variant, 32, "%.*s", (int)size, *text + 1);
    *text += 1 + size;
}

static bool take_apart(const char *name, weights_name *w)
{
    const char *at = base_of(name);
    *w = (weights_name){0};
    while (w->base < (int)AT_COUNT(bases) && !skip(&at, bases[w->base])) w->base++;
    if (w->base == (int)AT_COUNT(bases)) return false;
    skip_variant(&at, w->variant);
    w->shard = skip_shard(&at);
    if (!w->variant[0]) skip_variant(&at, w->variant); /* an older place for it */
    w->safetensors = skip(&at, ".safetensors");
    if (!w->safetensors && !skip(&at, ".bin")) return false;
    w->index = skip(&at, ".index");
    if (w->index && !w->variant[0]) skip_variant(&at, w->variant);
    return w->index ? strcmp(at, ".json") == 0 : !*at;
}

/* ---- the weights of one folder */

/* The lower the better, in the order in which at_weights_open looks. */
static int rank(const weights_name *w, const char *wanted)
{
    static const char *const variants[] = {"", "fp16", "bf16", "fp32", "ema", "non_ema"};
    int v = 0;
    while (v < (int)AT_COUNT(variants) && strcmp(variants[v], w->variant) != 0) v++;
    if (wanted && strcmp(wanted, w->variant) == 0) v = -1;
    bool pytorch_model = w->base == 2; /* before "model", which in .bin is CTranslate2's */
    int base = w->base == 0 ? 0 : pytorch_model != w->safetensors ? 1 : 2;
    return (w->safetensors ? 0 : 1000) + (v + 1) * 10 + base;
}

/* Marks the best form; false where the folder has none. got: whether it is of the wanted variant.
 */
static bool choose_named(at_hub_listing *l, const char *folder, const char *wanted, bool *got)
{
    weights_name w, best = {0};
    int least = INT32_MAX;
    bool whole = false;
    for (int i = 0; i < l->count; i++) {
        if (!is_in(l->files[i].name, folder) || !take_apart(l->files[i].name, &w) || w.index)
            continue;
        int r = rank(&w, wanted);
        if (r < least) best = w, least = r, whole = false;
        if (r == least && strcmp(w.variant, best.variant) == 0) whole |= !w.shard;
    }
    for (int i = 0; least < INT32_MAX && i < l->count; i++) {
        if (!is_in(l->files[i].name, folder) || !take_apart(l->files[i].name, &w)) continue;
        bool same = w.base == best.base && w.safetensors == best.safetensors &&
                    strcmp(w.variant, best.variant) == 0;
        l->files[i].chosen = same && (whole ? !w.shard && !w.index : w.shard || w.index);
    }
    *got |= least < INT32_MAX && wanted && strcmp(best.variant, wanted) == 0;
    return least < INT32_MAX;
}

/* A checkpoint of PyTorch beside one of the same name that nothing can hide in. */
static bool has_twin(const at_hub_listing *l, const char *name)
{
    const char *dot = strrchr(name, '.');
    char twin[1100];
    if (at_has_suffix(name, ".safetensors") || at_has_suffix(name, ".gguf")) return false;
    snprintf(twin, sizeof twin, "%.*s.safetensors", (int)AT_MIN(dot - name, 1024), name);
    return at_hub_listing_find(l, twin) != NULL;
}

/* The only file of weights in the folder, or, with NULL, anywhere; several are told. */
static bool choose_only(at_context *cx, at_hub_listing *l, const char *folder, const char *what)
{
    at_text list = {0};
    at_hub_file *only = NULL;
    int count = 0;
    for (int i = 0; i < l->count; i++) {
        at_hub_file *f = &l->files[i];
        if (!at_hub_is_weights(f->name) || has_twin(l, f->name)) continue;
        if (folder && !is_in(f->name, folder)) continue;
        at_text_print(cx, &list, "%s%s/%s", count++ ? ", " : "", what, f->name);
        only = f;
    }
    if (count > 1)
        at_fail(cx, AT_ERROR_ARGUMENT, "%s: holds %d files of weights (give one of %s)", what,
                count, list.data ? list.data : "");
    at_text_free(&list);
    if (count == 1) only->chosen = true;
    return count > 0;
}

/* ---- the rest */

/* Configurations and tokenizers. */
static void choose_small(at_hub_listing *l, const char *folder)
{
    static const char *const suffixes[] = {".json", ".txt", ".model"};
    weights_name w;
    for (int i = 0; i < l->count; i++) {
        const char *name = l->files[i].name, *base = base_of(name);
        if (!is_in(name, folder) || base[0] == '.' || take_apart(name, &w)) continue;
        if (strstr(base, ".index.")) continue; /* of weights that are not read */
        for (size_t s = 0; s < AT_COUNT(suffixes); s++)
            l->files[i].chosen |= at_has_suffix(base, suffixes[s]);
    }
}

static void choose_voices(at_hub_listing *l)
{
    for (int i = 0; i < l->count; i++)
        if (is_in(l->files[i].name, "voices") && at_hub_is_weights(l->files[i].name))
            l->files[i].chosen = true;
}

/* The folders that model_index.json names; not those of parts that atelier does not have. */
static bool choose_components(at_hub_listing *l, const cJSON *index, const char *variant, bool *got)
{
    bool any = false;
    const cJSON *item;
    cJSON_ArrayForEach(item, index)
    {
        const cJSON *kind = cJSON_GetArrayItem(item, 1);
        if (item->string[0] == '_' || !cJSON_IsArray(item) || !cJSON_IsString(kind) ||
            strcmp(item->string, "safety_checker") == 0 ||
            strcmp(item->string, "feature_extractor") == 0)
            continue;
        choose_small(l, item->string);
        any |= choose_named(l, item->string, variant, got);
    }
    at_hub_file *self = at_hub_listing_find(l, "model_index.json");
    if (self) self->chosen = true;
    return any;
}

static bool matches(const char *name, const char *const *globs, int count)
{
    for (int i = 0; i < count; i++)
        if (fnmatch(globs[i], name, 0) == 0) return true;
    return false;
}

static void choose_fitting(at_context *cx, at_hub_listing *l, const at_hub_choice *choice,
                           const cJSON *index, const char *what)
{
    const char *variant = choice->variant;
    bool got = false, any = false;
    if (index) {
        any = choose_components(l, index, variant, &got);
    } else {
        any = choose_named(l, "", variant, &got) || choose_only(cx, l, "", what) ||
              choose_only(cx, l, NULL, what);
        choose_small(l, "");
        choose_voices(l);
    }
    if (at_ok(cx) && !any)
        at_fail(cx, AT_ERROR_FILE, "%s: holds no weights that atelier reads", what);
    else if (at_ok(cx) && variant && !got)
        at_fail(cx, AT_ERROR_ARGUMENT, "%s: has no variant %s", what, variant);
}

bool at_hub_choose(at_context *cx, at_hub_listing *l, const at_hub_choice *choice,
                   const cJSON *index, const char *what)
{
    bool by_file = choice->file && choice->file[0];
    int count = 0;
    for (int i = 0; i < l->count; i++) {
        const char *name = l->files[i].name;
        l->files[i].chosen = by_file ? strcmp(name, choice->file) == 0
                                     : matches(name, choice->include, choice->include_count);
    }
    if (!by_file && !choice->include_count) choose_fitting(cx, l, choice, index, what);
    for (int i = 0; i < l->count && at_ok(cx); i++) {
        at_hub_file *f = &l->files[i];
        f->chosen = f->chosen && !matches(f->name, choice->exclude, choice->exclude_count);
        if (f->chosen && !at_hub_path_is_safe(f->name))
            at_fail(cx, AT_ERROR_FORMAT, "%s: lists a file whose name is not fit to be written",
                    what);
        count += f->chosen;
    }
    if (at_ok(cx) && !count)
        at_fail(cx, AT_ERROR_ARGUMENT, "%s: no file of it %s", what,
                by_file ? "is called so" : "fits --include and --exclude");
    return at_ok(cx);
}
