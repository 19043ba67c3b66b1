#include "pipelines/whisper/model.h"
#include "base/file.h"
#include "base/threads.h"
#include "formats/weights.h"
#include "models/layouts/layout.h"
#include "pipelines/whisper/vocabulary.h"
#include <stdio.h>
#include <string.h>

/* ---- the network */

/* A single file, or CTranslate2's folder: the names and shapes of the tensors tell. */
static at_module *load_layout(at_context *cx, at_weights *weights, const char *path)
{
    at_layout *layout = at_layout_of(cx, weights);
    at_layout_part *part = at_layout_find(layout, "whisper");
    if (at_ok(cx) && !part) at_fail(cx, AT_ERROR_UNSUPPORTED, "%s: not a Whisper model", path);
    char *json = part && part->config ? cJSON_PrintUnformatted(part->config) : NULL;
    at_config *config = json ? at_config_parse(cx, json, strlen(json), path) : NULL;
    at_module *network =
        config ? at_module_load_weights(cx, config, part->weights, path, NULL) : NULL;
    at_config_free(config);
    cJSON_free(json);
    at_layout_free(layout);
    return network;
}

/* A Transformers folder says what it is. */
static bool is_described(at_context *cx, const char *path)
{
    char *file = at_path_join(cx, path, "config.json");
    cJSON *json = file && at_file_exists(file) ? at_json_read(cx, file) : NULL;
    bool described = cJSON_GetObjectItemCaseSensitive(json, "d_model") != NULL;
    cJSON_Delete(json);
    at_free(file);
    return described;
}

static bool load_network(at_transcriber *t, const char *path)
{
    at_context *cx = t->cx;
    bool described = is_described(cx, path);
    at_weights *weights = described ? NULL : at_weights_open(cx, path);
    t->network = described ? at_module_load(cx, path, at_whisper_class.name)
                           : load_layout(cx, weights, path);
    if (t->network) t->info = at_whisper_info_of(t->network);
    if (t->network) t->tokenizer = at_whisper_tokenizer(cx, path, weights, t->info.vocabulary);
    at_weights_free(weights);
    return t->tokenizer != NULL;
}

/* ---- heads for word times */

static bool set_heads(at_transcriber *t, const cJSON *list)
{
    int count = cJSON_GetArraySize(list), n = 0;
    t->heads = at_alloc(t->cx, (size_t)AT_MAX(count, 1), sizeof *t->heads);
    if (!t->heads) return false;
    const cJSON *pair;
    cJSON_ArrayForEach(pair, list)
    {
        double layer = cJSON_GetNumberValue(cJSON_GetArrayItem(pair, 0));
        double head = cJSON_GetNumberValue(cJSON_GetArrayItem(pair, 1));
        if (!(layer >= 0 && layer < t->info.layers && head >= 0 && head < t->info.heads))
            return at_fail_false(t->cx, AT_ERROR_FORMAT,
                                 "alignment_heads: a head that the model does not have");
        t->heads[n][0] = (int)layer;
        t->heads[n++][1] = (int)head;
    }
    t->head_count = n;
    return true;
}

/* As openai-whisper where nothing says better: all heads of the upper half of the layers. */
static bool upper_heads(at_transcriber *t)
{
    int first = t->info.layers / 2, n = 0;
    size_t count = (size_t)(t->info.layers - first) * (size_t)t->info.heads;
    t->heads = at_alloc(t->cx, AT_MAX(count, 1), sizeof *t->heads);
    for (int l = first; t->heads && l < t->info.layers; l++)
        for (int h = 0; h < t->info.heads; h++, n++) t->heads[n][0] = l, t->heads[n][1] = h;
    t->head_count = n;
    return t->heads != NULL;
}

