#include "text/byte_level.h"
#include "text/charsmap.h"
#include "text/regex.h"
#include "text/tokenizer_parts.h"
#include "text/unicode.h"
#include <string.h>

typedef struct step step;

struct step {
    void (*apply)(at_context *cx, const step *s, const at_text *in, at_text *out, bool *at_start);
    at_form form;          /* NFC ... */
    bool left, right;      /* Strip */
    bool clean, chinese;   /* BertNormalizer */
    bool accents, lower;   /* BertNormalizer: strip accents, lower case */
    at_regex *regex;       /* Replace */
    char *content;         /* Replace, Prepend */
    at_charsmap *charsmap; /* Precompiled */
};

struct at_normalizer {
    step *steps;
    size_t count;
};

/* --- What each step does: in to out, which is empty before. --- */

static void add(at_context *cx, at_text *out, const at_text *in, size_t start, size_t end)
{
    if (end > start) at_text_add(cx, out, in->data + start, end - start);
}

static void apply_form(at_context *cx, const step *s, const at_text *in, at_text *out, bool *start)
{
    (void)start;
    at_unicode_form(cx, s->form, in->data, in->size, out);
}

static void apply_lowercase(at_context *cx, const step *s, const at_text *in, at_text *out,
                            bool *start)
{
    (void)s, (void)start;
    for (size_t i = 0, n; i < in->size && !at_failed(cx); i += n) {
        int32_t lower[2];
        int count = at_lower(at_utf8_next(in->data + i, &n), lower);
        for (int k = 0; k < count; k++) at_utf8_add(cx, out, lower[k]);
    }
}

static void apply_strip(at_context *cx, const step *s, const at_text *in, at_text *out, bool *start)
{
    size_t first = 0, end = in->size, n;
    while (s->left && first < end && at_is_space(at_utf8_next(in->data + first, &n))) first += n;
    while (s->right && end > first) {
        size_t last = at_utf8_last(in->data, end);
        if (!at_is_space(at_utf8_next(in->data + end - last, &n))) break;
        end -= last;
    }
    if (first > 0) *start = false;
    add(cx, out, in, first, end);
}

/* Copies the characters that `keep` wants, through `map`. */
static void filter(at_context *cx, const at_text *in, at_text *out, bool *start,
                   bool (*keep)(int32_t), int32_t (*map)(int32_t))
{
    for (size_t i = 0, n; i < in->size && !at_failed(cx); i += n) {
        int32_t c = at_utf8_next(in->data + i, &n);
        if (keep(c))
            at_utf8_add(cx, out, map ? map(c) : c);
        else if (out->size == 0)
            *start = false;
    }
}

static bool no_mark(int32_t c)
{
    return !at_is_combining(c);
}

static void apply_strip_accents(at_context *cx, const step *s, const at_text *in, at_text *out,
                                bool *start)
{
    (void)s;
    filter(cx, in, out, start, no_mark, NULL);
}

static bool nmt_keeps(int32_t c)
{
    return !((c >= 0x01 && c <= 0x08) || c == 0x0b || (c >= 0x0e && c <= 0x1f) || c == 0x7f ||
             c == 0x8f || c == 0x9f);
}

static int32_t nmt_map(int32_t c)
{
    bool space = c == 0x09 || c == 0x0a || c == 0x0c || c == 0x0d || c == 0x1680 ||
                 (c >= 0x200b && c <= 0x200f) || c == 0x2028 || c == 0x2029 || c == 0x2581 ||
                 c == 0xfeff || c == 0xfffd;
    return space ? ' ' : c;
}

static void apply_nmt(at_context *cx, const step *s, const at_text *in, at_text *out, bool *start)
{
    (void)s;
    filter(cx, in, out, start, nmt_keeps, nmt_map);
}

static void apply_replace(at_context *cx, const step *s, const at_text *in, at_text *out,
                          bool *start)
{
    size_t count, end = 0, size = strlen(s->content);
    at_span *found = at_regex_find(cx, s->regex, in->data, in->size, &count);
    for (size_t i = 0; i < count && !at_failed(cx); i++) {
        add(cx, out, in, end, found[i].start);
        at_text_add(cx, out, s->content, size);
        if (!at_growth_is_fine(cx, in->size, out->size)) break;
        end = found[i].end;
        if (found[i].start == 0 && /* the content stands for the last character of the match */
            (size == 0 || at_utf8_count(in->data, found[i].end) > 1))
            *start = false;
    }
    add(cx, out, in, end, in->size);
    at_free(found);
}

