#include "text/sounds.h"
#include <math.h>
#include <string.h>
#include <utf8proc.h>

void at_sounds_none(at_sounds *s)
{
    s->count = -1;
}

void at_sounds_add_code(at_sounds *s, int32_t code)
{
    if (s->count < 0) s->count = 0;
    if (s->count < AT_SOUNDS_MOST) s->code[s->count++] = code;
}

void at_sounds_set(at_sounds *s, const char *text, size_t size)
{
    s->count = 0;
    while (size) {
        utf8proc_int32_t code;
        utf8proc_ssize_t n =
            utf8proc_iterate((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)size, &code);
        if (n > 0) at_sounds_add_code(s, code);
        text += n > 0 ? n : 1;
        size -= n > 0 ? (size_t)n : 1;
    }
}

void at_sounds_add(at_sounds *s, const at_sounds *more)
{
    for (int i = 0; i < more->count; i++) at_sounds_add_code(s, more->code[i]);
}

size_t at_sounds_text(const at_sounds *s, char *out)
{
    size_t size = 0;
    for (int i = 0; i < s->count; i++)
        size += (size_t)utf8proc_encode_char(s->code[i], (utf8proc_uint8_t *)out + size);
    out[size] = 0;
    return size;
}

bool at_sounds_has(const at_sounds *s, int32_t code)
{
    for (int i = 0; i < s->count; i++)
        if (s->code[i] == code) return true;
    return false;
}

bool at_is_one_of(int32_t code, const char *set)
{
    utf8proc_int32_t one;
    while (*set) {
        utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)set, -1, &one);
        if (n <= 0) return false;
        if (one == code) return true;
        set += n;
    }
    return false;
}

bool at_is_vowel(int32_t code)
{
    return at_is_one_of(code, "AIOQWYaiuæɑɒɔəɛɜɪʊʌᵻ");
}

bool at_is_consonant(int32_t code)
{
    return at_is_one_of(code, "bdfhjklmnpstvwzðŋɡɹɾʃʒʤʧθ");
}

/* ---- stress */

static bool is_mark(int32_t code)
{
    return code == AT_STRESS_FIRST || code == AT_STRESS_SECOND;
}

static bool has_vowel(const at_sounds *s)
{
    for (int i = 0; i < s->count; i++)
        if (at_is_vowel(s->code[i])) return true;
    return false;
}

static void replace(at_sounds *s, int32_t from, int32_t to)
{
    for (int i = 0; i < s->count; i++)
        if (s->code[i] == from) s->code[i] = to;
}

static void take_away(at_sounds *s)
{
    int kept = 0;
    for (int i = 0; i < s->count; i++)
        if (!is_mark(s->code[i])) s->code[kept++] = s->code[i];
    s->count = kept;
}

/* A mark in front, moved to before the first vowel. */
static void add_mark(at_sounds *s, int32_t mark)
{
    int at = 0;
    if (s->count == AT_SOUNDS_MOST || !has_vowel(s)) return;
    while (!at_is_vowel(s->code[at])) at++;
    memmove(s->code + at + 1, s->code + at, (size_t)(s->count - at) * sizeof *s->code);
    s->code[at] = mark;
    s->count++;
}

void at_sounds_stress(at_sounds *s, double stress)
{
    if (s->count < 0 || isnan(stress)) return;
    bool first = at_sounds_has(s, AT_STRESS_FIRST), second = at_sounds_has(s, AT_STRESS_SECOND);
    bool light = stress == 0 || stress == -0.5;
    if (stress < -1) {
        take_away(s);
    } else if (stress == -1 || (light && first)) {
        for (int i = 0, kept = 0, n = s->count; i < n; i++) {
            if (s->code[i] != AT_STRESS_SECOND) s->code[kept++] = s->code[i];
            s->count = kept;
        }
        replace(s, AT_STRESS_FIRST, AT_STRESS_SECOND);
    } else if ((stress == 0 || stress == 0.5 || stress == 1) && !first && !second) {
        add_mark(s, AT_STRESS_SECOND);
    } else if (stress >= 1 && !first && second) {
        replace(s, AT_STRESS_SECOND, AT_STRESS_FIRST);
    } else if (stress > 1 && !first && !second) {
        add_mark(s, AT_STRESS_FIRST);
    }
}

int at_sounds_weight(const at_sounds *s)
{
    int weight = 0;
    for (int i = 0; i < s->count; i++) weight += at_is_one_of(s->code[i], "AIOQWYʤʧ") ? 2 : 1;
    return weight;
}
