/* Tokens back to text. A step turns a list of tokens into a list of tokens. */
#include "text/byte_level.h"
#include "text/regex.h"
#include "text/tokenizer_parts.h"
#include "text/unicode.h"
#include <string.h>

typedef struct step step;

struct step {
    void (*apply)(at_context *cx, const step *s, const at_pieces *in, at_pieces *out);
    char *text;  /* BPEDecoder suffix, WordPiece prefix, CTC pad, Replace content, Strip,
                    Metaspace: one character */
    char *space; /* CTC: the token between words */
    bool cleanup;
    bool drops_first;   /* Metaspace: a mark in the first token is no space */
    size_t left, right; /* Strip: at most so many characters */
    at_regex *regex;    /* Replace */
};

struct at_decoder {
    step *steps;
    size_t count;
};

/* Tokens are pieces of text, empty ones too: id 0 keeps at_pieces_add from dropping them. */
static void emit(at_context *cx, at_pieces *out, const char *bytes, size_t size)
{
    at_pieces_add(cx, out, size ? bytes : "", size, 0, false);
}

static const char *token_at(const at_pieces *in, size_t i, size_t *size)
{
    *size = in->items[i].size;
    return in->text.data + in->items[i].start;
}

/* All occurrences of `from` become `to`. */
static void replace(at_context *cx, at_text *text, const char *from, const char *to)
{
    size_t width = strlen(from), start = 0;
    at_text out = {0};
    if (width == 0 || text->size == 0 || !memmem(text->data, text->size, from, width)) return;
    for (char *hit; (hit = memmem(text->data + start, text->size - start, from, width));) {
        at_text_add(cx, &out, text->data + start, (size_t)(hit - text->data) - start);
        at_text_add(cx, &out, to, strlen(to));
        start = (size_t)(hit - text->data) + width;
    }
    at_text_add(cx, &out, text->data + start, text->size - start);
    at_text_free(text);
    *text = out;
}

static void clean_up(at_context *cx, at_text *text)
{
    static const char *const pairs[][2] = {{" .", "."},     {" ?", "?"},           {" !", "!"},
                                           {" ,", ","},     {" ' ", "'"},          {" n't", "n't"},
                                           {" 'm", "'m"},   {" do not", " don't"}, {" 's", "'s"},
                                           {" 've", "'ve"}, {" 're", "'re"}};
    for (size_t i = 0; i < AT_COUNT(pairs); i++) replace(cx, text, pairs[i][0], pairs[i][1]);
}

static void apply_bpe(at_context *cx, const step *s, const at_pieces *in, at_pieces *out)
{
    for (size_t i = 0, size; i < in->count && !at_failed(cx); i++) {
        at_text token = {0};
        const char *bytes = token_at(in, i, &size);
        at_text_add(cx, &token, bytes, size);
        replace(cx, &token, s->text, i + 1 == in->count ? "" : " ");
        emit(cx, out, token.data, token.size);
        at_text_free(&token);
    }
}

static void apply_byte_level(at_context *cx, const step *s, const at_pieces *in, at_pieces *out)
{
    at_text bytes = {0}, text = {0};
    (void)s;
    for (size_t i = 0, size; i < in->count && !at_failed(cx); i++) {
        const char *token = token_at(in, i, &size);
        size_t before = bytes.size;
        for (size_t k = 0, n; k < size; k += n) {
            int hidden = at_bytes_hidden(at_utf8_next(token + k, &n));
            char byte = (char)hidden;
            if (hidden < 0) { /* not in this alphabet: the token as it is */
                bytes.size = before;
                at_text_add(cx, &bytes, token, size);
                break;
            }
            at_text_add(cx, &bytes, &byte, 1);
        }
    }
    if (bytes.size) at_utf8_repair(cx, bytes.data, bytes.size, &text);
    emit(cx, out, text.data, text.size);
    at_text_free(&bytes);
    at_text_free(&text);
}

