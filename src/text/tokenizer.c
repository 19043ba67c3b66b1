/* The stages put together: parsing, encoding, decoding. */
#include "text/tokenizer_parts.h"
#include "text/unicode.h"
#include <string.h>

at_tokenizer *at_tokenizer_new(at_context *cx)
{
    at_tokenizer *t = at_ok(cx) ? AT_NEW(cx, at_tokenizer) : NULL;
    if (!t) return NULL;
    t->pad_id = t->bos_id = t->eos_id = -1;
    t->added = at_added_tokens_new(cx);
    if (t->added) return t;
    at_free(t);
    return NULL;
}

void at_tokenizer_free(at_tokenizer *t)
{
    if (!t) return;
    at_normalizer_free(t->normalizer);
    at_pre_tokenizer_free(t->pre_tokenizer);
    at_model_free(t->model);
    at_post_processor_free(t->post_processor);
    at_decoder_free(t->decoder);
    at_added_tokens_free(t->added);
    at_free(t);
}

bool at_tokenizer_parse_stages(at_context *cx, at_tokenizer *t, const cJSON *json, const char *what)
{
    if (!at_ok(cx)) return false;
    const char *version = at_json_text(cJSON_GetObjectItemCaseSensitive(json, "version"));
    if (version && strcmp(version, "1.0") != 0)
        return at_fail_false(cx, AT_ERROR_UNSUPPORTED, "%s: version \"%.20s\" is not supported",
                             what, version);
    const cJSON *normalizer = cJSON_GetObjectItemCaseSensitive(json, "normalizer");
    const cJSON *pre = cJSON_GetObjectItemCaseSensitive(json, "pre_tokenizer");
    const cJSON *post = cJSON_GetObjectItemCaseSensitive(json, "post_processor");
    const cJSON *decoder = cJSON_GetObjectItemCaseSensitive(json, "decoder");
    t->model = at_model_parse(cx, cJSON_GetObjectItemCaseSensitive(json, "model"), what);
    return t->model && at_normalizer_parse(cx, normalizer, what, &t->normalizer) &&
           at_pre_tokenizer_parse(cx, pre, what, &t->pre_tokenizer) &&
           at_post_processor_parse(cx, post, what, &t->post_processor) &&
           at_decoder_parse(cx, decoder, what, &t->decoder);
}

static cJSON *own_json(at_context *cx, const char *text)
{
    return text ? at_json_parse(cx, text, strlen(text), "a tokenizer class") : NULL;
}

bool at_tokenizer_set_stages(at_context *cx, at_tokenizer *t, const char *normalizer,
                             const char *pre_tokenizer, const char *decoder)
{
    static const char what[] = "a tokenizer class";
    cJSON *n = own_json(cx, normalizer), *p = own_json(cx, pre_tokenizer);
    cJSON *d = own_json(cx, decoder);
    bool fine = at_normalizer_parse(cx, n, what, &t->normalizer) &&
                at_pre_tokenizer_parse(cx, p, what, &t->pre_tokenizer) &&
                at_decoder_parse(cx, d, what, &t->decoder);
    cJSON_Delete(n);
    cJSON_Delete(p);
    cJSON_Delete(d);
    return fine;
}

at_tokenizer *at_tokenizer_parse(at_context *cx, const char *text, size_t size, const char *what)
{
    if (!at_ok(cx)) return NULL;
    if (!at_utf8_valid(text, size))
        return at_fail(cx, AT_ERROR_FORMAT, "%s: not valid UTF-8", what);
    cJSON *json = at_json_parse(cx, text, size, what);
    at_tokenizer *t = json ? at_tokenizer_new(cx) : NULL;
    bool fine =
        t && at_tokenizer_parse_stages(cx, t, json, what) &&
        at_added_tokens_parse(cx, t->added, cJSON_GetObjectItemCaseSensitive(json, "added_tokens"),
                              t->model, t->normalizer, what) &&
        at_added_tokens_finish(cx, t->added, false);
    cJSON_Delete(json);
    if (fine) return t;
    at_tokenizer_free(t);
    return NULL;
}

/* --- Encoding. --- */

/* Added tokens that are looked for in the raw text, the normalizer on what is between them, added
   tokens that are looked for in its output. */
static void extract(at_context *cx, const at_tokenizer *t, int32_t passed_over, const at_text *text,
                    at_pieces *out)
{
    at_pieces raw = {0};
    at_added_tokens_extract(cx, t->added, false, passed_over, text->data, text->size, true, &raw);
    for (size_t i = 0; i < raw.count && at_ok(cx); i++) {
        const at_piece *piece = &raw.items[i];
        const char *bytes = raw.text.data + piece->start;
        if (piece->id >= 0) {
            at_pieces_add(cx, out, bytes, 0, piece->id, piece->at_start);
            continue;
        }
        at_text normal = {0};
        bool at_start = piece->at_start;
        at_text_add(cx, &normal, bytes, piece->size);
        at_normalizer_apply(cx, t->normalizer, &normal, &at_start);
        if (!at_failed(cx))
            at_added_tokens_extract(cx, t->added, true, passed_over, normal.data, normal.size,
                                    at_start, out);
        at_text_free(&normal);
    }
    at_pieces_free(&raw);
}

