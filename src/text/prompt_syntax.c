#include "text/prompt_syntax.h"
#include "base/text.h"
#include "text/unicode.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

void at_prompt_list_free(at_prompt_list *list)
{
    for (int i = 0; i < list->count; i++) at_free(list->items[i].text);
    at_free(list->items);
    *list = (at_prompt_list){0};
}

/* A copy of the bytes as one more item; NULL without memory. */
static at_prompt_item *add(at_context *cx, at_prompt_list *list, const char *text, size_t size,
                           double value)
{
    if (list->count == list->capacity) {
        int capacity = AT_MAX(8, 2 * list->capacity);
        at_prompt_item *items = at_resize(cx, list->items, (size_t)capacity, sizeof *items);
        if (!items) return NULL;
        list->items = items;
        list->capacity = capacity;
    }
    char *copy = at_alloc(cx, size + 1, 1);
    if (!copy) return NULL;
    memcpy(copy, text, size);
    at_prompt_item *item = &list->items[list->count++];
    *item = (at_prompt_item){.text = copy, .value = value};
    return item;
}

/* ---- characters, as Python's regular expressions see them */

/* The character at p and its bytes; -1 and one byte where that is no UTF-8. */
static int32_t character(const char *p, size_t *size)
{
    *size = at_utf8_size((unsigned char)*p);
    for (size_t i = 1; i < *size; i++)
        if ((p[i] & 0xC0) != 0x80) *size = 1;
    return *size > 1 || !(*p & 0x80) ? at_utf8_next(p, size) : -1;
}

/* The same of the one that ends at p, which is behind `from`. */
static int32_t character_before(const char *from, const char *p, size_t *size)
{
    const char *start = p - 1;
    while (start > from && p - start < 4 && (*start & 0xC0) == 0x80) start--;
    int32_t c = character(start, size);
    if (start + *size == p) return c;
    *size = 1;
    return -1;
}

static bool is_space(int32_t c)
{
    return c >= 0 && (at_is_space(c) || (c >= 0x1C && c <= 0x1F));
}

const char *at_prompt_skip_spaces(const char *p, const char *end)
{
    size_t size;
    while ((!end || p < end) && is_space(character(p, &size))) p += size;
    return p;
}

const char *at_prompt_trim_spaces(const char *from, const char *end)
{
    size_t size;
    while (end > from && is_space(character_before(from, end, &size))) end -= size;
    return end;
}

/* A letter of a word, any that is not ASCII too. */
static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

static bool is_letter(int32_t c)
{
    return c >= 0 && (at_is_word(c) || at_is_numeric(c));
}

/* A word on its own at p in text. */
static bool word_at(const char *text, const char *p, const char *word)
{
    size_t n = strlen(word), size;
    if (strncmp(p, word, n) != 0) return false;
    return !(p > text && is_letter(character_before(text, p, &size))) &&
           !is_letter(character(p + n, &size));
}

/* ---- numbers */

/* Digits with a point among them or not, with a sign; an exponent where asked for. The end of it,
   NULL: there is none. */
static const char *number_end(const char *p, bool exponent, bool *point)
{
    bool digits = false;
    *point = false;
    if (*p == '+' || *p == '-') p++;
    for (; isdigit((unsigned char)*p) || (*p == '.' && !*point); p++) {
        if (*p == '.') *point = true;
        if (*p != '.') digits = true;
    }
    if (!digits) return NULL;
    if (exponent && (*p == 'e' || *p == 'E')) {
        const char *q = p + 1;
        if (*q == '+' || *q == '-') q++;
        if (isdigit((unsigned char)*q)) {
            while (isdigit((unsigned char)*q)) q++;
            p = q;
        }
    }
    return p;
}

/* All of the text between two ends, spaces around it left out, as a number. */
static bool number_between(const char *from, const char *to, bool *point, double *value)
{
    from = at_prompt_skip_spaces(from, to);
    to = at_prompt_trim_spaces(from, to);
    if (from == to || number_end(from, true, point) != to) return false;
    *value = strtod(from, NULL);
    return true;
}

/* ---- which syntax */

/* ":1.2" and a closing bracket at p */
static bool is_mark(const char *p)
{
    bool point;
    const char *end = number_end(p + 1 + (p[1] == ' '), false, &point);
    return end && point && (*end == ')' || *end == ']');
}

bool at_prompt_is_a1111(const char *text)
{
    if (strstr(text, "<lora:") || strstr(text, "<lyco:")) return true;
    char open = 0;
    bool letters = false;
    for (const char *p = text; *p; p++) {
        if (*p == '\\' && p[1]) {
            p++;
        } else if (*p == '(' || *p == '[') {
            open = *p;
            letters = false;
        } else if (*p == ')' || *p == ']') {
            open = 0;
        } else if (*p == ':' && open && letters && is_mark(p)) {
            return true;
        } else if (isalpha((unsigned char)*p) || (unsigned char)*p >= 0x80) {
            letters = true;
        }
    }
    return false;
}

/* ---- <lora:name:0.8> */

/* The next argument up to a colon or `end`. */
static const char *argument_end(const char *p, const char *end)
{
    while (p < end && *p != ':') p++;
    return p;
}