static void apply_wordpiece(at_context *cx, const step *s, const at_pieces *in, at_pieces *out)
{
    size_t width = strlen(s->text);
    for (size_t i = 0, size; i < in->count && !at_failed(cx); i++) {
        at_text text = {0};
        const char *token = token_at(in, i, &size);
        bool inside = size >= width && memcmp(token, s->text, width) == 0;
        if (i > 0 && !inside) at_text_add(cx, &text, " ", 1);
        if (i > 0 && inside) token += width, size -= width;
        at_text_add(cx, &text, token, size);
        if (s->cleanup) clean_up(cx, &text);
        emit(cx, out, text.data, text.size);
        at_text_free(&text);
    }
}

static void apply_metaspace(at_context *cx, const step *s, const at_pieces *in, at_pieces *out)
{
    for (size_t i = 0, size; i < in->count && !at_failed(cx); i++) {
        at_text text = {0};
        const char *token = token_at(in, i, &size);
        at_text_add(cx, &text, token, size);
        replace(cx, &text, s->text, i == 0 && s->drops_first ? "" : " ");
        emit(cx, out, text.data, text.size);
        at_text_free(&text);
    }
}

/* "<0x0A>" */
static int byte_of(const char *token, size_t size)
{
    int value = 0;
    if (size != 6 || memcmp(token, "<0x", 3) != 0 || token[5] != '>') return -1;
    for (int i = 3; i < 5; i++) {
        static const char digits[] = "0123456789abcdef0123456789ABCDEF";
        const char *digit = token[i] ? strchr(digits, token[i]) : NULL;
        if (i == 3 && token[i] == '+') continue; /* Rust's parser takes a sign */
        if (!digit) return -1;
        value = value << 4 | (int)((digit - digits) & 15);
    }
    return value;
}

/* A run of bytes: its text, or one U+FFFD for each byte when it is not valid. */
static void emit_bytes(at_context *cx, at_text *bytes, at_pieces *out)
{
    if (bytes->size == 0) return;
    if (at_utf8_valid(bytes->data, bytes->size))
        emit(cx, out, bytes->data, bytes->size);
    else
        for (size_t i = 0; i < bytes->size; i++) emit(cx, out, "\xef\xbf\xbd", 3);
    bytes->size = 0;
}

static void apply_byte_fallback(at_context *cx, const step *s, const at_pieces *in, at_pieces *out)
{
    at_text bytes = {0};
    (void)s;
    for (size_t i = 0, size; i < in->count && !at_failed(cx); i++) {
        const char *token = token_at(in, i, &size);
        int value = byte_of(token, size);
        char byte = (char)value;
        if (value >= 0) {
            at_text_add(cx, &bytes, &byte, 1);
            continue;
        }
        emit_bytes(cx, &bytes, out);
        emit(cx, out, token, size);
    }
    emit_bytes(cx, &bytes, out);
    at_text_free(&bytes);
}

static void apply_fuse(at_context *cx, const step *s, const at_pieces *in, at_pieces *out)
{
    (void)s; /* the tokens lie one after the other in the text */
    emit(cx, out, in->text.data, in->text.size);
}

/* The characters at an end of a token that are s->text, at most `most` of them, in bytes. */
static size_t strip_width(const step *s, const char *token, size_t size, size_t most, bool back)
{
    size_t width = strlen(s->text), cut = 0;
    while (most-- > 0 && size - cut >= width &&
           memcmp(back ? token + size - cut - width : token + cut, s->text, width) == 0)
        cut += width;
    return cut;
}

static void apply_strip(at_context *cx, const step *s, const at_pieces *in, at_pieces *out)
{
    for (size_t i = 0, size; i < in->count && !at_failed(cx); i++) {
        const char *token = token_at(in, i, &size);
        size_t left = strip_width(s, token, size, s->left, false);
        size_t right = strip_width(s, token + left, size - left, s->right, true);
        emit(cx, out, token + left, size - left - right);
    }
}