/* generation_config.json of Transformers, config.json of CTranslate2. */
static bool read_options(at_transcriber *t, const char *folder)
{
    static const char *const files[] = {"generation_config.json", "config.json"};
    for (size_t i = 0; i < AT_COUNT(files) && at_ok(t->cx); i++) {
        char *file = at_path_join(t->cx, folder, files[i]);
        cJSON *json = file && at_file_exists(file) ? at_json_read(t->cx, file) : NULL;
        const cJSON *heads = cJSON_GetObjectItemCaseSensitive(json, "alignment_heads");
        const cJSON *many = cJSON_GetObjectItemCaseSensitive(json, "is_multilingual");
        if (!t->heads && cJSON_IsArray(heads) && cJSON_GetArraySize(heads)) set_heads(t, heads);
        if (cJSON_IsBool(many)) t->is_multilingual = cJSON_IsTrue(many);
        cJSON_Delete(json);
        at_free(file);
    }
    return at_ok(t->cx) && (t->heads || upper_heads(t));
}

/* ---- tokens */

static bool read_tokens(at_transcriber *t, const char *path)
{
    const struct {
        const char *name, *older;
        int32_t *id;
    } tokens[] = {
        {"<|endoftext|>", NULL, &t->eot},
        {"<|startoftranscript|>", NULL, &t->sot},
        {"<|translate|>", NULL, &t->translate},
        {"<|transcribe|>", NULL, &t->transcribe},
        {"<|startoflm|>", NULL, &t->sot_lm},
        {"<|startofprev|>", NULL, &t->sot_prev},
        {"<|nospeech|>", "<|nocaptions|>", &t->no_speech},
        {"<|notimestamps|>", NULL, &t->no_timestamps},
    };
    for (size_t i = 0; i < AT_COUNT(tokens); i++) {
        int32_t id = at_tokenizer_id(t->tokenizer, tokens[i].name);
        if (id < 0 && tokens[i].older) id = at_tokenizer_id(t->tokenizer, tokens[i].older);
        if (id < 0 || id >= t->info.vocabulary)
            return at_fail_false(t->cx, AT_ERROR_FORMAT,
                                 "%s: the tokenizer's %s is missing or not the model's", path,
                                 tokens[i].name);
        *tokens[i].id = id;
    }
    t->timestamp_begin = t->no_timestamps + 1;
    return true;
}

/* The tokens between <|startoftranscript|> and <|translate|>. */
static bool read_languages(at_transcriber *t)
{
    int count = AT_MAX(t->translate - t->sot - 1, 0);
    t->languages = at_alloc(t->cx, (size_t)count + 1, sizeof *t->languages);
    for (int i = 0; t->languages && i < count; i++) {
        size_t size = 0;
        const char *token = at_tokenizer_token(t->tokenizer, t->sot + 1 + i, &size);
        if (token && size > 4 && size < 4 + sizeof *t->languages)
            memcpy(t->languages[i], token + 2, size - 4);
    }
    t->language_count = count;
    return t->languages != NULL;
}

static bool add_symbol(at_transcriber *t, int32_t id)
{
    for (size_t i = 0; i < t->symbols.count; i++)
        if (t->symbols.ids[i] == id) return true;
    at_ids_add(t->cx, &t->symbols, id);
    return at_ok(t->cx);
}

/* Tokenizer.non_speech_tokens: what speakers, sounds and songs are written with, alone or behind a
   space. Of the notes the first token is enough. */
static bool find_symbols(at_transcriber *t)
{
    static const char *const symbols[] = {
        "\"",  "#",  "(",  ")",   "*",   "+",   "/",   ":",  ";",   "<",  "=",  ">",
        "@",   "[",  "\\", "]",   "^",   "_",   "`",   "{",  "|",   "}",  "~",  "「",
        "」",  "『", "』", "<<",  ">>",  "<<<", ">>>", "--", "---", "-(", "-[", "('",
        "(\"", "((", "))", "(((", ")))", "[[",  "]]",  "{{", "}}",  "♪♪", "♪♪♪"};
    static const char *const notes[] = {"♩", "♪", "♫", "♬", "♭", "♮", "♯"};
    static const char *const words[] = {" -", " '"};
    const struct {
        const char *const *texts;
        size_t count;
        bool alone, any;
    } groups[] = {{symbols, AT_COUNT(symbols), true, false},
                  {notes, AT_COUNT(notes), true, true},
                  {words, AT_COUNT(words), false, true}};
    const at_encode_options plain = {.no_special_tokens = true};
    at_ids ids = {0};
    for (size_t g = 0; g < AT_COUNT(groups); g++)
        for (size_t i = 0; i < 2 * groups[g].count && at_ok(t->cx); i++) {
            char text[16];
            bool spaced = i % 2;
            if (spaced && !groups[g].alone) continue;
            snprintf(text, sizeof text, "%s%s", spaced ? " " : "", groups[g].texts[i / 2]);
            at_tokenizer_encode(t->cx, t->tokenizer, text, strlen(text), &plain, &ids);
            if (ids.count == 1 || (ids.count && groups[g].any)) add_symbol(t, ids.ids[0]);
        }
    at_tokenizer_encode(t->cx, t->tokenizer, " ", 1, &plain, &ids);
    t->space = ids.count ? ids.ids[0] : t->eot;
    at_ids_free(&ids);
    return at_ok(t->cx);
}

