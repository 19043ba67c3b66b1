#include "text/byte_level.h"
#include "text/regex.h"
#include "text/tokenizer_parts.h"
#include "text/unicode.h"
#include <string.h>

typedef enum behavior { REMOVED, ISOLATED, MERGED_PREVIOUS, MERGED_NEXT, CONTIGUOUS } behavior;
typedef enum scheme { ALWAYS, FIRST, NEVER } scheme;

typedef struct step step;

struct step {
    /* one piece of text into the pieces that come of it */
    void (*apply)(at_context *cx, const step *s, const char *text, size_t size, bool at_start,
                  at_pieces *out);
    behavior behavior;
    bool (*matches)(int32_t c); /* for steps that look at single characters */
    at_regex *regex;            /* Split; ByteLevel with use_regex */
    bool invert;
    bool prefix_space; /* ByteLevel */
    char *replacement; /* Metaspace: one character */
    scheme scheme;     /* Metaspace */
    bool split;        /* Metaspace */
    size_t length;     /* FixedLength, in characters */
};

struct at_pre_tokenizer {
    step *steps;
    size_t count;
};

/* --- Cutting: parts cover the text; those that match are the delimiters. --- */

typedef struct part {
    size_t start, end;
    bool match;
} part;

typedef struct parts {
    part *items;
    size_t count, capacity;
} parts;

static void add_part(at_context *cx, parts *all, size_t start, size_t end, bool match)
{
    if (all->count == all->capacity) {
        size_t capacity = all->capacity * 2 + 16;
        part *items = at_resize(cx, all->items, capacity, sizeof *items);
        if (!items) return;
        all->items = items;
        all->capacity = capacity;
    }
    all->items[all->count++] = (part){start, end, match};
}

static void parts_of_regex(at_context *cx, const at_regex *regex, const char *text, size_t size,
                           bool invert, parts *all)
{
    size_t count, end = 0;
    at_span *found = at_regex_find(cx, regex, text, size, &count);
    for (size_t i = 0; i < count && !at_failed(cx); i++) {
        if (end != found[i].start) add_part(cx, all, end, found[i].start, invert);
        add_part(cx, all, found[i].start, found[i].end, !invert);
        end = found[i].end;
    }
    if (end != size) add_part(cx, all, end, size, invert);
    at_free(found);
}

/* Each character that matches is a part of its own. */
static void parts_of_class(at_context *cx, bool (*matches)(int32_t), const char *text, size_t size,
                           parts *all)
{
    size_t end = 0;
    for (size_t i = 0, n; i < size && !at_failed(cx); i += n) {
        if (!matches(at_utf8_next(text + i, &n))) continue;
        if (end < i) add_part(cx, all, end, i, false);
        add_part(cx, all, i, i + n, true);
        end = i + n;
    }
    if (end < size) add_part(cx, all, end, size, false);
}

/* Joins parts as the behaviour says and gives how many are left; delimiters to be dropped keep
   match set. */
static size_t join_forward(part *items, size_t count, behavior how)
{
    size_t kept = 0;
    bool previous = false;
    for (size_t i = 0; i < count; i++) {
        bool match = items[i].match;
        bool joins = how == CONTIGUOUS ? match == previous : match && !previous;
        if (joins && kept > 0)
            items[kept - 1].end = items[i].end;
        else
            items[kept++] = (part){items[i].start, items[i].end, false};
        previous = match;
    }
    return kept;
}

static size_t join_next(part *items, size_t count)
{
    size_t first = count; /* what is kept sits at the end */
    bool previous = false;
    for (size_t i = count; i-- > 0;) {
        bool match = items[i].match;
        if (match && !previous && first < count)
            items[first].start = items[i].start;
        else
            items[--first] = (part){items[i].start, items[i].end, false};
        previous = match;
    }
    memmove(items, items + first, (count - first) * sizeof *items);
    return count - first;
}

static void cut(at_context *cx, parts *all, behavior how, const char *text, bool at_start,
                at_pieces *out)
{
    size_t count = all->count;
    if (how == CONTIGUOUS || how == MERGED_PREVIOUS) count = join_forward(all->items, count, how);
    if (how == MERGED_NEXT) count = join_next(all->items, count);
    for (size_t i = 0; i < count && !at_failed(cx); i++) {
        const part *p = &all->items[i];
        if (how == REMOVED && p->match) continue;
        at_pieces_add(cx, out, text + p->start, p->end - p->start, -1, at_start && p->start == 0);
    }
    at_free(all->items);
}

