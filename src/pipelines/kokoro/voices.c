/* Voices: files of style vectors, [510,1,256] of f32 in every release; row n is for n + 1 symbols.
   kokoro.js has them as bare numbers (.bin), hexgrad as tensors (.pt), kokoro-onnx all of them in
   one archive of numpy's (voices-v1.0.bin, .npz). */
#include "base/file.h"
#include "base/text.h"
#include "formats/weights.h"
#include "formats/zip.h"
#include "pipelines/kokoro/speaker.h"
#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_ROWS = 1 << 16 };

void at_voice_free(at_voice *voice)
{
    if (!voice) return;
    at_free(voice->styles);
    at_free(voice);
}

/* count numbers of a type that at_convert reads */
static at_voice *make(at_context *cx, const char *path, int64_t width, const void *data,
                      int64_t count, at_dtype dtype)
{
    if (count < width || count % width || count / width > MOST_ROWS)
        return at_fail(cx, AT_ERROR_FORMAT,
                       "%s: not a voice of this model (%lld numbers, rows have %lld)", path,
                       (long long)count, (long long)width);
    at_voice *v = AT_NEW(cx, at_voice);
    if (!v) return NULL;
    v->rows = count / width;
    v->width = width;
    v->styles = AT_NEW_ARRAY(cx, float, count);
    if (v->styles && at_convert(dtype, data, AT_F32, v->styles, count)) {
        for (int64_t i = 0; i < count && at_ok(cx); i++)
            if (!isfinite(v->styles[i]))
                at_fail(cx, AT_ERROR_FORMAT, "%s: holds numbers that are not finite", path);
    }
    if (at_ok(cx)) return v;
    at_voice_free(v);
    return NULL;
}

/* ---- numpy */

/* An array of little-endian floats in C order. */
static at_voice *read_npy(at_context *cx, const char *path, int64_t width, const uint8_t *data,
                          size_t size)
{
    size_t header = 0, at = 10;
    if (size > 12 && memcmp(data, "\x93NUMPY", 6) == 0) {
        header = data[8] | (size_t)data[9] << 8;
        if (data[6] > 1) header |= (size_t)data[10] << 16 | (size_t)data[11] << 24, at = 12;
    }
    char *text = header && header < 1 << 16 && at + header <= size
                     ? at_format(cx, "%.*s", (int)header, (const char *)data + at)
                     : NULL;
    at_dtype dtype = AT_DTYPES;
    if (text && strstr(text, "'<f4'")) dtype = AT_F32;
    if (text && strstr(text, "'<f2'")) dtype = AT_F16;
    if (text && strstr(text, "'<f8'")) dtype = AT_F64;
    bool fine = dtype != AT_DTYPES && strstr(text, "'fortran_order': False");
    at_free(text);
    if (!fine)
        return at_fail(cx, AT_ERROR_FORMAT, "%s: not an array of floats as numpy saves it", path);
    size_t each = at_dtype_block_bytes(dtype), bytes = size - at - header;
    return make(cx, path, width, data + at + header, (int64_t)(bytes / each), dtype);
}

/* Array `name` of an archive, or its only one where that is NULL; NULL without an error where it
   has none. */
static at_voice *read_npz(at_context *cx, at_zip *zip, int64_t width, const char *name)
{
    at_zip_member *found = NULL;
    at_text list = {0};
    size_t n = name ? strlen(name) : 0, offset = 0;
    int count = 0;
    for (int64_t i = 0; i < zip->count; i++) {
        at_zip_member *m = &zip->members[i];
        if (!at_has_suffix(m->name, ".npy")) continue;
        if (name && (strncmp(m->name, name, n) != 0 || strcmp(m->name + n, ".npy") != 0)) continue;
        if (list.size < 600)
            at_text_print(cx, &list, "%s%.*s", count ? ", " : "", (int)strlen(m->name) - 4,
                          m->name);
        found = m;
        count++;
    }
    if (count > 1)
        at_fail(cx, AT_ERROR_ARGUMENT, "%s: holds %d voices (say which, as in %s/NAME: %s)",
                zip->file->path, count, zip->file->path, list.data);
    at_text_free(&list);
    at_mapping *data = found && at_ok(cx) ? at_zip_data(cx, zip, found, &offset) : NULL;
    return data ? read_npy(cx, zip->file->path, width, data->data + offset, found->size) : NULL;
}

/* ---- files */