static void apply_prepend(at_context *cx, const step *s, const at_text *in, at_text *out,
                          bool *start)
{
    (void)start;
    if (in->size) at_text_add(cx, out, s->content, strlen(s->content));
    add(cx, out, in, 0, in->size);
}

static void apply_charsmap(at_context *cx, const step *s, const at_text *in, at_text *out,
                           bool *start)
{
    (void)start;
    at_charsmap_normalize(cx, s->charsmap, in->data, in->size, out);
}

static void apply_byte_level(at_context *cx, const step *s, const at_text *in, at_text *out,
                             bool *start)
{
    (void)s, (void)start;
    at_bytes_show(cx, in->data, in->size, out);
}

static bool bert_keeps(int32_t c)
{
    return !at_is_cleaned(c);
}

static int32_t bert_space(int32_t c)
{
    return at_is_space(c) ? ' ' : c;
}

static bool is_chinese(int32_t c)
{
    return (c >= 0x4e00 && c <= 0x9fff) || (c >= 0x3400 && c <= 0x4dbf) ||
           (c >= 0x20000 && c <= 0x2a6df) || (c >= 0x2a700 && c <= 0x2b73f) ||
           (c >= 0x2b740 && c <= 0x2b81f) || (c >= 0x2b920 && c <= 0x2ceaf) ||
           (c >= 0xf900 && c <= 0xfaff) || (c >= 0x2f800 && c <= 0x2fa1f);
}

static void bert_chinese(at_context *cx, const at_text *in, at_text *out)
{
    for (size_t i = 0, n; i < in->size && !at_failed(cx); i += n) {
        bool chinese = is_chinese(at_utf8_next(in->data + i, &n));
        if (chinese) at_text_add(cx, out, " ", 1);
        at_text_add(cx, out, in->data + i, n);
        if (chinese) at_text_add(cx, out, " ", 1);
    }
}

static bool no_nonspacing(int32_t c)
{
    return !at_is_nonspacing(c);
}

static void move(at_text *from, at_text *to)
{
    at_text_free(to);
    *to = *from;
    *from = (at_text){0};
}

static void apply_bert(at_context *cx, const step *s, const at_text *in, at_text *out, bool *start)
{
    at_text next = {0};
    at_text_add(cx, out, in->data, in->size);
    if (s->clean) filter(cx, out, &next, start, bert_keeps, bert_space), move(&next, out);
    if (s->chinese) bert_chinese(cx, out, &next), move(&next, out);
    if (s->accents) {
        at_unicode_form(cx, AT_NFD, out->data, out->size, &next), move(&next, out);
        filter(cx, out, &next, start, no_nonspacing, NULL), move(&next, out);
    }
    if (s->lower) apply_lowercase(cx, s, out, &next, start), move(&next, out);
}

/* --- Parsing. --- */

static void parse_nothing(at_context *cx, step *s, const cJSON *json, const char *what)
{
    (void)cx, (void)s, (void)json, (void)what;
}

static void parse_strip(at_context *cx, step *s, const cJSON *json, const char *what)
{
    s->left = at_field_bool(cx, json, "strip_left", true, what);
    s->right = at_field_bool(cx, json, "strip_right", true, what);
}

static void parse_replace(at_context *cx, step *s, const cJSON *json, const char *what)
{
    const cJSON *pattern = cJSON_GetObjectItemCaseSensitive(json, "pattern");
    const char *text = at_json_text(cJSON_GetObjectItemCaseSensitive(pattern, "String"));
    const char *regex = at_json_text(cJSON_GetObjectItemCaseSensitive(pattern, "Regex"));
    const char *content = at_field_text(cx, json, "content", what);
    if (!text && !regex) {
        at_fail(cx, AT_ERROR_FORMAT, "%s: Replace without a pattern", what);
        return;
    }
    s->regex = at_regex_new(cx, text ? text : regex, text != NULL, what);
    if (content) s->content = at_copy_text(cx, content);
}

