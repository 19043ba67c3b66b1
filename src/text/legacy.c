/* Models from the files of a folder: tokenizer.json, vocab.json + merges.txt, vocab.txt,
   sentencepiece. */
#include "base/file.h"
#include "text/byte_level.h"
#include "text/folder.h"
#include "text/unicode.h"
#include <stdio.h>
#include <string.h>

enum { FILE_LIMIT = 256 << 20 };

/* A line of text without its end; false when there is none left. */
static bool next_line(const char **at, const char *end, const char **line, size_t *size)
{
    if (*at >= end) return false;
    const char *stop = memchr(*at, '\n', (size_t)(end - *at));
    *line = *at;
    *at = stop ? stop + 1 : end;
    *size = (size_t)((stop ? stop : end) - *line);
    return true;
}

static char *read_text(at_context *cx, const char *path, size_t *size)
{
    char *text = at_file_read(cx, path, FILE_LIMIT, size);
    if (!text || at_utf8_valid(text, *size)) return text;
    at_free(text);
    return at_fail(cx, AT_ERROR_FORMAT, "%s: not valid UTF-8", path);
}

/* "left right" a line, the most wanted first. */
static bool read_merges(at_context *cx, at_model *bpe, const char *path)
{
    size_t total = 0, size;
    char *text = read_text(cx, path, &total);
    const char *at = text, *line;
    while (text && !at_failed(cx) && next_line(&at, text + total, &line, &size)) {
        if (size && line[size - 1] == '\r') size--;
        if (size >= 8 && memcmp(line, "#version", 8) == 0) continue;
        const char *space = memchr(line, ' ', size);
        size_t left = space ? (size_t)(space - line) : size;
        if (!space || memchr(space + 1, ' ', size - left - 1))
            at_fail(cx, AT_ERROR_FORMAT, "%s: a line is not a pair of tokens", path);
        else
            at_bpe_merge(cx, bpe, line, left, space + 1, size - left - 1, path);
    }
    at_free(text);
    return !at_failed(cx);
}

static const cJSON *json_model(const at_folder *folder)
{
    return cJSON_GetObjectItemCaseSensitive(folder->tokenizer, "model");
}

static at_vocabulary *read_vocabulary(at_context *cx, const char *path)
{
    size_t size = 0;
    char *text = read_text(cx, path, &size);
    cJSON *json = text ? at_json_parse(cx, text, size, path) : NULL;
    at_vocabulary *vocabulary = json ? at_vocabulary_parse(cx, json, path) : NULL;
    cJSON_Delete(json);
    at_free(text);
    return vocabulary;
}

/* The bytes in CLIP's order: those with a character of their own come first. */
static void add_bytes(at_context *cx, at_vocabulary *v, const char *suffix)
{
    for (int shown = 1; shown >= 0; shown--)
        for (int byte = 0; byte < 256 && at_ok(cx); byte++) {
            at_text text = {0};
            if (at_bytes_hidden(byte) == byte ? !shown : shown) continue;
            at_bytes_show(cx, (char[]){(char)byte}, 1, &text);
            at_text_print(cx, &text, "%s", suffix);
            if (at_ok(cx))
                at_vocabulary_add(cx, v, text.data, text.size, (int32_t)at_vocabulary_count(v));
            at_text_free(&text);
        }
}

/* CLIP's vocabulary follows from its merges: all bytes, all bytes at a word's end, what the merges
   make, then start and end. */
static at_vocabulary *derive_vocabulary(at_context *cx, const char *merges_path)
{
    static const char *const special[] = {"<|startoftext|>", "<|endoftext|>"};
    at_vocabulary *v = at_vocabulary_new(cx);
    size_t total = 0, size;
    char *text = v ? read_text(cx, merges_path, &total) : NULL;
    if (text) add_bytes(cx, v, "");
    if (text) add_bytes(cx, v, "</w>");
    const char *at = text, *line;
    while (text && at_ok(cx) && next_line(&at, text + total, &line, &size)) {
        const char *space = memchr(line, ' ', size);
        if (!space || (size >= 8 && memcmp(line, "#version", 8) == 0)) continue;
        at_text token = {0};
        at_text_add(cx, &token, line, (size_t)(space - line));
        at_text_add(cx, &token, space + 1, size - (size_t)(space - line) - 1);
        if (at_ok(cx))
            at_vocabulary_add(cx, v, token.data, token.size, (int32_t)at_vocabulary_count(v));
        at_text_free(&token);
    }
    at_free(text);
    for (size_t i = 0; i < AT_COUNT(special) && v && at_ok(cx); i++)
        at_vocabulary_add(cx, v, special[i], strlen(special[i]), (int32_t)at_vocabulary_count(v));
    if (v && at_ok(cx)) at_vocabulary_finish(v);
    if (at_ok(cx)) return v;
    at_vocabulary_free(v);
    return NULL;
}