/* --- What each step does. --- */

static void apply_class(at_context *cx, const step *s, const char *text, size_t size, bool at_start,
                        at_pieces *out)
{
    parts all = {0};
    parts_of_class(cx, s->matches, text, size, &all);
    cut(cx, &all, s->behavior, text, at_start, out);
}

static void apply_split(at_context *cx, const step *s, const char *text, size_t size, bool at_start,
                        at_pieces *out)
{
    parts all = {0};
    parts_of_regex(cx, s->regex, text, size, s->invert, &all);
    cut(cx, &all, s->behavior, text, at_start, out);
}

/* \w+|[^\w\s]+ */
static void apply_whitespace(at_context *cx, const step *s, const char *text, size_t size,
                             bool at_start, at_pieces *out)
{
    enum { SPACE, WORD, OTHER } kind, run = SPACE;
    size_t start = 0;
    (void)s;
    for (size_t i = 0, n; i < size; i += n) {
        int32_t c = at_utf8_next(text + i, &n);
        kind = at_is_word(c) ? WORD : at_is_space(c) ? SPACE : OTHER;
        if (kind == run) continue;
        if (run != SPACE) at_pieces_add(cx, out, text + start, i - start, -1, at_start && !start);
        start = i;
        run = kind;
    }
    if (run != SPACE) at_pieces_add(cx, out, text + start, size - start, -1, at_start && !start);
}

static void apply_byte_level(at_context *cx, const step *s, const char *text, size_t size,
                             bool at_start, at_pieces *out)
{
    at_pieces words = {0};
    at_text spaced = {0}, shown = {0};
    if (s->prefix_space && text[0] != ' ') {
        at_text_add(cx, &spaced, " ", 1);
        at_text_add(cx, &spaced, text, size);
        text = spaced.data;
        size = spaced.size;
    }
    if (!at_failed(cx)) {
        if (s->regex)
            apply_split(cx, s, text, size, at_start, &words);
        else
            at_pieces_add(cx, &words, text, size, -1, at_start);
    }
    for (size_t i = 0; i < words.count && !at_failed(cx); i++) {
        const at_piece *word = &words.items[i];
        shown.size = 0;
        at_bytes_show(cx, words.text.data + word->start, word->size, &shown);
        at_pieces_add(cx, out, shown.data, shown.size, -1, word->at_start);
    }
    at_text_free(&spaced);
    at_text_free(&shown);
    at_pieces_free(&words);
}

static bool starts_with(const char *text, size_t size, const char *prefix)
{
    size_t n = strlen(prefix);
    return size >= n && memcmp(text, prefix, n) == 0;
}

/* Cuts before each replacement that does not follow another one. */
static void split_metaspace(at_context *cx, const step *s, const at_text *text, bool at_start,
                            at_pieces *out)
{
    parts all = {0};
    size_t end = 0, width = strlen(s->replacement);
    for (size_t i = 0; i < text->size && !at_failed(cx);) {
        if (!starts_with(text->data + i, text->size - i, s->replacement)) {
            i += at_utf8_size((unsigned char)text->data[i]);
            continue;
        }
        if (end < i) add_part(cx, &all, end, i, false);
        add_part(cx, &all, i, i + width, true);
        end = i += width;
    }
    if (end < text->size) add_part(cx, &all, end, text->size, false);
    cut(cx, &all, MERGED_NEXT, text->data, at_start, out);
}

static void apply_metaspace(at_context *cx, const step *s, const char *text, size_t size,
                            bool at_start, at_pieces *out)
{
    at_text marked = {0};
    size_t width = strlen(s->replacement);
    bool spaced = text[0] == ' ' || starts_with(text, size, s->replacement);
    if (!spaced && (s->scheme == ALWAYS || (s->scheme == FIRST && at_start)))
        at_text_add(cx, &marked, s->replacement, width);
    for (size_t i = 0, start = 0; i <= size && !at_failed(cx); i++) {
        if (i < size && text[i] != ' ') continue;
        at_text_add(cx, &marked, text + start, i - start);
        if (i < size) at_text_add(cx, &marked, s->replacement, width);
        start = i + 1;
    }
    if (!at_failed(cx)) {
        if (s->split)
            split_metaspace(cx, s, &marked, at_start, out);
        else
            at_pieces_add(cx, out, marked.data, marked.size, -1, at_start);
    }
    at_text_free(&marked);
}