static void parse_prepend(at_context *cx, step *s, const cJSON *json, const char *what)
{
    const char *content = at_field_text(cx, json, "prepend", what);
    if (content) s->content = at_copy_text(cx, content);
}

static void parse_charsmap(at_context *cx, step *s, const cJSON *json, const char *what)
{
    const char *base64 = at_field_text(cx, json, "precompiled_charsmap", what);
    if (base64) s->charsmap = at_charsmap_from_base64(cx, base64, what);
}

static void parse_bert(at_context *cx, step *s, const cJSON *json, const char *what)
{
    s->clean = at_field_bool(cx, json, "clean_text", true, what);
    s->chinese = at_field_bool(cx, json, "handle_chinese_chars", true, what);
    s->lower = at_field_bool(cx, json, "lowercase", true, what);
    s->accents = at_field_bool(cx, json, "strip_accents", s->lower, what);
}

static const struct {
    const char *type;
    void (*apply)(at_context *, const step *, const at_text *, at_text *, bool *);
    void (*parse)(at_context *, step *, const cJSON *, const char *);
    at_form form;
} kinds[] = {
    {"NFC", apply_form, parse_nothing, AT_NFC},
    {"NFD", apply_form, parse_nothing, AT_NFD},
    {"NFKC", apply_form, parse_nothing, AT_NFKC},
    {"NFKD", apply_form, parse_nothing, AT_NFKD},
    {"Lowercase", apply_lowercase, parse_nothing, 0},
    {"Strip", apply_strip, parse_strip, 0},
    {"StripAccents", apply_strip_accents, parse_nothing, 0},
    {"Replace", apply_replace, parse_replace, 0},
    {"Prepend", apply_prepend, parse_prepend, 0},
    {"BertNormalizer", apply_bert, parse_bert, 0},
    {"Precompiled", apply_charsmap, parse_charsmap, 0},
    {"Nmt", apply_nmt, parse_nothing, 0},
    {"ByteLevel", apply_byte_level, parse_nothing, 0},
};

static bool parse_step(at_context *cx, void *stage, const cJSON *json, const char *type,
                       const char *what)
{
    at_normalizer *normalizer = stage;
    for (size_t k = 0; k < AT_COUNT(kinds); k++) {
        if (strcmp(type, kinds[k].type) != 0) continue;
        step *steps =
            at_resize(cx, normalizer->steps, normalizer->count + 1, sizeof *normalizer->steps);
        if (!steps) return false;
        normalizer->steps = steps;
        step *s = &steps[normalizer->count++];
        *s = (step){.apply = kinds[k].apply, .form = kinds[k].form};
        kinds[k].parse(cx, s, json, what);
        return !at_failed(cx);
    }
    return at_fail_false(cx, AT_ERROR_UNSUPPORTED, "%s: the normalizer \"%.40s\" is not supported",
                         what, type);
}

bool at_normalizer_parse(at_context *cx, const cJSON *json, const char *what, at_normalizer **out)
{
    if (!at_ok(cx)) return false;
    if (!json || cJSON_IsNull(json)) return true;
    *out = AT_NEW(cx, at_normalizer);
    return *out && at_each_step(cx, json, "normalizers", what, parse_step, *out);
}

void at_normalizer_free(at_normalizer *normalizer)
{
    if (!normalizer) return;
    for (size_t i = 0; i < normalizer->count; i++) {
        at_regex_free(normalizer->steps[i].regex);
        at_free(normalizer->steps[i].content);
        at_charsmap_free(normalizer->steps[i].charsmap);
    }
    at_free(normalizer->steps);
    at_free(normalizer);
}

void at_normalizer_apply(at_context *cx, const at_normalizer *normalizer, at_text *text,
                         bool *at_start)
{
    size_t size = text->size;
    for (size_t i = 0; normalizer && i < normalizer->count && at_ok(cx); i++) {
        const step *s = &normalizer->steps[i];
        at_text out = {0};
        if (text->size) s->apply(cx, s, text, &out, at_start);
        move(&out, text);
        at_growth_is_fine(cx, size, text->size);
    }
}