static void apply_replace(at_context *cx, const step *s, const at_pieces *in, at_pieces *out)
{
    for (size_t i = 0, size, count; i < in->count && !at_failed(cx); i++) {
        at_text text = {0};
        size_t end = 0;
        const char *token = token_at(in, i, &size);
        at_span *found = at_regex_find(cx, s->regex, token, size, &count);
        for (size_t k = 0; k < count && at_growth_is_fine(cx, size, text.size); k++) {
            at_text_add(cx, &text, token + end, found[k].start - end);
            at_text_add(cx, &text, s->text, strlen(s->text));
            end = found[k].end;
        }
        at_text_add(cx, &text, token + end, size - end);
        emit(cx, out, text.data, text.size);
        at_free(found);
        at_text_free(&text);
    }
}

static void apply_ctc(at_context *cx, const step *s, const at_pieces *in, at_pieces *out)
{
    for (size_t i = 0, size, before; i < in->count && !at_failed(cx); i++) {
        at_text text = {0};
        const char *token = token_at(in, i, &size);
        const char *last = i ? token_at(in, i - 1, &before) : NULL;
        if (last && before == size && memcmp(last, token, size) == 0) continue;
        at_text_add(cx, &text, token, size);
        replace(cx, &text, s->text, "");
        if (s->cleanup) clean_up(cx, &text), replace(cx, &text, s->space, " ");
        if (text.size) emit(cx, out, text.data, text.size);
        at_text_free(&text);
    }
}

static bool is_python_space(int32_t c)
{
    return at_is_space(c) || (c >= 0x1c && c <= 0x1f);
}

/* Not of the library: what CLIPTokenizer does with the decoded text (str.strip). */
static void apply_trim(at_context *cx, const step *s, const at_pieces *in, at_pieces *out)
{
    const char *text = in->text.data;
    size_t start = 0, end = in->text.size, n;
    (void)s;
    while (start < end && is_python_space(at_utf8_next(text + start, &n))) start += n;
    while (end > start && is_python_space(at_utf8_next(text + end - at_utf8_last(text, end), &n)))
        end -= n;
    emit(cx, out, text + start, end - start);
}

/* --- Parsing. --- */

static char *copy_field(at_context *cx, const cJSON *json, const char *key, const char *what)
{
    const char *text = at_field_text(cx, json, key, what);
    return text ? at_copy_text(cx, text) : NULL;
}

static void parse_bpe(at_context *cx, step *s, const cJSON *json, const char *what)
{
    s->text = copy_field(cx, json, "suffix", what);
}

static void parse_nothing(at_context *cx, step *s, const cJSON *json, const char *what)
{
    (void)cx, (void)s, (void)json, (void)what;
}

static void parse_wordpiece(at_context *cx, step *s, const cJSON *json, const char *what)
{
    s->text = copy_field(cx, json, "prefix", what);
    s->cleanup = at_field_bool(cx, json, "cleanup", true, what);
}

static void parse_metaspace(at_context *cx, step *s, const cJSON *json, const char *what)
{
    const char *scheme = at_json_text(cJSON_GetObjectItemCaseSensitive(json, "prepend_scheme"));
    s->text = copy_field(cx, json, "replacement", what);
    s->drops_first = !scheme || strcmp(scheme, "never") != 0;
}

static void parse_replace(at_context *cx, step *s, const cJSON *json, const char *what)
{
    const cJSON *pattern = cJSON_GetObjectItemCaseSensitive(json, "pattern");
    const char *text = at_json_text(cJSON_GetObjectItemCaseSensitive(pattern, "String"));
    const char *regex = at_json_text(cJSON_GetObjectItemCaseSensitive(pattern, "Regex"));
    s->text = copy_field(cx, json, "content", what);
    if (text || regex)
        s->regex = at_regex_new(cx, text ? text : regex, text != NULL, what);
    else
        at_fail(cx, AT_ERROR_FORMAT, "%s: Replace without a pattern", what);
}