static void apply_fixed_length(at_context *cx, const step *s, const char *text, size_t size,
                               bool at_start, at_pieces *out)
{
    for (size_t i = 0; i < size && !at_failed(cx);) {
        size_t start = i;
        for (size_t k = 0; k < s->length && i < size; k++)
            i += at_utf8_size((unsigned char)text[i]);
        at_pieces_add(cx, out, text + start, i - start, -1, at_start && start == 0);
    }
}

/* --- Parsing. --- */

static void parse_behavior(at_context *cx, step *s, const cJSON *json, const char *what)
{
    static const char *const names[] = {[REMOVED] = "Removed",
                                        [ISOLATED] = "Isolated",
                                        [MERGED_PREVIOUS] = "MergedWithPrevious",
                                        [MERGED_NEXT] = "MergedWithNext",
                                        [CONTIGUOUS] = "Contiguous"};
    const char *name = at_field_text(cx, json, "behavior", what);
    for (size_t i = 0; name && i < AT_COUNT(names); i++) {
        if (strcmp(name, names[i]) != 0) continue;
        s->behavior = (behavior)i;
        return;
    }
    at_fail(cx, AT_ERROR_FORMAT, "%s: the behavior \"%.40s\" is not known", what, name);
}

static void parse_split(at_context *cx, step *s, const cJSON *json, const char *what)
{
    const cJSON *pattern = cJSON_GetObjectItemCaseSensitive(json, "pattern");
    const char *text = at_json_text(cJSON_GetObjectItemCaseSensitive(pattern, "String"));
    const char *regex = at_json_text(cJSON_GetObjectItemCaseSensitive(pattern, "Regex"));
    s->apply = apply_split;
    s->invert = at_field_bool(cx, json, "invert", false, what);
    parse_behavior(cx, s, json, what);
    if (text || regex)
        s->regex = at_regex_new(cx, text ? text : regex, text != NULL, what);
    else
        at_fail(cx, AT_ERROR_FORMAT, "%s: Split without a pattern", what);
}

static void parse_byte_level(at_context *cx, step *s, const cJSON *json, const char *what)
{
    s->apply = apply_byte_level;
    s->behavior = ISOLATED;
    s->prefix_space = at_field_bool(cx, json, "add_prefix_space", true, what);
    if (at_field_bool(cx, json, "use_regex", true, what))
        s->regex = at_regex_new(cx,
                                "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+"
                                "|\\s+(?!\\S)|\\s+",
                                false, what);
}

static char *one_character(at_context *cx, const cJSON *json, const char *key, const char *what)
{
    const char *text = at_field_text(cx, json, key, what);
    if (!text) return NULL;
    if (text[0] && strlen(text) == at_utf8_size((unsigned char)text[0]))
        return at_copy_text(cx, text);
    return at_fail(cx, AT_ERROR_FORMAT, "%s: \"%s\" must be one character", what, key);
}

static void parse_metaspace(at_context *cx, step *s, const cJSON *json, const char *what)
{
    const cJSON *given = cJSON_GetObjectItemCaseSensitive(json, "prepend_scheme");
    const char *name = given ? at_field_text(cx, json, "prepend_scheme", what) : "always";
    s->apply = apply_metaspace;
    s->replacement = one_character(cx, json, "replacement", what);
    s->split = at_field_bool(cx, json, "split", true, what);
    if (!name) return;
    if (strcmp(name, "always") == 0)
        s->scheme = ALWAYS;
    else if (strcmp(name, "first") == 0)
        s->scheme = FIRST;
    else if (strcmp(name, "never") == 0)
        s->scheme = NEVER;
    else
        at_fail(cx, AT_ERROR_FORMAT, "%s: prepend_scheme \"%.40s\" is not known", what, name);
    if (!at_field_bool(cx, json, "add_prefix_space", true, what) && s->scheme != NEVER)
        at_fail(cx, AT_ERROR_FORMAT, "%s: add_prefix_space does not match prepend_scheme", what);
}

static void parse_whitespace(at_context *cx, step *s, const cJSON *json, const char *what)
{
    (void)cx, (void)json, (void)what;
    s->apply = apply_whitespace;
}

static void parse_whitespace_split(at_context *cx, step *s, const cJSON *json, const char *what)
{
    (void)cx, (void)json, (void)what;
    *s = (step){.apply = apply_class, .behavior = REMOVED, .matches = at_is_space};
}

static void parse_punctuation(at_context *cx, step *s, const cJSON *json, const char *what)
{
    *s = (step){.apply = apply_class, .behavior = ISOLATED, .matches = at_is_punctuation};
    if (cJSON_GetObjectItemCaseSensitive(json, "behavior")) parse_behavior(cx, s, json, what);
}