static void read_lora(at_context *cx, const char *p, const char *end, at_prompt_list *found)
{
    const char *stop = argument_end(p, end);
    at_prompt_item *lora = add(cx, found, p, (size_t)(stop - p), 1.0);
    if (!lora) return;
    lora->value_2 = 1.0;
    bool unet = false, point;
    int position = 0;
    for (p = stop; p < end; p = stop) {
        double value;
        stop = argument_end(++p, end);
        const char *equals = memchr(p, '=', (size_t)(stop - p));
        const char *digits = equals ? equals + 1 : p;
        bool is_text = equals && equals - p == 2 && strncmp(p, "te", 2) == 0;
        bool is_unet = equals && equals - p == 4 && strncmp(p, "unet", 4) == 0;
        if (!equals) position++;
        if (!number_between(digits, stop, &point, &value)) continue;
        if (is_text || (!equals && position == 1)) lora->value_2 = value;
        if (is_unet || (!equals && position == 2)) {
            lora->value = value;
            unet = true;
        }
    }
    if (!unet) lora->value = lora->value_2;
}

char *at_prompt_take_loras(at_context *cx, const char *text, at_prompt_list *found)
{
    at_text rest = {0};
    at_text_add(cx, &rest, "", 0);
    for (const char *p = text; *p;) {
        const char *colon = p + 1, *end;
        while (*p == '<' && is_word(*colon)) colon++;
        bool opens = *p == '<' && colon > p + 1 && *colon == ':' && colon[1] != '>';
        end = opens ? strchr(colon, '>') : NULL;
        if (!end) {
            at_text_add(cx, &rest, p++, 1);
            continue;
        }
        size_t kind = (size_t)(colon - p - 1);
        if (kind == 4 && (strncmp(p + 1, "lora", 4) == 0 || strncmp(p + 1, "lyco", 4) == 0))
            read_lora(cx, colon + 1, end, found);
        p = end + 1;
    }
    return rest.data;
}

/* ---- AND */

/* "text : 1.2": the number behind the last colon of a part, and what stands before it. */
static bool add_part(at_context *cx, const char *from, const char *to, at_prompt_list *parts)
{
    const char *end = at_prompt_trim_spaces(from, to), *colon;
    for (colon = end; colon > from && colon[-1] != ':';) colon--;
    double weight = 1.0, value;
    bool point;
    const char *digits = number_end(at_prompt_skip_spaces(colon, end), false, &point);
    if (colon > from && digits == end && number_between(colon, end, &point, &value)) {
        weight = value;
        end = at_prompt_trim_spaces(from, colon - 1);
    }
    return add(cx, parts, from, (size_t)(end - from), weight) != NULL;
}

bool at_prompt_split_and(at_context *cx, const char *text, at_prompt_list *parts)
{
    const char *from = text, *p = text;
    for (; *p; p++) {
        if (!word_at(text, p, "AND")) continue;
        if (!add_part(cx, from, p, parts)) return false;
        p += 2;
        from = p + 1;
    }
    return add_part(cx, from, p, parts);
}

/* ---- (a:1.3) and [a], A1111's */

/* Places in the list of pieces where brackets opened. */
typedef struct opened {
    int *at;
    int count, capacity;
} opened;

static bool open_bracket(at_context *cx, opened *o, int at)
{
    if (o->count == o->capacity) {
        int capacity = AT_MAX(16, 2 * o->capacity);
        int *grown = at_resize(cx, o->at, (size_t)capacity, sizeof *grown);
        if (!grown) return false;
        o->at = grown;
        o->capacity = capacity;
    }
    o->at[o->count++] = at;
    return true;
}

static void multiply_from(at_prompt_list *pieces, int first, double by)
{
    for (int i = first; i < pieces->count; i++) pieces->items[i].value *= by;
}

/* Text without any sign, cut where BREAK stands. */
static bool add_words(at_context *cx, const char *text, size_t size, at_prompt_list *pieces)
{
    const char *from = text, *end = text + size;
    for (const char *p = text; p < end; p++) {
        if (!word_at(text, p, "BREAK")) continue;
        const char *before = at_prompt_trim_spaces(from, p);
        if (!add(cx, pieces, from, (size_t)(before - from), 1.0) ||
            !add(cx, pieces, "BREAK", 5, -1.0))
            return false;
        from = at_prompt_skip_spaces(p + 5, end);
        p = from - 1;
    }
    return add(cx, pieces, from, (size_t)(end - from), 1.0) != NULL;
}

/* ": 1.3 )" at p: its end and the number; NULL for anything else. */
static const char *weight_end(const char *p, double *value)
{
    bool point;
    const char *number = at_prompt_skip_spaces(p + 1, NULL);
    const char *end = number_end(number, false, &point);
    if (!end) return NULL;
    *value = strtod(number, NULL);
    end = at_prompt_skip_spaces(end, NULL);
    return *end == ')' ? end + 1 : NULL;
}

