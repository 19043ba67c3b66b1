#include "pipelines/whisper/vocabulary.h"
#include "base/share.h"
#include "formats/cursor.h"
#include "text/byte_level.h"
#include "text/token_list.h"
#include <dirent.h>
#include <stdio.h>
#include <string.h>

enum {
    TIMESTAMPS = 1501,
    SPECIAL = 8, /* without timestamps and languages */
};

static const char end_of_text[] = "<|endoftext|>";

/* openai-whisper's LANGUAGES, in the order of their tokens */
static const char languages[][4] = {
    "en", "zh", "de", "es",  "ru", "ko", "fr", "ja", "pt", "tr", "pl", "ca", "nl", "ar", "sv",
    "it", "id", "hi", "fi",  "vi", "he", "uk", "el", "ms", "cs", "ro", "da", "hu", "ta", "no",
    "th", "ur", "hr", "bg",  "lt", "la", "mi", "ml", "cy", "sk", "te", "fa", "lv", "bn", "sr",
    "az", "sl", "kn", "et",  "mk", "br", "eu", "is", "hy", "ne", "mn", "bs", "kk", "sq", "sw",
    "gl", "mr", "pa", "si",  "km", "sn", "yo", "so", "af", "oc", "ka", "be", "tg", "sd", "gu",
    "am", "yi", "lo", "uz",  "fo", "ht", "ps", "tk", "nn", "mt", "sa", "lb", "my", "bo", "tl",
    "mg", "as", "tt", "haw", "ln", "ha", "ba", "jw", "su", "yue"};

/* ---- the special tokens */

/* How many languages stand behind so many plain tokens; -1: it is another model's vocabulary. All
   that were published have 99 of them, large-v3 one more. */
static int64_t languages_behind(int64_t plain, int64_t vocabulary)
{
    int64_t count = vocabulary - plain - SPECIAL - TIMESTAMPS;
    bool odd = count == 98 || (count == 100 && vocabulary < 51866);
    return count < 1 || count > (int64_t)AT_COUNT(languages) || odd ? -1 : count;
}

static bool add_specials(at_context *cx, at_token_list *list, int64_t count)
{
    static const char *const tasks[] = {"<|translate|>",   "<|transcribe|>", "<|startoflm|>",
                                        "<|startofprev|>", "<|nospeech|>",   "<|notimestamps|>"};
    static const char start[] = "<|startoftranscript|>";
    bool fine = at_token_list_add(cx, list, end_of_text, sizeof end_of_text - 1) &&
                at_token_list_add(cx, list, start, sizeof start - 1);
    for (int64_t i = 0; fine && i < count; i++) {
        char token[12];
        int n = snprintf(token, sizeof token, "<|%.3s|>", languages[i]);
        fine = at_token_list_add(cx, list, token, (size_t)n);
    }
    for (size_t i = 0; fine && i < AT_COUNT(tasks); i++)
        fine = at_token_list_add(cx, list, tasks[i], strlen(tasks[i]));
    return fine;
}

/* NULL without an error where the list is of another model. */
static at_tokenizer *build(at_context *cx, at_token_list *list, int64_t vocabulary,
                           const char *what)
{
    int64_t found = at_token_list_find(list, end_of_text);
    size_t plain = found < 0 ? list->count : (size_t)found;
    if (found < 0 || (int64_t)list->count != vocabulary) { /* else it has them all */
        int64_t count = languages_behind((int64_t)plain, vocabulary);
        at_token_list_cut(list, plain);
        if (count < 0 || !add_specials(cx, list, count)) return NULL;
    }
    return at_tokenizer_from_list(cx, list, plain, what);
}

/* ---- where lists are */

/* Each token its length and its bytes: at_ggml_open. */
static bool read_weights(at_context *cx, at_token_list *list, const at_weight *w)
{
    at_cursor c = {w->file->data + w->offset, w->bytes, 0, false};
    while (at_cursor_left(&c) && at_ok(cx)) {
        at_text shown = {0};
        uint64_t size = at_cursor_number(&c, 4);
        const uint8_t *bytes = at_cursor_take(&c, size);
        if (bytes) at_bytes_show(cx, (const char *)bytes, (size_t)size, &shown);
        at_token_list_add(cx, list, shown.data ? shown.data : "", shown.size);
        at_text_free(&shown);
    }
    return at_ok(cx);
}