static at_voice *read_tensor(at_context *cx, const char *path, int64_t width)
{
    at_weights *weights = at_weights_open(cx, path);
    const at_weight *w = at_weights_at(weights, 0);
    at_voice *voice = NULL;
    if (weights && (at_weights_count(weights) != 1 || w->dtype > AT_F64))
        at_fail(cx, AT_ERROR_FORMAT, "%s: not a voice (one tensor of floats)", path);
    at_scope s = at_scope_begin(cx);
    at_tensor *x = w && at_ok(cx) ? at_contiguous(cx, at_weights_get(cx, weights, w->name)) : NULL;
    if (x) voice = make(cx, path, width, x->data, at_elements(x), x->dtype);
    at_scope_end(cx, s, NULL);
    at_weights_free(weights);
    return voice;
}

static bool begins(const char *data, size_t size, const char *with, size_t count)
{
    return size >= count && memcmp(data, with, count) == 0;
}

/* An archive of numpy's arrays, or else PyTorch's. name: as read_npz has it. */
static at_voice *read_archive(at_context *cx, const char *path, int64_t width, const char *name)
{
    at_zip *zip = at_zip_open(cx, path);
    at_voice *voice = zip ? read_npz(cx, zip, width, name) : NULL;
    at_zip_free(zip);
    return voice || name || !at_ok(cx) ? voice : read_tensor(cx, path, width);
}

/* name: of an archive's array, or NULL */
static at_voice *read_file(at_context *cx, const char *path, int64_t width, const char *name)
{
    if (at_has_suffix(path, ".safetensors")) return read_tensor(cx, path, width);
    at_mapping *file = at_mapping_open(cx, path);
    const char *data = file ? (const char *)file->data : NULL;
    size_t size = file ? file->size : 0;
    at_voice *voice = NULL;
    if (begins(data, size, "PK\3\4", 4))
        voice = read_archive(cx, path, width, name);
    else if (name)
        at_fail(cx, AT_ERROR_ARGUMENT, "%s: not an archive of voices", path);
    else if (at_has_suffix(path, ".pt") || at_has_suffix(path, ".pth") ||
             begins(data, size, "\x80\2\x8a\n", 4)) /* torch.save's older form */
        voice = read_tensor(cx, path, width);
    else if (begins(data, size, "\x93NUMPY", 6))
        voice = read_npy(cx, path, width, file->data, size);
    else if (data && size % sizeof(float) == 0)
        voice = make(cx, path, width, data, (int64_t)(size / sizeof(float)), AT_F32);
    else if (file)
        at_fail(cx, AT_ERROR_FORMAT, "%s: not a voice", path);
    at_mapping_release(file);
    return voice;
}

/* ---- the model's own voices */

/* Archives of voices in the model's folder, whose names begin with "voices": the next one's path.
 */
static char *next_archive(at_speaker *s, DIR *directory)
{
    for (struct dirent *d; directory && (d = readdir(directory));)
        if (strncmp(d->d_name, "voices", 6) == 0 &&
            (at_has_suffix(d->d_name, ".bin") || at_has_suffix(d->d_name, ".npz")))
            return at_path_join(s->cx, s->folder, d->d_name);
    return NULL;
}

static at_voice *find_in_archives(at_speaker *s, const char *name)
{
    DIR *directory = opendir(s->folder);
    at_voice *voice = NULL;
    for (char *path; !voice && at_ok(s->cx) && (path = next_archive(s, directory)); at_free(path)) {
        at_zip *zip = at_zip_open(s->cx, path);
        if (zip) voice = read_npz(s->cx, zip, s->info.style, name);
        at_zip_free(zip);
    }
    if (directory) closedir(directory);
    return voice;
}

typedef struct voice_names {
    char *names[64];
    int count;
} voice_names;

/* A file's name without its suffix. */
static void add_name(at_context *cx, voice_names *list, const char *file)
{
    const char *dot = strrchr(file, '.');
    if (!dot || file[0] == '.' || list->count == (int)AT_COUNT(list->names)) return;
    char *name = at_format(cx, "%.*s", (int)AT_MIN(dot - file, 60), file);
    if (name) list->names[list->count++] = name;
}

static void add_names(at_speaker *s, voice_names *list)
{
    char *folder = at_path_join(s->cx, s->folder, "voices");
    DIR *directory = folder ? opendir(folder) : NULL;
    for (struct dirent *d; directory && (d = readdir(directory));) add_name(s->cx, list, d->d_name);
    if (directory) closedir(directory);
    at_free(folder);
    directory = opendir(s->folder);
    for (char *path; (path = next_archive(s, directory)); at_free(path)) {
        at_zip *zip = at_zip_open(s->cx, path);
        for (int64_t i = 0; zip && i < zip->count; i++) add_name(s->cx, list, zip->members[i].name);
        at_zip_free(zip);
    }
    if (directory) closedir(directory);
}