static void parse_strip(at_context *cx, step *s, const cJSON *json, const char *what)
{
    s->text = copy_field(cx, json, "content", what);
    s->left = (size_t)at_field_count(cx, json, "start", 0, INT32_MAX, what);
    s->right = (size_t)at_field_count(cx, json, "stop", 0, INT32_MAX, what);
    if (s->text && (!s->text[0] || strlen(s->text) != at_utf8_size((unsigned char)s->text[0])))
        at_fail(cx, AT_ERROR_FORMAT, "%s: Strip's content must be one character", what);
}

static void parse_ctc(at_context *cx, step *s, const cJSON *json, const char *what)
{
    s->text = copy_field(cx, json, "pad_token", what);
    s->space = copy_field(cx, json, "word_delimiter_token", what);
    s->cleanup = at_field_bool(cx, json, "cleanup", true, what);
}

static const struct {
    const char *type;
    void (*apply)(at_context *, const step *, const at_pieces *, at_pieces *);
    void (*parse)(at_context *, step *, const cJSON *, const char *);
} kinds[] = {
    {"BPEDecoder", apply_bpe, parse_bpe},
    {"ByteLevel", apply_byte_level, parse_nothing},
    {"WordPiece", apply_wordpiece, parse_wordpiece},
    {"Metaspace", apply_metaspace, parse_metaspace},
    {"CTC", apply_ctc, parse_ctc},
    {"Replace", apply_replace, parse_replace},
    {"Fuse", apply_fuse, parse_nothing},
    {"Strip", apply_strip, parse_strip},
    {"ByteFallback", apply_byte_fallback, parse_nothing},
    {"Trim", apply_trim, parse_nothing},
};

static bool parse_step(at_context *cx, void *stage, const cJSON *json, const char *type,
                       const char *what)
{
    at_decoder *decoder = stage;
    for (size_t k = 0; k < AT_COUNT(kinds); k++) {
        if (strcmp(type, kinds[k].type) != 0) continue;
        step *steps = at_resize(cx, decoder->steps, decoder->count + 1, sizeof *steps);
        if (!steps) return false;
        decoder->steps = steps;
        step *s = &steps[decoder->count++];
        *s = (step){.apply = kinds[k].apply};
        kinds[k].parse(cx, s, json, what);
        return !at_failed(cx);
    }
    return at_fail_false(cx, AT_ERROR_UNSUPPORTED, "%s: the decoder \"%.40s\" is not supported",
                         what, type);
}

bool at_decoder_parse(at_context *cx, const cJSON *json, const char *what, at_decoder **out)
{
    if (!at_ok(cx)) return false;
    if (!json || cJSON_IsNull(json)) return true;
    *out = AT_NEW(cx, at_decoder);
    return *out && at_each_step(cx, json, "decoders", what, parse_step, *out);
}

void at_decoder_free(at_decoder *decoder)
{
    if (!decoder) return;
    for (size_t i = 0; i < decoder->count; i++) {
        at_free(decoder->steps[i].text);
        at_free(decoder->steps[i].space);
        at_regex_free(decoder->steps[i].regex);
    }
    at_free(decoder->steps);
    at_free(decoder);
}

void at_decoder_apply(at_context *cx, const at_decoder *decoder, at_pieces *tokens, at_text *out)
{
    size_t before = tokens->text.size;
    for (size_t i = 0; decoder && i < decoder->count && at_ok(cx); i++) {
        at_pieces next = {0};
        if (tokens->count) decoder->steps[i].apply(cx, &decoder->steps[i], tokens, &next);
        at_pieces_free(tokens);
        *tokens = next;
        at_growth_is_fine(cx, before, next.text.size);
    }
    for (size_t i = 0, size; i < tokens->count && !at_failed(cx); i++) {
        if (i > 0 && !decoder) at_text_add(cx, out, " ", 1);
        const char *token = token_at(tokens, i, &size);
        at_text_add(cx, out, token, size);
    }
}