static void parse_digits(at_context *cx, step *s, const cJSON *json, const char *what)
{
    bool individual = at_field_bool(cx, json, "individual_digits", false, what);
    *s = (step){.apply = apply_class,
                .behavior = individual ? ISOLATED : CONTIGUOUS,
                .matches = at_is_numeric};
}

static void parse_delimiter(at_context *cx, step *s, const cJSON *json, const char *what)
{
    char *delimiter = one_character(cx, json, "delimiter", what);
    *s = (step){.apply = apply_split, .behavior = REMOVED};
    if (delimiter) s->regex = at_regex_new(cx, delimiter, true, what);
    at_free(delimiter);
}

static void parse_fixed_length(at_context *cx, step *s, const cJSON *json, const char *what)
{
    s->apply = apply_fixed_length;
    s->length = (size_t)at_field_count(cx, json, "length", 5, 1 << 30, what);
    if (s->length == 0) at_fail(cx, AT_ERROR_FORMAT, "%s: \"length\" is 0", what);
}

static const struct {
    const char *type;
    void (*parse)(at_context *, step *, const cJSON *, const char *);
} kinds[] = {
    {"ByteLevel", parse_byte_level},
    {"Split", parse_split},
    {"Whitespace", parse_whitespace},
    {"WhitespaceSplit", parse_whitespace_split},
    {"Metaspace", parse_metaspace},
    {"Punctuation", parse_punctuation},
    {"Digits", parse_digits},
    {"CharDelimiterSplit", parse_delimiter},
    {"FixedLength", parse_fixed_length},
};

static step *new_step(at_context *cx, at_pre_tokenizer *p)
{
    step *steps = at_resize(cx, p->steps, p->count + 1, sizeof *steps);
    if (!steps) return NULL;
    p->steps = steps;
    steps[p->count] = (step){0};
    return &steps[p->count++];
}

static bool parse_step(at_context *cx, void *stage, const cJSON *json, const char *type,
                       const char *what)
{
    if (strcmp(type, "BertPreTokenizer") == 0) { /* two steps: white space, punctuation */
        step *first = new_step(cx, stage);
        if (first) parse_whitespace_split(cx, first, json, what);
        step *second = first ? new_step(cx, stage) : NULL;
        if (!second) return false;
        *second = (step){.apply = apply_class, .behavior = ISOLATED, .matches = at_is_punctuation};
        return true;
    }
    for (size_t k = 0; k < AT_COUNT(kinds); k++) {
        if (strcmp(type, kinds[k].type) != 0) continue;
        step *s = new_step(cx, stage);
        if (s) kinds[k].parse(cx, s, json, what);
        return !at_failed(cx);
    }
    return at_fail_false(cx, AT_ERROR_UNSUPPORTED,
                         "%s: the pre-tokenizer \"%.40s\" is not supported", what, type);
}

bool at_pre_tokenizer_parse(at_context *cx, const cJSON *json, const char *what,
                            at_pre_tokenizer **out)
{
    if (!at_ok(cx)) return false;
    if (!json || cJSON_IsNull(json)) return true;
    *out = AT_NEW(cx, at_pre_tokenizer);
    return *out && at_each_step(cx, json, "pretokenizers", what, parse_step, *out);
}

void at_pre_tokenizer_free(at_pre_tokenizer *p)
{
    if (!p) return;
    for (size_t i = 0; i < p->count; i++) {
        at_regex_free(p->steps[i].regex);
        at_free(p->steps[i].replacement);
    }
    at_free(p->steps);
    at_free(p);
}

void at_pre_tokenizer_apply(at_context *cx, const at_pre_tokenizer *p, at_pieces *pieces)
{
    size_t size = pieces->text.size;
    for (size_t k = 0; p && k < p->count && at_ok(cx); k++) {
        const step *s = &p->steps[k];
        at_pieces out = {0};
        for (size_t i = 0; i < pieces->count && !at_failed(cx); i++) {
            const at_piece *piece = &pieces->items[i];
            const char *text = pieces->text.data + piece->start;
            if (piece->id >= 0)
                at_pieces_add(cx, &out, text, piece->size, piece->id, piece->at_start);
            else
                s->apply(cx, s, text, piece->size, piece->at_start, &out);
        }
        at_pieces_free(pieces);
        *pieces = out;
        at_growth_is_fine(cx, size, out.text.size);
    }
}