static bool read_tokenizer(at_context *cx, at_token_list *list, const char *folder)
{
    at_tokenizer *t = at_tokenizer_open(cx, folder);
    size_t size;
    const char *token;
    for (int32_t id = 0; t && at_ok(cx); id++) {
        token = at_tokenizer_token(t, id, &size);
        if (!token || !at_token_list_add(cx, list, token, size)) break;
    }
    at_tokenizer_free(t);
    return at_ok(cx);
}

/* A list that fits, of the files in a folder. What cannot be read is passed over. */
static at_tokenizer *find_in(at_context *cx, const char *folder, int64_t vocabulary)
{
    static const char *const names[] = {"multilingual.tiktoken", "gpt2.tiktoken", "vocabulary.json",
                                        "vocabulary.txt", "tokenizer.json"};
    at_tokenizer *found = NULL;
    for (size_t i = 0; i < AT_COUNT(names) && !found && at_ok(cx); i++) {
        at_token_list list = {0};
        char *path = at_path_join(cx, folder, names[i]);
        bool there = path && at_file_exists(path);
        bool fine = there &&
                    (strcmp(names[i], "tokenizer.json") == 0 ? read_tokenizer(cx, &list, folder)
                                                             : at_token_list_read(cx, &list, path));
        if (fine) found = build(cx, &list, vocabulary, path);
        if (at_error_status(cx) == AT_ERROR_FORMAT) at_error_clear(cx);
        at_token_list_free(&list);
        at_free(path);
    }
    return found;
}

/* The same in every model of a folder of them. */
static at_tokenizer *find_among(at_context *cx, const char *models, int64_t vocabulary)
{
    at_tokenizer *found = NULL;
    DIR *directory = opendir(models);
    for (struct dirent *d; directory && !found && (d = readdir(directory));) {
        if (d->d_name[0] == '.') continue;
        char *folder = at_path_join(cx, models, d->d_name);
        if (folder && at_folder_exists(folder)) found = find_in(cx, folder, vocabulary);
        at_free(folder);
    }
    if (directory) closedir(directory);
    return found;
}

static at_tokenizer *find_anywhere(at_context *cx, const char *path, int64_t vocabulary)
{
    const char *slash = strrchr(path, '/');
    char *folder = at_folder_exists(path) ? at_copy_text(cx, path)
                   : slash                ? at_format(cx, "%.*s", (int)(slash - path) + 1, path)
                                          : at_copy_text(cx, ".");
    at_tokenizer *found = folder ? find_in(cx, folder, vocabulary) : NULL;
    at_free(folder);
    char *shared[AT_SHARE_FOLDERS];
    int count = found ? 0 : at_share_folders(cx, shared);
    for (int i = 0; i < count; i++) {
        if (shared[i] && !found) found = find_among(cx, shared[i], vocabulary);
        at_free(shared[i]);
    }
    return found;
}

static bool has(at_context *cx, const char *folder, const char *name)
{
    char *path = at_path_join(cx, folder, name);
    bool there = path && at_file_exists(path);
    at_free(path);
    return there;
}

at_tokenizer *at_whisper_tokenizer(at_context *cx, const char *path, const at_weights *weights,
                                   int64_t vocabulary)
{
    if (!at_ok(cx)) return NULL;
    if (has(cx, path, "tokenizer.json") || has(cx, path, "vocab.json"))
        return at_tokenizer_open(cx, path);
    const at_weight *own = weights ? at_weights_find(weights, "vocabulary") : NULL;
    at_token_list list = {0};
    at_tokenizer *found = NULL;
    if (own && !own->coding && own->dtype == AT_I8 && read_weights(cx, &list, own))
        found = build(cx, &list, vocabulary, path);
    else if (!own)
        found = find_anywhere(cx, path, vocabulary);
    at_token_list_free(&list);
    if (found || !at_ok(cx)) return found;
    return at_fail(
        cx, AT_ERROR_FILE, "%s: %s", path,
        own ? "its vocabulary is not of the size that its tensors have"
            : "it has no vocabulary, and there is none that fits beside it or in another "
              "Whisper model (put its tokenizer.json, or openai-whisper's "
              "multilingual.tiktoken and gpt2.tiktoken, into the same folder)");
}