static void merge_equal(at_context *cx, at_prompt_list *pieces)
{
    int kept = 0;
    for (int i = 1; i < pieces->count; i++) {
        at_prompt_item *last = &pieces->items[kept], *next = &pieces->items[i];
        if (last->value != next->value) {
            pieces->items[++kept] = *next;
            continue;
        }
        char *joined = at_format(cx, "%s%s", last->text, next->text);
        at_free(next->text);
        if (!joined) continue;
        at_free(last->text);
        last->text = joined;
    }
    if (pieces->count) pieces->count = kept + 1;
}

/* One sign or run of words at p; where the next begins. */
static const char *read_token(at_context *cx, const char *p, at_prompt_list *pieces, opened *round,
                              opened *square, bool *fine)
{
    double weight;
    const char *end = p;
    if (*p == '\\') {
        end = p[1] && strchr("()[]\\", p[1]) ? p + 2 : p + 1;
        *fine = add(cx, pieces, p + 1, (size_t)(end - p - 1), 1.0) != NULL;
    } else if (*p == '(' || *p == '[') {
        end = p + 1;
        *fine = open_bracket(cx, *p == '(' ? round : square, pieces->count);
    } else if (*p == ':' && round->count && (end = weight_end(p, &weight))) {
        multiply_from(pieces, round->at[--round->count], weight);
    } else if (*p == ')' && round->count) {
        end = p + 1;
        multiply_from(pieces, round->at[--round->count], 1.1);
    } else if (*p == ']' && square->count) {
        end = p + 1;
        multiply_from(pieces, square->at[--square->count], 1 / 1.1);
    } else {
        end = p + 1;
        if (!strchr("\\()[]:", *p))
            while (*end && !strchr("\\()[]:", *end)) end++;
        *fine = add_words(cx, p, (size_t)(end - p), pieces);
    }
    return end;
}

bool at_prompt_weights_a1111(at_context *cx, const char *text, at_prompt_list *pieces)
{
    opened round = {0}, square = {0};
    bool fine = true;
    for (const char *p = text; fine && *p;) p = read_token(cx, p, pieces, &round, &square, &fine);
    for (int i = 0; i < round.count; i++) multiply_from(pieces, round.at[i], 1.1);
    for (int i = 0; i < square.count; i++) multiply_from(pieces, square.at[i], 1 / 1.1);
    at_free(round.at);
    at_free(square.at);
    if (fine && !pieces->count) fine = add(cx, pieces, "", 0, 1.0) != NULL;
    if (fine) merge_equal(cx, pieces);
    return fine && at_ok(cx);
}

/* ---- (a:1.3), ComfyUI's */

enum { ESCAPED_CLOSE = 1, ESCAPED_OPEN = 2, DEEPEST = 200 };

static bool comfy(at_context *cx, const char *text, size_t size, double weight, int depth,
                  at_prompt_list *pieces);

/* One item of a level: a bracket with what is in it, or text. */
static bool comfy_item(at_context *cx, const char *text, size_t size, double weight, int depth,
                       at_prompt_list *pieces)
{
    if (!size) return true;
    if (size < 2 || text[0] != '(' || text[size - 1] != ')' || depth == DEEPEST) {
        at_prompt_item *item = add(cx, pieces, text, size, weight);
        for (char *c = item ? item->text : NULL; c && *c; c++)
            *c = *c == ESCAPED_OPEN ? '(' : *c == ESCAPED_CLOSE ? ')' : *c;
        return item != NULL;
    }
    const char *from = text + 1, *to = text + size - 1, *colon = to;
    while (colon > from && *colon != ':') colon--;
    double own = weight * 1.1, value;
    bool point;
    if (colon > from && number_between(colon + 1, to, &point, &value)) {
        own = value;
        to = colon;
    }
    return comfy(cx, from, (size_t)(to - from), own, depth + 1, pieces);
}

static bool comfy(at_context *cx, const char *text, size_t size, double weight, int depth,
                  at_prompt_list *pieces)
{
    int level = 0; /* below 0 where brackets close that never opened, as in ComfyUI */
    size_t from = 0;
    bool fine = true;
    for (size_t i = 0; fine && i < size; i++) {
        if (text[i] == '(' && level++ == 0) {
            fine = comfy_item(cx, text + from, i - from, weight, depth, pieces);
            from = i;
        } else if (text[i] == ')' && --level == 0) {
            fine = comfy_item(cx, text + from, i + 1 - from, weight, depth, pieces);
            from = i + 1;
        }
    }
    return fine && comfy_item(cx, text + from, size - from, weight, depth, pieces);
}

bool at_prompt_weights_comfy(at_context *cx, const char *text, at_prompt_list *pieces)
{
    char *copy = at_alloc(cx, strlen(text) + 1, 1);
    if (!copy) return false;
    size_t size = 0;
    for (const char *p = text; *p; p++) {
        bool escape = *p == '\\' && (p[1] == '(' || p[1] == ')');
        copy[size++] = escape ? (*++p == '(' ? ESCAPED_OPEN : ESCAPED_CLOSE) : *p;
    }
    bool fine = comfy(cx, copy, size, 1.0, 0, pieces);
    at_free(copy);
    return fine && at_ok(cx);
}