bool at_transcriber_encode(const at_transcriber *t, const char *text, at_ids *ids)
{
    while (*text == ' ' || *text == '\n' || *text == '\t') text++;
    size_t size = strlen(text);
    while (size && strchr(" \n\t", text[size - 1])) size--;
    char *spaced = at_format(t->cx, " %.*s", (int)size, text);
    bool fine = spaced && at_tokenizer_encode(t->cx, t->tokenizer, spaced, size + 1,
                                              &(at_encode_options){.no_special_tokens = true}, ids);
    at_free(spaced);
    return fine;
}

char *at_transcriber_decode(const at_transcriber *t, const int32_t *ids, size_t count)
{
    int32_t *texts = at_alloc(t->cx, count + 1, sizeof *texts);
    size_t n = 0;
    for (size_t i = 0; texts && i < count; i++)
        if (ids[i] < t->eot) texts[n++] = ids[i];
    char *text = texts ? at_tokenizer_decode(t->cx, t->tokenizer, texts, n, true, NULL) : NULL;
    at_free(texts);
    return text;
}

/* ---- the whole */

static void destroy(void *object)
{
    at_transcriber *t = object;
    at_module_free(t->network);
    at_tokenizer_free(t->tokenizer);
    at_log_mel_free(t->mel);
    at_ids_free(&t->symbols);
    at_free(t->languages);
    at_free(t->heads);
    at_free(t);
}

void at_transcriber_free(at_transcriber *t)
{
    if (!t) return;
    at_disown(t->cx, t);
    destroy(t);
}

static bool open_parts(at_transcriber *t, const char *path)
{
    at_context *cx = t->cx;
    if (!load_network(t, path)) return false;
    t->is_multilingual = t->info.vocabulary != 51864; /* that of the English models */
    t->mel = at_log_mel_new(cx, (int)t->info.mels);
    if (!t->mel || !read_tokens(t, path)) return false;
    if (2 * t->info.frames != AT_WHISPER_WINDOW)
        return at_fail_false(cx, AT_ERROR_UNSUPPORTED,
                             "%s: hears windows of %lld frames (1500 are supported)", path,
                             (long long)t->info.frames);
    return read_languages(t) && find_symbols(t) && read_options(t, path);
}

at_transcriber *at_transcriber_open(at_context *cx, const char *path)
{
    double started = at_clock();
    at_transcriber *t = at_ok(cx) ? AT_NEW(cx, at_transcriber) : NULL;
    if (!t) return NULL;
    t->cx = cx;
    if (open_parts(t, path)) {
        t->load = at_clock() - started;
        return at_own(cx, t, destroy) ? t : NULL;
    }
    destroy(t);
    return NULL;
}

bool at_transcriber_is_multilingual(const at_transcriber *t)
{
    return t && t->is_multilingual;
}

const char *at_transcriber_language(const at_transcriber *t, int i)
{
    return t && i >= 0 && i < t->language_count ? t->languages[i] : NULL;
}

int at_transcriber_find_language(const at_transcriber *t, const char *code)
{
    for (int i = 0; i < t->language_count; i++)
        if (t->languages[i][0] && strcmp(t->languages[i], code) == 0) return i;
    return -1;
}