/* The pair vocab.json and merges.txt; or, where tokenizer_config.json says so, CLIP's merges alone.
 */
static at_model *bpe_from_files(at_context *cx, const at_folder *folder,
                                const at_bpe_options *options)
{
    char *vocab_path = at_path_join(cx, folder->path, "vocab.json");
    char *merges_path = at_path_join(cx, folder->path, "merges.txt");
    bool derived = at_folder_flag(folder, "vocabulary_from_merges", false);
    at_vocabulary *vocabulary = !vocab_path || !merges_path ? NULL
                                : derived                   ? derive_vocabulary(cx, merges_path)
                                                            : read_vocabulary(cx, vocab_path);
    at_model *model = vocabulary ? at_bpe_new(cx, vocabulary, options) : NULL;
    if (model && !read_merges(cx, model, merges_path)) {
        at_model_free(model);
        model = NULL;
    }
    at_free(vocab_path);
    at_free(merges_path);
    return model;
}

static at_model *bpe_from_spm(at_context *cx, const at_folder *folder,
                              const at_bpe_options *options)
{
    at_vocabulary *vocabulary = at_vocabulary_new(cx);
    for (size_t i = 0; vocabulary && i < folder->spm.count && !at_failed(cx); i++)
        at_vocabulary_add(cx, vocabulary, folder->spm.pieces[i].text, folder->spm.pieces[i].size,
                          (int32_t)i);
    if (vocabulary) at_vocabulary_finish(vocabulary);
    at_model *model = at_bpe_new(cx, vocabulary, options);
    for (size_t i = 0; model && i < folder->spm.count && at_ok(cx); i++) {
        const at_spm_piece *p = &folder->spm.pieces[i];
        at_bpe_merge_cuts(cx, model, p->text, p->size, folder->spm_path);
    }
    if (at_ok(cx)) return model;
    at_model_free(model);
    return NULL;
}

at_model *at_folder_bpe(at_context *cx, const at_folder *folder, const at_bpe_options *options)
{
    if (!at_ok(cx)) return NULL;
    const cJSON *json = json_model(folder);
    if (folder->tokenizer) {
        const cJSON *vocab = cJSON_GetObjectItemCaseSensitive(json, "vocab");
        at_vocabulary *vocabulary = at_vocabulary_parse(cx, vocab, folder->tokenizer_path);
        at_model *model = vocabulary ? at_bpe_new(cx, vocabulary, options) : NULL;
        const cJSON *merges = cJSON_GetObjectItemCaseSensitive(json, "merges");
        if (model && at_bpe_parse_merges(cx, model, merges, folder->tokenizer_path)) return model;
        at_model_free(model);
        return NULL;
    }
    return folder->spm.count ? bpe_from_spm(cx, folder, options)
                             : bpe_from_files(cx, folder, options);
}

static bool add_spm_scores(at_context *cx, const at_folder *folder, at_model *model)
{
    for (size_t i = 0; i < folder->spm.count && !at_failed(cx); i++) {
        const at_spm_piece *p = &folder->spm.pieces[i];
        at_unigram_add(cx, model, p->text, p->size, (double)p->score);
    }
    for (int64_t i = folder->extra_ids - 1; i >= 0 && !at_failed(cx); i--) {
        char name[40];
        int n = snprintf(name, sizeof name, "<extra_id_%lld>", (long long)i);
        at_unigram_add(cx, model, name, (size_t)n, 0);
    }
    return !at_failed(cx);
}

at_model *at_folder_unigram(at_context *cx, const at_folder *folder, int64_t unk_id)
{
    at_model *model = at_unigram_new(cx);
    const char *what = folder->tokenizer ? folder->tokenizer_path : folder->spm_path;
    const cJSON *vocab = cJSON_GetObjectItemCaseSensitive(json_model(folder), "vocab");
    bool fine = model && (folder->tokenizer ? at_unigram_parse_vocab(cx, model, vocab, what)
                                            : add_spm_scores(cx, folder, model));
    if (fine && at_unigram_finish(cx, model, unk_id, false, what)) return model;
    at_model_free(model);
    return NULL;
}

/* vocab.txt: a token a line, trailing white space not part of it. */
static at_vocabulary *read_words(at_context *cx, const char *path)
{
    size_t total = 0, size;
    char *text = read_text(cx, path, &total);
    const char *at = text, *line;
    at_vocabulary *vocabulary = text ? at_vocabulary_new(cx) : NULL;
    for (int32_t id = 0; vocabulary && next_line(&at, text + total, &line, &size); id++) {
        while (size > 0) {
            size_t n, last = at_utf8_last(line, size);
            if (!at_is_space(at_utf8_next(line + size - last, &n))) break;
            size -= last;
        }
        if (id == INT32_MAX || !at_vocabulary_add(cx, vocabulary, line, size, id)) break;
    }
    if (vocabulary) at_vocabulary_finish(vocabulary);
    at_free(text);
    return vocabulary;
}

