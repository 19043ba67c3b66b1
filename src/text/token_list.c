#include "text/token_list.h"
#include "base/file.h"
#include "text/byte_level.h"
#include "text/tokenizer_parts.h"
#include "text/unicode.h"
#include <string.h>

enum { FILE_LIMIT = 64 << 20, MOST_TOKEN = 4096 };

void at_token_list_free(at_token_list *list)
{
    at_text_free(&list->bytes);
    at_free(list->ends);
    *list = (at_token_list){0};
}

bool at_token_list_add(at_context *cx, at_token_list *list, const char *token, size_t size)
{
    if (list->count == list->capacity) {
        size_t capacity = AT_MAX(1024, 2 * list->capacity);
        size_t *more = at_resize(cx, list->ends, capacity, sizeof *more);
        if (!more) return false;
        list->ends = more;
        list->capacity = capacity;
    }
    at_text_add(cx, &list->bytes, token, size);
    list->ends[list->count++] = list->bytes.size;
    return at_ok(cx);
}

const char *at_token_list_at(const at_token_list *list, size_t i, size_t *size)
{
    size_t begin = i ? list->ends[i - 1] : 0;
    *size = list->ends[i] - begin;
    return list->bytes.data + begin;
}

int64_t at_token_list_find(const at_token_list *list, const char *token)
{
    size_t size, wanted = strlen(token);
    for (size_t i = 0; i < list->count; i++) {
        const char *own = at_token_list_at(list, i, &size);
        if (size == wanted && memcmp(own, token, size) == 0) return (int64_t)i;
    }
    return -1;
}

void at_token_list_cut(at_token_list *list, size_t count)
{
    if (count >= list->count) return;
    list->count = count;
    list->bytes.size = count ? list->ends[count - 1] : 0;
}

/* ---- files */

/* base64 up to a character that is none of it */
static void decode_base64(at_context *cx, const char *line, size_t size, at_text *out)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t bits = 0;
    int count = 0;
    for (size_t i = 0; i < size; i++) {
        const char *at = line[i] ? strchr(letters, line[i]) : NULL;
        if (!at) return;
        bits = (bits << 6 | (uint32_t)(at - letters)) & 0xffffff;
        if (++count % 4 == 1) continue;
        int shift = 6 - 2 * ((count - 1) % 4);
        at_text_add(cx, out, &(char){(char)(bits >> shift & 255)}, 1);
    }
}

static bool add_line(at_context *cx, at_token_list *list, const char *line, size_t size,
                     bool tiktoken)
{
    if (!tiktoken) return at_token_list_add(cx, list, line, size);
    at_text bytes = {0}, shown = {0};
    decode_base64(cx, line, size, &bytes);
    at_bytes_show(cx, bytes.data, bytes.size, &shown);
    bool fine = at_token_list_add(cx, list, shown.data ? shown.data : "", shown.size);
    at_text_free(&bytes);
    at_text_free(&shown);
    return fine;
}

static bool read_lines(at_context *cx, at_token_list *list, const char *text, size_t size,
                       bool tiktoken)
{
    for (const char *at = text, *end = text + size, *stop; at < end && at_ok(cx); at = stop + 1) {
        stop = memchr(at, '\n', (size_t)(end - at));
        if (!stop) stop = end;
        size_t length = (size_t)(stop - at);
        if (length && at[length - 1] == '\r') length--;
        if (length || !tiktoken) add_line(cx, list, at, length, tiktoken);
    }
    return at_ok(cx);
}

static bool read_json(at_context *cx, at_token_list *list, const char *text, size_t size,
                      const char *path)
{
    cJSON *json = at_json_parse(cx, text, size, path);
    bool fine = json != NULL;
    if (fine && !cJSON_IsArray(json))
        fine = at_fail_false(cx, AT_ERROR_FORMAT, "%s: not a list of tokens", path);
    for (const cJSON *item = fine ? json->child : NULL; fine && item; item = item->next) {
        const char *token = at_json_text(item);
        fine = token ? at_token_list_add(cx, list, token, strlen(token))
                     : at_fail_false(cx, AT_ERROR_FORMAT, "%s: a token is no text", path);
    }
    cJSON_Delete(json);
    return fine;
}

bool at_token_list_read(at_context *cx, at_token_list *list, const char *path)
{
    size_t size = 0;
    char *text = at_file_read(cx, path, FILE_LIMIT, &size);
    bool fine = text != NULL;
    if (fine && !at_utf8_valid(text, size))
        fine = at_fail_false(cx, AT_ERROR_FORMAT, "%s: not valid UTF-8", path);
    fine = fine && (at_has_suffix(path, ".json")
                        ? read_json(cx, list, text, size, path)
                        : read_lines(cx, list, text, size, at_has_suffix(path, ".tiktoken")));
    at_free(text);
    return fine;
}

/* ---- the tokenizer */

static at_model *make_model(at_context *cx, const at_token_list *list, size_t plain,
                            const char *what)
{
    at_vocabulary *v = at_vocabulary_new(cx);
    size_t size;
    for (size_t i = 0; v && i < plain && at_ok(cx); i++) {
        const char *token = at_token_list_at(list, i, &size);
        if (size > MOST_TOKEN) at_fail(cx, AT_ERROR_FORMAT, "%s: a token of %zu bytes", what, size);
        at_vocabulary_add(cx, v, token, size, (int32_t)i);
    }
    if (v) at_vocabulary_finish(v);
    at_model *model = v ? at_bpe_new(cx, v, &(at_bpe_options){0}) : NULL;
    for (size_t i = 0; model && i < plain && at_ok(cx); i++) {
        const char *token = at_token_list_at(list, i, &size);
        at_bpe_merge_cuts(cx, model, token, size, what);
    }
    return model;
}

at_tokenizer *at_tokenizer_from_list(at_context *cx, const at_token_list *list, size_t plain,
                                     const char *what)
{
    static const char stage[] =
        "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":true}";
    at_tokenizer *t = at_ok(cx) ? at_tokenizer_new(cx) : NULL;
    if (!t) return NULL;
    plain = AT_MIN(plain, list->count);
    t->model = make_model(cx, list, plain, what);
    bool fine = t->model && at_ok(cx) && at_tokenizer_set_stages(cx, t, NULL, stage, stage);
    if (fine) at_added_tokens_begin(t->added, t->model);
    for (size_t i = plain; fine && i < list->count; i++) {
        at_added_token special = {.special = true};
        special.content = at_token_list_at(list, i, &special.size);
        fine = at_added_tokens_add(cx, t->added, &special, t->model, NULL);
    }
    if (fine && at_added_tokens_finish(cx, t->added, false)) return t;
    at_tokenizer_free(t);
    return NULL;
}