/* "af_heart, am_michael, ...": what the folder has, for messages */
static void no_such_voice(at_speaker *s, const char *name)
{
    voice_names all = {0};
    at_text list = {0};
    add_names(s, &all);
    qsort(all.names, (size_t)all.count, sizeof *all.names, at_text_order);
    for (int i = 0; i < all.count; i++) {
        at_text_print(s->cx, &list, "%s%s", i ? ", " : "", all.names[i]);
        at_free(all.names[i]);
    }
    at_fail(s->cx, AT_ERROR_ARGUMENT, "voice \"%.100s\": %s has no such voice (%.600s)", name,
            s->folder, list.data ? list.data : "no voices at all");
    at_text_free(&list);
}

/* A path, or that of an archive with the name of one of its voices behind it; NULL without an error
   where there is no such file. */
static at_voice *find_path(at_speaker *s, const char *name)
{
    at_context *cx = s->cx;
    if (!strchr(name, '/') && !strchr(name, '.')) return NULL;
    if (at_file_exists(name)) return read_file(cx, name, s->info.style, NULL);
    const char *slash = strrchr(name, '/');
    char *archive = slash ? at_format(cx, "%.*s", (int)(slash - name), name) : NULL;
    at_voice *voice = NULL;
    if (archive && at_file_exists(archive)) {
        voice = read_file(cx, archive, s->info.style, slash + 1);
        if (!voice && at_ok(cx))
            at_fail(cx, AT_ERROR_ARGUMENT, "%s: has no voice \"%.100s\"", archive, slash + 1);
    }
    at_free(archive);
    return voice;
}

static at_voice *find_voice(at_speaker *s, const char *name)
{
    static const char *const suffixes[] = {"bin", "pt", "npy", "safetensors"};
    at_context *cx = s->cx;
    at_voice *voice = find_path(s, name);
    if (voice || !at_ok(cx)) return voice;
    bool plain = *name && !strchr(name, '/') && name[0] != '.';
    for (size_t i = 0; plain && i < AT_COUNT(suffixes) && !voice && at_ok(cx); i++) {
        char *path = at_format(cx, "%s/voices/%s.%s", s->folder, name, suffixes[i]);
        if (path && at_file_exists(path)) voice = read_file(cx, path, s->info.style, NULL);
        at_free(path);
    }
    if (!voice && plain && at_ok(cx)) voice = find_in_archives(s, name);
    if (!voice && at_ok(cx)) no_such_voice(s, name);
    return voice;
}

/* ---- mixtures */

/* "af_heart(2)": cuts the weight off; false for what is no number above 0 */
static bool take_weight(char *name, double *weight)
{
    size_t n = strlen(name);
    char *open = strrchr(name, '('), *end;
    *weight = 1;
    if (!open || name[n - 1] != ')') return true;
    *weight = strtod(open + 1, &end);
    if (end == open + 1 || *end != ')' || !(*weight > 0 && *weight < 1e6)) return false;
    *open = 0;
    return true;
}

/* sum += weight * voice, as far as both have rows */
static void add_voice(at_voice *sum, const at_voice *voice, double weight)
{
    sum->rows = AT_MIN(sum->rows, voice->rows);
    for (int64_t i = 0; i < sum->rows * sum->width; i++)
        sum->styles[i] += (float)weight * voice->styles[i];
}

at_voice *at_voice_open(at_speaker *s, const char *spec)
{
    at_context *cx = s->cx;
    char *all = at_copy_text(cx, spec), *rest = all;
    at_voice *sum = NULL;
    double total = 0;
    while (rest && at_ok(cx)) {
        char *name = strsep(&rest, "+,");
        double weight;
        if (!take_weight(name, &weight)) {
            at_fail(cx, AT_ERROR_ARGUMENT,
                    "voice \"%.200s\": a weight must be a number above 0, like af_heart(2)", spec);
            break;
        }
        at_voice *voice = find_voice(s, name);
        if (!voice) break;
        total += weight;
        if (sum) {
            add_voice(sum, voice, weight);
            at_voice_free(voice);
            continue;
        }
        sum = voice;
        for (int64_t i = 0; i < sum->rows * sum->width; i++) sum->styles[i] *= (float)weight;
    }
    at_free(all);
    if (at_ok(cx) && sum) {
        for (int64_t i = 0; i < sum->rows * sum->width; i++) sum->styles[i] /= (float)total;
        return sum;
    }
    at_voice_free(sum);
    return NULL;
}

at_tensor *at_voice_style(at_context *cx, const at_voice *v, int64_t symbols)
{
    int64_t row = AT_MIN(AT_MAX(symbols, 1), v->rows) - 1;
    return at_from(cx, AT_F32, 2, (int64_t[]){1, v->width}, v->styles + row * v->width);
}