static void tokenize(at_context *cx, const at_tokenizer *t, const at_pieces *pieces, at_ids *out)
{
    for (size_t i = 0; i < pieces->count && at_ok(cx); i++) {
        const at_piece *piece = &pieces->items[i];
        if (piece->id >= 0)
            at_ids_add(cx, out, piece->id);
        else
            t->model->tokenize(cx, t->model, pieces->text.data + piece->start, piece->size, out);
    }
}

static void truncate_to(const at_tokenizer *t, at_ids *ids, size_t length)
{
    if (ids->count <= length) return;
    if (t->truncate_left)
        memmove(ids->ids, ids->ids + ids->count - length, length * sizeof *ids->ids);
    ids->count = length;
}

static void pad_to(at_context *cx, const at_tokenizer *t, at_ids *ids, size_t length)
{
    size_t had = ids->count;
    if (had >= length) return;
    if (t->pad_id < 0) {
        at_fail(cx, AT_ERROR_UNSUPPORTED, "the tokenizer has no padding token");
        return;
    }
    while (ids->count < length && !at_failed(cx)) at_ids_add(cx, ids, t->pad_id);
    if (!t->pad_left || at_failed(cx)) return;
    memmove(ids->ids + length - had, ids->ids, had * sizeof *ids->ids);
    for (size_t i = 0; i < length - had; i++) ids->ids[i] = t->pad_id;
}

bool at_tokenizer_encode(at_context *cx, const at_tokenizer *t, const char *text, size_t size,
                         const at_encode_options *options, at_ids *out)
{
    at_encode_options o = options ? *options : (at_encode_options){0};
    out->count = 0;
    if (!at_ok(cx) || !t) return false;
    at_text valid = {0};
    at_pieces pieces = {0};
    at_utf8_repair(cx, size ? text : "", size, &valid);
    int32_t passed_over = o.pad_is_text && t->pad_id != t->eos_id ? t->pad_id : -1;
    if (!at_failed(cx)) extract(cx, t, passed_over, &valid, &pieces);
    at_text_free(&valid);
    at_pre_tokenizer_apply(cx, t->pre_tokenizer, &pieces);
    tokenize(cx, t, &pieces, out);
    at_pieces_free(&pieces);
    if (o.max_length) {
        size_t added = o.no_special_tokens ? 0 : at_post_processor_added(t->post_processor);
        truncate_to(t, out, o.max_length > added ? o.max_length - added : 0);
    }
    if (!o.no_special_tokens) at_post_processor_apply(cx, t->post_processor, out);
    if (o.pad && at_ok(cx)) pad_to(cx, t, out, o.max_length);
    return at_ok(cx);
}

/* --- Decoding and looking up. --- */

char *at_tokenizer_decode(at_context *cx, const at_tokenizer *t, const int32_t *ids, size_t count,
                          bool skip_special_tokens, size_t *size)
{
    at_pieces tokens = {0};
    at_text out = {0};
    if (!at_ok(cx) || !t) return NULL;
    for (size_t i = 0; i < count && !at_failed(cx); i++) {
        size_t length;
        const char *token = at_added_tokens_token(t->added, ids[i], &length);
        if (!token) token = at_vocabulary_token(t->model->vocabulary, ids[i], &length);
        if (!token) continue;
        if (skip_special_tokens && at_added_tokens_is_special(t->added, token, length)) continue;
        at_pieces_add(cx, &tokens, token, length, 0, false);
    }
    at_decoder_apply(cx, t->decoder, &tokens, &out);
    at_text_add(cx, &out, "", 0);
    at_pieces_free(&tokens);
    if (at_failed(cx)) {
        at_text_free(&out);
        return NULL;
    }
    if (size) *size = out.size;
    return out.data;
}

int32_t at_tokenizer_id(const at_tokenizer *t, const char *token)
{
    int32_t id = -1;
    if (!t || !token) return -1;
    if (at_added_tokens_id(t->added, token, strlen(token), &id)) return id;
    return at_vocabulary_id(t->model->vocabulary, token, strlen(token), &id) ? id : -1;
}

const char *at_tokenizer_token(const at_tokenizer *t, int32_t id, size_t *size)
{
    size_t length;
    if (!t) return NULL;
    const char *token = at_added_tokens_token(t->added, id, &length);
    if (!token) token = at_vocabulary_token(t->model->vocabulary, id, &length);
    if (token && size) *size = length;
    return token;
}

int32_t at_tokenizer_pad_id(const at_tokenizer *t)
{
    return t ? t->pad_id : -1;
}

bool at_tokenizer_pads_left(const at_tokenizer *t)
{
    return t && t->pad_left;
}

int32_t at_tokenizer_bos_id(const at_tokenizer *t)
{
    return t ? t->bos_id : -1;
}

int32_t at_tokenizer_eos_id(const at_tokenizer *t)
{
    return t ? t->eos_id : -1;
}

size_t at_tokenizer_max_length(const at_tokenizer *t)
{
    return t ? t->max_length : 0;
}

size_t at_tokenizer_size(const at_tokenizer *t)
{
    return t ? at_vocabulary_count(t->model->vocabulary) +
                   at_added_tokens_beyond(t->added, t->model)
             : 0;
}