at_model *at_folder_wordpiece(at_context *cx, const at_folder *folder, const char *unk_token)
{
    if (!at_ok(cx)) return NULL;
    at_vocabulary *vocabulary = NULL;
    if (folder->tokenizer) {
        const cJSON *vocab = cJSON_GetObjectItemCaseSensitive(json_model(folder), "vocab");
        vocabulary = at_vocabulary_parse(cx, vocab, folder->tokenizer_path);
    } else {
        char *path = at_path_join(cx, folder->path, "vocab.txt");
        if (path) vocabulary = read_words(cx, path);
        at_free(path);
    }
    return at_wordpiece_new(cx, vocabulary, unk_token, "##", 100);
}

/* --- The charsmap of either file, as the JSON of its normalizer. --- */

static char *base64_step(at_context *cx, const uint8_t *bytes, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    static const char head[] = "{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"";
    at_text out = {0};
    at_text_add(cx, &out, head, sizeof head - 1);
    for (size_t i = 0; i < size && !at_failed(cx); i += 3) {
        uint32_t group = (uint32_t)bytes[i] << 16;
        if (i + 1 < size) group |= (uint32_t)bytes[i + 1] << 8;
        if (i + 2 < size) group |= bytes[i + 2];
        char four[4] = {digits[group >> 18], digits[group >> 12 & 63],
                        i + 1 < size ? digits[group >> 6 & 63] : '=',
                        i + 2 < size ? digits[group & 63] : '='};
        at_text_add(cx, &out, four, 4);
    }
    at_text_add(cx, &out, "\"}", 2);
    if (!at_failed(cx)) return out.data;
    at_text_free(&out);
    return NULL;
}

/* The first Precompiled step of tokenizer.json's normalizer. */
static const cJSON *json_charsmap(const at_folder *folder)
{
    const cJSON *normalizer = cJSON_GetObjectItemCaseSensitive(folder->tokenizer, "normalizer");
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(normalizer, "normalizers");
    for (const cJSON *step = list ? list->child : normalizer; step;
         step = list ? step->next : NULL) {
        const char *type = at_json_text(cJSON_GetObjectItemCaseSensitive(step, "type"));
        if (type && strcmp(type, "Precompiled") == 0) return step;
    }
    return NULL;
}

char *at_folder_charsmap(at_context *cx, const at_folder *folder)
{
    if (!at_ok(cx)) return NULL;
    if (!folder->tokenizer)
        return folder->spm.charsmap
                   ? base64_step(cx, folder->spm.charsmap, folder->spm.charsmap_size)
                   : NULL;
    const cJSON *step = json_charsmap(folder);
    const char *map = at_json_text(cJSON_GetObjectItemCaseSensitive(step, "precompiled_charsmap"));
    return map ? at_format(cx, "{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"%s\"}", map)
               : NULL;
}

bool at_folder_from_spm(at_context *cx, const at_folder *folder, at_tokenizer *t)
{
    const at_sentencepiece *spm = &folder->spm;
    char *unk = at_format(cx, "%.*s", (int)AT_MIN(spm->unk_piece ? spm->unk_piece_size : 5, 200),
                          spm->unk_piece ? spm->unk_piece : "<unk>");
    if (unk && spm->model == AT_SPM_UNIGRAM) {
        t->model = at_unigram_new(cx);
        if (t->model && add_spm_scores(cx, folder, t->model))
            at_unigram_finish(cx, t->model, spm->unk_id, spm->byte_fallback, folder->spm_path);
    } else if (unk) {
        t->model = bpe_from_spm(cx, folder,
                                &(at_bpe_options){.unk_token = unk,
                                                  .fuse_unk = true,
                                                  .byte_fallback = spm->byte_fallback});
    }
    at_free(unk);
    char *charsmap = at_folder_charsmap(cx, folder);
    char *normalizer = at_format(cx,
                                 "{\"type\":\"Sequence\",\"normalizers\":[%s%s{\"type\":"
                                 "\"Replace\",\"pattern\":{\"String\":\" \"},"
                                 "\"content\":\"\u2581\"}]}",
                                 charsmap ? charsmap : "", charsmap ? "," : "");
    const char *bytes =
        spm->byte_fallback ? ",{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"}" : "";
    char *decoder =
        at_format(cx,
                  "{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":"
                  "{\"String\":\"\u2581\"},\"content\":\" \"}%s]}",
                  bytes);
    bool fine = normalizer && decoder && t->model &&
                at_tokenizer_set_stages(cx, t, normalizer, NULL, decoder);
    at_free(charsmap);
    at_free(normalizer);
    at_free(decoder);
    return fine;
}
